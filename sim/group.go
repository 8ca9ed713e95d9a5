package sim

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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
	Engine func(*session.PeersConfig)
	// Hollow keeps lengths and not bytes, for large groups: Delivered has no Data, and windows no bound in bytes.
	Hollow bool
	// Shared lets receivers that heard the same share one engine until they differ: for very large groups. A network with a
	// second source gives each its own. Whatever is told of a receiver is the same either way, but for the order within an instant.
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

// member is a receiver with an engine of its own.
type member struct {
	g       *Group
	i       int32
	stalled bool
	from    int32 // index of the first packet of the present event that is its own to handle
	peers   *session.Peers
	alarm   alarm
	stream  stream
	rng     rand.Rand
	log     readLog
	apart   *apart // memory for when it shares an engine again
}

// readLog is what an application has read.
type readLog struct {
	messages, bytes uint64
	gaps, lost      uint64
	complete        uint32 // sessions that ended with everything delivered or told
	broken          uint32 // sessions that ended otherwise
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
	if g.cfg.Shared && g.class == nil && g.n.sources < 2 && g.away == g.count {
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

// newMember returns receiver i with drawn of its random numbers used.
func (g *Group) newMember(i int32, drawn uint64) *member {
	m := &member{g: g, i: i}
	m.stream = stream{key: g.key(i), n: drawn}
	m.rng = *rand.New(&m.stream)
	m.alarm = alarm{host: g.first + int(i), index: -1, who: m}
	return m
}

func (g *Group) key(i int32) uint64 { return g.n.key(g.first+int(i), 0) }

// install makes m one of those with an engine of their own.
func (g *Group) install(m *member) {
	g.members[m.i] = m
	g.n.stats.Engines++
	if g.sparse {
		k, _ := slices.BinarySearch(g.own, m.i)
		g.own = slices.Insert(g.own, k, m.i)
	}
	g.n.reset(&m.alarm, m.peers.Deadline())
}

// Host returns the number of receiver i.
func (g *Group) Host(i int) int { return g.first + i }

// Len returns how many receivers the group has, present or not.
func (g *Group) Len() int { return g.count }

// SetLinks replaces the links of all receivers, with their queues; what is under way arrives. It panics on an impairment that is not
// valid.
func (g *Group) SetLinks(down, up netem.Impairment) {
	n := g.n
	model, err := netem.Compile(down)
	if err == nil {
		g.upModel, err = netem.Compile(up)
	}
	if err != nil {
		panic(err)
	}
	n.links++
	g.changed, g.up = n.links, nil
	if !up.Perfect() {
		g.up = map[int32]*netem.Link{}
	}
	g.delay, g.mtu, g.down = down.Delay, down.MTU, nil
	g.loss, g.lossy = newSampler(down.Loss, n.linkKey(n.links, g.first, useLoss)), down.Loss > 0
	down.Loss, down.Delay, down.MTU = 0, 0, 0
	if g.plain = down.Perfect(); g.plain {
		return
	}
	g.down = make([]netem.Link, g.count)
	for i := range g.down {
		g.down[i] = model.Link(n.linkKey(n.links, g.first+i, useLinkDown), 0)
	}
}

// upLink returns receiver i's link to its switch, nil if it is perfect.
func (g *Group) upLink(i int32) *netem.Link {
	if g.up == nil {
		return nil
	}
	l := g.up[i]
	if l == nil {
		l = new(g.upModel.Link(g.n.linkKey(g.changed, g.first+int(i), useLinkUp), 0))
		g.up[i] = l
	}
	return l
}

// send puts multicast packets on the links to all receivers.
func (g *Group) send(pkts []*packet) {
	n := g.n
	if !g.plain {
		for i := range g.count {
			if host := g.first + i; host != pkts[0].from {
				g.sendOne(i, pkts)
			}
		}
		return
	}
	e := n.newEvent(n.now.Add(g.delay))
	e.group, e.member = g, -1
	if cap(e.lost) < len(pkts) {
		e.lost = append(e.lost[:cap(e.lost)], make([][]int32, len(pkts)-cap(e.lost))...)
	}
	e.lost = e.lost[:cap(e.lost)]
	for _, k := range pkts {
		lost := g.losers(k, e.lost[len(e.pkts)][:0])
		e.lost[len(e.pkts)] = lost
		if len(lost) < g.count {
			e.pkts = append(e.pkts, k)
		}
	}
	if len(e.pkts) == 0 {
		n.recycle(e)
		return
	}
	n.events.Push(e)
}

// losers appends to lost which receivers do not get a multicast packet, ascending: those whose link loses it, or Drop, and who sent it.
func (g *Group) losers(k *packet, lost []int32) []int32 {
	n, self := g.n, int32(k.from-g.first)
	switch {
	case g.tooBig(k):
		lost = everyone.losers(g.count, lost)
	case g.lossy:
		lost = g.loss.losers(g.count, lost)
	}
	if n.cfg.Drop != nil && !k.damaged {
		by := len(lost)
		for i := range int32(g.count) {
			if i == self || !g.here(i) || !n.cfg.Drop(k.from, g.first+int(i), &k.p) {
				continue
			}
			if _, found := slices.BinarySearch(lost[:by], i); !found {
				lost = append(lost, i)
			}
		}
		slices.Sort(lost)
	}
	for _, i := range lost {
		if i != self && g.here(i) {
			n.stats.Lost++
			n.tellLost(g.first+int(i), k)
		}
	}
	if self >= 0 && int(self) < g.count {
		if at, found := slices.BinarySearch(lost, self); !found {
			lost = slices.Insert(lost, at, self)
		}
	}
	return lost
}

// tooBig reports whether k is larger than the links take.
func (g *Group) tooBig(k *packet) bool { return g.mtu > 0 && len(k.raw)+g.n.header() > g.mtu }

// sendOne puts packets on the link to receiver i.
func (g *Group) sendOne(i int, pkts []*packet) {
	n := g.n
	if !g.here(int32(i)) {
		return
	}
	if n.cfg.Drop != nil {
		if pkts = n.sift(pkts, g.first+i); len(pkts) == 0 {
			return
		}
	}
	if !g.plain {
		n.travel(&g.down[i], pkts, g.first+i, func(e *event) { e.group, e.member = g, i })
		return
	}
	e := n.newEvent(n.now.Add(g.delay))
	e.group, e.member = g, i
	for _, k := range pkts {
		if g.tooBig(k) || g.lossy && g.loss.lost() {
			n.stats.Lost++
			n.tellLost(g.first+i, k)
			continue
		}
		e.pkts = append(e.pkts, k)
	}
	if len(e.pkts) == 0 {
		n.recycle(e)
		return
	}
	n.events.Push(e)
}

// handleOne takes packets that came to receiver i.
func (g *Group) handleOne(i int, pkts []*packet) {
	if !g.here(int32(i)) {
		return
	}
	m := g.member(int32(i))
	m.take(pkts)
	m.serve()
}

// member returns receiver i with an engine of its own, which it gets now if it shared one.
func (g *Group) member(i int32) *member {
	if m := g.members[i]; m != nil {
		return m
	}
	m := g.class.split(i)
	g.install(m)
	return m
}

// handle takes packets that came to all receivers but those that lost them.
func (g *Group) handle(e *event) {
	if g.class != nil {
		g.handleShared(e)
		return
	}
	turn := g.n.turns(e)
	for i, m := range g.members {
		if m != nil {
			turn.member(m, int32(i))
		}
	}
}

// turns walks over the receivers in order and hands each what it did not lose of e.
type turns struct {
	e  *event
	at []int32 // where we are in each list of e.lost
}

func (n *Network) turns(e *event) turns {
	n.cursors = append(n.cursors[:0], make([]int32, len(e.pkts))...)
	return turns{e, n.cursors}
}

// member hands m, which is receiver i, its packets; i ascends.
func (t *turns) member(m *member, i int32) {
	e, next := t.e, int(m.from)
	for j, lost := range e.lost[:len(e.pkts)] {
		if len(lost) == 0 {
			continue
		}
		at := t.at[j]
		for int(at) < len(lost) && lost[at] < i {
			at++
		}
		t.at[j] = at
		if int(at) < len(lost) && lost[at] == i {
			m.take(e.pkts[next:max(next, j)])
			next = max(next, j+1)
		}
	}
	m.take(e.pkts[next:])
	m.from = 0
	m.serve()
}

// take hands packets to the engine, and lets the application read after each.
func (m *member) take(pkts []*packet) {
	n := m.g.n
	for _, k := range pkts {
		if k.damaged {
			n.stats.Corrupt++
			n.tellLost(m.alarm.host, k)
			continue
		}
		n.stats.Deliveries++
		n.tellArrived(m.alarm.host, k)
		n.speaker = m.alarm.host
		m.peers.Handle(n.now, k.meta, &k.p)
		m.drain()
	}
}

// drain lets the application read all there is.
func (m *member) drain() {
	if !m.stalled {
		m.g.read(m.peers, &m.log, m.alarm.host, nil)
	}
}

// read reads all there is from engines of one host, or of those that share it.
func (g *Group) read(ps *session.Peers, log *readLog, host int, c *class) {
	for r := ps.Accept(); r != nil; r = ps.Accept() {
		continue
	}
	for r := ps.Ready(); r != nil; r = ps.Ready() {
		g.readSession(r, log, host, c)
	}
}

// readSession reads all that one session has.
func (g *Group) readSession(r *session.Receiver, log *readLog, host int, c *class) {
	n := g.n
	if r.Owner != nil { // it has ended
		return
	}
	for {
		count, data, err := 0, []byte(nil), error(nil)
		if g.cfg.Hollow {
			count, _, err = r.Discard(n.now)
		} else if count, err = r.ReadMessage(n.now, n.read); err == nil {
			data = n.read[:count]
		}
		if err == nil {
			log.messages++
			log.bytes += uint64(count)
			if g.cfg.Deliver != nil || n.watched.Has(Delivered) {
				g.tellRead(&Event{Kind: Delivered, Host: host, Source: r.TSI(), Bytes: count, Data: data}, c)
			}
			continue
		}
		var loss *session.LossError
		switch {
		case errors.Is(err, session.ErrWouldBlock):
			return
		case errors.As(err, &loss):
			log.gaps++
			log.lost += uint64(loss.Lost.Len())
			g.tellRead(&Event{Kind: Gap, Host: host, Source: r.TSI(), Range: loss.Lost, Err: err}, c)
			continue
		case errors.Is(err, io.EOF):
			log.complete++
		default:
			log.broken++
		}
		r.Owner = err
		g.tellRead(&Event{Kind: Ended, Host: host, Source: r.TSI(), Err: err}, c)
		return
	}
}

// tellRead tells what a receiver, or each that shares c, has read.
func (g *Group) tellRead(e *Event, c *class) {
	tell := func() {
		if g.n.watched.Has(e.Kind) {
			g.n.tell(e)
		}
		if g.cfg.Deliver != nil {
			e.At = g.n.Now()
			g.cfg.Deliver(e)
		}
	}
	if c == nil {
		tell()
		return
	}
	if g.cfg.Deliver == nil && !g.n.watched.Has(e.Kind) {
		return
	}
	c.each(func(i int32) {
		e.Host = g.first + int(i)
		tell()
	})
}

// traced is what engines of the group tell.
func (g *Group) traced(also func(session.Event)) func(session.Event) {
	n := g.n
	if also == nil && !n.watched.Has(Engine) {
		return nil
	}
	return func(e session.Event) {
		if also != nil {
			also(e)
		}
		if !n.watched.Has(Engine) {
			return
		}
		x := Event{Kind: Engine, Host: n.speaker, Source: e.TSI, Session: e}
		if n.shared == nil {
			n.tell(&x)
			return
		}
		n.shared.each(func(i int32) {
			x.Host = g.first + int(i)
			n.tell(&x)
		})
	}
}

// serve lets engine and application work until they have nothing more to do at this instant, and sets the alarm.
func (m *member) serve() {
	n := m.g.n
	if d := m.peers.Deadline(); d > n.now {
		n.reset(&m.alarm, d)
		return
	}
	n.speaker = m.alarm.host
	m.peers.Advance(n.now)
	m.drain()
	for t := (session.Transmit{B: n.send[:0]}); m.peers.Poll(n.now, &t); t = (session.Transmit{B: n.send[:0]}) {
		n.emit(&t, m.alarm.host, m.g.upLink(m.i), m.g.at)
	}
	m.drain()
	n.reset(&m.alarm, m.peers.Deadline())
}

// ring serves the alarm.
func (m *member) ring() { m.serve() }

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

// GroupStats sums up what receivers counted.
type GroupStats struct {
	Receivers int    // present
	Complete  int    // sessions whose end was read with everything delivered or told as lost
	Broken    int    // sessions that ended otherwise: reset, or the source was lost
	Messages  uint64 // read
	Bytes     uint64
	Gaps      uint64 // loss reports read
	Lost      uint64 // numbers in them
	Sessions  session.PeersStats
}

func (s *GroupStats) add(ps session.PeersStats, log *readLog, times uint64) {
	s.Receivers += int(times)
	s.Complete += int(log.complete) * int(times)
	s.Broken += int(log.broken) * int(times)
	s.Messages += log.messages * times
	s.Bytes += log.bytes * times
	s.Gaps += log.gaps * times
	s.Lost += log.lost * times
	s.Sessions.Add(ps, times)
}

// Stats sums up what all receivers of the group counted so far, those that left included.
func (g *Group) Stats() GroupStats {
	s := g.gone
	for _, m := range g.members {
		if m != nil {
			s.add(m.peers.Stats(), &m.log, 1)
		}
	}
	if g.class != nil {
		s.add(g.class.peers.Stats(), &g.class.log, uint64(g.class.size()))
		for i, a := range g.class.apart {
			if a != nil && g.shares(int32(i)) {
				s.Sessions.AddOwn(&a.own, g.class.peers)
			}
		}
	}
	return s
}

// Receiver returns the counters of one receiver; ok is false when it is absent.
func (g *Group) Receiver(i int) (st GroupStats, ok bool) {
	switch m := g.members[i]; {
	case !g.here(int32(i)):
		return st, false
	case m != nil:
		st.add(m.peers.Stats(), &m.log, 1)
	default:
		st.add(g.class.peers.Stats(), &g.class.log, 1)
		if a := g.class.apart[i]; a != nil {
			st.Sessions.AddOwn(&a.own, g.class.peers)
		}
	}
	return st, true
}

// Complete is Stats().Complete, and quicker.
func (g *Group) Complete() int {
	total := g.gone.Complete
	for _, m := range g.members {
		if m != nil {
			total += int(m.log.complete)
		}
	}
	if g.class != nil {
		total += int(g.class.log.complete) * g.class.size()
	}
	return total
}

// Sessions calls f for each session that receiver i knows of, in the order in which it heard of them.
func (g *Group) Sessions(i int, f func(tsi wire.TSI, st session.ReceiverStats)) {
	m := g.members[i]
	ps := (*session.Peers)(nil)
	switch {
	case m != nil:
		ps = m.peers
	case g.here(int32(i)):
		ps = g.class.split(int32(i)).peers // a copy, with what it has for itself
	default:
		return
	}
	for _, r := range ps.Receivers() {
		f(r.TSI(), r.Stats())
	}
}
