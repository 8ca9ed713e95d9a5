package flow

import (
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

const (
	cubicBeta  = 0.7
	cubicC     = 0.4 // packets a second cubed
	renoGrowth = 3 * (1 - cubicBeta) / (1 + cubicBeta)
	testRounds = 20 // of competition between two looks whether it is over
)

// tcpWindow grows and falls as TCP CUBIC's (RFC 9438), in packets.
type tcpWindow struct {
	window float64
	max    float64 // when it fell last
	reno   float64 // what Reno would have
	k      float64 // s until max is reached again
	epoch  mono.Time
	until  seq.Num // losses before this are of the latest fall
	rounds int
	test   int // rounds left of a test drain
	empty  bool
	d      float64
}

// begin starts from what is under way.
func (t *tcpWindow) begin(now mono.Time, c *Congestion) {
	w := max(c.model.capacity/c.packet*c.path.smoothed().Seconds(), leastWindow)
	*t = tcpWindow{window: w, max: w, reno: w, epoch: now, until: c.next, d: c.model.capacity}
}

// rate returns the rate in bit/s and the window in packets.
func (t *tcpWindow) rate(c *Congestion) (r, w float64) {
	if t.test > 0 {
		return 0.6 * t.d, 0.85 * t.d / c.packet * c.path.least().Seconds()
	}
	return 1.1 * t.window * c.packet / c.path.smoothed().Seconds(), t.window
}

func (c *Congestion) tcpDelivered(now mono.Time, d *Delivery) {
	t, r := &c.tcp, &c.round
	lost, expected := float64(r.lost()), float64(r.expected)*c.model.noise
	excess := lost - expected
	significant := excess >= 1 && excess*excess > 4*expected
	if c.cfg.LossIsCongestion {
		significant = lost > 0
	} else {
		significant = significant && c.path.queue() > c.path.peak/2
	}
	if significant && t.until.LessEq(d.Lead) {
		c.tcpFall(now)
		return
	}
	if t.test > 0 || c.model.limited && c.lead.Less(c.model.limit) {
		t.epoch = t.epoch.Add(0)
		return
	}
	t.reno += renoGrowth * float64(d.Expected) / t.window
	s := now.Sub(t.epoch).Seconds() + c.path.smoothed().Seconds() - t.k
	target := t.max + float64(float64(float64(cubicC*s)*s)*s)
	target = min(max(target, t.reno), 1.5*t.window)
	if target > t.window {
		t.window += (target - t.window) * min(float64(d.Expected)/t.window, 1)
	}
	t.window = min(t.window, c.max/c.packet*c.path.smoothed().Seconds()+leastWindow)
}

func (c *Congestion) tcpFall(now mono.Time) {
	t := &c.tcp
	t.max = t.window
	t.window = max(t.window*cubicBeta, leastWindow)
	t.reno = t.window
	t.k = cbrt((t.max - t.window) / cubicC)
	t.epoch = now
	t.until = c.next
	c.why = WhyLoss
	c.round.begin(now, c.next, 0)
}

// tcpRound looks from time to time whether the queue empties when we let it.
func (c *Congestion) tcpRound(now mono.Time, d float64) {
	t := &c.tcp
	if c.cfg.LossIsCongestion {
		return
	}
	if d > 0 && t.test == 0 {
		t.d = d
	}
	t.rounds++
	switch {
	case t.test > 0:
		t.test--
		if c.round.least <= c.path.low() {
			c.model.reset(t.d)
			c.enter(now, Cruise, WhyCapacity)
		} else if t.test == 0 {
			t.rounds = 0
		}
	case t.rounds >= testRounds:
		t.test = 2
	}
}

// cbrt returns the cube root by Newton's method, the same on every architecture.
func cbrt(x float64) float64 {
	if x <= 0 {
		return 0
	}
	y := max(x/3, 1)
	for range 60 {
		y = (float64(2*y) + x/float64(y*y)) / 3
	}
	return y
}

var _ = time.Second
