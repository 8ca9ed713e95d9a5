package flow

import (
	"net/netip"
	"time"
)

// GroupEventKind says what happened to a receiver.
type GroupEventKind uint8

const (
	GroupSlow      GroupEventKind = iota // slow for Grace, and not followed
	GroupRecovered                       // followed again
	GroupEvicted                         // not served any more
	GroupAcker                           // it sets the pace from now on
)

// String returns the kind in lower case.
func (k GroupEventKind) String() string {
	switch k {
	case GroupSlow:
		return "slow"
	case GroupRecovered:
		return "recovered"
	case GroupEvicted:
		return "evicted"
	case GroupAcker:
		return "acker"
	}
	return "invalid"
}

// GroupEvent is what happened to one receiver.
type GroupEvent struct {
	Kind GroupEventKind
	ID   uint64
	From netip.Addr
	Rate Rate // its delivery rate, 0 if unknown
}

// GroupStats is what is known of the group, and what was counted since the start.
type GroupStats struct {
	Heard    int // receivers that reported of late
	Followed int // of them, those that may set the pace
	Slow     int // and those that may not, because they are slow
	Evicted  int // receivers evicted, the latest 1024

	WorstLoss      float64       // greatest loss of a receiver, by numbers or by what it says
	RTTMin, RTTMax time.Duration // of the receivers' latest round trips, 0 if there were none

	Acker     uint64 // 0: none
	AckerRate Rate   // its delivery rate; 0 unknown

	Reports  uint64 // taken
	Old      uint64 // overtaken by a later one of the same receiver, and ignored
	Odd      uint64 // with counters that do not go on from the ones before
	Refused  uint64 // of receivers for which there was no room, and of id 0
	Dropped  uint64 // of evicted receivers
	Lost     uint64 // events that nobody asked for
	Switches uint64 // of the acker
	Slowed   uint64 // times that a receiver was slow for Grace, and is not followed or was evicted
}

// Events appends to buf what happened since it was called last, and returns that.
func (g *Group) Events(buf []GroupEvent) []GroupEvent {
	buf = append(buf, g.events...)
	g.events = g.events[:0]
	return buf
}

func (g *Group) event(k GroupEventKind, m *groupMember) {
	if k == GroupSlow || k == GroupEvicted {
		g.stats.Slowed++
	}
	if len(g.events) == groupEvents {
		g.stats.Lost++
		return
	}
	g.events = append(g.events, GroupEvent{Kind: k, ID: m.key.id, From: m.key.from, Rate: m.rate})
}

// Stats returns what is known of the group. It costs O(n).
func (g *Group) Stats() GroupStats {
	s := g.stats
	s.Heard, s.Evicted = len(g.members), len(g.gone)
	for m := g.order.head; m != nil; m = m.links[0].next {
		switch {
		case m.left:
			s.Slow++
		case g.mayLead(m):
			s.Followed++
		}
		s.WorstLoss = max(s.WorstLoss, m.loss, m.says)
		if m.rtt > 0 {
			s.RTTMax = max(s.RTTMax, m.rtt)
			if s.RTTMin == 0 || m.rtt < s.RTTMin {
				s.RTTMin = m.rtt
			}
		}
	}
	if g.acker != nil {
		s.Acker, s.AckerRate = g.acker.key.id, g.line.rate()
	}
	return s
}
