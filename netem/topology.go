package netem

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"
)

// Topology is a tree of switches with a sender and receivers on them. The same value makes a network in memory ([FabricConfig],
// [Fabric.Node]) or between namespaces ([RelayConfig]), with the same links. Switch 0 is the root; Branches[i] leads to switch
// i+1. A star is a Topology without Branches; the zero value is a star of perfect links.
//
//	            switch 0 ── sender
//	Branches[0] ╱      ╲ Branches[1]      a link that is shared: what is lost on it, is lost for all behind it
//	    switch 1        switch 2
//	    ╱      ╲            │
//	receiver 0  receiver 2  receiver 1    links of their own
//
// Down is always away from the root and up towards it; for a host, down is to the host and up from it, at the root too.
type Topology struct {
	Branches []Branch
	Sender   Port
	// Receivers are the ports of the receivers in order. If there are more receivers than ports, the list is repeated. Empty
	// means perfect links at the root.
	Receivers []Port
}

// Branch is a link between switches, and the switch below it.
type Branch struct {
	Parent   int // the switch above: 0 is the root, and i+1 that of Branches[i], which must come earlier
	Down, Up Impairment
}

// Port is where a host is attached.
type Port struct {
	Switch   int // 0 is the root, i+1 that of Branches[i]
	Down, Up Impairment
}

// Star returns a Topology in which all receivers have equal, independent links, and the sender a perfect one.
func Star(down, up Impairment) Topology {
	return Topology{Receivers: []Port{{Down: down, Up: up}}}
}

// Branch adds a switch below the switch parent and returns its number.
func (t *Topology) Branch(parent int, down, up Impairment) int {
	t.Branches = append(t.Branches, Branch{Parent: parent, Down: down, Up: up})
	return len(t.Branches)
}

// Port returns where a node is attached.
func (t Topology) Port(n Node) Port {
	switch {
	case n == Sender:
		return t.Sender
	case len(t.Receivers) == 0:
		return Port{}
	}
	return t.Receivers[int(n)%len(t.Receivers)]
}

// Validate reports the first setting that makes no sense.
func (t Topology) Validate() error {
	both := func(down, up Impairment) error {
		if err := down.Validate(); err != nil {
			return fmt.Errorf("down: %w", err)
		}
		if err := up.Validate(); err != nil {
			return fmt.Errorf("up: %w", err)
		}
		return nil
	}
	for i, b := range t.Branches {
		if b.Parent < 0 || b.Parent > i {
			return fmt.Errorf("netem: Branches[%d] hangs at switch %d: 0 to %d are above it", i, b.Parent, i)
		}
		if err := both(b.Down, b.Up); err != nil {
			return fmt.Errorf("netem: Branches[%d] %w", i, err)
		}
	}
	for n := Sender; n < Node(len(t.Receivers)); n++ {
		p := t.Port(n)
		if p.Switch < 0 || p.Switch > len(t.Branches) {
			return fmt.Errorf("netem: %v hangs at switch %d of %d", n, p.Switch, len(t.Branches)+1)
		}
		if err := both(p.Down, p.Up); err != nil {
			return fmt.Errorf("netem: %v %w", n, err)
		}
	}
	return nil
}

// HostLinks returns the links of a node as every carrier makes them from seed. Fed with the same packets at the same times they
// give the same answers.
func (t Topology) HostLinks(n Node, seed uint64) (down, up *Link) {
	p, id := t.Port(n), hostID(n.Addr4())
	return NewLink(p.Down, seed, id|downStream), NewLink(p.Up, seed, id)
}

// BranchLinks returns the links of Branches[i] as every carrier makes them from seed.
func (t Topology) BranchLinks(i int, seed uint64) (down, up *Link) {
	b, id := t.Branches[i], branchID(i)
	return NewLink(b.Down, seed, id|downStream), NewLink(b.Up, seed, id)
}

// The lowest bit of a link's stream is its direction. The others come from what identifies the link, so that the order in which
// things are attached does not decide what happens to packets.
const downStream = 1

func hostID(a netip.Addr) uint64 { return hashed(a.AsSlice()) }

func branchID(i int) uint64 {
	return hashed(binary.BigEndian.AppendUint64([]byte("branch"), uint64(i)))
}

func hashed(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64() &^ downStream
}
