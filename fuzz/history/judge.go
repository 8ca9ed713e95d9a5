package history

import (
	"errors"
	"fmt"

	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/sim"
	"github.com/rmcast/rmcast/wire"
)

// sees takes an event of the network.
func (w *world) sees(e *sim.Event) {
	if w.Watch != nil && w.Watch(e) || w.fault != nil {
		return
	}
	if fault := w.judge(e); fault != "" {
		w.fails(w.name(e.Host), fault)
	}
}

// judge returns what is wrong with an event, "" if nothing is.
func (w *world) judge(e *sim.Event) string {
	if e.Host < 1 || e.Host >= len(w.hosts) {
		return ""
	}
	if k := w.hosts[e.Host]; k >= 0 {
		if e.Kind == sim.Sent {
			return w.ledgers[k].says(e.At, e.Packet, len(e.Raw)+w.ledgers[k].room.Overhead())
		}
		return ""
	}
	i := -1 - w.hosts[e.Host]
	switch e.Kind {
	case sim.Sent:
		if e.Packet.Type != wire.TypeNAK {
			return ""
		}
		if l := w.about(e.Packet.TSI(), i); l != nil && !l.unclear {
			return l.asks(w, e.At, e.Packet, len(e.Raw)+48)
		}
	case sim.Arrived:
		if e.Packet.Type.Upstream() {
			return ""
		}
		if l := w.about(e.Packet.TSI(), i); l != nil {
			l.hears(e.At, e.Packet)
			if w.peak++; w.peak&63 == 0 {
				w.lookAt(i)
			}
		}
	case sim.Engine:
		if l := w.about(e.Source, i); l != nil && !l.unclear {
			return l.tells(&w.counts, e.Session)
		}
	default:
		if l := w.about(e.Source, i); l != nil && !l.unclear {
			return w.read(l, e)
		}
	}
	return ""
}

// about returns what receiver i hears of the session tsi.
func (w *world) about(tsi wire.TSI, i int) *listener {
	for k := range w.sources {
		if w.ledgers[k].tsi == tsi {
			return w.listener(k, i)
		}
	}
	return nil
}

func (w *world) read(l *listener, e *sim.Event) string {
	switch e.Kind {
	case sim.Delivered:
		return l.reads(&w.counts, e)
	case sim.Gap:
		var loss *session.LossError
		if errors.As(e.Err, &loss) {
			return l.misses(&w.counts, e.At, loss)
		}
	case sim.Ended:
		return l.ends(&w.counts, e.At, e.Err)
	}
	return ""
}

// look checks memory: of sources and receivers, at this instant.
func (w *world) look() {
	for k := range w.sources {
		l := &w.ledgers[k]
		if st := l.sim.Stats(); st.Unsent > l.slots || st.RepairsQueued > l.slots || st.Lead.Add(1).Sub(st.Trail)+st.Unsent > l.slots {
			w.fails(w.name(l.sim.Host()), fmt.Sprintf("memory: %d unsent, %d repairs queued, window [%d,%d], slots %d", st.Unsent, st.RepairsQueued, st.Trail, st.Lead, l.slots))
		}
	}
	for i := range w.present {
		w.lookAt(i)
	}
}

// lookAt checks the memory of receiver i.
func (w *world) lookAt(i int) {
	m := &w.members[i]
	c, known := &m.g.peers, 0
	m.g.sim.Sessions(m.i, func(tsi wire.TSI, st session.ReceiverStats) {
		known++
		if st.Held+st.Gaps > c.MaxWindow || !m.g.set.Hollow && st.WindowBytes > max(c.WindowBytes, 64<<10) {
			w.fails(w.name(m.g.sim.Host(m.i)), fmt.Sprintf("memory: of %v it holds %d and misses %d, in %d bytes; at most %d and %d", tsi, st.Held, st.Gaps, st.WindowBytes, c.MaxWindow, c.WindowBytes))
		}
	})
	if known > c.MaxSources {
		w.fails(w.name(m.g.sim.Host(m.i)), fmt.Sprintf("memory: %d sources known, at most %d", known, c.MaxSources))
	}
}

// tookAll reports whether the engine of l refused nothing for want of room or faith: what came, it has.
func (w *world) tookAll(l *listener) bool {
	took := true
	m := &w.members[-1-w.hosts[l.host]]
	m.g.sim.Sessions(m.i, func(tsi wire.TSI, st session.ReceiverStats) {
		if tsi == l.src.tsi && (st.Refused.WindowFull > 0 || st.Refused.Jump > 0) {
			took = false
		}
	})
	return took
}

// over judges the end: nothing may be left.
func (w *world) over() {
	for k := range w.sources {
		l := &w.ledgers[k]
		st := l.sim.Stats()
		w.counts[Repairs] += st.Repairs
		w.counts[Parity] += st.Parity
		w.counts[Ahead] += st.Ahead
		w.counts[ParityNAKs] += st.ParityNAKs
		if n := len(l.sent); n > 0 && l.first.Add(n-1) < l.first {
			w.counts[Wraps]++
		}
		if !l.sim.Finished() {
			w.fails(w.name(l.sim.Host()), fmt.Sprintf("end: it is not finished after %v: %+v", w.n.Now(), st))
		}
		if !l.reset && l.bytes != l.written {
			w.fails(w.name(l.sim.Host()), fmt.Sprintf("end: it has sent %d bytes of %d", l.bytes, l.written))
		}
	}
	for i := range w.present {
		w.overMember(i)
	}
	for _, g := range w.groups {
		st := g.sim.Stats()
		total := &st.Sessions.Total
		w.counts[NAKs] += total.NAKs
		w.counts[Suppressed] += total.Suppressed
		w.counts[Restored] += total.Restored
		w.counts[FullWindows] += total.Refused.WindowFull
		w.counts[Jumps] += total.Refused.Jump
		w.counts[Messages] += st.Messages
		if g.set.Hollow {
			w.counts[HollowRead] += st.Messages
		}
	}
	st := w.n.Stats()
	w.counts[Packets] += st.Sent
	w.counts[Deliveries] += st.Deliveries
	w.counts[LostInNet] += st.Lost
	w.counts[Damaged] += st.Corrupt
}

func (w *world) overMember(i int) {
	m := &w.members[i]
	if m.gone {
		return
	}
	host := m.g.sim.Host(m.i)
	for k := range w.sources {
		l := w.listener(k, i)
		switch {
		case l.unclear:
			w.counts[Unclear]++
			continue
		case !l.accepted:
			w.counts[Unheard]++
		case l.ended == nil:
			w.fails(w.name(host), fmt.Sprintf("end: no end of source %d after %v, at %d of %d", k+1, w.n.Now(), l.next, len(l.src.sent)))
		}
		if l.promised {
			w.counts[Promised]++
			if l.ended == nil {
				w.fails(w.name(host), fmt.Sprintf("gap: it did not hear of source %d, though no network here can lose all", k+1))
			}
		}
	}
	m.g.sim.Sessions(m.i, func(tsi wire.TSI, st session.ReceiverStats) {
		w.fails(w.name(host), fmt.Sprintf("end: it still keeps %v after %v: %+v", tsi, w.n.Now(), st))
	})
}
