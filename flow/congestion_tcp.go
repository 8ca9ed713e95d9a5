package flow

import (
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

const (
	cubicBeta  = 0.7
	cubicC     = 0.4 // packets a second cubed
	renoGrowth = 3 * (1 - cubicBeta) / (1 + cubicBeta)
	fallLoss   = 0.0075 // beyond noise: of a run that meets a full queue more is dropped than of packets one by one
	testRounds = 20     // of competition between two looks whether it is over
)

// tcpWindow grows and falls as TCP CUBIC's (RFC 9438), in packets.
type tcpWindow struct {
	window         float64
	max            float64 // when it fell last
	reno           float64 // what Reno would have
	k              float64 // s until max is reached again
	epoch          mono.Time
	at             mono.Time // of the latest report
	until          seq.Num   // losses before this are of the latest fall
	rounds         int
	test           int // rounds left of a test drain
	pause          int // rounds between two of them
	lost, expected int // since until
	d              float64
	empty          bool
	ended          mono.Time
	alone          int // rounds without a queue
}

// begin starts from what is under way.
func (t *tcpWindow) begin(now mono.Time, c *Congestion) {
	w := c.model.capacity / c.packet * c.path.smoothed().Seconds()
	if !c.cfg.LossIsCongestion {
		// Until it was clear that the queue is shared, others took what we left: half of what was ours alone is a fair beginning.
		w = max(w, 0.5*c.model.alone/c.packet*c.path.smoothed().Seconds())
		if t.window > 0 && now.Sub(t.ended) < leastEpoch/2 {
			w = max(w, cubicBeta*t.window)
		}
	}
	w = max(w, leastWindow)
	*t = tcpWindow{window: w, max: w, reno: w, epoch: now, at: now, until: c.next, pause: testRounds, d: c.model.capacity}
}

// rate returns the rate in bit/s and the window in packets.
func (t *tcpWindow) rate(c *Congestion) (r, w float64) {
	if t.test > 0 {
		return 0.6 * t.d, 0.85 * t.d / c.packet * c.path.least().Seconds()
	}
	gain := 1.1 // more, and our runs are what the full queue drops
	if c.cfg.LossIsCongestion {
		gain = 1.4
	}
	return gain * t.window * c.packet / c.path.smoothed().Seconds(), t.window
}

func (c *Congestion) tcpDelivered(now mono.Time, d *Delivery) {
	t := &c.tcp
	if t.test > 0 && c.path.queue() <= c.path.low() {
		t.empty = true
	}
	if !t.until.LessEq(d.Lead.Add(-d.Expected)) {
		return // of the window that fell
	}
	t.lost, t.expected = t.lost+d.Expected-d.Came, t.expected+d.Expected
	lost, expected := float64(t.lost), float64(float64(t.expected)*c.model.noise)
	excess := lost - expected
	significant := excess >= 1 && excess > float64(fallLoss*float64(t.expected)) && excess*excess > 4*expected
	if c.cfg.LossIsCongestion {
		significant = lost > 0
	} else {
		significant = significant && c.path.queue() > c.path.low()
	}
	if significant {
		c.tcpFall(now)
		return
	}
	if t.test > 0 || c.model.limited && c.lead.Less(c.model.limit) {
		t.epoch = t.epoch.Add(now.Sub(t.at)) // RFC 9438, 5.8: time that nothing limited but the application does not count
		t.at = now
		return
	}
	t.at = now
	t.reno += renoGrowth * float64(d.Expected) / t.window
	s := now.Sub(t.epoch).Seconds() + c.path.smoothed().Seconds() - t.k
	target := t.max + float64(float64(float64(cubicC*s)*s)*s)
	target = min(max(target, t.reno), 1.5*t.window)
	if target > t.window {
		t.window += float64((target - t.window) * min(float64(d.Expected)/t.window, 1))
	}
	t.window = min(t.window, float64(c.max/c.packet*c.path.smoothed().Seconds())+leastWindow)
}

func (c *Congestion) tcpFall(now mono.Time) {
	t := &c.tcp
	t.max = t.window
	t.window = max(t.window*cubicBeta, leastWindow)
	t.reno = t.window
	t.k = cbrt((t.max - t.window) / cubicC)
	t.epoch, t.at = now, now
	t.until, t.lost, t.expected = c.next, 0, 0
	c.why = WhyLoss
}

// competeLap ends the competition when there is no queue to compete for: what is lost then is noise.
func (c *Congestion) competeLap(now mono.Time, p float64) {
	if c.cfg.LossIsCongestion {
		return
	}
	if c.lap.most > c.path.low() || c.lap.phase != Compete {
		c.tcp.alone = 0
		return
	}
	c.model.learn(p, c.lap.expected)
	if c.tcp.alone++; c.tcp.alone >= 3 {
		c.model.full, c.model.flat, c.model.again = c.model.capacity, 0, true
		c.tcp.ended = now
		c.enter(now, Startup, WhyCapacity)
	}
}

// tcpRound looks from time to time whether the queue empties when we let it.
func (c *Congestion) tcpRound(now mono.Time) {
	t := &c.tcp
	if c.cfg.LossIsCongestion {
		return
	}
	t.lost, t.expected = t.lost/2, t.expected/2
	t.rounds++
	switch {
	case t.test > 0:
		t.test--
		if t.empty {
			t.ended = now
			c.model.reset(t.d, t.d)
			c.enter(now, Cruise, WhyCapacity)
		} else if t.test == 0 {
			t.rounds, t.pause = 0, min(2*t.pause, 4*testRounds)
		}
	case t.rounds >= t.pause:
		t.test, t.empty = 2, false
	}
}

// took remembers the rate of delivery outside of tests.
func (t *tcpWindow) took(d float64) {
	if t.test == 0 {
		t.d = d
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
