package session

import (
	"fmt"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/nack"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/window"
	"github.com/rmcast/rmcast/wire"
)

// Source is the sending end of one transport session (RFC 3208, 5). Use NewSource.
//
// Invariants:
//  1. TXW_LEAD moves in Poll only, when a packet is handed out: no SPM announces what was never sent.
//  2. Poll's order is NCFs, SPMs, repairs, new data (RFC 3208, 5.1.3); the limiter decides between the last two.
//  3. The trail passes only packets that were sent.
type Source struct {
	cfg     SourceConfig
	window  *window.Transmit
	repairs *nack.Repairs
	limiter *flow.Limiter
	grtt    flow.GRTT
	mean    flow.RTT  // of all who spoke
	lag     flow.GRTT // the longest that a NAK came after its packet's sending: round trip, back-off, and what a busy receiver adds

	packetBytes int           // a full stream packet with IP and UDP headers
	clock       mono.Time     // the latest instant a caller named
	far, late   time.Duration // bounds of samples until the next SPM
	sampledAt   mono.Time     // when a round trip was last measured; Never before
	beganAt     mono.Time     // when the first data was sent; Never before
	probing     bool          // the latest SPM asks for one, and none came since

	partial   int       // bytes of the stream packet being filled in window.Slot()
	partialAt mono.Time // when it leaves unfilled; Never when there is none
	maxUnsent int       // Write blocks at this many unsent bytes
	full      bool      // maxUnsent was reached and half of it has not left yet
	need      int       // slots that a blocked writer waits for: reclaim by WindowHold until they are free
	waited    bool      // a writer did since the latest SPM
	heard     bool      // a receiver spoke to us
	joinable  bool      // the trail still stands at the first packet

	effort  effort         // what a packet costs
	parity  *sourceParity  // nil: no parity
	pace    *sourcePace    // nil: the rate is fixed
	confirm *sourceConfirm // nil until somebody waited for delivery
	spm     spmSchedule
	end     ending
	packet  wire.Packet // scratch for what is sent
	nums    [wire.MaxNAKs]seq.Num
	asked   []seq.Num // scratch for what a NAK asks
	stats   SourceStats
}

// ending is how a session comes to its end.
type ending struct {
	finish    bool      // no more data will be written
	reset     bool      // OPT_RST goes out instead of OPT_FIN
	code      uint8     // with reset
	sentAt    mono.Time // the first FIN or RST SPM; Never before
	spms      int       // how many went out
	lastNAK   mono.Time // the latest NAK that asked for something we hold
	deadline  mono.Time // end of Linger
	forgotten bool      // nothing more is served
}

// NewSource returns a source that has sent nothing. It panics on a configuration that no caller should have let through.
func NewSource(now mono.Time, cfg SourceConfig) *Source {
	if cfg.Slots < 2 || cfg.Slots&(cfg.Slots-1) != 0 || !cfg.Path.IsValid() || !cfg.Group.IsValid() || cfg.DestinationPort == cfg.TSI.Port {
		panic(fmt.Sprintf("BUG: session: source configured with %+v", cfg))
	}
	cfg.Path, cfg.Group = cfg.Path.WithZone("").Unmap(), cfg.Group.WithZone("").Unmap()
	packetBytes := cfg.Room.Stream() + wire.HeadData + cfg.Room.Overhead()
	s := &Source{
		cfg:         cfg,
		window:      window.NewTransmit(cfg.Slots, cfg.Room.Message(), cfg.First),
		packetBytes: packetBytes,
		clock:       now,
		sampledAt:   mono.Never,
		beganAt:     mono.Never,
		pace:        newSourcePace(now, cfg, packetBytes),
		partialAt:   mono.Never,
		joinable:    true,
		spm:         newSPMSchedule(now, cfg),
		end:         ending{sentAt: mono.Never, deadline: mono.Never},
		asked:       make([]seq.Num, 0, wire.MaxNAKs),
	}
	s.limiter = flow.NewLimiter(flow.LimiterConfig{Rate: s.rate(), RepairShare: cfg.RepairShare}, now)
	s.grtt.Init(cfg.InitialGRTT)
	s.lag.Init(cfg.InitialGRTT)
	s.repairs = nack.NewRepairs(nack.RepairsConfig{
		HoldOff:    s.holdOff(now),
		NCFSpacing: s.holdOff(now),
		MaxQueued:  cfg.Slots,
		GRTT:       cfg.InitialGRTT,
		GroupSize:  cfg.InitialGroup,
	})
	s.parity = newSourceParity(cfg)
	s.tune(now)
	s.bound(now)
	s.maxUnsent = unsentLimit(cfg, s.rate())
	return s
}

// unsentLimit is max(256 KB, 10 ms of Rate), at most a quarter of the window and at least one packet.
func unsentLimit(cfg SourceConfig, rate flow.Rate) int {
	quarter := cfg.Slots / 4 * cfg.Room.Stream()
	limit := quarter
	if rate != flow.Unlimited {
		limit = int(min(max(256<<10, rate.Bytes(10*time.Millisecond)), int64(quarter)))
	}
	return max(limit, cfg.Room.Stream())
}

// holdOff is how long a number just repaired is not repaired again: NAKs that crossed the repair arrive within one round trip.
func (s *Source) holdOff(now mono.Time) time.Duration {
	return max(s.grtt.Value(now), time.Millisecond)
}

// cycle is how long it takes to ask for a repair and get it: the longest back-off and the ways there and back.
func (s *Source) cycle(now mono.Time) time.Duration { return s.cycleOf(s.grtt.Value(now)) }

func (s *Source) cycleOf(grtt time.Duration) time.Duration {
	return nack.Interval(grtt, s.groupSize()) + grtt + time.Millisecond
}

// groupSize is what receivers are told to draw their waits by.
func (s *Source) groupSize() float64 {
	if s.cfg.GroupSize > 0 {
		return s.cfg.GroupSize
	}
	return s.repairs.GroupSize()
}

// tune passes what was learnt about the group on to those who need it.
func (s *Source) tune(now mono.Time) {
	grtt := s.grtt.Value(now)
	s.repairs.SetHoldOff(s.holdOff(now))
	s.repairs.SetNCFSpacing(s.holdOff(now))
	mean := grtt
	if s.mean.Valid() {
		mean = min(mean, s.mean.Smoothed())
	}
	s.grtt.SetLarge(s.groupSize() > smallGroup)
	s.repairs.SetGroup(grtt, mean, s.groupSize())
	if s.pace != nil {
		s.pace.group.SetSize(s.groupSize())
	}
	s.setShare()
}

// setShare has the part of the rate that one receiver may cause repairs for follow the rate.
func (s *Source) setShare() {
	if r := s.rate(); r != flow.Unlimited {
		s.repairs.SetShare(int64(float64(r) / 8 * s.cfg.ReceiverShare))
	}
}

// TSI returns the session's identity.
func (s *Source) TSI() wire.TSI { return s.cfg.TSI }

// Deadline returns when Advance or Poll has something to do if nothing else happens before.
func (s *Source) Deadline() mono.Time {
	if s.end.forgotten {
		return mono.Never
	}
	d := min(s.partialAt, max(s.spm.deadline(), s.limiter.ControlAt(s.clock)), s.reclaimAt(), s.finishAt(), s.parityAt(), s.paceAt())
	if s.repairs.NCFPending() {
		d = min(d, s.limiter.ControlAt(s.clock))
	}
	if s.repairs.Pending() > 0 {
		d = min(d, s.limiter.RepairAt(s.clock, s.unsent() > 0))
	}
	if s.unsent() > 0 && (s.pace == nil || s.allowed(s.clock) > 0) {
		d = min(d, s.limiter.DataAt(s.clock))
	}
	if s.confirm != nil {
		d = min(d, s.confirm.askAt)
	}
	return d
}

// Advance fires what is due at now: it closes a partial packet that waited long enough, moves the trail, ends the linger.
func (s *Source) Advance(now mono.Time) {
	s.clock = now
	if s.end.forgotten {
		return
	}
	if now >= s.partialAt {
		s.seal()
	}
	if s.parity != nil && now >= s.parity.closeAt {
		s.closeGroup()
	}
	if s.pace != nil {
		s.advancePace(now)
	}
	s.reclaim(now)
	if s.confirm != nil {
		s.askDue(now)
	}
	if now >= s.finishAt() {
		s.end.forgotten = true
	}
}

// Poll fills t with the next run and reports whether there was one. It overwrites all of t but B's memory.
func (s *Source) Poll(now mono.Time, t *Transmit) bool {
	s.clock = now
	t.B, t.Segment, t.To, t.HopLimit = t.B[:0], 0, noAddr, 0
	if s.end.forgotten {
		return false
	}
	s.dropAhead()
	if s.repairs.NCFPending() && s.limiter.Control(now) {
		return s.sendNCF(now, t)
	}
	if s.parityNCFDue() && s.limiter.Control(now) && s.sendParityNCF(now, t) {
		return true
	}
	if s.spm.due(now) && s.limiter.Control(now) {
		return s.sendSPM(now, t)
	}
	if s.paritySPMDue() && s.limiter.Control(now) {
		return s.sendParitySPM(now, t)
	}
	if s.repairs.Pending() > 0 && s.limiter.Repair(now, s.unsent() > 0) {
		if s.sendRepairs(now, t) {
			return true
		}
		s.reclaim(now) // what was queued is settled, and holds the window no longer
		s.dropAhead()
		if s.parityNCFDue() && s.limiter.Control(now) && s.sendParityNCF(now, t) { // groups turned out to have no parity
			return true
		}
	}
	if s.aheadDue() >= 0 && s.limiter.Data(now) && s.sendAhead(now, t) {
		return true
	}
	if s.maySend(now) && s.limiter.Data(now) {
		s.sendData(now, t)
		return true
	}
	s.rest(now)
	return false
}

// sendData fills t with a run of new packets of one length (the last may be shorter), as UDP segmentation needs it.
func (s *Source) sendData(now mono.Time, t *Transmit) {
	next := s.window.Next()
	most := min(s.allowed(now), s.unsent(), s.limiter.RunPackets(s.packetBytes))
	p := s.dataHeader(wire.TypeODATA)
	n, payload := 0, 0
	for n < most {
		k, ok := s.window.Get(next.Add(n))
		if !ok {
			panic(fmt.Sprintf("BUG: session: unsent packet %d is not in the window [%d,%d)", next.Add(n), s.window.Trail(), s.window.End()))
		}
		size, fits := s.appendData(p, next.Add(n), k, t)
		if !fits {
			break
		}
		n++
		payload += len(k.Payload)
		if size < t.Segment {
			break
		}
	}
	s.window.Sent(now, n)
	s.effort.sent(n, s.cfg.Slots)
	s.beganAt = min(s.beganAt, now)
	bytes := s.count(t, n)
	s.limiter.TookData(now, bytes)
	s.gone(now, n, bytes)
	s.dataGone(now, n)
	s.spm.dataSent(now)
	if s.ended() {
		s.spm.ask(now) // FIN
	}
	s.stats.Packets += uint64(n)
	s.stats.Bytes += uint64(payload)
}

// dataHeader prepares the scratch packet for ODATA or RDATA.
func (s *Source) dataHeader(typ wire.Type) *wire.Packet {
	p := &s.packet
	p.Type, p.Flags, p.GSI = typ, 0, s.cfg.TSI.GSI
	p.SourcePort, p.DestinationPort = s.cfg.TSI.Port, s.cfg.DestinationPort
	p.Trail = s.window.Trail()
	p.Options.Set = 0
	return p
}

// unsent is how many packets wait to be sent for the first time.
func (s *Source) unsent() int {
	if s.end.reset {
		return 0
	}
	return s.window.Unsent()
}

// appendData appends packet n to the run if it fits there: the first sets the segment, none may be longer. It returns its
// length on the wire.
func (s *Source) appendData(p *wire.Packet, n seq.Num, k window.Packet, t *Transmit) (size int, fits bool) {
	p.Sqn = n
	p.Options.Set = 0
	if k.Fragment.Length > 0 {
		p.Options.Set = p.Options.Set.With(wire.OptFragment)
		p.Options.Fragment = wire.Fragment(k.Fragment)
	}
	size = p.HeadLen() + len(k.Payload)
	if t.Segment == 0 {
		t.Segment = size
	} else if size > t.Segment || len(t.B)+size > RunBytes {
		return size, false
	}
	t.B = p.AppendHead(t.B, len(k.Payload), k.Sum)
	t.B = append(t.B, k.Payload...)
	return size, true
}

// count books n datagrams of run t as sent and returns their bytes with IP and UDP headers, which is what Rate counts.
func (s *Source) count(t *Transmit, n int) int {
	bytes := len(t.B) + n*s.cfg.Room.Overhead()
	s.stats.IPBytes += uint64(bytes)
	s.effort.now.bytes += int64(bytes)
	return bytes
}

// reclaim moves the trail over packets that nobody needs any more: by age always, by the shorter hold while a writer waits.
func (s *Source) reclaim(now mono.Time) {
	for s.reclaimSome(now) { // what was queued for a number that has left held what follows, too
	}
}

// reclaimSome reports whether the trail moved.
func (s *Source) reclaimSome(now mono.Time) bool {
	s.clock = now
	oldest, queued := s.repairs.Oldest()
	trail := s.window.Trail()
	first, held, grace := s.idle(oldest, queued)
	s.window.Reclaim(now, s.cfg.WindowAge, grace, first, held, s.window.Slots())
	if short := s.need - s.window.Free(); short > 0 {
		s.window.Reclaim(now, s.hold(now), s.grace(), oldest, queued, max(s.window.Slots()/64, short))
	}
	if s.window.Trail() == trail {
		return false
	}
	s.joinable = false
	s.repairs.Trim(s.window.Trail())
	return true
}

// idle says what stays in the window beyond WindowAge while no writer needs the room: what is being repaired, for idleGrace, and what
// somebody waits to have delivered.
func (s *Source) idle(oldest seq.Num, queued bool) (first seq.Num, held bool, grace time.Duration) {
	if c := s.confirm; c != nil && len(c.waits) > 0 {
		if first = c.waits[0].since; queued {
			first = seq.Min(first, oldest)
		}
		return first, true, confirmGrace
	}
	return oldest, queued, idleGrace
}

// reclaimAt is when reclaim would next move the trail.
func (s *Source) reclaimAt() mono.Time {
	oldest, queued := s.repairs.Oldest()
	first, held, grace := s.idle(oldest, queued)
	at := s.window.ReclaimAt(s.cfg.WindowAge, grace, first, held)
	if s.window.Free() < s.need {
		at = min(at, s.window.ReclaimAt(s.hold(s.clock), s.grace(), oldest, queued))
	}
	return at
}

func (s *Source) trace(now mono.Time, kind EventKind, r seq.Range) {
	if s.cfg.Trace != nil {
		s.cfg.Trace(Event{At: now, Kind: kind, TSI: s.cfg.TSI, Range: r})
	}
}

// Stats returns what was counted so far.
func (s *Source) Stats() SourceStats {
	st := s.stats
	st.Rate = s.rate()
	s.paceStats(&st)
	st.GRTT, st.GroupSize = s.grtt.Value(s.clock), s.groupSize()
	st.Window, st.Trail, st.Lead = s.window.Slots(), s.window.Trail(), s.window.Lead()
	st.Unsent, st.RepairsQueued = s.window.Unsent(), s.repairs.Pending()
	if s.confirm != nil {
		st.Confirming = len(s.confirm.list)
	}
	return st
}
