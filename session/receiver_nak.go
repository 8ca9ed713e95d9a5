package session

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/nack"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/window"
	"github.com/rmcast/rmcast/wire"
)

// timing is what the NAK scheduler goes by: configured, or adapted to what the source told and what was measured.
func (r *Receiver) timing() nack.Timing {
	cfg := &r.peers.cfg
	t := nack.Timing{
		Backoff: nack.Interval(r.grtt, r.group), GroupSize: r.group, Uniform: cfg.UniformBackoff,
		Repeat: 2*r.grtt + time.Millisecond, Data: r.grtt + time.Millisecond,
		MaxInterval: maxInterval, Tolerance: reorderWait, TolerancePackets: reorderPackets,
		Limit: cfg.RepairTimeout,
	}
	floor := ownFloor
	if r.ours {
		// Under heavy loss both ways only many tries help, and the window's age bounds the time for them.
		t.MaxInterval = min(maxInterval, max(4*r.grtt, fastInterval))
	} else {
		floor = foreignFloor
		t.Backoff, t.GroupSize = foreignBackoff, foreignGroup
		if r.rtt.Valid() {
			t.Backoff = min(4*r.rtt.Smoothed(), foreignBackoff)
		}
	}
	if r.rtt.Valid() {
		t.Repeat = r.rtt.Timeout(floor)
		if r.ours { // after one sample that is three round trips, and where little is lost few follow: Source.hold counts on two
			t.Repeat = min(t.Repeat, 2*max(r.grtt, r.rtt.Smoothed())+time.Millisecond)
		}
		t.Data = t.Repeat // until a repair was timed too
	}
	if r.wait.Valid() {
		t.Data = r.wait.Timeout(floor)
	}
	t.Repeat, t.Data = max(t.Repeat, floor), max(t.Data, floor)
	if cfg.MaxDelay > 0 {
		t.Limit = min(t.Limit, cfg.MaxDelay)
	}
	if t.Limit > 0 {
		t.Backoff = min(t.Backoff, t.Limit/8) // whatever the source says, there is time to ask more than once
	}
	if cfg.NAKBackoff > 0 {
		t.Backoff = cfg.NAKBackoff
	}
	if cfg.NAKRepeat > 0 {
		t.Repeat = cfg.NAKRepeat
	}
	if cfg.NAKData > 0 {
		t.Data = cfg.NAKData
	}
	if r.fin && r.ours {
		// The source leaves when it heard no NAK for quietMin or longer: ask more often than that.
		t.MaxInterval = max(quietMin/12, 2*r.grtt)
	}
	if cfg.ReceiveOnly {
		t.Backoff = 0
	}
	return t
}

// poll writes the next packet that is due.
func (r *Receiver) poll(now mono.Time, t *Transmit) bool {
	r.clock = now
	switch {
	case r.closed || r.lost:
		return false
	case now >= r.spmrAt:
		r.sendSPMR(now, t)
		return true
	case !r.accepted:
		return false
	case now >= r.answer.at:
		r.sendACK(now, t)
		return true
	case now >= r.confirmAt():
		r.sendConfirmation(now, t)
		return true
	case !r.pace.Open(now):
		return false
	case now >= r.report.dueAt():
		r.sendACK(now, t)
		return true
	}
	if now >= r.naks.Deadline() {
		if nums := r.naks.Due(now, r.peers.nums[:0]); len(nums) > 0 {
			r.sendNAK(now, t, nums)
			return true
		}
	}
	return r.repair != nil && now >= r.repair.asks.Deadline() && r.sendParityNAK(now, t)
}

// upstream prepares the scratch packet for a packet to the source.
func (r *Receiver) upstream(typ wire.Type) *wire.Packet {
	p := &r.peers.packet
	p.Type, p.Flags, p.GSI = typ, 0, r.key.tsi.GSI
	p.SourcePort, p.DestinationPort = r.peers.cfg.DestinationPort, r.key.tsi.Port
	p.Options.Set = 0
	p.Payload = nil
	return p
}

// sendNAK asks for ascending numbers, at the address the source named (RFC 3208, 6.3).
func (r *Receiver) sendNAK(now mono.Time, t *Transmit, nums []seq.Num) {
	p := r.upstream(wire.TypeNAK)
	p.Source, p.Group = r.path, r.peers.cfg.Group
	setNumbers(p, nums)
	r.addEcho(now, p)
	t.B, t.To = p.Append(t.B), r.nakTo()
	r.pace.Take(now, len(t.B)+headerBytes)
	r.stats.NAKs++
	r.stats.NAKNumbers += uint64(len(nums))
	r.trace(now, EventNAK, seq.Range{From: nums[0], To: nums[len(nums)-1].Add(1)})
}

// nakTo is where the source hears us: the path address of its SPMs, with the arrival zone when it is link-local, since zones
// do not travel. A path that can be nobody's address gives way to where the packets come from, and so does that of a source which
// is heard itself: what comes from elsewhere is somebody's who repeats its packets.
func (r *Receiver) nakTo() netip.AddrPort {
	to := r.path
	if to.Is6() && to.IsLinkLocalUnicast() {
		to = to.WithZone(r.key.from.Zone())
	}
	if !to.IsValid() || to.IsUnspecified() || to.IsMulticast() || !r.direct() && r.peers.lookUp(peerKey{r.key.tsi, to}) != nil {
		to = r.key.from
	}
	port := r.peers.cfg.UDPPort
	if r.nakPort != 0 && port != 0 {
		port = r.nakPort
	}
	return netip.AddrPortFrom(to, port)
}

// addEcho adds the source's own clock plus the time we held it, from which the source measures the round trip.
func (r *Receiver) addEcho(now mono.Time, p *wire.Packet) {
	if !r.ours {
		return
	}
	p.Options.Set = p.Options.Set.With(wire.OptPeer)
	p.Options.Peer = wire.Peer{Time: r.echo(now)}
	if share, ok := r.lossShare(); ok {
		p.Options.Peer.SetLoss(share)
	}
	r.addReport(now, p)
}

// echo is the source's clock of the latest SPM, plus the time since.
func (r *Receiver) echo(now mono.Time) uint32 {
	return r.spmTime + uint32(now.Sub(r.spmAt)/time.Microsecond)
}

// lossMeter measures which share of the packets did not come at first: of the numbers since the last measure, and half of it of
// those before.
type lossMeter struct {
	lead    seq.Num // where the measure began
	missing uint32  // of stats.Missing then, modulo 2^32, and what came late since
	share   uint16  // measured before, as wire.Peer.Loss has it; 0: nothing
}

const (
	lossFirst = 128  // numbers for a first figure,
	lossNext  = 1024 // and for each after it
)

// lossShare returns the measure, and whether there is one.
func (r *Receiver) lossShare() (float64, bool) {
	l := &r.loss
	before, ok := (&wire.Peer{Loss: l.share}).LossShare()
	total := r.lead.Sub(l.lead)
	if total < lossFirst || ok && total < lossNext {
		return before, ok
	}
	now := float64(int32(uint32(r.stats.Missing)-l.missing)) / float64(total)
	if ok {
		now = (now + before) / 2
	}
	var q wire.Peer
	q.SetLoss(now)
	*l = lossMeter{lead: r.lead, missing: uint32(r.stats.Missing), share: q.Loss}
	return now, true
}

// wantSPM asks for an SPM after a random wait, unless one comes first (RFC 3208, 13.5).
func (r *Receiver) wantSPM(now mono.Time) {
	if r.spmrAt == mono.Never {
		r.spmrFrom = now
		r.drawSPMR()
	}
}

func (r *Receiver) drawSPMR() { r.spmrAt = r.spmrFrom.Add(nack.UniformWait(r.peers.rng, spmrDelay)) }

// hearSPMR takes another receiver's SPMR for this source: its answer serves us too.
func (r *Receiver) hearSPMR(now mono.Time) {
	if r.spms == 0 && r.spmrAt != mono.Never && r.spmrStep == 0 {
		r.spmrAt, r.spmrFrom = now.Add(spmrRepeat), mono.Never
	}
}

// sendSPMR asks the group, on this link only, and then the source itself.
func (r *Receiver) sendSPMR(now mono.Time, t *Transmit) {
	t.B = r.upstream(wire.TypeSPMR).Append(t.B)
	r.stats.SPMRs++
	r.spmrFrom = mono.Never
	if r.spmrStep == 0 {
		t.HopLimit = 1
		r.spmrStep = 1
		return
	}
	t.To = netip.AddrPortFrom(r.key.from, r.peers.cfg.UDPPort)
	r.spmrStep = 0
	r.spmrAt = mono.Never
	if r.spmrs++; r.spmrs < spmrTries {
		r.spmrAt = now.Add(spmrRepeat)
	}
}

// answer is the answer to a probe that waits for its instant.
type answer struct {
	at     mono.Time // Never when none waits
	from   mono.Time // the wait was drawn then,
	within time.Duration
	group  float64 // by this law
}

var noAnswer = answer{at: mono.Never}

// draw sets the instant.
func (a *answer) draw(rng *rand.Rand) { a.at = a.from.Add(nack.Wait(rng, a.within, a.group)) }

// answerProbe schedules the answer to an SPM that asks for round trip samples. The wait is RFC 5401's, so that a large group
// answers with a few packets; the next SPM without the question, which the source sends at its first answer, cancels it. In a small
// group each receiver answers once all the same, within one round trip: the way to the source is then known to the network before
// the first NAK needs it (a lost ARP or neighbour discovery packet costs a second).
func (r *Receiver) answerProbe(now mono.Time, asked bool) {
	switch {
	case r.peers.cfg.ReceiveOnly:
	case !asked:
		if r.group > smallGroup || r.stats.ACKs > 0 {
			r.answer = noAnswer
		}
	case r.report != nil && r.report.pace.Acker == r.report.id: // the source waits for us
		r.answer.at = min(r.answer.at, max(now, r.report.toldAt.Add(r.report.every)))
	case r.answer.at == mono.Never:
		r.answer = answer{from: now, within: answerWithin(r.grtt, r.group), group: r.group}
		r.answer.draw(r.peers.rng)
	}
}

// answerWithin is the longest wait before an answer.
func answerWithin(grtt time.Duration, group float64) time.Duration {
	if group <= smallGroup {
		return grtt
	}
	return max(grtt, nack.Interval(grtt, group), answerSpread)
}

// sendACK answers a probe: what we have, and the echo.
func (r *Receiver) sendACK(now mono.Time, t *Transmit) {
	p := r.ack()
	asked := now >= r.answer.at
	r.addEcho(now, p)
	if !asked {
		p.Options.Peer.Flags |= peerUnasked
	}
	t.B, t.To = p.Append(t.B), r.nakTo()
	if r.report != nil {
		r.pace.Take(now, len(t.B)+headerBytes)
	}
	r.answer = noAnswer
	r.stats.ACKs++
}

// ack prepares an ACK that says which of the latest 32 numbers are here (RFC 3208 has none; draft-ietf-rmt-bb-pgmcc's form).
func (r *Receiver) ack() *wire.Packet {
	p := r.upstream(wire.TypeACK)
	p.Sqn, p.Bitmap = r.lead, 0
	for i := range 32 {
		if n := r.lead.Add(-i); r.window.Started() && (n.Less(r.window.Next()) || r.window.State(n) == window.Have) {
			p.Bitmap |= 1 << i
		}
	}
	return p
}
