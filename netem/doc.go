// Package netem makes networks to test on: links that lose and delay packets, a network in memory, and a network of namespaces.
//
// # Link
//
// A [Link] is one direction of a link as pure arithmetic. It is told when a packet of which size is sent and answers when which
// copies arrive; it holds no packet, reads no clock and draws from a generator of its own, so that the same seed gives the same
// answers everywhere. [Impairment] is what it does to packets, in the words of tc-netem(8).
//
// # Topology
//
// A [Topology] is a tree of switches with a sender and receivers on them, and an Impairment down and up for each link: those of
// the hosts, and those between switches, which all behind them share. It has a text form ([ParseTopology]). Both networks below
// are made from it and have the same links then; in both they can be changed while packets flow.
//
// # Fabric
//
// A [Fabric] is a network in memory. Each [Host] is a dgram.Network, with a Link on its way out and one on its way in; the hosts
// are on one switch, or on a tree of them. It lives on the clock of package time, and so on the virtual one inside a
// testing/synctest bubble.
//
//	 host A                      switch                      host B
//	source ──▶ egress Link ─────────┬──────────▶ ingress Link ──▶ receivers of B
//	  │                             ├──────────▶ ingress Link ──▶ receivers of C
//	  │                             └▶ Link down ▶ switch ▶ ingress Link ──▶ receivers of D …
//	  └──────────▶ receivers of A (multicast loop, past all links)
//
// A perfect network loses nothing: a full receive buffer then holds the sender back. Runs stay whole on perfect links. Switches
// send packets on only where somebody has joined.
//
// # Relay
//
// A [Relay] is a real network on one Linux machine, of real sockets in network namespaces, in which the Links of a Topology
// decide which packet arrives, and when. It is for what a Fabric cannot show: kernels, processes, raw IP, TCP. Two processors
// carry some 45,000 packets a second to four receivers each; [Relay.Totals] says if it did not keep up. Its clock, from which
// Impairment.Down counts, begins with it, as a Fabric's does.
//
// # Lab
//
// A [Lab] is the same network without Links: a sender and receivers in network namespaces of their own, joined by a bridge, with
// a shaped link and with losses made by the packet filter, at the speed of the kernel; [Lab.SetQdisc] puts the kernel's own netem
// on its links where there is one. [Lab.SetRate] gives a node a link of its own speed, and with LabConfig.Snooping a group loads only the
// links of those who have joined it: a Relay sends every group to all. Lab and Relay need root or an unprivileged user namespace; [Available] says whether there is
// either. The namespaces have no names: they are gone when the process is, however it ends.
//
// # What it is not
//
// Nothing here knows PGM. There are no routers: hop limits do nothing, and every host hears every other.
package netem
