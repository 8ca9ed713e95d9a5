package session

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// Peers is the receiving end of a group: it tells sources apart by TSI and by the address they send from, and keeps a Receiver
// for each. A source counts as accepted after an SPM and one more packet from it; before that it is a candidate, which holds
// little memory and gives way to newer ones when the table is full. Use NewPeers.
type Peers struct {
	*common
	rng *rand.Rand

	table  map[peerKey]*Receiver // while list is longer than fewPeers
	list   []*Receiver           // in the order of Poll's turns
	last   *Receiver             // the latest hit
	turn   int                   // where Poll goes on
	accept []*Receiver           // accepted, not yet taken by Accept
	ready  []*Receiver           // with something new to read
	closed bool                  // StopAccepting was called

	spare    *repairing // for the next loss; nil: none was yet, or it is in use
	refused  RefusedStats
	accepted uint64
	gone     *ReceiverCounts // sums over those that were removed; nil: none was
}

// common is what Peers share with their clones.
type common struct {
	cfg    PeersConfig
	packet wire.Packet // scratch for what is sent
	nums   [wire.MaxNAKs]seq.Num
}

const fewPeers = 8 // that are found without a table

type peerKey struct {
	tsi  wire.TSI
	from netip.Addr
}

// NewPeers returns an empty table. It panics on a configuration that no caller should have let through.
func NewPeers(_ mono.Time, cfg PeersConfig, rng *rand.Rand) *Peers {
	if cfg.MaxWindow < 2 || cfg.MaxWindow&(cfg.MaxWindow-1) != 0 || cfg.MaxSources < 1 || cfg.Backlog < 1 || !cfg.Group.IsValid() {
		panic(fmt.Sprintf("BUG: session: peers configured with %+v", cfg))
	}
	cfg.Group = cfg.Group.WithZone("").Unmap()
	return &Peers{common: &common{cfg: cfg}, rng: rng}
}

// Handle takes one packet that came to the group.
func (ps *Peers) Handle(now mono.Time, m Meta, p *wire.Packet) {
	if p.Type.Upstream() {
		ps.overhear(now, p)
		return
	}
	var r *Receiver
	switch p.DestinationPort {
	case ps.cfg.DestinationPort:
		if r = ps.find(now, m, p); r == nil {
			return
		}
		r.handle(now, p)
	case parityPort(ps.cfg.DestinationPort):
		if r = ps.lookUp(peerKey{p.TSI(), m.From}); r == nil { // parity founds no session
			ps.refused.Parity++
			return
		}
		r.handleParity(now, p)
	default:
		ps.refused.WrongPort++
		return
	}
	ps.note(now, r)
	if r.confirm != nil {
		r.confirmSoon(now)
	}
}

// find returns the receiver for a packet of a source, a new one if the packet may found it.
func (ps *Peers) find(now mono.Time, m Meta, p *wire.Packet) *Receiver {
	key := peerKey{p.TSI(), m.From}
	if ps.last != nil && ps.last.key == key {
		return ps.last
	}
	r := ps.lookUp(key)
	if r == nil {
		if p.Type != wire.TypeSPM && p.Type != wire.TypeODATA && p.Type != wire.TypeRDATA {
			ps.refused.WrongTSI++
			return nil
		}
		if r = ps.add(now, key); r == nil {
			return nil
		}
	}
	ps.last = r
	return r
}

func (ps *Peers) lookUp(key peerKey) *Receiver {
	if ps.table != nil {
		return ps.table[key]
	}
	for _, r := range ps.list {
		if r.key == key {
			return r
		}
	}
	return nil
}

// add makes a candidate, in place of the one longest silent if the table is full; if there is none, in place of a session that
// the application has closed. Others are never displaced.
func (ps *Peers) add(now mono.Time, key peerKey) *Receiver {
	if ps.closed {
		ps.refused.TooMany++
		return nil
	}
	if len(ps.list) >= ps.cfg.MaxSources {
		ps.refused.TooMany++
		var oldest *Receiver
		for _, r := range ps.list {
			if r.displaceable(oldest) {
				oldest = r
			}
		}
		if oldest == nil {
			return nil
		}
		ps.remove(oldest)
	}
	r := newReceiver(now, ps, key)
	ps.list = append(ps.list, r)
	if ps.table != nil {
		ps.table[key] = r
	} else {
		ps.index()
	}
	return r
}

// index makes the table when there is need for one.
func (ps *Peers) index() {
	if len(ps.list) <= fewPeers {
		return
	}
	ps.table = make(map[peerKey]*Receiver)
	for _, r := range ps.list {
		ps.table[r.key] = r
	}
}

// displaceable reports whether r gives way to a new source sooner than than does.
func (r *Receiver) displaceable(than *Receiver) bool {
	switch {
	case r.accepted && !r.closed:
		return false
	case than == nil:
		return true
	case r.closed != than.closed:
		return than.closed
	}
	return r.heard < than.heard
}

// remove forgets r; its counts stay in the sums.
func (ps *Peers) remove(r *Receiver) {
	delete(ps.table, r.key)
	for i, x := range ps.list {
		if x == r {
			ps.list = append(ps.list[:i], ps.list[i+1:]...)
			break
		}
	}
	if ps.last == r {
		ps.last = nil
	}
	if ps.gone == nil {
		ps.gone = new(ReceiverCounts)
	}
	ps.gone.add(r.counts())
}

// note queues r for Accept and Ready when what it just handled calls for it.
func (ps *Peers) note(now mono.Time, r *Receiver) {
	if !r.accepted && r.acceptable() {
		if len(ps.accept) >= ps.cfg.Backlog || ps.closed {
			ps.refused.TooMany++
			r.trace(now, EventRefused, r.span())
			return
		}
		r.open(now)
		ps.accepted++
		ps.accept = append(ps.accept, r)
		r.trace(now, EventAccepted, r.span())
	}
	if r.accepted && !r.queued && r.readable() {
		r.queued = true
		ps.ready = append(ps.ready, r)
	}
}

// overhear uses what receivers say to the group: NAKs suppress ours (RFC 3208, 6.3), SPMRs stand for ours (13.5).
func (ps *Peers) overhear(now mono.Time, p *wire.Packet) {
	if p.SourcePort != ps.cfg.DestinationPort && (p.SourcePort != parityPort(ps.cfg.DestinationPort) || p.Type != wire.TypeNAK) {
		ps.refused.WrongPort++
		return
	}
	tsi, known := p.TSI(), false
	for _, r := range ps.list {
		if r.key.tsi != tsi {
			continue
		}
		known = true
		switch p.Type {
		case wire.TypeNAK:
			r.hearNAK(now, p)
		case wire.TypeSPMR:
			r.hearSPMR(now)
		}
	}
	if !known {
		ps.refused.WrongTSI++
	}
}

// Accept returns the next source that was accepted, nil when there is none now.
func (ps *Peers) Accept() *Receiver {
	if len(ps.accept) == 0 {
		return nil
	}
	r := ps.accept[0]
	ps.accept = append(ps.accept[:0], ps.accept[1:]...)
	return r
}

// StopAccepting takes no new source from now on; those there are go on.
func (ps *Peers) StopAccepting() { ps.closed = true }

// Ready returns a receiver that may have something to read (data, a loss or an end) since it was last returned; nil when
// there is none.
func (ps *Peers) Ready() *Receiver {
	if len(ps.ready) == 0 {
		return nil
	}
	r := ps.ready[0]
	ps.ready = append(ps.ready[:0], ps.ready[1:]...)
	r.queued = false
	return r
}

// Advance fires what is due at now: retries, losses, expiries.
func (ps *Peers) Advance(now mono.Time) {
	for i := len(ps.list) - 1; i >= 0; i-- {
		r := ps.list[i]
		if r.deadline() > now {
			continue
		}
		r.advance(now)
		if r.forgettable(now) {
			if ps.remove(r); !r.accepted {
				continue
			}
		}
		ps.note(now, r)
	}
}

// Poll fills t with the next packet of some receiver, each in turn, and reports whether there was one.
func (ps *Peers) Poll(now mono.Time, t *Transmit) bool {
	if ps.cfg.ReceiveOnly {
		return false
	}
	for range ps.list {
		if ps.turn >= len(ps.list) {
			ps.turn = 0
		}
		r := ps.list[ps.turn]
		ps.turn++
		t.B, t.Segment, t.To, t.HopLimit = t.B[:0], 0, noAddr, 0
		if r.poll(now, t) {
			t.Segment = len(t.B)
			return true
		}
	}
	return false
}

// Deadline returns when Advance or Poll has something to do if nothing else happens before.
func (ps *Peers) Deadline() mono.Time {
	d := mono.Never
	for _, r := range ps.list {
		d = min(d, r.deadline())
	}
	return d
}

// Stats returns what was counted so far, over all sources.
func (ps *Peers) Stats() PeersStats {
	st := PeersStats{Sources: len(ps.list), Accepted: ps.accepted, Refused: ps.refused}
	if ps.gone != nil {
		st.Total = *ps.gone
	}
	for _, r := range ps.list {
		st.Total.add(r.counts())
	}
	return st
}

// add sums the counts of b into a.
func (a *ReceiverCounts) add(b ReceiverCounts) {
	a.Packets += b.Packets
	a.Bytes += b.Bytes
	a.Repairs += b.Repairs
	a.RepairBytes += b.RepairBytes
	a.Parity += b.Parity
	a.Restored += b.Restored
	a.Messages += b.Messages
	a.DeliveredBytes += b.DeliveredBytes
	a.SPMs += b.SPMs
	a.NCFs += b.NCFs
	a.Missing += b.Missing
	a.Lost += b.Lost
	a.LossErrors += b.LossErrors
	a.NAKs += b.NAKs
	a.NAKNumbers += b.NAKNumbers
	a.Suppressed += b.Suppressed
	a.SPMRs += b.SPMRs
	a.ACKs += b.ACKs
	a.Refused.add(b.Refused)
}

func (a *RefusedStats) add(b RefusedStats) {
	a.WrongPort += b.WrongPort
	a.WrongTSI += b.WrongTSI
	a.WrongNLA += b.WrongNLA
	a.WrongType += b.WrongType
	a.Parity += b.Parity
	a.TooMany += b.TooMany
	a.Jump += b.Jump
	a.Stale += b.Stale
	a.WindowFull += b.WindowFull
	a.Late += b.Late
	a.Duplicate += b.Duplicate
	a.Malformed += b.Malformed
	a.Closed += b.Closed
	a.Unsupported += b.Unsupported
}
