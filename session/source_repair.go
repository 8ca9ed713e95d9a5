package session

import (
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/nack"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// Handle takes one packet that came to the source's address or, from receivers that ask so, to the group.
func (s *Source) Handle(now mono.Time, m Meta, p *wire.Packet) {
	s.clock = now
	switch {
	case s.end.forgotten, s.end.reset:
		return
	case !p.Type.Upstream():
		s.stats.Refused.WrongType++
		return
	case p.TSI() != s.cfg.TSI:
		s.stats.Refused.WrongTSI++
		return
	case s.parity != nil && p.SourcePort == parityPort(s.cfg.DestinationPort):
		if p.Type != wire.TypeNAK || p.Flags&wire.FlagParity == 0 {
			s.stats.Refused.WrongPort++
			return
		}
	case p.SourcePort != s.cfg.DestinationPort:
		s.stats.Refused.WrongPort++
		return
	}
	s.heard = true
	if !s.hear(now, m, p) {
		return
	}
	switch p.Type {
	case wire.TypeNAK:
		s.handleNAK(now, m, p)
	case wire.TypeNNAK:
		s.stats.NNAKs++
	case wire.TypeSPMR:
		s.stats.SPMRs++
		s.spm.ask(now)
	case wire.TypeACK:
		s.stats.ACKs++
		s.handleACK(now, m, p)
	default:
		s.stats.Refused.WrongType++
	}
}

// handleACK takes a report, or the answer to a probe.
func (s *Source) handleACK(now mono.Time, m Meta, p *wire.Packet) {
	asked := s.probing
	_, ok := s.sample(now, p)
	if !p.Options.Set.Has(wire.OptPeer) || p.Options.Peer.Flags&peerUnasked == 0 {
		if ok && asked {
			s.repairs.FirstAnswer(m.From)
		}
		s.answered(now)
	}
	s.handleReport(now, m, p)
}

// handleNAK queues what the NAK asks for and its confirmation (RFC 3208, 5.2, 5.3).
func (s *Source) handleNAK(now mono.Time, m Meta, p *wire.Packet) {
	switch {
	case p.Source.Unmap() != s.cfg.Path || p.Group.Unmap() != s.cfg.Group:
		s.stats.Refused.WrongNLA++
		return
	case p.Flags&wire.FlagParity != 0:
		if p.SourcePort != s.cfg.DestinationPort {
			s.handleParityNAK(now, m, p)
			return
		}
		s.stats.Refused.Parity++ // OpenPGM's way, which its own source does not survive
		return
	}
	s.sample(now, p)
	s.handleReport(now, m, p)
	s.stats.NAKs++
	s.asked = p.Numbers(s.asked[:0])
	trail, next := s.window.Trail(), s.window.Next()
	late := seq.Range{}
	for _, n := range s.asked {
		s.stats.NAKNumbers++
		if n.Less(trail) {
			s.stats.NAKsTooLate++
			late = seq.Range{From: n, To: trail}
			continue
		}
		if !n.Less(next) {
			s.stats.Refused.Malformed++
			continue
		}
		s.queue(now, m, n)
	}
	if !late.Empty() {
		// Silence lets the receiver wait in vain; the trail in an SPM tells it.
		s.spm.ask(now)
		if s.pace == nil || !s.pace.ignored {
			s.lag.Sample(now, min(2*s.lag.Value(now), s.late))
		}
		s.trace(now, EventTrailPassed, late)
	}
}

// queue books one number that a NAK asked for and that the window holds.
func (s *Source) queue(now mono.Time, m Meta, n seq.Num) {
	k, _ := s.window.Get(n)
	bytes := len(k.Payload) + wire.HeadData + s.cfg.Room.Overhead()
	if !s.grants(now) {
		s.stats.Refused.Unsupported++
		return
	}
	switch s.repairs.NAK(now, m.From, n, bytes) {
	case nack.Merged:
		s.stats.NAKsMerged++
	case nack.HeldOff:
		s.stats.NAKsHeldOff++
	case nack.Refused:
		s.stats.Refused.Unsupported++
		return
	case nack.Queued:
		if !s.granted(now, n, bytes) {
			return
		}
		s.wanted(now, 1, now.Sub(s.window.LastSent(n)))
	}
	s.end.lastNAK = now
}

// sample takes a round trip time from the echo of an SPM's time (own-peer option). The first one after a probe is told at once: others
// need not answer it any more, and at the beginning the group waits by a guess until then.
func (s *Source) sample(now mono.Time, p *wire.Packet) (rtt time.Duration, ok bool) {
	if !p.Options.Set.Has(wire.OptPeer) {
		return 0, false
	}
	ignored := s.pace != nil && s.pace.ignored
	if share, told := p.Options.Peer.LossShare(); told && s.parity != nil && !ignored {
		s.parity.control.Loss(share)
		s.replan(now)
	}
	rtt = time.Duration(micros(now)-p.Options.Peer.Time) * time.Microsecond
	if rtt < 0 || rtt >= time.Minute {
		return 0, false
	}
	if ignored {
		return rtt, true
	}
	s.grtt.Sample(now, min(rtt, s.far))
	s.mean.Sample(min(rtt, s.far))
	if p.Options.Peer.Flags&peerUnasked != 0 && p.Type == wire.TypeACK && s.sampledAt != mono.Never {
		return rtt, true // the acker's say nothing of the others: they are asked all the same
	}
	if s.probing {
		s.probing = false
		if s.pace == nil || s.sampledAt == mono.Never {
			s.spm.askedAt = now
		} else {
			s.spm.ask(now)
		}
		if s.groupSize() > smallGroup {
			s.spm.start = finSPMs // more than once: of a million who would answer, one in a hundred does not hear the first
		}
	}
	if s.sampledAt == mono.Never {
		s.lag.Init(s.grtt.Value(now)) // what it was is no better a guess
	}
	s.sampledAt = now
	return rtt, true
}

// sendNCF confirms up to 63 numbers in one packet (RFC 3208, 5.2). Numbers of several NAKs share it.
func (s *Source) sendNCF(now mono.Time, t *Transmit) bool {
	nums := s.repairs.NCFs(now, s.nums[:0])
	if len(nums) == 0 {
		return false
	}
	p := &s.packet
	p.Type, p.Flags, p.GSI = wire.TypeNCF, 0, s.cfg.TSI.GSI
	p.SourcePort, p.DestinationPort = s.cfg.TSI.Port, s.cfg.DestinationPort
	p.Source, p.Group = s.cfg.Path, s.cfg.Group
	p.Payload = nil
	setNumbers(p, nums)
	t.B = p.Append(t.B)
	t.Segment = len(t.B)
	s.limiter.TookControl(now, s.count(t, 1))
	s.stats.NCFs++
	s.trace(now, EventNCF, seq.Range{From: nums[0], To: nums[len(nums)-1].Add(1)})
	return true
}

// setNumbers puts ascending numbers into p as Sqn and OPT_NAK_LIST, which becomes p's only option.
func setNumbers(p *wire.Packet, nums []seq.Num) {
	p.Sqn = nums[0]
	p.Options.Set = 0
	if len(nums) > 1 {
		p.Options.Set = p.Options.Set.With(wire.OptNAKList)
		p.Options.NAKList.N = copy(p.Options.NAKList.Sqn[:], nums[1:])
	}
}

// sendRepairs fills t with RDATA, oldest numbers first: packets again, or parity of their groups.
func (s *Source) sendRepairs(now mono.Time, t *Transmit) bool {
	sent, most := 0, s.limiter.RunPackets(s.packetBytes)
	for sent < most {
		repair, ok := s.repairs.Next(now)
		if !ok {
			break
		}
		size, fits := 0, false
		if repair.Parity {
			size, fits = s.sendParity(now, repair, t)
		} else {
			size, fits = s.sendAgain(now, repair.N, t)
		}
		if !fits {
			break
		}
		if size == 0 {
			continue // not there any more
		}
		sent++
		if size < t.Segment {
			break
		}
	}
	if sent == 0 {
		return false
	}
	bytes := s.count(t, sent)
	s.limiter.TookRepair(now, bytes)
	s.gone(now, 0, bytes)
	s.spm.dataSent(now)
	return true
}

// sendAgain appends packet n to the run. size is its length on the wire, 0 if the window holds it no more.
func (s *Source) sendAgain(now mono.Time, n seq.Num, t *Transmit) (size int, fits bool) {
	k, held := s.window.Get(n)
	if !held {
		s.repairs.Trim(s.window.Trail())
		return 0, true
	}
	if size, fits = s.appendData(s.dataHeader(wire.TypeRDATA), n, k, t); !fits {
		return size, false
	}
	s.repairs.Sent(now, n)
	s.resent(now, n)
	s.stats.Repairs++
	s.stats.RepairBytes += uint64(len(k.Payload))
	s.trace(now, EventRepair, seq.Range{From: n, To: n.Add(1)})
	return size, true
}
