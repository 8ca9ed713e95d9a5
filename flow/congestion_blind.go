package flow

import (
	"math"
	"time"

	"github.com/rmcast/rmcast/mono"
)

const (
	blindStep   = time.Second
	blindDouble = 50 * time.Millisecond
	blindFirst  = 1.0 / 64 // of Start
	blindLosses = 8        // fewer say nothing
	blindEnough = 400      // packets after which what was lost is forgotten, if it was not much
	blindTrial  = 12       // losses that a step down would have if it had no effect
	blindCuts   = 3        // steps down without effect, and it is noise
	blindNoise  = 0.25     // more is none
	blindSure   = 40       // losses of which fewer than half tell that there is less noise
)

// blindRate is moved by the loss that receivers tell in NAKs, when nobody reports: it grows up to Start, and falls by steps while the loss is
// more than noise. Loss that three steps down do not halve is noise. At a low rate each verdict takes many seconds, as it has to be one of
// packets and not of chance: until then the rate grows, or after a step down stays.
type blindRate struct {
	rate  float64   // bit/s
	at    mono.Time // of the latest step
	asked int       // packets, of those sent
	sent  int       // since loss was judged, or fell
	soft  bool      // doubles at each step: nobody ever reported, or what was lost is noise;
	top   float64   // bit/s: soon, up to this
	cuts  int       // steps down in a row
	first float64   // loss before them
	noise float64
}

// lost is the share that is known since loss was judged.
func (b *blindRate) lost() float64 {
	return min(float64(b.asked)/float64(max(b.sent, 1)), 1)
}

// much reports whether more is lost than noise, a margin, and two standard deviations of chance.
func (b *blindRate) much() bool {
	most := float64((float64(1.5*b.noise) + excessLoss) * float64(b.sent))
	return b.asked >= blindLosses && float64(b.asked) > most+float64(2*math.Sqrt(most))
}

// tried reports whether enough was sent since the first step down to tell whether the steps had an effect.
func (b *blindRate) tried() bool {
	return float64(b.first*float64(b.sent)) >= float64(blindTrial*b.cuts)
}

// fall leaves what came, if all that was lost was too much, or 0.7 of the rate.
func (b *blindRate) fall(loss, least float64) {
	b.rate, b.soft = max(b.rate*min(max(1-loss, 0.25), 0.7), least), false
	b.cuts++
}

// step moves the rate between least and most.
func (b *blindRate) step(now mono.Time, least, most float64) {
	b.at = now
	loss := b.lost()
	switch {
	case b.cuts == 0 && !b.much():
		switch {
		case b.soft && b.rate < b.top:
			b.rate = min(b.rate*2, b.top, most)
		case b.soft:
			b.rate = min(b.rate*2, most)
		default:
			b.rate = min(b.rate*1.05, most)
		}
		if b.sent < blindEnough {
			return
		}
		if float64(b.noise*float64(b.sent)) >= blindSure && loss < b.noise/2 {
			b.noise = loss
		}
	case b.cuts > 0 && !b.tried():
		return
	case b.cuts > 0 && loss <= b.first/2:
		b.cuts = 0
	case b.cuts == 0 || loss >= blindNoise:
		if b.cuts == 0 {
			b.top = b.rate
		}
		b.first, b.cuts = loss, 0
		b.fall(loss, least)
	case b.cuts < blindCuts:
		b.fall(loss, least)
		return
	default:
		b.cuts, b.noise, b.soft = 0, loss, true
	}
	b.asked, b.sent = 0, 0
}

// every is the time from one step to the next.
func (b *blindRate) every() time.Duration {
	if b.soft && b.rate < b.top {
		return blindDouble
	}
	return blindStep
}

// next returns when a step is due, whatever is told until then.
func (b *blindRate) next(most float64) mono.Time {
	if b.cuts > 0 && !b.tried() || b.cuts == 0 && b.rate >= most && !b.much() {
		return mono.Never
	}
	return b.at.Add(b.every())
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
	c.blind = blindRate{rate: min(c.model.capacity, float64(c.cfg.Start)), top: float64(c.cfg.Start), at: now}
	if !c.model.measured {
		c.blind.rate, c.blind.soft = max(blindFirst*c.blind.rate, c.min), true
	}
	c.enter(now, Blind, WhyBlind)
	c.set(now)
}

// Lost takes how many packets foreign receivers asked for in NAKs, and how many were sent, since it was told before. It counts while nobody
// reports.
func (c *Congestion) Lost(now mono.Time, asked, sent int) {
	if c.phase != Blind {
		return
	}
	b := &c.blind
	b.asked += min(max(asked, 0), mostDelivery)
	b.sent += min(max(sent, 0), mostDelivery)
	if now.Sub(b.at) >= b.every() {
		b.step(now, c.min, float64(c.cfg.Start))
		c.set(now)
	}
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
