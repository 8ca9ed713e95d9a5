package session

import (
	"net/netip"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/nack"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/window"
	"github.com/rmcast/rmcast/wire"
)

// Receiver is the receiving end of one source's session (RFC 3208, 6). Peers makes them.
//
// Invariants:
//  1. A number below lead+1 that the window knows as Missing is in the scheduler, and the scheduler has no other.
//  2. Nothing is asked for or handed out before the source was accepted, for which an SPM is needed.
//  3. Every number from the start of delivery on is handed to the application once: as data, or inside one LossError.
type Receiver struct {
	// Owner is the driver's: the engine neither reads nor writes it.
	Owner any

	peers  *Peers
	key    peerKey
	window *window.Receive
	naks   *nack.Scheduler
	repair *repairing // nil while nothing is missing that parity may restore

	path     netip.Addr // SPM_PATH as it was sent: what our NAKs name
	nakPort  uint16     // UDP port the source hears NAKs on; 0: the group's
	spmrStep uint8      // 1: the copy of an SPMR to the source itself is still to go
	spmrs    uint8      // tries
	spmTime  uint32     // the source's clock in the latest SPM
	spms     uint64     // heard
	packets  uint64     // of any kind
	spmSqn   seq.Num
	staleSqn seq.Num // the latest SPM_SQN refused as older
	ours     bool    // the SPM carried the own-peer option
	lead     seq.Num
	trail    seq.Num
	jump     jump
	start    seq.Num    // where delivery begins; known with the first SPM
	slots    int        // of the source's window, as far as we follow it
	losses   []lost     // why numbers were lost that are not read yet
	pace     flow.Pacer // of NAKs
	clock    mono.Time  // the latest instant the driver named

	heard    mono.Time // the latest packet
	spmAt    mono.Time // when the latest SPM came
	grtt     time.Duration
	group    float64
	rtt      flow.RTT  // NAK to NCF
	wait     flow.RTT  // NCF to RDATA
	spmrAt   mono.Time // when an SPMR is due; Never when none is
	spmrFrom mono.Time // when the wait for spmrAt was drawn; Never if it was not
	answer   answer    // to a probe

	parity  announced
	most    uint8   // about the greatest need of parity that NCFs confirmed,
	denials uint8   // in a row before avoid
	mostOf  seq.Num // the latest group
	avoid   seq.Num // groups shortly before it have no parity
	stir    seq.Num // lead at the latest sign of repairs
	loss    lossMeter
	report  *reporting  // nil: the source does not adapt
	confirm *confirming // nil: we take no part in confirmation

	accepted, queued, closed bool
	fin, lost                bool
	noNAKs                   bool // with reset: no repair comes any more
	reset                    *ResetError

	read  reading
	stats ReceiverCounts
}

func newReceiver(now mono.Time, ps *Peers, key peerKey) *Receiver {
	r := &Receiver{
		peers: ps, key: key, heard: now, clock: now, slots: ps.cfg.MaxWindow, spmrAt: mono.Never, spmrFrom: mono.Never, answer: noAnswer,
		grtt: 10 * time.Millisecond, group: foreignGroup,
	}
	if ps.cfg.HopLimit > 1 {
		r.grtt = 500 * time.Millisecond
	}
	r.window = ps.newWindow(min(candidateSlots, ps.cfg.MaxWindow), min(candidateBytes, ps.cfg.WindowBytes))
	r.naks = nack.NewScheduler(ps.rng, r.timing())
	r.read = ps.newReading(false)
	if ps.cfg.Confirm && !ps.cfg.ReceiveOnly {
		r.confirm = newConfirming(now)
	}
	return r
}

func (c *common) newWindow(slots int, bytes int64) *window.Receive {
	if c.cfg.Hollow {
		return window.NewHollow(slots)
	}
	return window.NewReceive(slots, bytes)
}

// TSI returns the identity of the source's session.
func (r *Receiver) TSI() wire.TSI { return r.key.tsi }

// Addr returns the address the source sends from.
func (r *Receiver) Addr() netip.Addr { return r.key.from }

// handle takes one packet of the source.
func (r *Receiver) handle(now mono.Time, p *wire.Packet) {
	r.clock = now
	if r.closed {
		r.heard = now
		r.stats.Refused.Closed++
		return
	}
	if r.reset != nil && p.Type != wire.TypeRDATA && p.Type != wire.TypeODATA {
		return
	}
	if r.evictedBy() != nil {
		r.heard = now
		return
	}
	r.packets++
	switch p.Type {
	case wire.TypeODATA, wire.TypeRDATA:
		r.handleData(now, p)
	case wire.TypeSPM:
		r.handleSPM(now, p)
	case wire.TypeNCF:
		r.handleNCF(now, p)
	default:
		r.stats.Refused.WrongType++
		return
	}
	r.heard = now
}

// handleData takes ODATA or RDATA. In-order data touches the window and little else.
func (r *Receiver) handleData(now mono.Time, p *wire.Packet) {
	if p.Flags&wire.FlagParity != 0 {
		r.stats.Refused.Parity++
		return
	}
	var f window.Fragment
	payload := p.Payload
	if p.Options.Set.Has(wire.OptFragment) {
		f = window.Fragment(p.Options.Fragment)
		if !r.saneFragment(p.Sqn, f, len(payload)) {
			// The number is here, but what it carries belongs to no message that can be delivered. If it begins one, that is no rest of
			// a message that began before us: it is told as lost.
			r.stats.Refused.Malformed++
			first := p.Sqn.Add(-1)
			if f.First == p.Sqn {
				first = p.Sqn
			}
			payload, f = nil, window.Fragment{First: first, Offset: 1, Length: 1}
		}
	}
	if !r.window.Started() {
		r.hold(now, p.Sqn)
	} else if !r.plausible(now, p, p.Sqn) {
		return
	}
	res, gap := r.window.Insert(p.Sqn, payload, f)
	if r.report != nil {
		if p.Type == wire.TypeODATA && res != window.Duplicate && res != window.Late {
			r.gotData(now, p)
		} else {
			r.gotOther(p)
		}
	}
	switch res {
	case window.InOrder:
	case window.Ahead:
		r.miss(now, gap, p.Sqn)
	case window.Filled:
		if p.Type == wire.TypeODATA {
			r.loss.missing++ // late, not lost
		}
		r.repaired(now, p.Sqn)
	case window.Duplicate:
		r.stats.Refused.Duplicate++
		return
	case window.Late:
		r.stats.Refused.Late++
		return
	case window.Full:
		r.stats.Refused.WindowFull++
		r.extend(now, p.Sqn.Add(1))
		if r.accepted && p.Sqn == r.window.Run() && p.Sqn.Less(r.window.Limit()) && !r.readable() {
			// All memory is taken by the beginning of a message that it cannot hold.
			r.give(now, seq.Range{From: p.Sqn, To: p.Sqn.Add(1)}, LossTooLong)
		}
		return
	}
	r.count(p)
	if r.lead.Less(p.Sqn) {
		r.lead = p.Sqn
	}
	r.naks.Progress(now, r.lead)
	if r.repair != nil {
		if res == window.Filled {
			r.filled(now, p.Sqn)
		}
		if r.repair != nil {
			r.progress(now)
		}
	}
	if r.spms > 0 && r.trail.Less(p.Trail) {
		r.moveTrail(now, p.Trail)
	}
	if r.peers.cfg.Unordered {
		r.arrived(p.Sqn, f, len(payload))
	}
}

// repaired books that n, which was missing, is here.
func (r *Receiver) repaired(now mono.Time, n seq.Num) {
	r.trace(now, EventRepaired, seq.Range{From: n, To: n.Add(1)})
	if d, ok := r.naks.Found(now, n); ok {
		r.wait.Sample(d)
		r.retime()
	}
}

// retime passes on what was learnt about how long things take.
func (r *Receiver) retime() {
	r.naks.SetTiming(r.timing())
	if r.repair != nil {
		r.repair.asks.SetTiming(r.askTiming())
	}
}

func (r *Receiver) count(p *wire.Packet) {
	if p.Type == wire.TypeRDATA {
		r.stats.Repairs++
		r.stats.RepairBytes += uint64(len(p.Payload))
		return
	}
	r.stats.Packets++
	r.stats.Bytes += uint64(len(p.Payload))
}

// saneFragment checks what one fragment says of itself (pgm-facts 2.3).
func (r *Receiver) saneFragment(n seq.Num, f window.Fragment, size int) bool {
	end := uint64(f.Offset) + uint64(size)
	return size > 0 && end <= uint64(f.Length) && int64(f.Length) <= int64(r.peers.cfg.MaxMessage) &&
		f.First.LessEq(n) && (f.Offset == 0) == (f.First == n) && uint32(n-f.First) <= f.Offset
}

// handleNCF takes the source's confirmation: the numbers exist, and a repair is on its way (RFC 3208, 6.3).
func (r *Receiver) handleNCF(now mono.Time, p *wire.Packet) {
	r.stats.NCFs++
	if r.spms == 0 || p.Flags&wire.FlagParity != 0 {
		return
	}
	r.stirred()
	for _, n := range p.Numbers(r.peers.nums[:0]) {
		if d, ok := r.naks.NCF(now, n); ok {
			r.rtt.Sample(d)
			r.retime()
		}
	}
}

// hearNAK takes another receiver's NAK that was sent to the group: ours can wait for its answer (RFC 3208, 6.3).
func (r *Receiver) hearNAK(now mono.Time, p *wire.Packet) {
	r.clock = now
	switch {
	case p.Source != r.path || p.Group.Unmap() != r.peers.cfg.Group:
		return
	case p.Flags&wire.FlagParity != 0:
		if p.SourcePort == parityPort(r.peers.cfg.DestinationPort) {
			r.hearParityNAK(now, p)
		}
		return
	}
	for _, n := range p.Numbers(r.peers.nums[:0]) {
		r.naks.NAKHeard(now, n)
	}
}

// acceptable reports whether the source was heard well enough to hand it to the application.
func (r *Receiver) acceptable() bool { return r.spms > 0 && r.packets > 1 && !r.closed }

// expiry is how long the source may be silent.
func (r *Receiver) expiry() time.Duration {
	switch {
	case r.peers.cfg.Expiry > 0:
		return r.peers.cfg.Expiry
	case r.ours || r.spms == 0:
		return expiryOwn
	}
	return expiryForeign
}

// deadline is when advance or poll has something to do.
func (r *Receiver) deadline() mono.Time {
	d := r.heard.Add(r.expiry())
	if r.closed || r.lost {
		return d
	}
	if !r.accepted {
		return min(d, r.spmrAt)
	}
	asks := r.naks.Deadline()
	if r.repair != nil {
		asks = min(asks, r.repair.asks.Deadline())
	}
	return min(d, max(min(asks, r.report.dueAt()), r.pace.OpenAt(r.clock)), r.spmrAt, r.answer.at, r.confirmAt())
}

// advance fires what is due at now.
func (r *Receiver) advance(now mono.Time) {
	r.clock = now
	if r.closed || r.lost {
		return
	}
	for {
		old, ok := r.naks.Expired(now)
		if !ok {
			break
		}
		r.give(now, old, LossTimeout)
	}
	if r.peers.cfg.ReceiveOnly {
		r.spmrAt, r.spmrFrom, r.answer = mono.Never, mono.Never, noAnswer
		r.giveUpDue(now)
	}
	if now >= r.heard.Add(r.expiry()) {
		r.lost = true
		r.giveAll(now, LossUnavailable)
		r.trace(now, EventSourceLost, r.span())
	}
}

// forgettable reports whether the table need not remember the source any more.
func (r *Receiver) forgettable(now mono.Time) bool { return now >= r.heard.Add(r.expiry()) }

// Close ends the session for the application: the window is freed, later packets of the source are dropped unread, and the
// source is not accepted again until it has been silent for the expiry time.
func (r *Receiver) Close(mono.Time) {
	if r.closed {
		return
	}
	r.forgetParity(r.clock)
	r.closed, r.queued = true, false
	r.naks.Forget(seq.Range{From: r.window.Next(), To: r.window.End()})
	r.confirm = nil
	r.spmrAt, r.spmrFrom, r.answer = mono.Never, mono.Never, noAnswer
	r.window, r.read, r.losses, r.report = window.NewReceive(1, 0), r.peers.newReading(false), nil, nil
	for i, x := range r.peers.ready {
		if x == r {
			r.peers.ready = append(r.peers.ready[:i], r.peers.ready[i+1:]...)
			break
		}
	}
}

func (r *Receiver) trace(now mono.Time, kind EventKind, span seq.Range) {
	if r.peers.cfg.Trace != nil {
		r.peers.cfg.Trace(Event{At: now, Kind: kind, TSI: r.key.tsi, Range: span})
	}
}

// span is what the window covers, for traces.
func (r *Receiver) span() seq.Range { return seq.Range{From: r.window.Next(), To: r.window.End()} }

// counts returns the counters with those that live elsewhere filled in.
func (r *Receiver) counts() ReceiverCounts {
	st := r.stats
	st.Suppressed += r.naks.Suppressed()
	if r.repair != nil {
		st.Suppressed += r.repair.asks.Suppressed() - r.repair.hushed
	}
	return st
}

// Stats returns what was counted so far.
func (r *Receiver) Stats() ReceiverStats {
	st := ReceiverStats{ReceiverCounts: r.counts()}
	st.RTT, st.GRTT, st.GroupSize = r.rtt.Smoothed(), r.grtt, r.group
	st.Window = r.window.Limit().Sub(r.window.Next())
	st.Trail, st.Next, st.Lead = r.trail, r.window.Next(), r.lead
	st.Held, st.Gaps, st.WindowBytes = r.window.Held(), r.window.Missing(), r.window.Bytes()
	st.Foreign, st.FIN = r.spms > 0 && !r.ours, r.fin
	return st
}
