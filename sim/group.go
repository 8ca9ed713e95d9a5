package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

// GroupConfig says what the receivers of a Group are like. The zero value is receivers at the root with perfect links.
type GroupConfig struct {
	Switch   *Switch          // where they hang; nil: the root
	Down, Up netem.Impairment // of each receiver's own link: what comes to it, what it sends
	// Engine may change the engines' configuration, which is that of transport at hop limit 64: windows of up to 65,536 packets and
	// 96 MiB, messages of up to 65,535 bytes, 10 s for a repair. It is called once.
	//
	// With Confirm, receiver i has the ID that is set, plus i, and an engine of its own.
	Engine func(*session.PeersConfig)
	// Hollow keeps lengths and not bytes, for large groups: Delivered has no Data, and windows no bound in bytes.
	Hollow bool
	// Shared lets receivers that heard the same share one engine until they differ: for very large groups. A network with a
	// second source, or with one that adapts its rate to what each of them reports, gives each its own. Whatever is told of a receiver is the same either way, but for the order within an instant.
	Shared bool
	// Deliver is told what a receiver's application reads: events of the kinds Delivered, Gap and Ended. It may look at the event and
	// keep nothing of it.
	Deliver func(*Event)
	// Absent receivers join when Join is called.
	Absent bool
}

// Group is receivers that are alike, each with an application that reads what there is at once. Its methods name a receiver by its
// index, 0 to Len-1, and panic on another.
type Group struct {
	n     *Network
	cfg   GroupConfig
	at    *Switch
	first int // host number
	count int

	// Either down is a link for each receiver (nil while all are perfect), or loss and delay are the same law for all.
	down    []netem.Link
	up      map[int32]*netem.Link // those that were used; nil: all are perfect
	upModel *netem.Model
	changed uint64 // Network.links, when these were made
	delay   time.Duration
	loss    sampler
	lossy   bool // some link loses
	mtu     int
	plain   bool // loss, delay and mtu say it all
	blank   *session.Peers
	peers   session.PeersConfig
	members []*member // nil: shared, or absent
	own     []int32   // those that are not nil, ascending; nil without Shared: all present ones
	sparse  bool      // own is in use
	present []bool    // nil: all
	away    int       // how many are not
	class   *class    // nil without Shared
	fresh   []int32   // scratch: receivers that got an engine at this event, in order
	gone    GroupStats
}

// Receivers adds count receivers, 0 or more. It panics on a configuration that is not valid, and when there are too many hosts.
func (n *Network) Receivers(count int, cfg GroupConfig) *Group {
	if count < 0 {
		panic(fmt.Sprintf("sim: %d receivers", count))
	}
	g := &Group{n: n, cfg: cfg, at: n.place(cfg.Switch), count: count}
	g.first = n.number(owner{group: g}, count)
	g.members, g.present, g.away = make([]*member, count), make([]bool, count), count
	g.peers = session.PeersConfig{
		DestinationPort: port, Group: n.Group(), UDPPort: port, HopLimit: 64, MaxWindow: 65536, WindowBytes: 96 << 20,
		MaxMessage: 65535, MaxSources: 256, Backlog: 128, RepairTimeout: 10 * time.Second,
	}
	if cfg.Engine != nil {
		cfg.Engine(&g.peers)
	}
	checkPower("MaxWindow", g.peers.MaxWindow)
	g.peers.Hollow = cfg.Hollow
	g.peers.Trace = g.traced(g.peers.Trace)
	if size := max(g.peers.MaxMessage, session.RunBytes); !cfg.Hollow && size > len(n.read) {
		n.read = make([]byte, size)
	}
	g.SetLinks(cfg.Down, cfg.Up)
	g.at.groups = append(g.at.groups, g)
	if !cfg.Absent {
		g.Join()
	}
	return g
}

// Join lets all absent receivers of the group join, each with a new engine.
func (g *Group) Join() {
	if g.away == 0 {
		return
	}
	g.blank = session.NewPeers(g.n.now, g.peers, nil)
	if g.cfg.Shared && g.class == nil && !g.n.apart && !g.peers.Confirm && g.away == g.count {
		g.present, g.away, g.sparse = nil, 0, true
		g.class = newClass(g)
		return
	}
	for i := range int32(g.count) {
		if !g.here(i) {
			g.join(i)
		}
	}
}

// join gives receiver i, which is absent, a new engine.
func (g *Group) join(i int32) {
	m := g.newMember(i, 0)
	m.peers = g.blank.Clone(&m.rng)
	if g.peers.Confirm {
		cfg := g.peers
		cfg.ID += wire.ReceiverID(i)
		m.peers = session.NewPeers(g.n.now, cfg, &m.rng)
	}
	g.present[i] = true
	if g.away--; g.away == 0 {
		g.present = nil
	}
	g.install(m)
}

// here reports whether receiver i is present.
func (g *Group) here(i int32) bool { return g.present == nil || g.present[i] }

// shares reports whether receiver i shares an engine.
func (g *Group) shares(i int32) bool { return g.members[i] == nil && g.here(i) }

// Host returns the number of receiver i.
func (g *Group) Host(i int) int { return g.first + i }

// Len returns how many receivers the group has, present or not.
func (g *Group) Len() int { return g.count }

// SetStalled makes the application of receiver i stop reading, or go on. An absent receiver has no application, and one that joins reads.
func (g *Group) SetStalled(i int, stalled bool) {
	if !g.here(int32(i)) {
		return
	}
	m := g.member(int32(i))
	m.stalled = stalled
	if !stalled {
		g.n.speaker = m.alarm.host
		for _, r := range m.peers.Receivers() {
			g.readSession(r, &m.log, m.alarm.host, nil)
		}
		m.drain()
	}
	g.n.set(&m.alarm, g.n.now)
}

// Leave takes receiver i out of the group, at once and without a word. What it has read still counts. It does nothing if i is absent.
func (g *Group) Leave(i int) {
	if !g.here(int32(i)) {
		return
	}
	m := g.member(int32(i))
	if g.present == nil {
		g.present = slices.Repeat([]bool{true}, g.count)
	}
	g.present[i] = false
	g.away++
	g.members[i] = nil
	g.n.unset(&m.alarm)
	g.n.stats.Engines--
	if g.sparse {
		k, _ := slices.BinarySearch(g.own, int32(i))
		g.own = slices.Delete(g.own, k, k+1)
	}
	g.gone.add(m.peers.Stats(), &m.log, 1)
	g.gone.Receivers--
}

// Restart lets receiver i leave, if it is present, and join, with an engine that knows nothing. It draws the same random numbers again.
func (g *Group) Restart(i int) {
	g.Leave(i)
	g.blank = session.NewPeers(g.n.now, g.peers, nil)
	g.join(int32(i))
}
