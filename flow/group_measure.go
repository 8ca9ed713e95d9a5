package flow

import (
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// groupPoint is how far a receiver was: what it had when lead came, counted since it is known.
type groupPoint struct {
	lead  seq.Num
	at    time.Duration // by its own clock
	bytes int64
	came  int64
}

// groupStep says how a report goes on from the one before.
type groupStep uint8

const (
	groupOn  groupStep = iota
	groupOld           // it was overtaken
	groupOdd           // it does not: another receiver with that id, or the same that began anew
)

const (
	groupOldMost   = 3                // reports in a row that are taken for old
	groupClockSlip = 10 * time.Second // that clocks may run apart between two reports
	groupSurplus   = 4096             // ODATA that may come late, beyond what a lead says
	groupMaxRoom   = 1 << 30
	groupMaxHeld   = time.Hour
)

// sane bounds what would not fit the arithmetic.
func (r Report) sane() Report {
	r.Room = min(max(r.Room, 0), groupMaxRoom)
	r.Held = min(max(r.Held, 0), groupMaxHeld)
	r.RTT = min(max(r.RTT, 0), groupMaxHeld)
	if !(r.Loss >= 0) { // or no number
		r.Loss = -1
	}
	r.Loss = min(r.Loss, 1)
	return r
}

// step compares r with the report before and fills in d. It brings Held to what can be, for round trips are measured by it: a lead that was
// told before is as old as it was then and the time since, whatever the receiver's clock made of that; a new one came after the
// report before had left.
func (m *groupMember) step(now mono.Time, r *Report, d *Delivery) groupStep {
	expected := r.Lead.Sub(m.last.lead)
	clock := time.Duration(int32(r.Clock-m.clock)) * time.Microsecond
	came, bytes := int64(int32(r.Heard-m.pkts)), int64(int32(r.Bytes-m.bytes))*64
	if expected < 0 && clock <= 0 && came <= 0 && m.old < groupOldMost {
		m.old++
		return groupOld
	}
	m.old = 0
	elapsed := now.Sub(m.cameBy)
	switch {
	case expected < 0, came < 0, bytes < 0, clock < 0, came > 2*int64(expected)+groupSurplus,
		expected == 0 && clock > 0, clock > elapsed+groupClockSlip:
		return groupOdd
	}
	if r.Held = min(r.Held, max(now.Sub(m.said), 0)); expected == 0 {
		r.Held = max(elapsed, 0)
	}
	d.Expected, d.Came, d.Bytes, d.Over, d.Held = expected, int(came), bytes, clock, r.Held
	return groupOn
}

// advance moves on by d.
func (m *groupMember) advance(d *Delivery) {
	m.last.lead = d.Lead
	m.last.at += d.Over
	m.last.bytes += d.Bytes
	m.last.came += int64(d.Came)
}

// take keeps what r says.
func (m *groupMember) take(now mono.Time, r Report) {
	m.last.lead, m.clock, m.bytes, m.pkts = r.Lead, r.Clock, r.Bytes, r.Heard
	m.cameBy, m.said = now.Add(-r.Held), now
	m.room, m.says = r.Room, r.Loss
	if r.RTT > 0 {
		m.rtt = r.RTT
	}
	if m.count++; m.count == 1 {
		m.begin(m.last)
	}
}

// begin begins an interval at p.
func (m *groupMember) begin(p groupPoint) { m.mark, m.ended = p, false }

// groupLine is what the acker got, as points of its own counters: so dense where it is new, and thinner where it is old, that a comparison
// over any range of the last seconds finds its ends.
type groupLine struct {
	n      int
	points [groupPoints]groupPoint
}

const (
	groupPoints = 128
	groupReach  = 1 << 29 // numbers that a line spans at most, so that all of them compare
)

func (l *groupLine) clear() { l.n = 0 }

// add appends p, which does not come before the last one.
func (l *groupLine) add(p groupPoint) {
	if l.n > 0 && (p.lead == l.points[l.n-1].lead || p.at == l.points[l.n-1].at) {
		l.points[l.n-1] = p
		return
	}
	if l.n > 0 && p.lead.Sub(l.points[0].lead) > groupReach {
		l.n = 0
	}
	if l.n == groupPoints {
		l.thin(p.at)
	}
	l.points[l.n] = p
	l.n++
}

// thin drops the point whose neighbours are closest to each other, for their age, or the first if all that is before the second is too old.
func (l *groupLine) thin(now time.Duration) {
	drop, least := 0, 0.0
	for i := 1; i < l.n-1 && now-l.points[1].at < groupSilence+groupYield; i++ {
		before := l.points[i-1].at
		if gap := float64(l.points[i+1].at-before) / float64(now-before); drop == 0 || gap < least {
			drop, least = i, gap
		}
	}
	copy(l.points[drop:], l.points[drop+1:l.n])
	l.n--
}

// at returns where the acker was when n came, between two points as if all had come evenly, and the index of the point at or before it; -1:
// that is before the line began.
func (l *groupLine) at(n seq.Num) (at time.Duration, bytes int64, index int) {
	lo, hi := 0, l.n // points before lo are at or before n, those from hi on behind it
	for lo < hi {
		if mid := (lo + hi) / 2; l.points[mid].lead.LessEq(n) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return 0, 0, -1
	}
	a := &l.points[lo-1]
	if lo == l.n {
		return a.at, a.bytes, lo - 1
	}
	b := &l.points[lo]
	part := float64(n.Sub(a.lead)) / float64(b.lead.Sub(a.lead))
	at = a.at + time.Duration(float64(float64(b.at-a.at)*part))
	return at, a.bytes + int64(float64(float64(b.bytes-a.bytes)*part)), lo - 1
}

// rate returns the delivery rate over the last 50 ms or 16 numbers, whichever are more, 0 if there is nothing yet.
func (l *groupLine) rate() Rate {
	if l.n < 2 {
		return 0
	}
	b := &l.points[l.n-1]
	for i := l.n - 2; ; i-- {
		if a := &l.points[i]; i == 0 || b.at-a.at >= groupSpan && b.lead.Sub(a.lead) >= groupLeast {
			return groupRate(b.bytes-a.bytes, b.at-a.at)
		}
	}
}

// groupRate is bytes in d as a rate, at least 1 bit/s unless there is nothing to divide.
func groupRate(bytes int64, d time.Duration) Rate {
	if d <= 0 || bytes <= 0 {
		return 0
	}
	return min(max(Rate(mulDiv(uint64(bytes), 8e9, uint64(d), 0)), 1), Unlimited-1)
}

// An interval of a receiver's counters tells something when it has
const (
	groupLeast = 16                    // so many numbers, or
	groupFew   = 4                     // these
	groupLong  = time.Second           // in this time, and
	groupShort = 5 * time.Millisecond  // takes so long, or
	groupMany  = 256                   // has so many numbers
	groupSpan  = 50 * time.Millisecond // for a rate
)

// groupInterval is what a receiver got in one interval.
type groupInterval struct {
	numbers float64
	over    time.Duration
	share   float64 // of the numbers that came as ODATA, 0 to 1
	rate    Rate
	ratio   float64 // rate by the acker's over the same numbers; 0 unknown
	sent    Rate    // at least that was sent
}

// measure ends m's interval with the first report that makes it tell enough, and judges.
func (g *Group) measure(now mono.Time, m *groupMember) {
	if !m.ended { // and else it waits for the acker's report of the same numbers
		m.end = m.last
	}
	n, over := m.end.lead.Sub(m.mark.lead), m.end.at-m.mark.at
	if m.count < 2 || n < groupFew || n < groupLeast && over < groupLong || over < groupShort && (n < groupMany || over <= 0) {
		return
	}
	m.ended = true
	bytes := m.end.bytes - m.mark.bytes
	v := groupInterval{
		numbers: float64(n), over: over, share: min(float64(m.end.came-m.mark.came)/float64(n), 1), rate: groupRate(bytes, over),
	}
	if v.share > 0 {
		v.sent = min(Rate(float64(v.rate)/v.share), Unlimited-1)
	}
	switch {
	case m == g.acker:
		v.ratio = 1
	case g.acker != nil && g.line.n > 0:
		if g.line.points[g.line.n-1].lead.Less(m.end.lead) {
			return // the acker's report of this is to come
		}
		at0, bytes0, i0 := g.line.at(m.mark.lead)
		at1, bytes1, i1 := g.line.at(m.end.lead)
		if i0 < 0 {
			m.begin(m.last)
			return
		}
		if i1-i0 < 2 && n < groupMany {
			m.ended = false
			return // its reports are too far apart for this
		}
		if theirs := groupRate(bytes1-bytes0, at1-at0); theirs > 0 {
			v.ratio = min(max(float64(v.rate)/float64(theirs), 1e-6), 1e6)
			v.sent = max(v.sent, theirs)
		}
	}
	m.begin(m.end)
	m.rate = v.rate
	m.loss = groupSmooth(m.loss, 1-v.share, m.loss < 0)
	if v.ratio > 0 {
		m.ratio = groupSmooth(m.ratio, v.ratio, m.ratio == 0)
	}
	g.judge(now, m, &v)
}

func groupSmooth(old, x float64, first bool) float64 {
	if first {
		return x
	}
	return old + float64((x-old)/4)
}

// low reports whether the ratio is less than groupWorse by more than twice what chance makes of losses.
func (v *groupInterval) low() bool {
	if v.ratio <= 0 || v.ratio >= groupWorse {
		return false
	}
	gap, p := groupWorse-v.ratio, min(max(v.share, 0.05), 0.95)
	return float64(float64(gap*gap)*v.numbers) > 4*float64(p*(1-p))
}
