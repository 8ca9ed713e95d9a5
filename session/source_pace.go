package session

import (
	"net/netip"
	"slices"
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

	ignored bool        // the packet at hand comes from a receiver that is not followed,
	mute    bool        // or from one that does not report
	spare   flow.Pacer  // what those may have repaired, all together
	spared  []seq.Num   // what will be for their sake, at most mostSpared
	told    []evicted   // receivers that are told so, the first next
	foreign foreignLoss // what receivers ask for that do not report
	events  []flow.GroupEvent
}

// evicted is a receiver that has to be told that it is not served any more.
type evicted struct {
	id    wire.ReceiverID
	until mono.Time
}

// foreignLoss is the loss that NAKs without reports tell of.
type foreignLoss struct {
	since       mono.Time
	asked, sent int
	heard       bool // there was such a NAK
}

const (
	settleLeast   = 10 * time.Millisecond  // what was sent this long and two round trips ago is not under way
	overdueMin    = 5 * time.Millisecond   // reports that stay out while data waits for them are asked for after this or longer,
	overdueMax    = 500 * time.Millisecond // doubled up to this
	evictTold     = 3 * time.Second        // an evicted receiver is told for so long, and again when it is heard
	mostTold      = 64                     // receivers that are told so at once
	foreignPeriod = 250 * time.Millisecond // measures of loss by NAKs take so long,
	mostSpared    = 64                     // repairs for them that wait at once, and hold the window no longer
	provenReports = 3                      // reports after which an acker is known to hear that it is one;
	unproven      = 500 * time.Millisecond // until then it is waited for so long
	silentPackets = 8                      // that the acker may lose, or the reports of which
	spareMost     = 0.1                    // of the rate, for repairs to all receivers that are not followed
	foreignLeast  = 64                     // and so many packets
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
		share: slow.Share,
		lead:  cfg.First.Add(-1), heardAt: now, flowsAt: now, sentAt: mono.Never, askAt: mono.Never, markAt: mono.Never, probed: mono.Never,
	}
	q.rate = q.control.Rate()
	q.spare = flow.NewPacer(q.spareRate(), 2*packetBytes, now)
	return q
}

// spareRate is what all receivers that are not followed may have repaired together.
func (q *sourcePace) spareRate() flow.Rate {
	return max(flow.Rate(float64(q.rate)*max(q.share, spareMost)), flow.Kbps)
}

// rate is that of all the source sends, as far as it is known.
func (s *Source) rate() flow.Rate {
	if s.pace == nil {
		return s.cfg.Rate
	}
	return s.pace.rate
}

// hear takes the report in a packet to the source. It reports false for receivers that are not served.
func (s *Source) hear(now mono.Time, m Meta, p *wire.Packet) bool {
	if s.pace == nil {
		return true
	}
	served := s.hearReport(now, m, p)
	if served && p.Type == wire.TypeNAK {
		s.limit(now, m.From)
	}
	return served
}

func (s *Source) hearReport(now mono.Time, m Meta, p *wire.Packet) bool {
	q := s.pace
	o := &p.Options.Peer
	q.ignored, q.mute = false, false
	if !p.Options.Set.Has(wire.OptPeer) || !o.Report.On {
		q.ignored = !q.group.Follows(m.From)
		q.mute = p.Type == wire.TypeNAK && !q.ignored
		q.foreign.heard = q.foreign.heard || q.mute
		return true
	}
	r := &o.Report
	if q.group.Evicted(uint64(r.ID)) {
		s.tellEvicted(now, r.ID)
		return false
	}
	if r.Heard == 0 {
		return true // it says what is confirmed, and nothing of the rate
	}
	if next := s.window.Next(); !r.Lead.Less(next) || next.Sub(r.Lead) > farthest || s.beganAt == mono.Never {
		s.stats.Refused.Malformed++
		return true
	}
	x := flow.Report{
		ID: uint64(r.ID), From: m.From, Lead: r.Lead, Held: time.Duration(r.Held) * time.Microsecond, Clock: r.Clock, Bytes: r.Bytes, Heard: r.Heard,
		Room: int(min(r.Room, farthest)), Front: r.Front, Behind: o.Flags&peerBehind != 0, Loss: -1,
	}
	if share, ok := o.LossShare(); ok {
		x.Loss = share
	}
	if rtt := time.Duration(micros(now)-o.Time) * time.Microsecond; rtt >= 0 && rtt < time.Minute {
		x.RTT = rtt
	}
	d, acker := q.group.Report(now, x)
	s.tellGroup(now)
	chosen := s.elect(now)
	if r.ID == q.acker {
		if chosen || q.lead.Less(r.Lead) {
			q.lead = r.Lead
		}
		q.heardAt, q.reports = now, min(q.reports+1, provenReports)
		s.settle(now)
	}
	if acker {
		q.control.Delivered(now, d)
	}
	q.ignored = !q.group.Follows(m.From)
	s.follow(now)
	return true
}

// settle takes it, at a report of the acker, that what was sent some round trips ago came or was lost: it is not under way any more. A lead
// does not tell that when all that was sent after it is lost.
func (s *Source) settle(now mono.Time) {
	q := s.pace
	if age := 2*max(s.grtt.Value(now), q.control.State().RTT) + settleLeast; q.markAt != mono.Never && now.Sub(q.markAt) < age {
		return
	}
	if last := q.mark.Add(-1); q.markAt != mono.Never && q.lead.Less(last) {
		q.lead = last
	}
	q.mark, q.markAt = s.window.Next(), now
}

// elect follows the group's choice of the acker, and reports whether there is another.
func (s *Source) elect(now mono.Time) bool {
	q := s.pace
	pace, yes := q.group.Switched()
	id, ok := q.group.Acker()
	if !yes && (ok || q.acker == 0) {
		return false
	}
	if q.acker = wire.ReceiverID(id); !ok {
		q.acker = 0
	}
	q.markAt, q.reports = mono.Never, 0
	q.lead, q.heardAt = s.window.Lead(), now // what is under way is not known of the new one
	if ok {
		if q.gone {
			q.control.Blind(now) // it was the slowest: what the others can take is to be found out quickly
		}
		q.control.Switched(now, pace)
		s.spm.askedAt = now
	} else {
		q.control.Blind(now)
		q.probe = true
		s.spm.ask(now)
	}
	q.gone = false
	s.traceID(now, EventAcker, q.acker)
	return true
}

// tellGroup passes on what the group found of its receivers.
func (s *Source) tellGroup(now mono.Time) {
	q := s.pace
	q.events = q.group.Events(q.events[:0])
	for _, e := range q.events {
		id := wire.ReceiverID(e.ID)
		switch e.Kind {
		case flow.GroupSlow:
			s.traceID(now, EventSlow, id)
			if !q.group.Follows(e.From) {
				s.repairs.SetShareOf(now, e.From, q.slowShare())
			}
			q.gone = q.gone || id == q.acker
		case flow.GroupRecovered:
			s.traceID(now, EventRecovered, id)
		case flow.GroupEvicted:
			s.traceID(now, EventEvicted, id)
			s.repairs.SetShareOf(now, e.From, q.slowShare())
			q.gone = q.gone || id == q.acker
			s.tellEvicted(now, id)
		}
	}
}

// tellEvicted has SPMs say for a while that a receiver is not served any more.
func (s *Source) tellEvicted(now mono.Time, id wire.ReceiverID) {
	q := s.pace
	for i := range q.told {
		if q.told[i].id == id {
			q.told[i].until = now.Add(evictTold)
			return
		}
	}
	if len(q.told) < mostTold {
		q.told = append(q.told, evicted{id, now.Add(evictTold)})
		s.spm.ask(now)
	}
}

func (s *Source) traceID(now mono.Time, kind EventKind, id wire.ReceiverID) {
	if s.cfg.Trace != nil {
		s.cfg.Trace(Event{At: now, Kind: kind, TSI: s.cfg.TSI, ID: id})
	}
}

// follow takes the rate over into all that goes by it.
func (s *Source) follow(now mono.Time) {
	q := s.pace
	r := q.control.Rate()
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
	if f.sent += packets; f.heard && q.acker == 0 && f.sent >= foreignLeast && now.Sub(f.since) >= foreignPeriod {
		q.control.Lost(now, min(float64(f.asked)/float64(f.sent), 1))
		*f = foreignLoss{since: now, heard: true}
		s.follow(now)
	}
}

// allowed is how many packets of new data may leave now, as far as receivers are concerned.
func (s *Source) allowed(now mono.Time) int {
	q := s.pace
	if q == nil {
		return s.window.Unsent()
	}
	next := s.window.Next()
	n := q.control.Window() - next.Sub(q.lead.Add(1))
	if q.room = false; n > 0 {
		if lead, room, ok := q.group.Room(now); ok {
			room -= next.Sub(lead.Add(1))
			q.room = room <= 0
			n = min(n, room)
		}
	}
	return max(n, 0)
}

// maySend reports whether there is new data that waits for nothing but the limiter. When receivers hold it up, it sees to it that they are
// asked: reports, or the news that there is room again, may have been lost.
func (s *Source) maySend(now mono.Time) bool {
	if s.unsent() == 0 {
		return false
	}
	q := s.pace
	if q == nil {
		return true
	}
	if s.allowed(now) > 0 {
		q.askAt = mono.Never
		return true
	}
	if q.room {
		q.group.Blocked(now)
	}
	if q.askAt == mono.Never {
		q.ask = max(q.control.Silence()/4, overdueMin)
		q.askAt = now.Add(q.ask)
	}
	return false
}

// silence is how long the acker may say nothing: so that at low rates it had something to say several times.
func (q *sourcePace) silence(packetBytes int) time.Duration {
	d := max(q.control.Silence(), silentPackets*q.rate.Duration(int64(packetBytes)))
	if q.reports < provenReports {
		d = max(d, unproven) // a queue that the start filled may hold what names it, and its reports
	}
	return d
}

// silentAt is when the acker counts as gone: it has not reported while data was under way and more is waiting.
func (s *Source) silentAt() mono.Time {
	q := s.pace
	if q.acker == 0 || s.unsent() == 0 || !q.lead.Less(s.window.Lead()) {
		return mono.Never
	}
	return max(q.heardAt, q.flowsAt).Add(q.silence(s.packetBytes))
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
	}
}

// asks reports whether an SPM should ask all receivers to report.
func (q *sourcePace) asks(now mono.Time) bool {
	switch {
	case q == nil:
		return false
	case q.probe:
		q.probe = false
		return true
	case q.acker != 0 || q.sentAt == mono.Never || q.probed != mono.Never && now < q.probed.Add(flowSPMMin):
		return false
	}
	q.probed = now
	return true
}

// addPace puts what receivers are told of the rate into an SPM.
func (s *Source) addPace(now mono.Time, o *wire.Peer) {
	q := s.pace
	if q == nil {
		return
	}
	q.every = max(flow.EncodeGRTT(q.control.Every()), 1) // 0: only confirmation is wanted
	o.Pace = wire.Pace{
		On: true, Acker: q.acker, Slow: uint32(min(q.group.Slow()/flow.Kbps, 1<<32-1)), Every: q.every,
	}
	for len(q.told) > 0 && now >= q.told[0].until {
		q.told = append(q.told[:0], q.told[1:]...)
	}
	if len(q.told) > 0 {
		o.Pace.Told, o.Pace.Reason = q.told[0].id, uint8(EvictSlow)
		if len(q.told) > 1 { // in turn
			first := q.told[0]
			q.told = append(append(q.told[:0], q.told[1:]...), first)
			s.spm.ask(now.Add(s.spm.heartbeatMin))
		}
	}
}

// limit gives a receiver whose NAK is at hand the share of repairs that it may cause: a small one if it is not followed.
func (s *Source) limit(now mono.Time, from netip.Addr) {
	q, share := s.pace, int64(0)
	if q.ignored {
		share = q.slowShare()
	}
	s.repairs.SetShareOf(now, from, share)
}

// slowShare is how many bytes a second one receiver that is not followed may cause.
func (q *sourcePace) slowShare() int64 { return max(int64(float64(q.rate)/8*q.share), 1) }

// grants reports whether what the packet at hand asks for may be repaired: receivers that are not followed have a small part of the rate
// for all of them, too.
func (s *Source) grants(now mono.Time) bool {
	return s.pace == nil || !s.pace.ignored || s.pace.spare.Open(now)
}

// granted books a repair of so many bytes that the packet at hand caused, and reports whether what that says counts for the group.
func (s *Source) granted(now mono.Time, n seq.Num, bytes int) bool {
	q := s.pace
	switch {
	case q == nil:
		return true
	case q.ignored:
		q.spare.Take(now, bytes)
		if len(q.spared) == mostSpared {
			q.spared = append(q.spared[:0], q.spared[1:]...)
		}
		q.spared = append(q.spared, n)
		return false
	case q.mute:
		q.foreign.asked++
	}
	return true
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
}

// resent books that packet n goes out again: it stays repairable for longer then, unless that is for receivers that are not followed, who
// would keep the others' packets out of the window.
func (s *Source) resent(now mono.Time, n seq.Num) {
	if q := s.pace; q != nil && len(q.spared) > 0 {
		if i := slices.Index(q.spared, n); i >= 0 {
			q.spared = slices.Delete(q.spared, i, i+1)
			return
		}
	}
	s.window.Resent(now, n)
}
