package sim

import (
	"math/rand/v2"
	"slices"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/session"
)

// class is one engine for all receivers of a group that heard the same and have not spoken: a delay class.
//
// It never misses anything, and never speaks. Where all of its receivers miss a packet, each gets an engine: each has a wait of his
// own then. They come back as they have it again (gather). What each of its receivers would do at an instant of its own is the answer
// to a probe, or an SPMR, after a wait drawn at random; before the first such instant comes, that receiver gets its own engine (the
// scout). The scout that comes next is known at all times: waits grow with the random number they are drawn from, so receivers are
// taken in the order of theirs.
type class struct {
	g     *Group
	peers *session.Peers
	draws last
	alarm alarm
	log   readLog
	waits bool // peers.Waits, after the latest packet
	scout scouting
	apart []*apart // by receiver; nil: it has nothing that is its own
}

// apart is what a receiver that shares the engine has for itself: it had an engine of its own before.
type apart struct {
	own   session.Own
	drawn uint64 // how many more random numbers it has drawn, modulo 2^64
}

// last is a rand.Source that gives the largest number, always, and counts: the class waits longer than any of its receivers.
type last struct{ n uint64 }

// Uint64 makes last a rand.Source.
func (l *last) Uint64() uint64 {
	l.n++
	return 1<<64 - 1
}

// scouting is the order in which receivers would answer.
type scouting struct {
	until  mono.Time // the latest of all scouts' instants
	draw   uint64    // which of their random numbers decides
	answer bool      // nack.Wait drew it, which grows with the lower 53 bits (rand.Float64); else all bits count
	next   []ranked
	below  uint64 // receivers with a number from here on are not in next yet; 0: none is
	done   bool
}

type ranked struct {
	u uint64
	i int32
}

func newClass(g *Group) *class {
	c := &class{g: g, apart: make([]*apart, g.count)}
	c.peers = g.blank.Clone(rand.New(&c.draws))
	c.alarm = alarm{host: g.first - 1, index: -1, who: c} // before its receivers: they may get alarms of this instant
	g.n.classes = append(g.n.classes, c)
	g.n.reset(&c.alarm, c.peers.Deadline())
	return c
}

// size is how many receivers share the engine.
func (c *class) size() int { return c.g.count - c.g.away - len(c.g.own) - len(c.g.fresh) }

// each calls f for each receiver that shares the engine.
func (c *class) each(f func(i int32)) {
	for i := range int32(c.g.count) {
		if c.g.shares(i) {
			f(i)
		}
	}
}

// split returns receiver i, which shares the engine, with one of its own in the same state.
func (c *class) split(i int32) *member {
	drawn := c.draws.n
	if c.waits {
		drawn = c.scout.draw // Clone draws it again
	}
	m := c.g.newMember(i, drawn+c.ahead(i))
	m.apart = c.apart[i]
	m.log = c.log
	m.peers = c.peers.Clone(&m.rng)
	if m.apart != nil {
		m.peers.Take(&m.apart.own)
	}
	return m
}

// handleShared is Group.handle where receivers share an engine.
func (g *Group) handleShared(e *event) {
	n, c := g.n, g.class
	if c.size() > 0 {
		for j, k := range e.pkts {
			if !k.damaged && !c.peers.InOrder(k.meta, &k.p) {
				c.part(j)
				break
			}
			for _, i := range e.lost[j] {
				if g.shares(i) {
					m := c.split(i)
					m.from = int32(j)
					g.members[i] = m
					n.stats.Engines++
					g.fresh = append(g.fresh, i)
				}
			}
			c.take(k)
		}
	}
	if len(g.fresh) > 0 {
		slices.Sort(g.fresh)
		g.own = mergeSorted(g.own, g.fresh)
		g.fresh = g.fresh[:0]
	}
	c.lookOut(int32(len(e.pkts)))
	turn := n.turns(e)
	for _, i := range g.own {
		turn.member(g.members[i], i)
	}
	c.gather()
}

// gather takes back receivers that are again as all others are.
func (c *class) gather() {
	g, n := c.g, c.g.n
	if c.waits || n.apart {
		return
	}
	c.begin()
	kept := g.own[:0]
	for _, i := range g.own {
		m := g.members[i]
		if m.stalled || m.log != c.log {
			kept = append(kept, i)
			continue
		}
		a := m.apart
		if a == nil {
			a = new(apart)
		}
		m.apart = a
		if !m.peers.Part(c.peers, &a.own) {
			kept = append(kept, i)
			continue
		}
		a.drawn = m.stream.n - c.draws.n
		c.apart[i], g.members[i] = a, nil
		n.unset(&m.alarm)
		n.stats.Engines--
	}
	g.own = kept
}

// begin gives a class without receivers the state of one of them, if there is one that misses nothing.
func (c *class) begin() {
	g := c.g
	if len(g.own) == 0 || c.size() > 0 {
		return
	}
	var trial session.Own
	for _, i := range g.own {
		if m := g.members[i]; !m.stalled && m.peers.Part(m.peers, &trial) {
			c.peers, c.log = m.peers.Clone(rand.New(&c.draws)), m.log
			g.n.reset(&c.alarm, c.peers.Deadline())
			return
		}
	}
}

// ahead returns how many more random numbers receiver i has drawn than the class.
func (c *class) ahead(i int32) uint64 {
	if a := c.apart[i]; a != nil {
		return a.drawn
	}
	return 0
}

// part gives every receiver an engine of its own before packet j of an event, at which all of them miss something.
func (c *class) part(j int) {
	g := c.g
	c.each(func(i int32) {
		m := c.split(i)
		m.from = int32(j)
		g.members[i] = m
		g.n.stats.Engines++
		g.fresh = append(g.fresh, i)
	})
	g.n.unset(&c.alarm)
	c.waits, c.scout = false, scouting{}
}

// mergeSorted returns the numbers of both lists, which have none in common.
func mergeSorted(a, b []int32) []int32 {
	to := append(a, b...)
	i, j := len(a)-1, len(b)-1
	for k := len(to) - 1; j >= 0; k-- {
		if i >= 0 && a[i] > b[j] {
			to[k] = a[i]
			i--
		} else {
			to[k] = b[j]
			j--
		}
	}
	return to
}

// take hands a packet to the engine for all who share it.
func (c *class) take(k *packet) {
	n, g := c.g.n, c.g
	size := c.size()
	if k.damaged {
		n.stats.Corrupt += uint64(size)
		c.each(func(i int32) { n.tellLost(g.first+int(i), k) })
		return
	}
	n.stats.Deliveries += uint64(size)
	if n.watched.Has(Arrived) {
		c.each(func(i int32) { n.tellArrived(g.first+int(i), k) })
	}
	drawn := c.draws.n
	n.shared = c
	c.peers.Handle(n.now, k.meta, &k.p)
	g.read(c.peers, &c.log, 0, c)
	n.shared = nil
	c.settle(drawn)
}

// settle notes what the engine waits for, after it had work; drawn is how many random numbers it had drawn before.
func (c *class) settle(drawn uint64) {
	answer, spmr := c.peers.Waits() // with one source, one of them at a time
	c.waits = answer || spmr
	switch {
	case !c.waits:
		c.scout = scouting{}
	case c.draws.n > drawn:
		c.scout = scouting{draw: c.draws.n - 1, until: -1, answer: answer}
	}
	c.wake()
}

// wake sets the alarm: for what the engine does by itself, and for when the next scout is wanted. The newest one may not have an alarm
// then: a wait comes to nothing where packets were lost since.
func (c *class) wake() {
	at := c.peers.Deadline()
	if c.waits && !c.scout.done {
		at = min(at, c.scout.until)
	}
	c.g.n.reset(&c.alarm, at)
}

// dissolve gives every receiver an engine of its own.
func (c *class) dissolve() {
	c.each(func(i int32) { c.g.member(i) })
	c.g.n.unset(&c.alarm)
	c.waits = false
}

// lookOut makes the receiver that would speak next a scout, until the newest one has the latest instant of all and that has
// not come.
func (c *class) lookOut(from int32) {
	s := &c.scout
	if !c.waits || s.done || s.until > c.g.n.now {
		return
	}
	for s.until <= c.g.n.now {
		i, ok := c.nextScout()
		if !ok {
			s.done = true
			break
		}
		if !c.g.shares(i) {
			continue
		}
		m := c.g.member(i)
		m.from, s.until = from, m.peers.WaitsUntil()
	}
	c.wake()
}

// nextScout returns the receiver with the next larger random number. Few are ever wanted: they are sorted a band at a time.
func (c *class) nextScout() (int32, bool) {
	s := &c.scout
	for len(s.next) == 0 {
		if s.below == 1<<64-1 {
			return 0, false
		}
		size := max(c.size(), 1)
		band := (uint64(1<<64-1) / uint64(size)) * 64
		if size <= 64 {
			band = 1<<64 - 1
		}
		from := s.below
		s.below += min(band+from, 1<<64-1-s.below) // each twice as wide as all before
		c.each(func(i int32) {
			rng := stream{key: c.g.key(i), n: s.draw + c.ahead(i)}
			u := rng.Uint64()
			if s.answer {
				u <<= 11
			}
			if u >= from && (u < s.below || s.below == 1<<64-1) {
				s.next = append(s.next, ranked{u, i})
			}
		})
		slices.SortFunc(s.next, func(a, b ranked) int {
			if a.u != b.u {
				if a.u < b.u {
					return 1
				}
				return -1
			}
			return int(b.i - a.i)
		})
	}
	k := len(s.next) - 1
	i := s.next[k].i
	s.next = s.next[:k]
	return i, true
}

// ring serves the engine's alarm: what happens to all of them by itself, which is not much. The engine forgets a source, and those who
// have something for themselves have that beside a source: they get engines. Or all of them would speak at this instant, having
// waited since they heard one of them.
func (c *class) ring() {
	n, g := c.g.n, c.g
	switch {
	case c.size() == 0:
		n.unset(&c.alarm)
		return
	case c.peers.Deadline() > n.now:
		c.wake()
		return
	case c.peers.WaitsUntil() <= n.now:
		c.dissolve()
		return
	}
	for i, a := range c.apart {
		if a != nil && g.shares(int32(i)) {
			g.member(int32(i))
		}
		c.apart[i] = nil
	}
	drawn := c.draws.n
	n.shared = c
	c.peers.Advance(n.now)
	g.read(c.peers, &c.log, 0, c)
	n.shared = nil
	if t := (session.Transmit{B: n.send[:0]}); c.peers.Poll(n.now, &t) {
		panic("BUG: sim: a shared engine speaks")
	}
	c.settle(drawn)
}
