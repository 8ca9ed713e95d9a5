package flow

import (
	"math"
	"time"

	"github.com/rmcast/rmcast/mono"
)

// mayLead reports whether m may set the pace as long as it is not slow.
func (g *Group) mayLead(m *groupMember) bool { return g.named == nil || g.named[m.key.id] }

// judge decides by one interval of m's, and what is known of the others, whether m is followed and who is the acker.
func (g *Group) judge(now mono.Time, m *groupMember, v *groupInterval) {
	if v.low() {
		if m.low++; m.low == 1 {
			m.lowSince = now
		} else {
			m.ratio = min(m.ratio, v.ratio) // no chance: the past does not count
		}
	} else {
		m.low = 0
	}
	if m.left {
		g.judgeLeft(now, m, v)
		return
	}
	switch {
	case !g.mayLead(m):
		if m.low >= groupConfirm {
			g.leave(now, m)
		}
	case g.cfg.Slow.Mode.floors():
		if !g.belowFloor(now, m, v) {
			m.bad = mono.Never
			break
		}
		if m.bad = min(m.bad, now.Add(-v.over)); now.Sub(m.bad) >= g.cfg.Slow.Grace {
			g.fall(now, m)
			return
		}
	case m.low >= groupConfirm && g.trails(m):
		g.leave(now, m)
		return
	case float64(m.ratio*groupWorse) > 1 && g.ackerTrails():
		g.leave(now, g.acker)
		return
	}
	if !m.left && g.acker != nil && m != g.acker && g.mayLead(m) && (m.low >= groupConfirm || g.tighter(m)) {
		g.lead(now, m)
	}
}

// judgeLeft decides whether m, which is left behind, keeps up again, or how long it has been slow.
func (g *Group) judgeLeft(now mono.Time, m *groupMember, v *groupInterval) {
	keeps := v.ratio >= groupBetter && !m.late
	if g.mayLead(m) && g.cfg.Slow.Mode.floors() {
		keeps = !g.belowFloor(now, m, v) && (keeps || v.rate >= g.cfg.Slow.Floor.scale(groupHeadroom))
	} else if g.mayLead(m) && !m.late && m.known() < groupWorse && !g.trails(m) {
		g.follow(m) // too many are as slow
		return
	}
	if !keeps {
		m.good = mono.Never
		if !m.slow && m.low > 0 && now.Sub(m.lowSince) >= g.cfg.Slow.Grace {
			m.slow = true
			g.event(GroupSlow, m)
		}
		return
	}
	m.good = min(m.good, now)
	if now.Sub(m.good) >= g.cfg.Slow.Grace<<min(m.falls-1, 6) {
		g.follow(m)
	}
}

// belowFloor reports whether m got less than Floor for its own fault: more was sent and it lost much, or more was to be sent and the source
// has come down to it, or its application does not keep up.
func (g *Group) belowFloor(now mono.Time, m *groupMember, v *groupInterval) bool {
	floor := g.cfg.Slow.Floor
	if floor <= 0 || v.rate >= floor {
		return false
	}
	if v.share < groupWorse && v.sent >= floor.scale(0.8) {
		return true
	}
	if g.rest != mono.Never && now.Sub(g.rest) <= v.over+m.rtt+2*groupSpan {
		return false // there was no more to send
	}
	return m.late || m == g.acker && g.paced > 0 && g.paced < floor && now.Sub(g.ledAt) >= groupAscent
}

// trails reports whether m is among those that FollowQuantile or Ignore leaves behind.
func (g *Group) trails(m *groupMember) bool {
	var ahead, equal, good, behind float64 // receivers: a third ahead of m, among them as the acker; with a fair ratio; behind m
	for other := g.order.head; other != nil; other = other.links[0].next {
		ratio := other.known()
		if ratio >= groupWorse {
			good++
		}
		switch {
		case other == m:
		case float64(ratio*groupWorse) > m.known():
			ahead++
		case ratio < m.known() || ratio == m.known() && other.left && !m.left:
			behind++
		}
	}
	// Silence is a sign that all is well, but a weak one where many wait for others to speak.
	if float64(1*groupWorse) > m.known() {
		equal = min(max(g.size-float64(len(g.members)), 0), 4*good)
	}
	if g.cfg.Slow.Mode == Ignore {
		return 2*(ahead+equal) > float64(len(g.members))+equal
	}
	return m.known() < groupWorse && behind < float64(g.most())
}

// known returns m's ratio, 1 as long as there is none.
func (m *groupMember) known() float64 {
	if m.ratio == 0 {
		return 1
	}
	return m.ratio
}

// most returns how many receivers FollowQuantile leaves behind.
func (g *Group) most() int {
	all := min(max(g.size, float64(len(g.members))), 1e9)
	return int(math.Floor(float64(g.cfg.Slow.Quantile * all)))
}

// ackerTrails reports whether those that are compared with the acker show that it is itself one of those to leave behind.
func (g *Group) ackerTrails() bool {
	ahead, all := 0, 1
	for m := g.order.tail; m != nil && g.now.Sub(m.heard) <= groupRecent; m = m.links[0].prev {
		if m == g.acker || m.ratio == 0 {
			continue
		}
		all++
		if float64(m.ratio*groupWorse) > 1 {
			ahead++
		}
	}
	if g.acker == nil || all < 3 {
		return false
	}
	if g.cfg.Slow.Mode == Ignore {
		return 2*ahead > all
	}
	return all-ahead <= g.most()
}

// tighter reports whether m's application is so far behind that the source will wait for it rather than for the acker.
func (g *Group) tighter(m *groupMember) bool {
	return m.late && !g.acker.late && g.cfg.Slow.Mode.floors() && m.room < g.acker.room/2 && m.last.lead.Add(m.room).Less(g.acker.last.lead.Add(g.acker.room))
}

// fall leaves m behind for what it could not keep for Grace, and says so; or evicts it.
func (g *Group) fall(now mono.Time, m *groupMember) {
	if g.cfg.Slow.Mode == Evict {
		was := m == g.acker
		if g.evict(m) {
			if was {
				g.elect(now)
			}
			return
		}
	}
	if !m.left {
		m.slow = true
		g.event(GroupSlow, m)
		g.leave(now, m)
	}
}

// leave stops following m.
func (g *Group) leave(now mono.Time, m *groupMember) {
	m.left, m.good, m.bad = true, mono.Never, mono.Never
	m.falls++
	if m.low == 0 {
		m.lowSince = now
	}
	g.hosts[m.key.from].left++
	g.dirty = true
	if m == g.tight {
		g.blocked = mono.Never
	}
	if m == g.acker {
		g.acker = nil
		g.line.clear()
		g.elect(now)
	}
}

// follow follows m again, if it was left behind.
func (g *Group) follow(m *groupMember) {
	if !m.left {
		return
	}
	m.left, m.good, m.bad, m.low = false, mono.Never, mono.Never, 0
	g.hosts[m.key.from].left--
	g.dirty = true
	if m.slow {
		m.slow = false
		g.event(GroupRecovered, m)
	}
}

// elect makes the slowest of those heard within a second the acker, or else who was heard last; there is none when nobody may. Who reported
// once only comes last: it may be invented, and would have to be waited for until its silence shows that.
func (g *Group) elect(now mono.Time) {
	var best *groupMember
	for m := g.order.tail; m != nil; m = m.links[0].prev {
		if best != nil && now.Sub(m.heard) > time.Second {
			break
		}
		if !m.left && g.mayLead(m) && (best == nil || !m.fresh && best.fresh || m.fresh == best.fresh && m.known() < best.known()) {
			best = m
		}
	}
	if best != nil {
		g.lead(now, best)
	}
}

// lead makes m the acker.
func (g *Group) lead(now mono.Time, m *groupMember) {
	g.pace = m.rate
	if rate := g.line.rate(); m.ratio > 0 && rate > 0 {
		g.pace = rate.scale(m.ratio)
	}
	unit := m.known()
	for other := g.order.head; other != nil; other = other.links[0].next {
		if other.ratio > 0 {
			other.ratio = min(max(other.ratio/unit, 1e-6), 1e6)
		}
		if other.begin(other.last); !other.left {
			other.low = 0
		}
	}
	if g.acker == nil && g.trialAt == mono.Never && !g.cfg.Slow.Mode.floors() {
		g.trialAt = now.Add(groupTrial / 5)
	}
	m.ratio = 1
	g.acker, g.told, g.dirty, g.ledAt = m, false, true, now
	g.line.clear()
	if m.count > 0 {
		g.line.add(m.last)
	}
	g.stats.Switches++
	g.event(GroupAcker, m)
}

// trial lets another receiver set the pace, where the acker may hold back those that the policy does not want held back: the same comes to
// all of them then, and nothing shows it. If the acker is one to be left behind, it will now be seen; if not, nothing is lost.
func (g *Group) trial(now mono.Time) {
	if g.trialOf != nil && !g.trialOf.left {
		g.trialGap = min(2*g.trialGap, groupTrialMost)
	} else {
		g.trialGap = groupTrial
	}
	g.trialOf, g.trialAt = nil, now.Add(g.trialGap)
	if g.acker == nil {
		return
	}
	var best *groupMember
	others := 0
	for m := g.order.tail; m != nil && others < groupSample && now.Sub(m.heard) <= groupRecent; m = m.links[0].prev {
		if m == g.acker || m.left {
			continue
		}
		others++
		if best == nil || m.known() > best.known() {
			best = m
		}
	}
	if others >= 2 {
		g.trialOf = g.acker
		g.lead(now, best)
	}
}

// wantsSample reports whether a trial is near, and too few are known that report.
func (g *Group) wantsSample() bool {
	if g.trialAt == mono.Never || g.trialAt.Sub(g.now) > groupRecent {
		return false
	}
	others := 0
	for m := g.order.tail; m != nil && others < groupSample && g.now.Sub(m.heard) <= groupRecent; m = m.links[0].prev {
		if m != g.acker {
			others++
		}
	}
	return others < groupSample
}
