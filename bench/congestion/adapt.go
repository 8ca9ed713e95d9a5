package main

import (
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/transport"
	"github.com/rmcast/rmcast/wire"
)

// adapt makes a source find its rate by itself, as transport does where no rate is configured.
func adapt(c *session.SourceConfig, p Path) {
	c.Rate = flow.Unlimited
	c.Congestion = &session.CongestionConfig{Start: 10 * flow.Mbps}
	if p.near() {
		c.Congestion.Start = 100 * flow.Mbps
	}
	c.Congestion.Slow = c.Congestion.Slow.WithDefaults()
}

// set makes the source treat slow receivers so.
func (p policy) set(c *session.SourceConfig, t Tree) {
	var s flow.Slow
	switch p {
	case followFloor:
		s.Floor = 2 * t.Slow
	case followQuantile:
		s.Mode = flow.FollowQuantile
	case followNamed:
		s.Mode, s.Named = flow.FollowNamed, []uint64{uint64(named)}
	case ignoreSlow:
		s.Mode = flow.Ignore
	case evictSlow:
		s.Mode, s.Floor = flow.Evict, 2*t.Slow
	}
	c.Congestion.Slow = s.WithDefaults()
}

// nameReceiver gives a receiver an identity.
func nameReceiver(c *session.PeersConfig, id wire.ReceiverID) { c.ID = id }

// setRate configures a source, or a receiver: 0 leaves the rate to the source.
func setRate(c *transport.Config, fixed flow.Rate, lossIsCongestion bool) {
	c.Rate, c.Fixed, c.LossIsCongestion = fixed, fixed != 0, lossIsCongestion && fixed == 0
}
