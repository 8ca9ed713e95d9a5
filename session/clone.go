package session

import (
	"math/rand/v2"
	"slices"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// Clone returns Peers in the state of ps, as another host would have them that heard the same packets at the same instants. What
// was drawn at random and has not happened yet, the waits before an SPMR or the answer to a probe, is drawn again, from rng, which
// the clone keeps. The clone shares configuration with ps and must be driven by the same goroutine. It panics if a number is missing
// (see Missing): what happened at one host is no other's. Receiver.Owner is copied as it stands.
func (ps *Peers) Clone(rng *rand.Rand) *Peers {
	c := *ps
	c.rng, c.table, c.last, c.spare = rng, nil, nil, nil
	c.list, c.accept, c.ready = slices.Clone(ps.list), slices.Clone(ps.accept), slices.Clone(ps.ready)
	if ps.gone != nil {
		gone := *ps.gone
		c.gone = &gone
	}
	for i, r := range c.list {
		x := r.clone(&c)
		c.list[i] = x
		for _, refs := range [][]*Receiver{c.accept, c.ready} {
			if k := slices.Index(refs, r); k >= 0 {
				refs[k] = x
			}
		}
	}
	c.index()
	return &c
}

func (r *Receiver) clone(ps *Peers) *Receiver {
	c := *r
	c.peers = ps
	c.window, c.naks = r.window.Clone(), r.naks.Clone(ps.rng)
	c.losses = slices.Clone(r.losses)
	if r.report != nil {
		q := *r.report
		c.report = &q
		if q.speak.at != mono.Never {
			c.report.speak.draw(ps.rng)
		}
	}
	if r.confirm != nil {
		confirm := *r.confirm
		c.confirm = &confirm
	}
	if l := r.read.loose; l != nil {
		c.read.loose = &loose{queue{slices.Clone(l.whole.nums), l.whole.head}, make(map[seq.Num]uint32, len(l.partial)), l.current, l.started}
		for first, held := range l.partial {
			c.read.loose.partial[first] = held
		}
	}
	if c.spmrFrom != mono.Never {
		c.drawSPMR()
	}
	if c.answer.at != mono.Never {
		c.answer.draw(ps.rng)
	}
	return &c
}

// Waits reports whether waits run that were drawn at random while nothing was missing: before the answer to a probe (nack.Wait),
// and before an SPMR (nack.UniformWait). Hosts that heard the same differ in them.
func (ps *Peers) Waits() (answer, spmr bool) {
	for _, r := range ps.list {
		answer = answer || r.answer.at != mono.Never
		spmr = spmr || r.spmrFrom != mono.Never
	}
	return answer, spmr
}

// WaitsUntil returns the first instant at which one of those waits ends, or another wait before an SPMR; mono.Never when none runs. If
// nothing is missing, nothing is sent before.
func (ps *Peers) WaitsUntil() mono.Time {
	at := mono.Never
	for _, r := range ps.list {
		at = min(at, r.answer.at, r.spmrAt)
	}
	return at
}

// Receivers returns those there are now, candidates and closed ones included, the oldest first.
func (ps *Peers) Receivers() []*Receiver { return slices.Clone(ps.list) }

// Discard is ReadMessage for those who do not want the bytes: it passes over the next message, or what a Read has left of it, and
// returns its length and which numbers carried it.
func (r *Receiver) Discard(now mono.Time) (int, seq.Range, error) {
	what, span := r.edge()
	if what != edgeMessage {
		return 0, seq.Range{}, r.stop(now, what, span)
	}
	n := r.length(span) - r.read.offset
	r.consume(span)
	r.refill(now)
	return n, span, nil
}

// Add sums what one or more hosts counted alike, times hosts, into s. Sources is not a count: it stays.
func (s *PeersStats) Add(one PeersStats, times uint64) {
	s.Accepted += one.Accepted * times
	for ; times > 0; times >>= 1 {
		if times&1 != 0 {
			s.Refused.add(one.Refused)
			s.Total.add(one.Total)
		}
		one.Refused.add(one.Refused)
		one.Total.add(one.Total)
	}
}

// InOrder reports whether Handle of p would surely find nothing missing, so that no wait before a NAK is drawn.
func (ps *Peers) InOrder(m Meta, p *wire.Packet) bool {
	if p.Type.Upstream() {
		return true
	}
	r := ps.lookUp(peerKey{p.TSI(), m.From})
	switch p.DestinationPort {
	case ps.cfg.DestinationPort:
	case parityPort(ps.cfg.DestinationPort): // of parity, the highest number that is under it counts
		switch {
		case r == nil || r.spms == 0:
			return true
		case !r.accepted:
			return false
		case p.Type == wire.TypeNCF:
			return true
		case p.Type == wire.TypeSPM:
			return p.Lead.Less(r.window.End())
		}
		return r.parity.shift == 0 || groupBase(p.Sqn, r.parity.groupSize()).Add(r.parity.groupSize()).LessEq(r.window.End())
	default:
		return true
	}
	data := p.Type == wire.TypeODATA || p.Type == wire.TypeRDATA
	switch {
	case r == nil || r.spms == 0: // RFC 3208, 6.1: what comes before the first SPM is held; the SPM says where the start is
		return data || p.Type == wire.TypeSPM && p.Lead.Add(1) == p.Trail && (r == nil || !r.window.Started())
	case !r.accepted: // this packet may be the one with which it is: all that is missing since the start counts then
		end, lead := r.window.End(), r.lead
		switch {
		case data && p.Sqn == end:
			end++
		case data:
			lead = seq.Max(lead, p.Sqn)
		case p.Type == wire.TypeSPM:
			lead = seq.Max(lead, p.Lead)
		}
		return r.start == r.window.Next() && r.window.Missing() == 0 && lead.Less(end)
	case data: // what the window has no room for is missing
		w := r.window
		return p.Sqn.Less(w.End()) || p.Sqn == w.End() && p.Sqn.Less(w.Limit()) && w.Spare() > 0
	case p.Type == wire.TypeSPM:
		return p.Lead.Less(r.window.End())
	}
	return true
}
