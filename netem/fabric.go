package netem

import (
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Fabric is one shared network segment in memory. Hosts attached to it send and receive datagrams through [Host], which
// implements dgram.Network, so that everything above sockets runs unchanged. A packet's way:
//
//	source's run -> egress Link of its host -> switches and the Links between -> ingress Link of each host that wants it -> buffer
//
// Receivers on the sender's own host get multicast too, past all links, as the kernel's multicast loop does. A Fabric is one switch
// unless a Topology or [Fabric.Branch] makes more.
//
// A Fabric starts no goroutine and reads the clock only through package time: made inside a testing/synctest bubble it lives on
// the bubble's clock, and waiting in it lets that clock advance. It needs no Close: drop it when its Conns are closed.
//
// Nothing is lost that no Link, Drop hook or Limit loses: where no link between the root and a host has Rate or Limit, a
// receiver's full buffer holds senders back. A run of datagrams over perfect links stays whole, as with UDP_SEGMENT and UDP_GRO.
type Fabric struct {
	cfg   FabricConfig
	epoch time.Time

	tree
	timer *time.Timer
	due   time.Duration // when timer fires; never if it is not set
	// room is where a writer waits for room: in a receiver's buffer, in flight, or in its own host's transmit queue.
	room    sync.Cond
	waiting int // writers in room.Wait
}

// FabricConfig holds a Fabric's settings. The zero value works.
type FabricConfig struct {
	// Seed decides all random choices of all links.
	Seed uint64
	// MTU is that of every host's interface, in bytes of IP packet. 0 means 1500.
	MTU int
	// NoOffload makes every read return single datagrams, as sockets without UDP_GRO do. Otherwise datagrams of one sender and
	// size that wait together are read together.
	NoOffload bool
	// InFlight bounds the bytes that travel on links with Delay or Rate; beyond it senders wait. 0 means 64 MiB.
	InFlight int
	// Topology makes the switches, and says at which of them the hosts of [Fabric.Node] are attached.
	Topology Topology
}

// endpoint is where a datagram goes: a group or an own address, without zone, and the port; raw packets have port 0.
type endpoint struct {
	addr netip.Addr
	port uint16
	raw  bool
}

const (
	never           = time.Duration(1<<63 - 1)
	defaultMTU      = 1500
	defaultInFlight = 64 << 20
)

// NewFabric returns a network without hosts. It panics if the Topology is not valid.
func NewFabric(cfg FabricConfig) *Fabric {
	if cfg.MTU == 0 {
		cfg.MTU = defaultMTU
	}
	if cfg.InFlight == 0 {
		cfg.InFlight = defaultInFlight
	}
	f := &Fabric{cfg: cfg, epoch: time.Now(), due: never, tree: tree{seed: cfg.Seed}}
	f.grow(cfg.Topology)
	f.tree.arm = f.arm
	f.room.L = &f.mu
	return f
}

// Node returns the host that stands for a node of the Topology, attached as that says. It has the addresses that the node has in
// a [Lab] or a [Relay].
func (f *Fabric) Node(n Node) *Host {
	addrs := []string{n.Addr4().String(), n.Addr6().String(), n.LinkLocal().WithZone("").String()}
	f.mu.Lock()
	known := f.hosts[n.Addr4()] != nil
	f.mu.Unlock()
	h := f.Host(addrs...)
	if known {
		return h
	}
	p := f.cfg.Topology.Port(n)
	h.Attach(f.Switch(p.Switch))
	h.SetIngress(p.Down)
	h.SetEgress(p.Up)
	return h
}

// Switch returns a switch: 0 is the root, i the i-th branch, of the Topology or made later.
func (f *Fabric) Switch(i int) *Switch {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.switches[i]
}

// Branch adds a switch below parent, with nil below the root. All who are attached behind it share the links down to it and up
// from it: a packet passes these once for all of them. It panics if an impairment is not valid.
func (f *Fabric) Branch(parent *Switch, down, up Impairment) *Switch {
	f.mu.Lock()
	defer f.mu.Unlock()
	if parent == nil {
		parent = f.switches[0]
	}
	return f.newSwitch(parent, down, up)
}

// Host returns the host that has the given addresses, and attaches a new one to the root with perfect links the first time.
// Literal IPv4 and IPv6 addresses may be mixed; a host with only link-local IPv6 addresses is one that has nothing else to name
// as its own. It panics on what is not a unicast address, and if the addresses belong to different hosts.
func (f *Fabric) Host(addrs ...string) *Host {
	f.mu.Lock()
	defer f.mu.Unlock()
	var h *Host
	own := make([]netip.Addr, 0, len(addrs))
	for i, s := range addrs {
		a, err := netip.ParseAddr(s)
		if err != nil || a.IsMulticast() || a.IsUnspecified() {
			panic(fmt.Sprintf("netem: host address %q is not a literal unicast address", s))
		}
		a = a.Unmap().WithZone("")
		if known := f.hosts[a]; i > 0 && known != h {
			panic(fmt.Sprintf("netem: addresses %v do not belong to one host", addrs))
		} else {
			h = known
		}
		own = append(own, a)
	}
	if h != nil {
		return h
	}
	if len(own) == 0 {
		panic("netem: a host needs an address")
	}
	h = &Host{f: f, addrs: own, port: firstEphemeral, listen: map[endpoint][]*conn{}}
	h.take = h.deliver
	f.attach(h, f.switches[0])
	return h
}

// SetDrop sets a function that is asked about each datagram before it enters a host's ingress link (or its loop); true drops it.
// from is the sender's address, to the receiving host's of the same family. It runs under the Fabric's lock: it must not call
// into the Fabric or wait. nil removes it. With a hook set, runs are cut into datagrams.
func (f *Fabric) SetDrop(drop func(from, to netip.Addr, b []byte) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop = drop
}

// now returns the time since the Fabric was made.
func (f *Fabric) now() time.Duration { return time.Since(f.epoch) }

// wake lets waiting writers look again.
func (f *Fabric) wake() {
	if f.waiting > 0 {
		f.room.Broadcast()
	}
}
