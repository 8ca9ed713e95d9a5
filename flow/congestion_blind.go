package flow

import (
	"time"

	"github.com/rmcast/rmcast/mono"
)

const (
	blindStep   = time.Second
	blindDouble = 50 * time.Millisecond
	blindFirst  = 1.0 / 64 // of Start
)

// blindRate is moved by the loss that receivers tell in NAKs, when nobody reports.
type blindRate struct {
	rate float64 // bit/s
	at   mono.Time
	loss float64 // worst since at
	soft bool    // nobody ever reported nor lost: doubles at each step
}

// Switched tells that another receiver sets the pace from now on; pace is its rate of delivery, 0 unknown.
func (c *Congestion) Switched(now mono.Time, pace Rate) {
	c.halved, c.heard = 0, true
	if c.started {
		c.lead = c.next - 1 // its reports tell
	}
	m := &c.model
	capacity := m.capacity
	c.path.forget()
	slower := pace > 0 && float64(pace) < capacity
	if slower {
		capacity = float64(pace)
	}
	m.forget(max(capacity, c.min))
	m.reset(max(capacity, c.min), capacity)
	m.target = m.capacity
	switch {
	case c.phase == Blind || c.phase == Startup:
		c.enter(now, Startup, WhySwitched)
	case slower:
		m.moved = true
		c.enter(now, Drain, WhySwitched)
	case c.phase != Compete:
		c.enter(now, Probe, WhySwitched)
	}
	c.lap = lap{}
	c.set(now)
}

// Blind tells that nobody reports any more, or nobody ever did.
func (c *Congestion) Blind(now mono.Time) {
	if c.phase == Blind {
		return
	}
	c.heard, c.halved = false, 0
	c.waiting = mono.Never
	c.blind = blindRate{rate: min(c.model.capacity, float64(c.cfg.Start)), at: now}
	if !c.model.measured {
		c.blind.rate, c.blind.soft = max(blindFirst*c.blind.rate, c.min), true
	}
	c.enter(now, Blind, WhyBlind)
	c.set(now)
}

// Lost takes a share of loss, 0 to 1, that NAKs of foreign receivers tell. It counts while nobody reports.
func (c *Congestion) Lost(now mono.Time, share float64) {
	if c.phase != Blind || !(share >= 0) {
		return
	}
	c.blind.loss = max(c.blind.loss, min(share, 1))
	c.Advance(now)
}

// Marked tells that the path marked packets of the acker (ECN).
func (c *Congestion) Marked(now mono.Time) {
	switch c.phase {
	case Compete:
		if c.tcp.until.LessEq(c.lead) {
			c.tcpFall(now)
		}
	case Startup, Cruise, Probe:
		c.model.reset(0.85*c.model.capacity, 0.85*c.model.raw)
		c.enter(now, Drain, WhyMark)
	}
	c.set(now)
}

// Deadline returns when Advance wants to be called.
func (c *Congestion) Deadline() mono.Time {
	if c.phase == Blind {
		if c.blind.rate >= float64(c.cfg.Start) && c.blind.loss == 0 {
			return mono.Never
		}
		if c.blind.soft {
			return c.blind.at.Add(blindDouble)
		}
		return c.blind.at.Add(blindStep)
	}
	if c.waiting == mono.Never {
		return mono.Never
	}
	if !c.heard {
		return c.waiting.Add(max(3*c.cfg.RTT, 50*time.Millisecond))
	}
	return c.waiting.Add(c.Silence())
}

// Advance does what is due.
func (c *Congestion) Advance(now mono.Time) {
	if now < c.Deadline() {
		return
	}
	switch {
	case c.phase == Blind:
		b := &c.blind
		switch {
		case b.loss > excessLoss:
			b.rate, b.soft = max(b.rate*0.85, c.min), false
		case b.soft:
			b.rate = min(b.rate*2, float64(c.cfg.Start))
		default:
			b.rate = min(b.rate*1.05, float64(c.cfg.Start))
		}
		b.loss, b.at = 0, now
	case !c.heard:
		c.Blind(now)
	default:
		c.halved = min(c.halved+1, 60)
		c.waiting = now
	}
	c.set(now)
}
