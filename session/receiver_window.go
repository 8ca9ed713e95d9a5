package session

import (
	"math/bits"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/window"
	"github.com/rmcast/rmcast/wire"
)

// hold starts the window at the first data heard before an SPM said where to start: it is kept, not handed out, and an SPM is
// asked for (RFC 3208, 6.1, 13.5).
func (r *Receiver) hold(now mono.Time, n seq.Num) {
	r.window.Start(n)
	r.lead, r.trail = n.Add(-1), n
	r.wantSPM(now)
}

// handleSPM takes the source's state (RFC 3208, 6.2): window, path, end.
//
// It reports whether the SPM was good. One under the port of parity says the same, but for what concerns all receivers: probes.
func (r *Receiver) handleSPM(now mono.Time, p *wire.Packet) bool {
	// Trail = lead+1 is an empty window; trail 0 with lead 0x80000000 says nothing (8.1) and cannot start a session.
	if size := p.Lead.Add(1).Sub(p.Trail); size < 0 || size > farthest || !p.Path.IsValid() || p.Path.Unmap().Is4() != r.peers.cfg.Group.Is4() {
		r.stats.Refused.Malformed++
		return false
	}
	if r.spms > 0 && p.Sqn.Less(r.spmSqn) {
		// Older than one already heard, unless that one was forged: two in a row that go on from each other are the truth.
		again := p.Sqn.Sub(r.staleSqn)
		r.staleSqn = p.Sqn
		if again < 1 || again > staleReach || r.spmSqn.Sub(p.Sqn) <= staleReach {
			r.stats.Refused.Stale++
			r.finish(now, p) // that it is over stays true: SPMs of parity, which do not say so, may overtake each of those that do
			return false
		}
	}
	if r.window.Started() && !r.plausible(now, p, p.Lead) {
		return false
	}
	r.stats.SPMs++
	r.spms++
	r.spmSqn, r.path = p.Sqn, p.Path
	r.spmrAt, r.spmrFrom = mono.Never, mono.Never
	switch {
	case !r.direct():
		r.disown(now)
	case p.Options.Set.Has(wire.OptPeer):
		r.learn(now, &p.Options.Peer)
		if p.DestinationPort == r.peers.cfg.DestinationPort {
			r.answerProbe(now, p.Options.Peer.Flags&peerProbe != 0)
			if r.confirm != nil {
				r.learnConfirm(&p.Options.Peer.Pace)
			}
		}
	}
	r.retime()
	if r.spms == 1 {
		r.begin(p)
	}
	r.extend(now, p.Lead.Add(1))
	if r.trail.Less(p.Trail) {
		r.moveTrail(now, p.Trail)
	}
	r.finish(now, p)
	if r.repair != nil {
		r.endGroups(now, r.lead, r.fin)
	}
	if p.Options.Set.Has(wire.OptRST) {
		r.resetBySource(now, p.Options.Reset)
	}
	return true
}

// finish takes the source's word that nothing follows what it has sent.
func (r *Receiver) finish(now mono.Time, p *wire.Packet) {
	if !p.Options.Set.Has(wire.OptFIN) || r.fin || r.lead != p.Lead {
		return
	}
	r.fin = true
	r.retime()
	r.hurry(now) // waits that began before may outlast the source
	r.trace(now, EventFIN, seq.Range{From: r.trail, To: r.lead.Add(1)})
}

// direct reports whether the source names as its path the address that it sends from, as ours do. Else it may be anybody who repeats what a
// source of ours sent: our packets would go to that one, and tell it of a session that is not its own.
func (r *Receiver) direct() bool {
	return r.path.WithZone("").Unmap() == r.key.from.WithZone("").Unmap()
}

// disown makes the source a foreign one: it is asked for repairs and told nothing else.
func (r *Receiver) disown(now mono.Time) {
	if r.ours {
		r.ours, r.answer = false, noAnswer
		r.learnPace(now, &wire.Pace{})
		if r.confirm != nil {
			r.learnConfirm(&wire.Pace{})
		}
	}
}

// learn takes the own-peer option: clock, group size and round trip time, window, port.
func (r *Receiver) learn(now mono.Time, o *wire.Peer) {
	r.ours = true
	r.nakPort, r.spmTime, r.spmAt = o.Port, o.Time, now
	guess := r.grtt
	r.grtt, r.group = min(flow.DecodeGRTT(o.GRTT), flow.MaxGRTT), flow.DecodeGroupSize(o.GroupSize)
	if r.grtt < guess/4 {
		r.retime()
		r.hurry(now) // waits that began by the guess are far too long
	}
	if most := uint32(r.peers.cfg.MaxWindow); o.Window > 0 && o.Window < most {
		r.slots = 1 << bits.Len32(o.Window-1)
	}
	if r.accepted {
		r.window.Resize(r.size())
	}
	r.keep()
	r.learnPace(now, &o.Pace)
}

// hurry shortens the waits before NAKs that began under a slower timing.
func (r *Receiver) hurry(now mono.Time) {
	r.naks.Hurry(now)
	if r.repair != nil {
		r.repair.asks.Hurry(now)
	}
}

// size is how many slots the window may use: what the source stated, but no fewer than a candidate's.
func (r *Receiver) size() int { return max(r.slots, min(candidateSlots, r.peers.cfg.MaxWindow)) }

// begin decides with the first SPM where delivery starts. What was before is not a loss.
func (r *Receiver) begin(p *wire.Packet) {
	r.start = p.Lead.Add(1)
	if r.window.Started() {
		r.start = r.window.Next()
	}
	r.read.skipTail = true
	switch {
	case r.peers.cfg.Join == JoinStart && p.Options.Set.Has(wire.OptJoin) && p.Options.Join == p.Trail:
		r.start, r.read.skipTail = seq.Min(r.start, p.Options.Join), false
	case r.peers.cfg.Join == JoinTrail:
		r.start = seq.Min(r.start, p.Trail)
	}
	if !r.window.Started() {
		r.window.Start(r.start)
		r.lead = r.start.Add(-1)
	}
	r.trail, r.stir = r.start, r.lead
}

// open begins to work for a source that was accepted: its window may grow, and what is missing is asked for. Until then a
// source costs little, whatever it claims.
func (r *Receiver) open(now mono.Time) {
	r.accepted = true
	r.pace = flow.NewPacer(nakRate, nakBurst, now)
	r.window.Resize(r.size())
	r.window.SetMemory(r.peers.cfg.WindowBytes)
	if r.start.Less(r.window.Next()) {
		if _, ok := r.window.Rewind(r.start); !ok { // too far back for the window: what was held is asked for again
			r.window = r.peers.newWindow(r.size(), r.peers.cfg.WindowBytes)
			r.window.Start(r.start)
			r.read = r.peers.newReading(r.read.skipTail)
		}
	}
	r.keep()
	if r.confirm != nil {
		r.confirm.since = r.window.Next()
	}
	for gap, ok := r.window.NextMissing(r.start); ok; gap, ok = r.window.NextMissing(gap.To) {
		r.miss(now, gap, r.window.End().Add(-1))
	}
	r.extend(now, r.lead.Add(1))
	r.loss = lossMeter{lead: r.lead, missing: uint32(r.stats.Missing)} // what was sent before we came is not lost
}

// plausible reports whether p's claim that n exists may be believed. One packet that claims a number far beyond what the
// window could hold moves nothing; another one that agrees does: the source really went on while we heard nothing.
//
// Nothing moves beyond what serial numbers can compare: what the application has left unread would look like the future.
func (r *Receiver) plausible(now mono.Time, p *wire.Packet, n seq.Num) bool {
	if edge := n.Sub(r.window.Next()); edge > farthest || edge < -farthest {
		r.stats.Refused.Jump++
		return false
	}
	reach := r.peers.cfg.MaxWindow
	if ahead := n.Sub(r.lead); ahead <= reach && ahead > -1<<30 {
		r.jump.set = false
		return true
	}
	j := &r.jump
	if j.set && (j.sqn != p.Sqn || j.typ != p.Type) && n.Sub(j.to) <= reach && n.Sub(j.to) >= -reach && r.lead.Less(n) {
		j.set = false
		return true
	}
	r.stats.Refused.Jump++
	r.trace(now, EventJump, seq.Range{From: r.lead.Add(1), To: n})
	*j = jump{set: true, to: n, sqn: p.Sqn, typ: p.Type}
	return false
}

// farthest is how far the lead may be from the reading edge, in numbers, and the trail from the lead.
const farthest = 1 << 30

// jump is a far lead that one packet claimed.
type jump struct {
	set bool
	to  seq.Num
	sqn seq.Num // of the packet that claimed it
	typ wire.Type
}

// miss books numbers found missing.
func (r *Receiver) miss(now mono.Time, gap seq.Range, lead seq.Num) {
	if gap.Empty() || !r.accepted {
		return // RFC 3208, 6.1: nothing is asked for before the first SPM; open does it then
	}
	r.stats.Missing += uint64(gap.Len())
	r.trace(now, EventMissing, gap)
	r.naks.Missing(now, gap, lead)
	r.noteGap(now, gap, lead)
	if r.silent() {
		r.give(now, gap, LossUnavailable)
	} else if gap.From.Less(r.trail) {
		r.give(now, gap.Intersect(seq.Range{From: gap.From, To: r.trail}), LossTrail)
	}
}

// extend takes it that all numbers before end exist. The window learns of them as far as it reaches in slots and memory: those
// that did not come are missing. What does not fit is not asked for until there is room (refill).
func (r *Receiver) extend(now mono.Time, end seq.Num) {
	if r.lead.Less(end.Add(-1)) {
		r.lead = end.Add(-1)
	}
	if r.accepted && r.window.End().Less(end) {
		r.reach(now, end)
	}
	if r.repair != nil {
		r.progress(now) // also where there was no room
	}
}

// reach extends the window up to end, or as far as it can.
func (r *Receiver) reach(now mono.Time, end seq.Num) {
	for {
		if r.silent() && r.peers.cfg.Unordered && r.window.Next() == r.window.End() {
			r.pass(now, seq.Range{From: r.window.End(), To: end})
			return
		}
		room := r.window.Spare()
		if r.window.Missing() == 0 {
			room = max(room, 1) // one is always asked for: Spare may see less memory than there is
		}
		before := r.window.End()
		r.miss(now, r.window.Extend(seq.Min(end, before.Add(room))), r.lead)
		if !r.silent() || r.window.End() == before || !r.window.End().Less(end) {
			return // or else they were given up at once, and unordered delivery has moved past them
		}
	}
}

// pass counts all of span as lost, with nothing in the window and nobody to tell: it may be far longer than a window.
func (r *Receiver) pass(now mono.Time, span seq.Range) {
	r.stats.Missing += uint64(span.Len())
	r.stats.Lost += uint64(span.Len())
	r.trace(now, EventMissing, span)
	r.trace(now, EventLost, span)
	r.window.Start(span.To)
	if r.confirm != nil {
		r.confirm.lostBefore(span.To)
	}
}

// moveTrail takes a later TXW_TRAIL: what is missing before it can no longer be had.
func (r *Receiver) moveTrail(now mono.Time, trail seq.Num) {
	if r.lead.Add(1).Less(trail) {
		r.stats.Refused.Malformed++ // a trail beyond everything that is known to exist
		return
	}
	old := r.trail
	r.trail = trail
	if r.window.Missing() > 0 {
		r.give(now, seq.Range{From: seq.Max(old, r.window.Next()), To: seq.Min(trail, r.window.End())}, LossTrail)
	}
	if r.repair != nil {
		r.given(now, seq.Range{From: old, To: trail})
	}
}

// give gives up what is missing in span.
func (r *Receiver) give(now mono.Time, span seq.Range, why LossReason) {
	if span.Empty() {
		return
	}
	n := r.window.Lose(span)
	if n == 0 {
		return
	}
	if r.confirm != nil {
		last := span.To.Add(-1)
		for r.window.State(last) != window.Lost {
			last--
		}
		r.confirm.lostBefore(last.Add(1))
	}
	r.naks.Forget(span)
	r.lose(span, why)
	r.stats.Lost += uint64(n)
	r.trace(now, EventLost, span)
	if r.repair != nil {
		r.given(now, span)
	}
	if r.peers.cfg.Unordered {
		r.dropLost(span)
	}
}

// lost is why numbers were given up.
type lost struct {
	span seq.Range
	why  LossReason
}

const maxReasons = 64 // kept apart at once; beyond that, later losses are told by the reason of earlier ones

// lose remembers why span was given up until it is read.
func (r *Receiver) lose(span seq.Range, why LossReason) {
	for len(r.losses) > 0 && r.losses[0].span.To.LessEq(r.window.Next()) {
		r.losses = append(r.losses[:0], r.losses[1:]...)
	}
	if k := len(r.losses) - 1; k >= 0 && (r.losses[k].why == why && r.losses[k].span.From.LessEq(span.From) || k == maxReasons-1) {
		r.losses[k].span = seq.Range{From: seq.Min(r.losses[k].span.From, span.From), To: seq.Max(r.losses[k].span.To, span.To)}
		return
	}
	r.losses = append(r.losses, lost{span, why})
}

// reason says why span is not delivered: what was lost in it, or else what is wrong with the message in it.
func (r *Receiver) reason(span seq.Range) LossReason {
	for _, l := range r.losses {
		if !l.span.Intersect(span).Empty() {
			return l.why
		}
	}
	return r.read.fault
}

// giveAll gives up everything that is missing, also what did not fit the window.
func (r *Receiver) giveAll(now mono.Time, why LossReason) {
	r.give(now, seq.Range{From: r.window.Next(), To: r.window.End()}, why)
	if r.window.Started() {
		r.extend(now, r.lead.Add(1))
	}
}

// giveUpDue takes the place of NAKs in receive-only sessions: a gap ends with the reordering tolerance.
func (r *Receiver) giveUpDue(now mono.Time) {
	for {
		nums := r.naks.Due(now, r.peers.nums[:0])
		if len(nums) == 0 {
			return
		}
		for _, n := range nums {
			r.give(now, seq.Range{From: n, To: n.Add(1)}, LossUnrepaired)
		}
	}
}

// refill asks again for what did not fit while the application was slow, now that there is room.
func (r *Receiver) refill(now mono.Time) {
	if r.spms == 0 || r.closed {
		return
	}
	r.extend(now, r.lead.Add(1))
	if r.report != nil {
		r.readSome(now)
	}
}

// resetBySource ends the session at the source's word (RFC 3208, 9.8).
func (r *Receiver) resetBySource(now mono.Time, o wire.Reset) {
	r.reset = &ResetError{TSI: r.key.tsi, Code: o.Code}
	r.trace(now, EventReset, r.span())
	if r.noNAKs = o.NoNAKs; r.noNAKs {
		r.giveAll(now, LossReset)
	}
}
