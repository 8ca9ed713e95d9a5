package sim

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/rmcast/rmcast/session"
)

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
