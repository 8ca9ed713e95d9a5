package session

import (
	"slices"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/nack"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// sendParity appends one parity packet that was asked for to the run. size is its length on the wire, 0 if there is no parity of the
// group any more: it has left the window, or a packet too long came into it since.
func (s *Source) sendParity(now mono.Time, repair nack.Repair, t *Transmit) (size int, fits bool) {
	q, base := s.parity, repair.N
	if base.Less(s.window.Trail()) {
		s.repairs.Trim(s.window.Trail())
		return 0, true
	}
	cover := min(q.cfg.GroupSize, s.window.Next().Sub(base))
	if !s.fits(base, cover) {
		s.repairs.ParitySent(now, base, repair.Count)
		s.deny(base)
		return 0, true
	}
	if size, fits = s.appendParity(wire.TypeRDATA, base, cover, t); !fits {
		return size, false
	}
	s.repairs.ParitySent(now, base, 1)
	s.resent(now, base)
	s.stats.Repairs++
	s.stats.RepairBytes += uint64(len(q.symbol))
	s.stats.Parity++
	s.trace(now, EventRepair, groupSpan(base, cover))
	return size, true
}

// handleParityNAK takes a NAK that asks for parity by count (RFC 3208, 11.8).
func (s *Source) handleParityNAK(now mono.Time, m Meta, p *wire.Packet) {
	q := s.parity
	seen := now.Add(-s.holdOff(now))
	if rtt, ok := s.sample(now, p); ok {
		// What left up to a round trip ago had arrived when the receiver asked, but for what a queue on the way may add.
		seen = now.Add(-rtt - rtt/8 - time.Millisecond/2)
	}
	s.stats.NAKs++
	s.asked = p.Numbers(s.asked[:0])
	k := q.cfg.GroupSize
	trail, next := s.window.Trail(), s.window.Next()
	for _, n := range s.asked {
		s.stats.ParityNAKs++
		base := groupBase(n, k)
		cover := min(k, next.Sub(base))
		count := min(n.Sub(base)+1, cover)
		switch {
		case base.Less(trail):
			s.stats.NAKsTooLate++
			s.spm.ask(now)
			if s.pace == nil || !s.pace.ignored {
				s.lag.Sample(now, min(2*s.lag.Value(now), s.late))
			}
			continue
		case cover < 1:
			s.stats.Refused.Malformed++
			continue
		case !s.fits(base, cover):
			s.deny(base)
			continue
		case !s.grants(now):
			s.stats.Refused.Unsupported++
			continue
		}
		switch s.repairs.ParityNAK(now, m.From, base, min(q.control.Answer(count), cover), seen, s.packetBytes) {
		case nack.Merged:
			s.stats.NAKsMerged++
		case nack.HeldOff:
			s.stats.NAKsHeldOff++
		case nack.Refused:
			s.stats.Refused.Unsupported++
			continue
		case nack.Queued:
			if !s.granted(now, base, count*s.packetBytes) {
				continue
			}
			s.wanted(now, count, now.Sub(s.window.LastSent(base.Add(cover-1))))
		}
		s.end.lastNAK = now
	}
}

// deny notes that receivers are to be told that there is no parity of the group at base.
func (s *Source) deny(base seq.Num) {
	q := s.parity
	if i, known := slices.BinarySearchFunc(q.denied, base, seq.Num.Sub); !known && len(q.denied) < wire.MaxNAKs {
		q.denied = slices.Insert(q.denied, i, base)
	}
}

// parityNCFDue reports whether something about parity is to be confirmed or denied.
func (s *Source) parityNCFDue() bool {
	return s.parity != nil && (len(s.parity.denied) > 0 || s.repairs.ParityNCFPending())
}

// sendParityNCF confirms counts of parity (RFC 3208, 11.8), or says by OPT_CURR_TGSIZE 0, which is our own, that there is none: that
// numbers are to be asked for.
func (s *Source) sendParityNCF(now mono.Time, t *Transmit) bool {
	q, p := s.parity, &s.packet
	denied := len(q.denied) > 0
	nums := q.denied
	if !denied {
		if nums = s.repairs.ParityNCFs(now, s.nums[:0]); len(nums) == 0 {
			return false
		}
	}
	p.Type, p.Flags, p.GSI = wire.TypeNCF, wire.FlagParity, s.cfg.TSI.GSI
	p.SourcePort, p.DestinationPort = s.cfg.TSI.Port, parityPort(s.cfg.DestinationPort)
	p.Source, p.Group = s.cfg.Path, s.cfg.Group
	p.Payload = nil
	setNumbers(p, nums)
	if denied {
		p.Options.Set = p.Options.Set.With(wire.OptCurrTGSize)
		p.Options.CurrTGSize = 0
		q.denied = q.denied[:0]
	}
	t.B = p.Append(t.B)
	t.Segment = len(t.B)
	s.limiter.TookControl(now, s.count(t, 1))
	s.stats.NCFs++
	s.trace(now, EventNCF, seq.Range{From: nums[0], To: nums[len(nums)-1].Add(1)})
	return true
}
