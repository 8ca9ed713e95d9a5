package session

import (
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/nack"
	"github.com/rmcast/rmcast/seq"
)

// Own is what the engine of one host has for itself, beside the state that it has in common with an engine that heard the
// same: what it measured and counted. For simulations of large groups, which keep it in place of the engine.
type Own struct {
	counts        ReceiverCounts // beyond those of the other engine, modulo 2^64
	spms, packets uint64         // the same
	stale         seq.Num
	pace          flow.Pacer
	rtt, wait     flow.RTT
	naks          nack.Own
	avoid         seq.Num
	denials       uint8
	loss          lossMeter
}

// Part puts into own what ps has for itself beside to. It reports false, and own is of no use, unless both know one source, nothing is
// missing or unread or waiting at either, and all that happens to ps from now on by what comes to both would happen to a Clone of to
// that has taken own in.
func (ps *Peers) Part(to *Peers, own *Own) bool {
	if len(ps.list) != 1 || len(to.list) != 1 || !ps.list[0].alike(to.list[0]) {
		return false
	}
	idle := func(x *Peers) bool { return len(x.accept) == 0 && len(x.ready) == 0 && x.gone == nil && x.table == nil }
	if !idle(ps) || !idle(to) || ps.common != to.common || ps.closed != to.closed || ps.accepted != to.accepted || ps.refused != to.refused {
		return false
	}
	r, x := ps.list[0], to.list[0]
	*own = Own{
		counts: r.stats, spms: r.spms - x.spms, packets: r.packets - x.packets,
		stale: r.staleSqn, pace: r.pace, rtt: r.rtt, wait: r.wait, naks: r.naks.Own(),
		avoid: r.avoid, denials: r.denials, loss: r.loss,
	}
	own.counts.sub(x.stats)
	return true
}

// Take gives ps, a Clone, what another engine had for itself. own may be used again after.
func (ps *Peers) Take(own *Own) {
	r := ps.list[0]
	r.stats.add(own.counts)
	r.spms += own.spms
	r.packets += own.packets
	r.staleSqn, r.pace, r.rtt, r.wait = own.stale, own.pace, own.rtt, own.wait
	r.avoid, r.denials, r.loss = own.avoid, own.denials, own.loss
	r.naks.Take(own.naks)
	r.naks.SetTiming(r.timing())
}

// AddOwn adds what one host counted beyond the others.
func (s *PeersStats) AddOwn(own *Own, shared *Peers) {
	s.Total.add(own.counts)
	s.Total.Suppressed += own.naks.Suppressed() - shared.list[0].naks.Suppressed()
}

// alike reports whether r and x differ at most in what Own holds, and nothing is missing, unread or waiting at either.
func (r *Receiver) alike(x *Receiver) bool {
	switch {
	case r.confirm != nil, x.confirm != nil: // each answers for itself
		return false
	case r.naks.Len() > 0, x.naks.Len() > 0, r.repair != nil, x.repair != nil, r.parity != x.parity:
		return false
	case r.most != x.most, r.mostOf != x.mostOf, r.stir != x.stir: // the NCFs that all hear change them further
		return false
	case r.heard != x.heard, r.spmSqn != x.spmSqn, r.lead != x.lead, r.trail != x.trail:
		return false
	case r.key != x.key, r.path != x.path, r.nakPort != x.nakPort, r.ours != x.ours, r.start != x.start, r.slots != x.slots:
		return false
	case r.spmTime != x.spmTime, r.spmAt != x.spmAt, r.grtt != x.grtt, r.group != x.group:
		return false
	case (r.spms == 0) != (x.spms == 0), (r.stats.ACKs == 0) != (x.stats.ACKs == 0):
		return false
	case r.spmrAt != mono.Never, x.spmrAt != mono.Never, r.spmrFrom != mono.Never, x.spmrFrom != mono.Never:
		return false
	case r.spmrStep != x.spmrStep, r.spmrs != x.spmrs, r.answer.at != mono.Never, x.answer.at != mono.Never:
		return false
	case r.accepted != x.accepted, r.queued, x.queued, r.closed, x.closed, r.fin != x.fin, r.lost, x.lost:
		return false
	case r.report != nil, x.report != nil: // each has its own counters, and clocks of them
		return false
	case r.reset != nil, x.reset != nil, r.noNAKs, x.noNAKs, r.Owner != nil, x.Owner != nil:
		return false
	case len(r.losses) > 0, len(x.losses) > 0, r.jump.set, x.jump.set, r.peers.cfg.Unordered:
		return false
	case r.read.offset > 0, x.read.offset > 0, r.read.skipTail != x.read.skipTail, r.read.fault != x.read.fault:
		return false
	case r.read.bytes > 0, x.read.bytes > 0, r.stats.LossErrors > 0 && r.read.told == r.window.Next(), x.stats.LossErrors > 0 && x.read.told == x.window.Next():
		return false
	}
	return r.window.EmptyAlike(x.window)
}

func (a *ReceiverCounts) sub(b ReceiverCounts) {
	a.Packets -= b.Packets
	a.Bytes -= b.Bytes
	a.Repairs -= b.Repairs
	a.RepairBytes -= b.RepairBytes
	a.Parity -= b.Parity
	a.Restored -= b.Restored
	a.Messages -= b.Messages
	a.DeliveredBytes -= b.DeliveredBytes
	a.SPMs -= b.SPMs
	a.NCFs -= b.NCFs
	a.Missing -= b.Missing
	a.Lost -= b.Lost
	a.LossErrors -= b.LossErrors
	a.NAKs -= b.NAKs
	a.NAKNumbers -= b.NAKNumbers
	a.Suppressed -= b.Suppressed
	a.SPMRs -= b.SPMRs
	a.ACKs -= b.ACKs
	a.Refused.sub(b.Refused)
}

func (a *RefusedStats) sub(b RefusedStats) {
	a.WrongPort -= b.WrongPort
	a.WrongTSI -= b.WrongTSI
	a.WrongNLA -= b.WrongNLA
	a.WrongType -= b.WrongType
	a.Parity -= b.Parity
	a.TooMany -= b.TooMany
	a.Jump -= b.Jump
	a.Stale -= b.Stale
	a.WindowFull -= b.WindowFull
	a.Late -= b.Late
	a.Duplicate -= b.Duplicate
	a.Malformed -= b.Malformed
	a.Closed -= b.Closed
	a.Unsupported -= b.Unsupported
}
