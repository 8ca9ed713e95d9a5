package sim

import (
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

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
