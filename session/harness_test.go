package session

import (
	"container/heap"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/wire"
)

// engine is what Source and Peers have in common.
type engine interface {
	Handle(now mono.Time, m Meta, p *wire.Packet)
	Advance(now mono.Time)
	Poll(now mono.Time, t *Transmit) bool
	Deadline() mono.Time
}

// network joins engines by a segment with a delay and a hook that loses packets, under one virtual clock.
type network struct {
	t      testing.TB
	now    mono.Time
	delay  time.Duration
	nodes  []*node
	queue  eventQueue
	serial int
	jitter func() time.Duration // added to delay; nil: none
	dup    float64              // chance that a packet comes twice
	drop   func(from, to *node, p *wire.Packet) bool
	change func(to *node, p *wire.Packet) bool // changes a packet on the way to a node, and says so
	spy    func(from *node, p *wire.Packet)
	bytes  int64 // IP bytes that nodes sent
	seed   uint64
	rng    *rand.Rand
}

type node struct {
	name   string
	addr   netip.Addr
	engine engine
	tick   func(now mono.Time) // what the application does after each event
	buf    []byte
	paused bool
}

type event struct {
	at     mono.Time
	serial int
	to     *node
	meta   Meta
	b      []byte
}

type eventQueue []event

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].serial < q[j].serial
}
func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *eventQueue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *eventQueue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

const testPort = 7500

var testGroup = netip.MustParseAddr("ff15::8000:1")

func newNetwork(t testing.TB, seed uint64) *network {
	n := &network{t: t, delay: 100 * time.Microsecond, seed: seed, rng: rand.New(rand.NewPCG(seed, 1))}
	return n
}

func (n *network) addr(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("fd00::%x", i)) }

func testRoom() wire.Room {
	room, err := wire.NewRoom(1500, true, false)
	if err != nil {
		panic(err)
	}
	return room
}

func testSourceConfig(path netip.Addr) SourceConfig {
	return SourceConfig{
		TSI: wire.TSI{GSI: wire.NewGSI("test"), Port: 1000}, DestinationPort: testPort, Group: testGroup, Path: path, Room: testRoom(),
		Rate: 100 * flow.Mbps, RepairShare: 0.75, ReceiverShare: 0.25, Slots: 4096, WindowAge: 2 * time.Second,
		InitialGRTT: 10 * time.Millisecond, InitialGroup: 10,
		HeartbeatMin: 10 * time.Millisecond, HeartbeatMax: time.Second, AmbientSPM: time.Second, Linger: 2 * time.Second,
	}
}

func testPeersConfig() PeersConfig {
	return PeersConfig{
		DestinationPort: testPort, Group: testGroup, UDPPort: testPort, HopLimit: 1, MaxWindow: 65536, WindowBytes: 96 << 20,
		MaxMessage: 1 << 20, MaxSources: 16, Backlog: 16, RepairTimeout: 10 * time.Second,
	}
}

// source adds a sending node. edit may change its configuration.
func (n *network) source(edit func(*SourceConfig)) (*node, *Source) {
	addr := n.addr(1 + len(n.nodes))
	cfg := testSourceConfig(addr)
	if edit != nil {
		edit(&cfg)
	}
	s := NewSource(n.now, cfg)
	nd := &node{name: fmt.Sprintf("source%d", len(n.nodes)), addr: addr, engine: s, buf: make([]byte, 0, RunBytes)}
	n.nodes = append(n.nodes, nd)
	return nd, s
}

// peers adds a receiving node.
func (n *network) peers(edit func(*PeersConfig)) (*node, *Peers) {
	cfg := testPeersConfig()
	if edit != nil {
		edit(&cfg)
	}
	ps := NewPeers(n.now, cfg, rand.New(rand.NewPCG(n.seed, uint64(2+len(n.nodes)))))
	nd := &node{name: fmt.Sprintf("receiver%d", len(n.nodes)), addr: n.addr(1 + len(n.nodes)), engine: ps, buf: make([]byte, 0, RunBytes)}
	n.nodes = append(n.nodes, nd)
	return nd, ps
}

// send puts what from polled on the segment.
func (n *network) send(from *node, t *Transmit) {
	if t.Segment <= 0 || len(t.B) == 0 {
		n.t.Fatalf("%s polled a run of %d bytes with segments of %d", from.name, len(t.B), t.Segment)
	}
	for b := t.B; len(b) > 0; {
		size := min(t.Segment, len(b))
		one := append([]byte(nil), b[:size]...)
		b = b[size:]
		n.bytes += int64(size + 48)
		var p wire.Packet
		if err := p.Decode(one); err != nil {
			n.t.Fatalf("%s sent a packet that does not decode: %v", from.name, err)
		}
		if n.spy != nil {
			n.spy(from, &p)
		}
		for _, to := range n.nodes {
			if to == from || t.To.IsValid() && t.To.Addr() != to.addr {
				continue
			}
			if n.drop != nil && n.drop(from, to, &p) {
				continue
			}
			there := one
			if n.change != nil {
				if q := p; n.change(to, &q) {
					there = q.Append(nil)
				}
			}
			copies := 1
			if n.dup > 0 && n.rng.Float64() < n.dup {
				copies = 2
			}
			for range copies {
				delay := n.delay
				if n.jitter != nil {
					delay += n.jitter()
				}
				n.serial++
				heap.Push(&n.queue, event{n.now.Add(delay), n.serial, to, Meta{From: from.addr, Multicast: !t.To.IsValid()}, there})
			}
		}
	}
}

// drain lets a node work at the present instant until it has nothing more to do.
func (n *network) drain(nd *node) {
	if nd.paused {
		return
	}
	for range 10000 {
		nd.engine.Advance(n.now)
		t := Transmit{B: nd.buf}
		if !nd.engine.Poll(n.now, &t) {
			if nd.tick != nil {
				nd.tick(n.now)
			}
			return
		}
		n.send(nd, &t)
	}
	n.t.Fatalf("%s does not come to rest at %v (seed %d)", nd.name, n.now, n.seed)
}

// run lets the network work until done reports true or the instant until has come. It fails when an engine spins.
func (n *network) run(until mono.Time, done func() bool) {
	n.t.Helper()
	for _, nd := range n.nodes {
		n.drain(nd)
	}
	still := 0
	for !done() {
		next := until
		if len(n.queue) > 0 {
			next = min(next, n.queue[0].at)
		}
		for _, nd := range n.nodes {
			if !nd.paused {
				next = min(next, nd.engine.Deadline())
			}
		}
		if next >= until {
			n.now = until
			return
		}
		if next <= n.now {
			if still++; still > 100000 {
				n.t.Fatalf("time stands still at %v (seed %d)", n.now, n.seed)
			}
		} else {
			still = 0
			n.now = next
		}
		for len(n.queue) > 0 && n.queue[0].at <= n.now {
			e := heap.Pop(&n.queue).(event)
			var p wire.Packet
			if err := p.Decode(e.b); err == nil && !e.to.paused {
				e.to.engine.Handle(n.now, e.meta, &p)
			}
		}
		for _, nd := range n.nodes {
			if nd.paused {
				continue
			}
			n.drain(nd)
			if d := nd.engine.Deadline(); d <= n.now {
				t := Transmit{B: nd.buf}
				if nd.engine.Advance(n.now); nd.engine.Poll(n.now, &t) {
					n.send(nd, &t)
				} else if nd.engine.Deadline() <= n.now {
					n.t.Fatalf("%s has a deadline of %v at %v and does nothing (seed %d)", nd.name, d, n.now, n.seed)
				}
			}
		}
	}
}

// never is a condition for run to go on until its instant.
func never() bool { return false }

// lose drops packets with probability p, independently at each receiving node.
func (n *network) lose(p float64) {
	n.drop = func(_, _ *node, _ *wire.Packet) bool { return n.rng.Float64() < p }
}

// writer makes a node write all of data as a stream and finish.
func writer(s *Source, data []byte) func(now mono.Time) {
	return func(now mono.Time) {
		data = data[s.Write(now, data):]
		if len(data) == 0 {
			s.Finish(now)
		}
	}
}

// reader collects what one accepted session delivers.
type reader struct {
	r    *Receiver
	got  []byte
	errs []error
	end  error
}

// collect makes a receiving node read everything; it takes one session.
func collect(ps *Peers) (*reader, func(now mono.Time)) {
	rd := &reader{}
	buf := make([]byte, 100000)
	return rd, func(now mono.Time) {
		if rd.r == nil {
			if rd.r = ps.Accept(); rd.r == nil {
				return
			}
		}
		for rd.end == nil {
			n, err := rd.r.Read(now, buf)
			rd.got = append(rd.got, buf[:n]...)
			var loss *LossError
			switch {
			case err == nil:
			case errors.Is(err, ErrWouldBlock):
				return
			case errors.As(err, &loss):
				rd.errs = append(rd.errs, err)
			default:
				rd.end = err
			}
		}
	}
}

// pattern is n bytes by seed.
func pattern(seed uint64, n int) []byte {
	b := make([]byte, n)
	rng := rand.New(rand.NewPCG(seed, 99))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

var errEOF = io.EOF
