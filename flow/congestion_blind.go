package flow

import (
	"time"

	"github.com/rmcast/rmcast/mono"
)

const (
	blindStep   = time.Second
	blindDouble = 50 * time.Millisecond
	blindFirst  = 1.0 / 64 // of Start
	blindCuts   = 3        // steps down without effect, and it is noise
	blindNoise  = 0.25     // more is none
)

// blindRate is moved by the loss that receivers tell in NAKs, when nobody reports: it grows up to Start, and falls by steps while the loss is
// more than noise. Loss that three steps down do not lessen is noise.
type blindRate struct {
	rate  float64 // bit/s
	at    mono.Time
	loss  float64 // latest since at
	soft  bool    // doubles at each step: nobody ever reported, or what was lost is noise
	cuts  int     // steps down in a row
	first float64 // loss before them
	noise float64
}

// step moves the rate between least and most.
func (b *blindRate) step(now mono.Time, least, most float64) {
	switch {
	case b.loss > float64(1.5*b.noise)+excessLoss:
		if b.cuts == 0 {
			b.first = b.loss
		}
		b.rate, b.soft = max(b.rate*0.7, least), false
		if b.cuts++; b.cuts >= blindCuts {
			if b.loss > 0.7*b.first && b.loss < blindNoise {
				b.noise, b.soft = b.loss, true
			}
			b.cuts = 0
		}
	case b.soft:
		b.cuts, b.rate = 0, min(b.rate*2, most)
	default:
		b.cuts, b.rate = 0, min(b.rate*1.05, most)
	}
	b.loss, b.at = 0, now
}

// next returns when the next step is due.
func (b *blindRate) next(most float64) mono.Time {
	switch {
	case b.loss > 0 || b.cuts > 0:
		return b.at.Add(blindStep)
	case b.rate >= most:
		return mono.Never
	case b.soft:
		return b.at.Add(blindDouble)
	}
	return b.at.Add(blindStep)
}

// Switched tells that another receiver sets the pace from now on; pace is its rate of delivery, 0 unknown.
func (c *Congestion) Switched(now mono.Time, pace Rate) {
	c.halved, c.heard, c.held = 0, true, -1
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
	if c.blind.loss = min(share, 1); c.blind.cuts == 0 && c.blind.rate >= float64(c.cfg.Start) && now.Sub(c.blind.at) >= 2*blindStep {
		c.blind.at = now.Add(-blindStep) // nothing was due for long
	}
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
		c.model.reset(0.85*c.model.capacity, 0.85*c.model.mean)
		c.enter(now, Drain, WhyMark)
	}
	c.set(now)
}

// Deadline returns when Advance wants to be called.
func (c *Congestion) Deadline() mono.Time {
	if c.phase == Blind {
		return c.blind.next(float64(c.cfg.Start))
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
		c.blind.step(now, c.min, float64(c.cfg.Start))
	case !c.heard:
		c.Blind(now)
	default:
		c.halved = min(c.halved+1, 60)
		c.waiting = now
	}
	c.set(now)
}
