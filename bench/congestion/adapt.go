package main

import (
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/transport"
	"github.com/rmcast/rmcast/wire"
)

// adapt makes a source find its rate by itself, as transport does where no rate is configured.
func adapt(c *session.SourceConfig, p Path) {
	c.Rate = p.Rate * 95 / 100
}

// set makes the source treat slow receivers so.
func (p policy) set(c *session.SourceConfig, t Tree) {}

// nameReceiver gives a receiver an identity.
func nameReceiver(c *session.PeersConfig, id wire.ReceiverID) {}

// setRate configures a source, or a receiver: 0 leaves the rate to the source.
func setRate(c *transport.Config, fixed flow.Rate, lossIsCongestion bool) {
	c.Rate = fixed
}
