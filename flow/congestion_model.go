package flow

import (
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

const (
	roundPackets = 16
	keptRounds   = 10
	cruiseRounds = 6
	drainRounds  = 4
	standingMost = 4    // drains in a row that left a queue: somebody else fills it
	excessLoss   = 0.02 // beyond noise
)

// lap is what was delivered of the numbers sent in one round.
type lap struct {
	end           seq.Num // it is over when the lead reaches this
	began         mono.Time
	bytes         int64
	took          time.Duration
	expected      int
	came          int
	reports       int
	least, most   time.Duration // queue
	fastest       float64       // highest rate in force since it began
	fastestBefore float64       // and in the round before, when the numbers delivered now were sent
}

func (r *lap) begin(now mono.Time, end seq.Num, rate float64) {
	before := r.fastest
	*r = lap{end: end, began: now, fastest: rate, fastestBefore: max(before, rate), least: maxRTT}
}

func (r *lap) add(d *Delivery, queue time.Duration) {
	r.bytes += d.Bytes
	r.took += d.Over
	r.expected += d.Expected
	r.came += d.Came
	r.reports++
	r.least, r.most = min(r.least, queue), max(r.most, queue)
}

func (r *lap) over(c *Congestion) bool {
	return r.end.LessEq(c.lead) && r.expected >= roundPackets && r.reports > 0
}

func (r *lap) lost() int { return max(r.expected-r.came, 0) }

// loss returns the share of numbers that did not come.
func (r *lap) loss() float64 {
	if r.expected <= 0 {
		return 0
	}
	return float64(r.lost()) / float64(r.expected)
}

// delivered returns the rate of delivery in bit/s, 0: unknown.
func (r *lap) delivered() float64 {
	if r.took <= 0 {
		return 0
	}
	return float64(r.bytes) * 8 / r.took.Seconds()
}

// model is what is known of the capacity.
type model struct {
	capacity float64 // bit/s
	kept     [keptRounds]float64
	at       int
	measured bool // capacity rests on a round
	before   Phase
	rounds   int // in this phase
	flat     int // rounds of startup without growth
	full     float64
	loss     float64
	noise    float64
	learnt   bool
	limited  bool
	limit    seq.Num
	was      float64 // delivery of the latest saturated round, 0: it was none
	standing int
	drained  bool
	target   float64 // capacity before the probe
	pause    int     // rounds more of cruise after probes in vain
}

func (m *model) forget(capacity float64) {
	*m = model{capacity: capacity, measured: m.measured}
}

// take brings a sample into the maximum of the last rounds.
func (m *model) take(s float64) {
	m.kept[m.at] = s
	m.at = (m.at + 1) % keptRounds
	m.capacity = 0
	for _, k := range m.kept {
		m.capacity = max(m.capacity, k)
	}
}

// reset makes s all that is known.
func (m *model) reset(s float64) {
	m.kept = [keptRounds]float64{s}
	m.capacity = s
}

// endRound draws the conclusions.
func (c *Congestion) endRound(now mono.Time) {
	m, r := &c.model, &c.round
	d, p := r.delivered(), r.loss()
	m.loss = p
	limited := m.limited && c.lead.Less(m.limit)
	m.limited = limited
	sentIn := m.before // numbers delivered in this round were sent in the one before
	if sentIn == Drain && (r.most < c.path.peak/2 || c.path.peak < c.path.low()) {
		m.learn(p, r.expected)
	}
	sample := min(d/(1-min(p, 1.25*m.noise+0.005)), r.fastestBefore)
	congested := p > m.noise+excessLoss && (r.most > c.path.low() || d < 0.9*m.capacity) && !limited
	saturated := r.least > c.path.low() && !limited
	grew := sample > 1.25*m.full
	switch {
	case d <= 0:
	case !m.measured:
		m.measured = true
		m.reset(sample)
	case limited && sample < m.capacity:
	case c.phase == Startup:
		m.take(max(sample, m.capacity))
	case saturated && m.was > 0 && max(m.was, sample) < m.capacity:
		m.reset(max(m.was, sample))
	default:
		m.take(sample)
	}
	m.was = 0
	if saturated {
		m.was = sample
	}
	phase := c.phase
	m.rounds++
	m.before = phase
	switch phase {
	case Startup:
		switch {
		case grew:
			m.full, m.flat = sample, 0
		case !limited:
			m.flat++
		}
		if m.flat >= 3 || m.flat >= 1 && (saturated || congested) {
			c.enter(now, Drain, WhyCapacity)
			m.before = Startup
		}
	case Drain:
		m.drained = m.drained || r.least <= c.path.low()
		switch {
		case sentIn == Probe && sample > 1.2*m.target && r.least <= c.path.low():
			m.full, m.flat = sample, 0
			c.enter(now, Startup, WhyCapacity)
		case m.rounds >= 2 && m.drained || m.rounds >= drainRounds:
			c.drainEnds(now)
		}
	case Cruise:
		if congested {
			m.reset(min(m.capacity, max(sample, 0.5*m.capacity)))
			m.standing++
			m.drained = false
			c.enter(now, Drain, WhyLoss)
		} else if m.rounds >= cruiseRounds+m.pause {
			m.target = m.capacity
			c.enter(now, Probe, WhyCapacity)
		}
	case Probe:
		m.drained = false
		c.enter(now, Drain, WhyCapacity)
	case Compete:
		c.tcpRound(now, d)
	}
	m.before = phase
	c.round.begin(now, c.next, 0)
}

func (c *Congestion) drainEnds(now mono.Time) {
	m := &c.model
	if m.drained {
		m.standing = 0
	} else if m.standing++; m.standing >= standingMost {
		m.standing = 0
		c.enter(now, Compete, WhyQueue)
		return
	}
	c.enter(now, Cruise, WhyCapacity)
}

// learn takes what was lost without a queue.
func (m *model) learn(p float64, n int) {
	w := float64(n) / float64(n+200)
	if !m.learnt {
		m.learnt, w = true, 1
	}
	m.noise += float64(w * (p - m.noise))
	m.noise = min(max(m.noise, 0), 0.9)
}
