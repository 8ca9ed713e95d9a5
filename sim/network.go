package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/rmcast/rmcast/internal/heap"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

// Config configures a Network. The zero value works.
type Config struct {
	// Seed decides every random choice in the network.
	Seed uint64
	// V4 gives hosts and group IPv4 addresses; otherwise they have IPv6.
	V4 bool
	// Trace is called for each event of a kind in Kinds, while the network runs: it may look at it and keep nothing of it. nil:
	// nobody is told.
	Trace func(*Event)
	// Kinds selects what Trace sees; 0 is all.
	Kinds Kinds
	// Hash makes the network sum up all that happens: see TraceHash. It costs about 20 ns an event.
	Hash bool
	// Drop is asked about each packet that comes to the link of a receiver, or of a source for what comes to it, unless the packet is
	// damaged already; true loses it. Hosts are named by their number. nil loses nothing.
	Drop func(from, to int, p *wire.Packet) bool
}

// Network is a simulated network. It is not safe for concurrent use. Between two calls of Run, and in functions given to At,
// hosts may be added and told what to do.
type Network struct {
	cfg    Config
	now    mono.Time
	root   *Switch
	owners []owner // by first host number
	hosts  int     // numbers given
	events heap.Heap[*event]
	free   []*event
	alarms heap.Heap[*alarm]
	serial uint64
	links  uint64 // how often links were made or changed
	still  int    // events and alarms at this instant,
	most   int    // and how many are for ever

	send    []byte // run being polled
	read    []byte // message being read; nil while nobody keeps bytes
	speaker int    // host whose engine is at work; 0: none
	shared  *class // or the engine that several hosts share; nil: none
	classes []*class
	cursors []int32 // scratch
	sources int
	apart   bool  // engines cannot be shared: there is a second source, or one that receivers report to
	watched Kinds // what anybody wants to know of
	sum     uint64
	stats   Stats
	err     error
}

// Stats counts what happened in a network.
type Stats struct {
	Sent       uint64 // packets
	SentBytes  uint64 // of IP packets
	Deliveries uint64 // packets handed to receivers' engines
	Lost       uint64 // packets that a link or Drop did not let pass, each link for itself
	Corrupt    uint64 // packets that arrived damaged and were thrown away
	Events     uint64
	Engines    int // receivers that have an engine of their own, now
}

// owner is who hosts from a number on belong to.
type owner struct {
	first  int
	source *Source
	group  *Group
}

const (
	port       = 7500
	mostStill  = 50_000_000
	headerV4   = 28
	headerV6   = 48
	sourcePort = 1000
)

var (
	group6 = netip.MustParseAddr("ff15::8000:1")
	group4 = netip.MustParseAddr("239.192.0.1")
)

// ErrStuck says that time does not go on: 50 million things have happened at one instant.
var ErrStuck = errors.New("sim: time stands still")

// New returns a network with a switch and no hosts.
func New(cfg Config) *Network {
	n := &Network{cfg: cfg, most: mostStill, send: make([]byte, 0, session.RunBytes)}
	if cfg.Kinds == 0 {
		n.cfg.Kinds = AllKinds
	}
	if cfg.Trace != nil {
		n.watched = n.cfg.Kinds
	}
	if cfg.Hash {
		n.watched = AllKinds
	}
	n.events = heap.Heap[*event]{
		Less: func(a, b *event) bool {
			return a.at < b.at || a.at == b.at && a.serial < b.serial
		},
		Place: func(*event, int) {},
	}
	n.alarms = heap.Heap[*alarm]{
		Less:  func(a, b *alarm) bool { return a.at < b.at || a.at == b.at && a.host < b.host },
		Place: func(a *alarm, i int) { a.index = i },
	}
	n.root = &Switch{n: n}
	return n
}

// Root returns the switch in the middle.
func (n *Network) Root() *Switch { return n.root }

// Now returns the time since the network was made.
func (n *Network) Now() time.Duration { return time.Duration(n.now) }

// Stats returns the counters so far.
func (n *Network) Stats() Stats { return n.stats }

// TraceHash returns a sum over all events of every Kind so far: instants, hosts, sessions, packets to the byte, deliveries (to the byte,
// but for Hollow), losses, ends, and what engines tell. Two runs with the same sum did the same; in which order things happened within
// one nanosecond does not count. It is 0 without Config.Hash.
func (n *Network) TraceHash() uint64 { return n.sum }

// Group returns the multicast group that all sources send to.
func (n *Network) Group() netip.Addr {
	if n.cfg.V4 {
		return group4
	}
	return group6
}

// Addr returns the address of a host by its number.
func (n *Network) Addr(host int) netip.Addr {
	if n.cfg.V4 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], 10<<24+uint32(host))
		return netip.AddrFrom4(b)
	}
	b := [16]byte{0: 0xfd}
	binary.BigEndian.PutUint32(b[12:], uint32(host))
	return netip.AddrFrom16(b)
}

// hostOf returns the number of the host with address a, 0 if there is none.
func (n *Network) hostOf(a netip.Addr) int {
	b := a.As16()
	h := int(binary.BigEndian.Uint32(b[12:]))
	if n.cfg.V4 {
		h &= 1<<24 - 1
	}
	if h > n.hosts || h < 1 || n.Addr(h) != a {
		return 0
	}
	return h
}

// owner returns who the host belongs to.
func (n *Network) owner(host int) owner {
	i, ok := slices.BinarySearchFunc(n.owners, host, func(o owner, h int) int { return o.first - h })
	if !ok {
		i--
	}
	return n.owners[i]
}

// number gives count hosts their numbers and returns the first.
func (n *Network) number(o owner, count int) int {
	o.first = n.hosts + 1
	if limit := 1<<24 - 2; n.hosts+count > limit {
		panic(fmt.Sprintf("sim: more than %d hosts", limit))
	}
	if count > 0 {
		n.hosts += count
		n.owners = append(n.owners, o)
	}
	return o.first
}

func (n *Network) header() int {
	if n.cfg.V4 {
		return headerV4
	}
	return headerV6
}

// At calls f when the time has come: after what was under way for that instant when At was called, and before all else. A time that
// is past is now.
func (n *Network) At(at time.Duration, f func()) {
	e := n.newEvent(max(mono.Time(at), n.now))
	e.call = f
	n.events.Push(e)
}

// Run lets the network work for d; 0 is to do what is due now. It fails with ErrStuck, and goes no further, when time stands still.
func (n *Network) Run(d time.Duration) error {
	_, err := n.RunUntil(d, nil)
	return err
}

// RunUntil lets the network work until done reports true, which it asks before and after each event, or for limit. It reports whether
// done did; nil never does. Time is then that of the latest event, otherwise limit has passed.
func (n *Network) RunUntil(limit time.Duration, done func() bool) (bool, error) {
	end := n.now.Add(max(limit, 0))
	for n.err == nil && (done == nil || !done()) {
		if !n.step(end) {
			n.now = end
			return false, nil
		}
	}
	return n.err == nil, n.err
}

// step does the next thing up to end, if there is one.
func (n *Network) step(end mono.Time) bool {
	at := mono.Never
	if len(n.events.Items) > 0 {
		at = n.events.Items[0].at
	}
	if len(n.alarms.Items) > 0 && n.alarms.Items[0].at < at {
		if a := n.alarms.Items[0]; a.at <= end {
			n.advance(a.at)
			for _, c := range n.classes {
				c.lookOut(0)
			}
			if a := n.alarms.Items[0]; a.at <= n.now { // else it was for lookOut alone
				a.who.ring()
			}
			return true
		}
		return false
	}
	if at > end || at == mono.Never {
		return false
	}
	e := n.events.Items[0]
	n.events.Remove(0)
	n.advance(at)
	n.stats.Events++
	e.do(n)
	n.recycle(e)
	return true
}

func (n *Network) advance(to mono.Time) {
	if to > n.now {
		n.now, n.still = to, 0
		return
	}
	if n.still++; n.still > n.most {
		n.err = fmt.Errorf("%w at %v (seed %d)", ErrStuck, n.Now(), n.cfg.Seed)
	}
}

// alarm is when a host wants to be called by itself. Each host has one.
type alarm struct {
	at    mono.Time
	host  int
	index int // in the heap; -1: not in it
	who   interface{ ring() }
}

// set moves an alarm.
func (n *Network) set(a *alarm, at mono.Time) {
	if a.at == at && a.index >= 0 {
		return
	}
	a.at = at
	if a.index < 0 {
		n.alarms.Push(a)
		return
	}
	n.alarms.Fix(a.index)
}

// unset takes an alarm out.
func (n *Network) unset(a *alarm) {
	if a.index >= 0 {
		n.alarms.Remove(a.index)
		a.index = -1
	}
}

// stream is a host's own random numbers: SplitMix64, whose state is a function of the host's key and how many were drawn.
type stream struct {
	key uint64
	n   uint64
}

const golden = 0x9e3779b97f4a7c15

// Uint64 makes stream a rand.Source.
func (s *stream) Uint64() uint64 {
	s.n++
	return mix(s.key + s.n*golden)
}

// mix is SplitMix64's output function.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// key returns the key of a host's stream, or of another use of randomness.
func (n *Network) key(host int, use uint64) uint64 {
	return mix(mix(n.cfg.Seed+golden) + uint64(host)*golden + use)
}

// Uses of randomness, beside the engine of a host, which is 0.
const (
	useLoss = 1 + iota
	useLinkDown
	useLinkUp
	useSwitchDown
	useSwitchUp
	usePattern
)
