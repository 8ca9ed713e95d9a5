package session

import (
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// CongestionConfig makes a source adapt its rate to its receivers: SPMs carry wire.Pace then, and receivers report.
type CongestionConfig struct {
	Start, Min       flow.Rate // before anything is known, and the least; 0: flow's defaults
	Slow             flow.Slow // the policy for slow receivers
	LossIsCongestion bool      // loss counts as TCP takes it, whatever delays say
}

// sourcePace is what a source that adapts keeps. flow.Group says which receiver's reports count, flow.Congestion what follows from them.
//
// New data waits while as much is under way beyond the acker's lead as flow.Congestion allows, and for room in the receivers' windows.
// Whatever holds it back has an instant at which the source does something about it: see paceAt.
type sourcePace struct {
	control *flow.Congestion
	group   *flow.Group
	least   flow.Rate // whatever happens
	share   float64   // of the rate, for repairs to one receiver that is not followed
	rate    flow.Rate // of the limiter

	acker   wire.ReceiverID // 0: nobody
	gone    bool            // it fell silent, or is not followed any more
	lead    seq.Num         // what it said last; or the lead when it was chosen
	reports int             // it sent since, up to provenReports
	mark    seq.Num         // what was sent next at
	markAt  mono.Time       // this instant; Never before a report
	heardAt mono.Time       // its latest report, or when it was chosen
	flowsAt mono.Time       // when data began to flow after a pause
	sentAt  mono.Time       // the latest data; Never before
	askAt   mono.Time       // when an SPM asks for reports that are overdue; Never when none is
	ask     time.Duration   // interval of those
	room    bool            // new data waits for room in a receiver's window
	probe   bool            // the next SPM asks all
	probed  mono.Time       // when one last did for want of an acker
	every   uint8           // told last

	ignored  bool        // the packet at hand comes from a receiver that is not followed,
	mute     bool        // or from one that does not report
	left     bool        // somebody is not followed any more, and what it said is still to be forgotten
	forgetAt mono.Time   // when what those said may be forgotten again
	spare    flow.Pacer  // what those may have repaired, all together
	spared   []seq.Num   // what will be for their sake, at most mostSpared
	told     []evicted   // receivers that are told so, the first next
	foreign  foreignLoss // what receivers ask for that do not report
	events   []flow.GroupEvent
}

// foreignLoss is the loss that NAKs without reports tell of.
type foreignLoss struct {
	since       mono.Time
	asked, sent int // packets
}

const (
	settleLeast   = 10 * time.Millisecond  // what was sent this long and two round trips ago is not under way
	overdueMin    = 5 * time.Millisecond   // reports that stay out while data waits for them are asked for after this or longer,
	overdueMax    = 500 * time.Millisecond // doubled up to this
	evictTold     = 3 * time.Second        // an evicted receiver is told for so long, and again when it is heard
	mostTold      = 64                     // receivers that are told so at once
	forgetSpacing = 10 * time.Second       // between two times that what receivers said is forgotten which are not followed any more
	foreignPeriod = 250 * time.Millisecond // measures of loss by NAKs take so long
	provenReports = 3                      // reports after which an acker is known to hear that it is one;
	unproven      = 500 * time.Millisecond // until then it is waited for so long
	silentPackets = 8                      // that the acker may lose, or the reports of which
	spareMost     = 0.1                    // of the rate, for repairs to all receivers that are not followed
	mostSpared    = 64                     // repairs for them that wait at once, and hold the window no longer
	heartbeatGap  = 4                      // packets that a pause lasts until SPMs tell the lead: at low rates, there is one after each,
	heartbeatMost = 100 * time.Millisecond // but no longer than this
	rateStep      = 100                    // the limiter follows changes of a hundredth or more
)

func newSourcePace(now mono.Time, cfg SourceConfig, packetBytes int) *sourcePace {
	c := cfg.Congestion
	if c == nil {
		return nil
	}
	slow := c.Slow.WithDefaults()
	q := &sourcePace{
		control: flow.NewCongestion(now, flow.CongestionConfig{
			Max: cfg.Rate, Min: c.Min, Start: c.Start, PacketBytes: packetBytes, RTT: cfg.InitialGRTT, LossIsCongestion: c.LossIsCongestion,
		}),
		group: flow.NewGroup(flow.GroupConfig{Slow: slow}),
		share: slow.Share, least: c.Min,
		lead: cfg.First.Add(-1), heardAt: now, flowsAt: now, sentAt: mono.Never, askAt: mono.Never, markAt: mono.Never, probed: mono.Never,
	}
	if q.least == 0 {
		q.least = flow.DefaultMinRate
	}
	q.rate = q.control.Rate()
	q.spare = flow.NewPacer(q.spareRate(), 2*packetBytes, now)
	return q
}

// rate is that of all the source sends, as far as it is known.
func (s *Source) rate() flow.Rate {
	if s.pace == nil {
		return s.cfg.Rate
	}
	return s.pace.rate
}

// follow takes the rate over into all that goes by it.
func (s *Source) follow(now mono.Time) {
	q := s.pace
	r := min(q.control.Rate(), s.windowRate(now))
	if d := r - q.rate; d == 0 || max(d, -d) < q.rate/rateStep {
		return
	}
	q.rate = r
	s.limiter.SetRate(now, r)
	q.spare.SetRate(now, q.spareRate())
	q.group.SetPace(r)
	s.maxUnsent = unsentLimit(s.cfg, r)
	s.setShare()
	s.spm.heartbeatMin = max(s.cfg.HeartbeatMin, min(heartbeatGap*r.Duration(int64(s.packetBytes)), heartbeatMost))
}

// gone books a run of data or repairs that leaves.
func (s *Source) gone(now mono.Time, packets, bytes int) {
	q := s.pace
	if q == nil {
		return
	}
	next := s.window.Next()
	q.control.Sent(now, next, bytes)
	if packets == 0 {
		return
	}
	if q.lead == next.Add(-packets-1) || now.Sub(q.sentAt) > q.control.Silence() {
		q.flowsAt = now
	}
	if q.sentAt == mono.Never {
		s.spm.ask(now)
	}
	q.sentAt = now
	f := &q.foreign
	if f.sent += packets; now.Sub(f.since) >= foreignPeriod {
		q.control.Lost(now, f.asked, f.sent)
		*f = foreignLoss{since: now}
		s.follow(now)
	}
}

// paceAt is when Advance has something to do about the rate.
func (s *Source) paceAt() mono.Time {
	q := s.pace
	if q == nil {
		return mono.Never
	}
	return min(q.control.Deadline(), q.group.Deadline(), q.askAt, s.silentAt())
}

// advancePace fires what is due.
func (s *Source) advancePace(now mono.Time) {
	q := s.pace
	q.control.Advance(now)
	q.group.Advance(now)
	if now >= s.silentAt() {
		q.gone = true
		q.group.Silent(now)
		q.heardAt = now
	}
	s.tellGroup(now)
	s.elect(now)
	if now >= q.askAt {
		q.ask = min(2*q.ask, overdueMax)
		q.askAt = now.Add(q.ask)
		q.probe = true
		s.spm.ask(now)
	}
	s.follow(now)
}

// rest tells that nothing waits to be sent.
func (s *Source) rest(now mono.Time) {
	if s.pace != nil && s.unsent() == 0 && s.partial == 0 && s.limiter.Data(now) {
		s.pace.control.Limited(now)
		s.pace.group.Limited(now)
	}
}

// paceStats fills in what is known of the rate and the group.
func (s *Source) paceStats(st *SourceStats) {
	q := s.pace
	if q == nil {
		return
	}
	c, g := q.control.State(), q.group.Stats()
	st.Phase, st.Why, st.Capacity = c.Phase, c.Why, c.Capacity
	st.Acker, st.AckerRate = q.acker, g.AckerRate
	st.Receivers, st.Slow, st.Evicted, st.WorstLoss, st.RTTMin, st.RTTMax = g.Heard, g.Slow, g.Evicted, g.WorstLoss, g.RTTMin, g.RTTMax
	st.Slowed, st.Switches, st.Reports, st.ReportsRefused = g.Slowed, g.Switches, g.Reports, g.Old+g.Odd+g.Refused+g.Dropped
}
