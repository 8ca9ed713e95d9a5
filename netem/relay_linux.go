package netem

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Relay is a real network of namespaces on this machine in which [Link]s decide what arrives, and when:
//
//	┌ sender ──┐        ┌ relay ────────────────────┐        ┌ receiver 0 ┐
//	│     eth0 ├────────┤  Links and switches of    ├────────┤ eth0       │
//	└──────────┘  veth  │  the Topology             │  veth  └────────────┘
//	                    │                           ├────────┤ receiver 1 …
//	                    └───────────────────────────┘
//
// A goroutine reads the frames that come out of the nodes, as single packets, runs cut by the kernel. It asks the Links as of the
// instant at which the kernel took a packet from its node, and sends each copy that arrives when it is due; one that is corrupted
// has a bit turned over behind the Ethernet header. Multicast goes to all other nodes, unicast to the one that has the address.
// Neighbour discovery, ARP and group membership pass past all links.
//
// The same Topology, seed and order of packets give the same fates as [Topology.HostLinks] and [Topology.BranchLinks] do; arrival is
// later than they say by the time that the machine takes. It has the life and the rights of a [Lab]. Its methods but Close may
// be called from several goroutines at once.
type Relay struct {
	cfg   RelayConfig
	lab   *Lab
	epoch time.Time
	nodes []*Host       // the sender, then the receivers
	ports []int32       // the nodes' interfaces
	node  map[int32]int // by interface, from 0
	sock  *packetSocket
	stop  int           // an eventfd
	ended chan struct{} // closed when the goroutine has ended
	err   error         // why, if it was not asked to

	tree                   // its lock guards the rest too
	clock    time.Duration // since epoch: up to then the links have been asked
	batch    []parcel      // to be sent as soon as the lock is released
	counters RelayCounters

	closing sync.Once
}

// parcel is a copy on its way out.
type parcel struct {
	b    []byte
	buf  *buffer
	port int32 // index of the interface
}

// NewRelay builds the network, in 30 to 100 ms for 8 receivers. It needs what [NewLab] needs.
func NewRelay(cfg RelayConfig) (*Relay, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	lab, err := newLab(LabConfig{Receivers: cfg.Receivers, LinkLocalOnly: cfg.LinkLocalOnly, MTU: cfg.MTU, Wire: true}, true)
	if err != nil {
		return nil, err
	}
	r := &Relay{cfg: cfg, lab: lab, epoch: time.Now(), node: map[int32]int{}, ended: make(chan struct{}), tree: tree{seed: cfg.Seed}}
	r.grow(cfg.Topology)
	if r.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		lab.Close()
		return nil, fmt.Errorf("netem: eventfd: %w", err)
	}
	if err := inside(lab.bridge, r.open); err != nil {
		unix.Close(r.stop)
		lab.Close()
		return nil, fmt.Errorf("netem: relay: %w", err)
	}
	go r.loop()
	return r, nil
}

// everyone is the group in which all nodes of a Relay are, whatever they have joined.
var everyone = endpoint{addr: netip.IPv6LinkLocalAllNodes()}

// open opens the socket and attaches the nodes, in the namespace of the relay.
func (r *Relay) open() error {
	for n := Sender; n < Node(r.cfg.Receivers); n++ {
		port, err := net.InterfaceByName(portName(n))
		if err != nil {
			return err
		}
		p := r.cfg.Topology.Port(n)
		h := &Host{addrs: []netip.Addr{n.Addr4(), n.Addr6(), n.LinkLocal().WithZone("")}}
		index := int32(port.Index)
		h.take = func(p packet) {
			r.counters.Sent++
			r.post(p, index)
		}
		r.attach(h, r.switches[p.Switch])
		h.at.join(h, everyone)
		h.ingress.set(p.Down, r.seed)
		h.egress.set(p.Up, r.seed)
		r.node[index] = len(r.nodes)
		r.nodes, r.ports = append(r.nodes, h), append(r.ports, index)
	}
	sock, err := openPacketSocket(r.lab.cfg.MTU)
	r.sock = sock
	return err
}

// Receivers returns the number of receiver nodes.
func (r *Relay) Receivers() int { return r.cfg.Receivers }

// Do runs f on a thread in the node's namespace, as [Lab.Do] does.
func (r *Relay) Do(n Node, f func() error) error { return r.lab.Do(n, f) }

// Start starts cmd in the node's namespace, as [Lab.Start] does.
func (r *Relay) Start(n Node, cmd *exec.Cmd) error { return r.lab.Start(n, cmd) }

// Switch returns a switch: 0 is the root, i+1 that below Branches[i].
func (r *Relay) Switch(i int) *Switch { return r.switches[i] }

// SetEgress changes what happens to packets that a node sends. Packets under way stay as they are.
func (r *Relay) SetEgress(n Node, i Impairment) error { return r.set(n, i, (*Host).SetEgress) }

// SetIngress changes what happens to packets that reach a node.
func (r *Relay) SetIngress(n Node, i Impairment) error { return r.set(n, i, (*Host).SetIngress) }

func (r *Relay) set(n Node, i Impairment, set func(*Host, Impairment)) error {
	if n < Sender || n >= Node(r.cfg.Receivers) {
		return fmt.Errorf("netem: no %v in a relay of %d receivers", n, r.cfg.Receivers)
	}
	if err := i.Validate(); err != nil {
		return err
	}
	set(r.nodes[n+1], i)
	return nil
}

// SetDrop sets a function that is asked about each datagram before it enters a node's ingress link; true drops it. from is the
// sender's address, to the receiving node's of the same family, b what UDP carries, or else IP: the same as in a [Fabric]. It
// runs under the Relay's lock: it must not call into the Relay or wait. nil removes it.
func (r *Relay) SetDrop(drop func(from, to netip.Addr, b []byte) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop = drop
}

// Counters returns a node's counters. Overflow stays 0: see the sockets' own. It panics if there is no such node.
func (r *Relay) Counters(n Node) HostCounters { return r.nodes[n+1].Counters() }

// Totals returns the Relay's own counters.
func (r *Relay) Totals() RelayCounters {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counters.TooLate += r.sock.drops()
	return r.counters
}

// Close lets go of the network, drops what is under way, and kills the children that Start started. It returns the error that ended
// the Relay before, if one has.
func (r *Relay) Close() error {
	r.closing.Do(func() {
		unix.Write(r.stop, []byte{7: 1})
		<-r.ended
		unix.Close(r.stop)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.counters.TooLate += r.sock.drops()
		r.sock.close()
	})
	return errors.Join(r.lab.Close(), r.err)
}

// loop carries packets until Close.
func (r *Relay) loop() {
	defer close(r.ended)
	for stop, refused := false, 0; !stop; {
		wait := r.round(refused)
		refused = r.sock.send(r.batch)
		if stop, r.err = r.sock.wait(wait, r.stop); r.err != nil {
			return
		}
	}
}

// maxFrames bounds how many frames are read before copies that are due are sent.
const maxFrames = 128

// round takes what has come from the nodes and lets everything happen that is due. What leaves is in r.batch then. It returns for
// how long there is nothing to do unless something comes, or never.
func (r *Relay) round(refused int) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counters.Refused += uint64(refused)
	for i := range r.batch {
		r.pool.release(r.batch[i].buf)
		r.batch[i] = parcel{}
	}
	r.batch = r.batch[:0]

	wall := time.Now()
	now := wall.Sub(r.epoch)
	for range maxFrames {
		b, port, stamp, ok := r.sock.next()
		if !ok {
			r.advance(now)
			break
		}
		if b != nil {
			// The kernel's stamp says when the node sent it. The wall clock may have been set since.
			if ago := wall.Sub(stamp); ago.Abs() < time.Second {
				r.advance(now - ago)
			}
			if n, ok := r.node[port]; ok { // not the loopback interface
				r.take(b, n)
			}
		} else {
			r.counters.Malformed++
		}
		r.sock.done()
	}
	next := r.events.next()
	if next == never {
		return never
	}
	return max(0, next-time.Since(r.epoch))
}

// advance lets everything happen that is due at the instant to, if that is later than what has happened.
func (r *Relay) advance(to time.Duration) {
	r.clock = max(r.clock, to)
	r.run(r.clock)
}

// take sends a frame that a node has sent on its way. b is borrowed.
func (r *Relay) take(b []byte, node int) {
	f, ok := parseFrame(b)
	if !ok {
		r.counters.Malformed++
		return
	}
	from := r.nodes[node]
	buf := r.pool.get(len(b))
	defer r.pool.release(buf)
	p := packet{
		buf: buf, b: buf.b[:copy(buf.b, b)], segment: len(b),
		from: netip.AddrPortFrom(f.from, 0), host: from, head: -etherHeader, body: f.body,
	}
	if f.control {
		r.counters.Control++
		for i, port := range r.ports {
			if i != node {
				r.post(p, port)
			}
		}
		return
	}
	r.counters.Taken++
	p.to = everyone
	if !f.flood {
		p.to = endpoint{addr: f.to}
	}
	switch {
	case r.flying > r.cfg.InFlight:
		r.counters.InFlight++
	case !f.flood && r.hosts[f.to] == nil:
		r.counters.Unroutable++
	default:
		p.count()
		r.send(r.clock, p)
	}
}

// post puts p into the batch.
func (r *Relay) post(p packet, port int32) {
	p.buf.refs++
	r.batch = append(r.batch, parcel{b: p.b, buf: p.buf, port: port})
}
