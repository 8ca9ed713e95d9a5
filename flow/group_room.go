package flow

import (
	"math"
	"slices"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// Room returns the tightest window among those who are followed: numbers at or beyond lead+1+room are to wait. Counted are the acker and
// those whose application is behind, for only they report again when there is room: they tell it again while it becomes less, and count
// from the second report on, for one packet that anybody may invent is not to stop the group. Of the latter, FollowQuantile and Ignore leave
// out as many as they may leave behind. ok is false when nobody holds the source.
func (g *Group) Room(now mono.Time) (lead seq.Num, room int, ok bool) {
	if g.dirty {
		g.tighten()
	}
	m := g.tight
	if m == nil || !m.late && now.Sub(m.heard) >= groupRoomAge {
		return 0, 0, false
	}
	return m.last.lead, m.room, true
}

// Blocked tells that new data waits for Room. If nothing moves for Grace, the receiver with the application that stands still is left behind.
func (g *Group) Blocked(now mono.Time) {
	if g.dirty {
		g.tighten()
	}
	if g.tight != nil && g.blocked == mono.Never {
		g.blocked = now
	}
}

// stallEnd is when who holds the source has done so for Grace.
func (g *Group) stallEnd() mono.Time {
	if g.blocked != mono.Never && g.dirty {
		g.tighten()
	}
	if g.blocked == mono.Never || g.tight == nil || !g.tight.late {
		return mono.Never
	}
	return g.blocked.Add(g.cfg.Slow.Grace)
}

// limitOf is the first number beyond m's window.
func (m *groupMember) limitOf() seq.Num { return m.last.lead.Add(1 + m.room) }

// setLate notes whether m's application is behind, after a report.
func (g *Group) setLate(m *groupMember, late bool) {
	if m.late || late || m == g.acker {
		g.dirty = true
	}
	if m.late != late {
		m.late = late
		if g.lates--; late {
			g.lates += 2
		}
	}
}

// tighten finds tight and limit.
func (g *Group) tighten() {
	g.dirty = false
	m := g.tightestLate()
	if a := g.acker; a != nil && (m == nil || a.limitOf().Less(m.limitOf())) && !a.late {
		m = a
	}
	if m == nil || g.tight == nil || m.limitOf() != g.limit {
		g.blocked = mono.Never
	}
	if g.tight = m; m != nil {
		g.limit = m.limitOf()
	}
}

// tightestLate returns the tightest of those who are behind and followed, but for as many as are spared, nil if there is none.
func (g *Group) tightestLate() *groupMember {
	if g.lates == 0 {
		return nil
	}
	g.limits = g.limits[:0]
	left := 0
	for m := g.order.head; m != nil; m = m.links[0].next {
		if m.left {
			left++
		} else if m.late && (m.count > 1 || m == g.acker) && g.mayLead(m) {
			g.limits = append(g.limits, m)
		}
	}
	spare := max(g.spared()-left, 0)
	if spare >= len(g.limits) {
		return nil
	}
	slices.SortStableFunc(g.limits, func(a, b *groupMember) int { return a.limitOf().Sub(b.limitOf()) })
	return g.limits[spare]
}

// spared returns how many of the tightest do not hold the source.
func (g *Group) spared() int {
	switch g.cfg.Slow.Mode {
	case FollowQuantile:
		return g.most()
	case Ignore:
		all := min(max(g.size, float64(len(g.members))), 1e9)
		return int(math.Ceil(all/2)) - 1
	}
	return 0
}
