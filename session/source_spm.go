package session

import (
	"net/netip"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

var noAddr netip.AddrPort

// spmSchedule decides when an SPM leaves (RFC 3208, 5.1.4 to 5.1.6): three at the start, ambient ones at a steady interval
// (shorter while data flows, so that receivers follow the round trip time), heartbeats after data at doubling intervals, and
// those asked for by SPMR.
type spmSchedule struct {
	heartbeatMin, heartbeatMax, ambient time.Duration

	sqn         seq.Num   // SPM_SQN of the next one; starts at 0, for OpenPGM compares with 0 first
	last        mono.Time // when the latest SPM left
	ambientAt   mono.Time
	heartbeatAt mono.Time
	heartbeat   time.Duration // the next interval
	askedAt     mono.Time     // an SPM somebody asked for
	start       int           // SPMs of the start still to come
	flowing     bool          // data left since the latest SPM
}

func newSPMSchedule(now mono.Time, cfg SourceConfig) spmSchedule {
	return spmSchedule{
		heartbeatMin: cfg.HeartbeatMin, heartbeatMax: cfg.HeartbeatMax, ambient: cfg.AmbientSPM,
		last: now.Add(-cfg.HeartbeatMin), ambientAt: now, heartbeatAt: mono.Never, askedAt: mono.Never, start: 3,
	}
}

func (c *spmSchedule) deadline() mono.Time { return min(c.ambientAt, c.heartbeatAt, c.askedAt) }

// idle reports whether nothing is told but that the source is there, and nobody asked.
func (c *spmSchedule) idle(now mono.Time) bool {
	return c.heartbeatAt == mono.Never && !c.flowing && now < c.askedAt
}

func (c *spmSchedule) due(now mono.Time) bool {
	return now >= c.deadline()
}

// dataSent restarts the heartbeat: it is silent while data itself tells the lead.
func (c *spmSchedule) dataSent(now mono.Time) {
	c.heartbeat = c.heartbeatMin
	c.heartbeatAt = now.Add(c.heartbeat)
	if !c.flowing {
		c.flowing = true
		c.ambientAt = min(c.ambientAt, c.last.Add(flowSPMMin)) // sent sets the proper interval from then on
	}
}

// ask wants an SPM soon, at most one in heartbeatMin (RFC 3208, 13.4).
func (c *spmSchedule) ask(now mono.Time) {
	c.askedAt = min(c.askedAt, max(now, c.last.Add(c.heartbeatMin)))
}

// sent books an SPM and sets the next. grtt is the group's round trip time.
func (c *spmSchedule) sent(now mono.Time, grtt time.Duration) {
	c.sqn++
	c.last, c.askedAt = now, mono.Never
	interval := c.ambient
	if c.flowing {
		interval = min(max(4*grtt, flowSPMMin), flowSPMMax, max(c.ambient, flowSPMMin))
	}
	c.flowing = false
	if c.start > 1 {
		c.start--
		interval = min(interval, c.heartbeatMin)
	}
	c.ambientAt = now.Add(interval)
	if c.heartbeatAt == mono.Never {
		return
	}
	if c.heartbeatAt <= now {
		c.heartbeat *= 2
	}
	if c.heartbeat > c.heartbeatMax {
		c.heartbeat = c.heartbeatMax
		c.heartbeatAt = mono.Never // from here on ambient SPMs do
		return
	}
	c.heartbeatAt = now.Add(c.heartbeat)
}

// spmHead prepares the scratch packet for an SPM: the window, the path, and our own option.
func (s *Source) spmHead(now mono.Time) *wire.Packet {
	p := &s.packet
	p.Type, p.Flags, p.GSI = wire.TypeSPM, 0, s.cfg.TSI.GSI
	p.SourcePort, p.DestinationPort = s.cfg.TSI.Port, s.cfg.DestinationPort
	p.Sqn, p.Trail, p.Lead, p.Path = s.spm.sqn, s.window.Trail(), s.window.Lead(), s.cfg.Path
	p.Payload = nil
	o := &p.Options
	o.Set = wire.OptionSet(0).With(wire.OptPeer)
	o.Peer = wire.Peer{
		Time: micros(now), GRTT: flow.EncodeGRTT(s.grtt.Value(now)), GroupSize: flow.EncodeGroupSize(s.groupSize()),
		Port: s.cfg.NAKPort, Window: uint32(s.cfg.Slots),
	}
	s.addPace(now, &o.Peer)
	s.addConfirm(now, &o.Peer.Pace)
	return p
}

// sendSPM writes one SPM.
func (s *Source) sendSPM(now mono.Time, t *Transmit) bool {
	s.countAnswers(now)
	idle := s.spm.idle(now)
	grtt := s.grtt.Value(now)
	p := s.spmHead(now)
	o := &p.Options
	if s.probing = s.probe(now); s.probing {
		o.Peer.Flags |= peerProbe
	}
	if s.joinable {
		o.Set = o.Set.With(wire.OptJoin)
		o.Join = s.cfg.First
	}
	s.addEnding(now, o)
	t.B = p.Append(t.B)
	t.Segment = len(t.B)
	s.limiter.TookControl(now, s.count(t, 1))
	s.stats.SPMs++
	s.waited = s.window.Free() < s.need
	s.tune(now)
	if s.sampledAt != mono.Never {
		s.lag.Sample(now, s.grtt.Value(now)) // so that it falls when NAKs cease
	}
	s.bound(now)
	s.spm.sent(now, grtt)
	s.confirmTold(now)
	s.endingSent(now)
	s.wantParitySPM(now, idle)
	return true
}

// bound sets how far samples may raise the round trip time and the lateness of NAKs before the next SPM: one mad or forged
// sample, or a hundred at once, may not slow the whole group.
func (s *Source) bound(now mono.Time) {
	s.far = 2*s.grtt.Value(now) + time.Millisecond/2
	s.late = 2*s.lag.Value(now) + time.Millisecond/2
}

// micros is the source's clock as its option carries it: microseconds modulo 2^32.
func micros(now mono.Time) uint32 { return uint32(uint64(now) / 1000) }

// probe reports whether the SPM should ask for a round trip sample: none came lately, or writers wait for slots that a
// smaller round trip time would free sooner.
func (s *Source) probe(now mono.Time) bool {
	interval := probeInterval
	switch q := s.parity; {
	case q == nil:
	case q.answers.probes < manyProbes:
		interval = answerSpread
	case q.plan.Proactive > 0:
		interval = probeAhead
	}
	if s.waited && s.pace != nil {
		interval = min(interval, probeAhead) // an SPM without the question takes it back: many wait to answer
	}
	return s.pace.asks(now) || s.sampledAt == mono.Never || s.waited && s.pace == nil || now.Sub(s.sampledAt) >= interval
}
