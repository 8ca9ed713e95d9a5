package session

import (
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/nack"
	"github.com/rmcast/rmcast/wire"
)

// wantParitySPM has an SPM of parity go with one that left. While there is nothing to tell but that there is parity, one goes now and then; and of a
// source that is idle, one in a few that nobody asked for.
func (s *Source) wantParitySPM(now mono.Time, idle bool) {
	q := s.parity
	if q == nil || s.end.reset || idle && q.spms == firstSPMs && now < q.spmAt.Add(parityIdle) {
		return
	}
	if q.plan.Hold > 0 || q.plan.Proactive > 0 || q.spms < firstSPMs || now >= q.spmAt.Add(paritySpacing) {
		q.spmDue = true
	}
}

// paritySPMDue reports whether an SPM under the port of parity is to go now: beside other SPMs, when another plan begins, and when a group that
// receivers wait for was closed, after its parity.
func (s *Source) paritySPMDue() bool {
	q := s.parity
	return q != nil && q.spmDue && (len(q.ahead) == 0 || s.unsent() > 0)
}

// answerCount counts receivers that answer a probe.
type answerCount struct {
	n      int
	until  mono.Time // who answers later had heard that somebody did
	probes int       // that were counted
}

// answered counts an ACK. Where parity is used few NAKs tell the size of the group, by which it is decided how it is used: answers do.
func (s *Source) answered(now mono.Time) {
	if s.parity == nil {
		return
	}
	a := &s.parity.answers
	if a.n == 0 {
		a.until = now.Add(s.grtt.Value(now) * 3 / 2)
	}
	if now <= a.until {
		a.n++
	}
}

// countAnswers has the estimate of the group learn from a probe's answers when they are all there.
func (s *Source) countAnswers(now mono.Time) {
	if s.parity == nil {
		return
	}
	if a := &s.parity.answers; a.n > 0 && now > a.until {
		s.repairs.Answers(a.n, answerWithin(s.grtt.Value(now), s.groupSize()))
		*a = answerCount{probes: a.probes + 1}
	}
}

// parityPlan asks the controller. Nobody is to wait for so long that what is missing has left the window by then: it leaves by age, and
// when as many packets as the window has have followed, but not within holdMin.
func (s *Source) parityPlan(now mono.Time) flow.ParityPlan {
	q, grtt := s.parity, s.grtt.Value(now)
	p := q.control.Plan(grtt, nack.Interval(grtt, s.groupSize()), s.groupSize())
	half := time.Duration(s.cfg.Slots/2) * q.control.Fill() / time.Duration(q.cfg.GroupSize)
	p.Hold = min(p.Hold, s.cfg.WindowAge/4, max(half, holdMin/2))
	return p
}

// replan has receivers told soon when they should wait for the end of groups from now on, or not any more, or when parity ahead of demand
// begins or ends. A plan takes up to a millisecond, so a flood of reports makes no more of them than a few would.
func (s *Source) replan(now mono.Time) {
	q := s.parity
	if q.spmDue || now < max(q.spmAt, q.planAt).Add(replanSpacing) {
		return
	}
	q.planAt = now
	p := s.parityPlan(now)
	if (p.Hold > 0) != (q.plan.Hold > 0) || (p.Proactive > 0) != (q.plan.Proactive > 0) {
		q.spmDue, q.spms = true, 0
	}
}

// sendParitySPM announces parity: OPT_PARITY_PRM, how receivers are to use it (own-peer option), and the size of a group closed early.
func (s *Source) sendParitySPM(now mono.Time, t *Transmit) bool {
	q := s.parity
	q.spmDue, q.spmAt, q.spms = false, now, min(q.spms+1, firstSPMs)
	k := q.cfg.GroupSize
	q.plan = s.parityPlan(now)
	p := s.spmHead(now)
	p.DestinationPort = parityPort(s.cfg.DestinationPort)
	o := &p.Options
	o.Set = o.Set.With(wire.OptParityPRM)
	o.ParityPRM = wire.ParityPRM{OnDemand: true, ProActive: q.plan.Proactive > 0, GroupSize: uint32(k)}
	o.Peer.Flags = 0
	o.Peer.Hold, o.Peer.Ahead, o.Peer.Spread = encodeHold(q.plan.Hold), uint8(q.plan.Proactive), uint8(min(q.cfg.Interleave, 255))
	if next := s.window.Next(); q.closeAt == mono.Never && groupBase(next, k) != next {
		o.Set = o.Set.With(wire.OptCurrTGSize)
		o.CurrTGSize = uint32(next.Sub(groupBase(next, k)))
	}
	t.B = p.Append(t.B)
	t.Segment = len(t.B)
	s.limiter.TookControl(now, s.count(t, 1))
	s.stats.SPMs++
	s.spm.sqn++
	return true
}

// encodeHold puts how long a gap may wait into a byte: 0 is not at all.
func encodeHold(d time.Duration) uint8 {
	if d <= 0 {
		return 0
	}
	return max(flow.EncodeGRTT(d), 1)
}

func decodeHold(q uint8) time.Duration {
	if q == 0 {
		return 0
	}
	return flow.DecodeGRTT(q)
}
