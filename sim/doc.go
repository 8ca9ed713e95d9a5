// Package sim is a network simulator: the protocol engines of package session, the links of package netem, a virtual clock and one
// seed. It runs whole multicast sessions, from two hosts to a million receivers, on one goroutine and without a socket; the same
// program and seed do the same on every machine, to the nanosecond.
//
//	n := sim.New(sim.Config{Seed: 1, Hash: true})
//	src := n.Source(sim.SourceConfig{})
//	g := n.Receivers(1000, sim.GroupConfig{Down: netem.Impairment{Loss: 0.01, Delay: 10 * time.Millisecond}})
//	src.Stream(1 << 20)
//	src.Finish()
//	err := n.Run(30 * time.Second)
//	fmt.Println(g.Stats().Complete, n.TraceHash())
//
// # Topology
//
// Hosts hang on switches, each by a link of its own in either direction; switches form a tree, with a link in either direction
// that all behind it share (Branch). A multicast packet crosses each link once and is flooded; what one shared link loses, all
// behind it miss. Without a Branch the network is a star.
//
//	source ── root switch ──┬── receiver         own links: independent loss
//	                        ├── receiver
//	                        └── branch ──┬── receiver
//	                          shared link└── receiver
//
// Hosts have numbers, from 1 in the order in which they are added, and addresses made of them (Network.Addr).
//
// # Events
//
// Time is a count of nanoseconds. Packets that arrive and functions that At is to call come first, those of one instant in the order in
// which they were put on their last link, or given; then alarms, by instant and host. An engine handles all packets of a run that
// arrive at one instant, and then speaks. What it sends at an instant arrives at that instant at the earliest, after all that was
// under way before. What a link loses is told when it is put on the link.
//
// # The same again
//
// A network does the same each time that the same program builds and drives it with the same seed. TraceHash is a sum over all that
// happens, to compare runs by: of two machines, or before and after a change. Another host or link changes what happens; calls of At and
// Run by themselves do not, nor does looking on (Trace, Deliver, Stats). Functions given as Trace and Deliver look on only: what they are told of
// is still happening. Hosts are told what to do between two calls of Run, and in functions given to At.
//
// # Large groups
//
// Receivers of one Group have links alike. With Hollow they keep the lengths of payloads and not the bytes. With Shared all that
// heard the same are one engine (a delay class), and one that misses a packet, or is about to speak, gets its own at that
// instant. It goes back when it has all that the others have; what it measured, counted and drew is kept aside in half a kilobyte.
// The simulation is the same in all respects: TraceHash says so. Each receiver's random numbers come from a stream
// of its own, a function of seed, host and count, so that it does not matter who drew them, or when.
//
// # Limitations
//
// A host is a source or a receiver. There are no routers: hop limits do nothing, and every host of the group hears all of it.
// Shared is of use with links that have a constant delay, an MTU and independent loss, or none of them; with others each receiver gets
// its engine with the first packet. Limits: 16,777,214 hosts; memory of about 2 KB for each engine that keeps no payload.
package sim
