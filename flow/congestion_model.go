package flow

import (
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

const (
	roundPackets  = 16
	quietPause    = 100 * time.Millisecond
	probePause    = 300 * time.Millisecond
	roundTime     = 20 * time.Millisecond
	leastLap      = 8
	leastSpan     = roundTime / 4 // of what shows that nothing grows
	keptRounds    = 10
	cruiseRounds  = 6
	drainRounds   = 4
	standingMost  = 4   // drains in a row that left a queue: somebody else fills it
	noiseNumbers  = 300 // that noise rests on, before the latest
	mostNoise     = 0.5
	excessLoss    = 0.02 // beyond noise
	mostStartLoss = 0.25 // beyond noise, that Startup does not mind: it may be noise not known yet
)

// lap is what was delivered of the numbers sent in one phase, a round of them or less.
type lap struct {
	tag         uint32 // of the phase they were sent in
	phase       Phase
	calm        bool // Drain had emptied what queue it could
	n           int  // reports
	limited     bool // the application held up some of it
	bytes       int64
	leads       time.Duration // between the first and the last lead's arrival
	reports     time.Duration // between the reports' leaving
	expected    int
	came        int
	least, most time.Duration // queue
	sent        int64         // bytes sent meanwhile
	sending     time.Duration // between the sending of the first and the last lead
	fastest     float64       // highest rate at which they were sent
}

func (r *lap) add(d *Delivery, since, queue time.Duration, rate float64) {
	if r.n++; r.n == 1 {
		r.least, r.most = queue, queue
	}
	r.bytes += d.Bytes
	r.leads += d.Over
	r.reports += since
	r.expected += d.Expected
	r.came += d.Came
	r.least, r.most = min(r.least, queue), max(r.most, queue)
	r.fastest = max(r.fastest, rate)
}

func (r *lap) lost() int { return max(r.expected-r.came, 0) }

// sentAll reports whether about as much came as was sent meanwhile, but for a share that was lost: that says nothing of what the path bears, but
// that it is as much.
func (r *lap) sentAll(d, lost float64) bool {
	return r.sending > 0 && d*r.sending.Seconds() > 0.95*8*float64(r.sent)*(1-lost)
}

// floods reports whether by far more was lost than noise.
func (r *lap) floods(noise float64) bool {
	n, share := float64(r.expected), noise+mostStartLoss
	excess := float64(r.lost()) - float64(n*share)
	return excess > 0 && float64(excess*excess) > float64(4*n*share)
}

// exceeds reports whether clearly more was lost than noise, and than can be overlooked.
func (r *lap) exceeds(noise float64) bool {
	n := float64(r.expected)
	excess := float64(r.lost()) - float64(n*noise)
	return excess > excessLoss*n && float64(excess*excess) > float64(9*n*noise)+4
}

// loss returns the share of numbers that did not come.
func (r *lap) loss() float64 {
	if r.expected <= 0 {
		return 0
	}
	return float64(r.lost()) / float64(r.expected)
}

// enough reports whether there are so many packets, of so many bits.
func (r *lap) enough(packets int, packet float64) bool {
	return r.expected >= packets || float64(r.bytes)*8 >= float64(packets)*packet
}

// delivered returns the rate of delivery in bit/s, 0: unknown. Bytes are counted up to when a report leaves, numbers up to the lead: repairs may
// have come since.
func (r *lap) delivered() float64 {
	t := max(r.leads, r.reports)
	if t <= 0 {
		return 0
	}
	return float64(r.bytes) * 8 / t.Seconds()
}

// model is what is known of the capacity.
type model struct {
	capacity    float64             // bit/s
	kept        [keptRounds]float64 // capacity by round
	mean        float64             // what the path delivered lately, smoothed, bit/s
	at          int
	measured    bool    // capacity rests on a round
	tag         uint32  // of this phase
	rounds      int     // in this phase
	end         seq.Num // the round is over when the lead reaches this
	seen        int     // numbers delivered in this round
	took        time.Duration
	flat        int  // rounds of startup without growth
	fell        bool // in this round, the path behind what was sent
	again       bool // Startup after a probe: noise is known
	full        float64
	loss        float64
	noise       float64
	noiseOf     float64 // numbers it rests on
	suspect     float64 // capacity if what was lost without a queue is no noise; 0: nothing suspicious
	suspectLoss float64
	limited     bool
	limit       seq.Num
	was         float64 // delivery of the latest lap that showed the path's end, 0: it did not
	standing    int
	drained     bool
	length      int       // of this Cruise, rounds
	clear       bool      // no queue and no loss beyond noise in the latest lap
	moved       bool      // another receiver sets the pace: probe after the drain
	alone       float64   // capacity when a drain emptied the queue last
	target      float64   // capacity before the probe
	taken       mono.Time // the latest sample that could lower the capacity
	probed      mono.Time // the latest probe
}

func (m *model) forget(capacity float64) {
	*m = model{capacity: capacity, measured: m.measured, tag: m.tag}
}

// take brings a sample of the capacity into the maximum of the last rounds.
func (m *model) take(s float64) {
	m.kept[m.at] = s
	m.at = (m.at + 1) % keptRounds
	m.capacity = 0
	for i := range m.kept {
		m.capacity = max(m.capacity, m.kept[i])
	}
}

// reset makes a sample all that is known of the capacity; mean is what was delivered lately.
func (m *model) reset(s, mean float64) {
	m.kept, m.at = [keptRounds]float64{s}, 1
	m.capacity, m.mean = s, min(s, mean)
}

// endLap draws conclusions from what was delivered.
func (c *Congestion) endLap(now mono.Time) {
	m, r := &c.model, &c.lap
	defer func() { *r = lap{} }()
	d, p := r.delivered(), r.loss()
	limited := r.limited
	if !r.enough(leastLap, c.packet) || d <= 0 {
		return
	}
	m.loss = p
	if r.phase == Drain && r.expected > 0 && (r.lost() == 0 || r.calm && (r.most < c.path.peak/2 || c.path.peak <= 2*c.path.low())) {
		m.learn(p, r.expected)
		m.judge(p, r.calm)
	}
	low := c.path.low()
	sample := min(d/(1-min(p, float64(1.1*m.noise)+0.005)), r.fastest)
	fell := !r.sentAll(d, min(p, m.noise+mostStartLoss)) // behind what was sent
	m.fell = m.fell || fell
	saturated := r.least > low && r.phase != Drain && (!limited || r.phase == Startup && fell)
	excess := !limited && r.exceeds(m.noise)
	congested := excess && (saturated || r.most > c.path.peak/2 && c.path.peak > 2*low)
	switch {
	case !m.measured:
		m.measured = true
		if (limited || !fell) && r.most <= low { // then there is no reason to send less
			sample = max(sample, m.capacity/2.5)
		}
		m.reset(sample, d)
	case sample < m.capacity && (limited || r.phase == Drain || !saturated && !excess && now.Sub(m.taken) < quietPause):
		// Without a queue and without loss, what came is what was sent, or a report was late: the maximum is that of a second then.
	case r.phase == Startup:
		m.take(max(sample, m.capacity))
	case saturated && m.was > 0 && max(m.was, sample) < m.capacity && !r.sentAll(d, p):
		m.reset(max(m.was, sample), d)
		m.standing++
	default:
		m.taken = now
		m.take(sample)
	}
	switch {
	case r.phase == Startup || m.mean == 0:
		m.mean = sample
	case r.phase != Drain && !limited:
		m.mean += float64((sample - m.mean) / 4)
	}
	m.clear = r.least <= low && !excess
	was := m.was
	m.was = 0
	if saturated && (r.phase != Startup || sample < 0.95*r.fastest) || r.phase == Startup && r.floods(m.noise) {
		m.was = sample
	}
	switch {
	case c.phase == Startup && r.phase == Startup:
		c.startupLap(now, was, sample, excess)
	case (c.phase == Drain || c.phase == Probe) && r.phase == Probe && sample > 1.15*m.target && r.least <= low && !excess:
		m.full, m.flat, m.again = sample, 0, true
		c.enter(now, Startup, WhyCapacity)
	case c.phase == Probe && r.phase == Probe && excess:
		c.enter(now, Drain, WhyCapacity)
	case congested && c.phase == Cruise:
		m.reset(min(m.capacity, max(sample, d, 0.7*m.capacity)), d)
		m.standing++
		c.enter(now, Drain, WhyLoss)
	case excess && c.phase == Cruise && r.phase == Cruise:
		m.suspect, m.suspectLoss = sample, p
		c.enter(now, Drain, WhyLoss)
	case c.phase == Compete:
		c.tcp.took(d)
		c.competeLap(now, p)
	}
}

// startupLap ends Startup where the path shows its end twice in a row, by a queue or by loss that is no noise, and delivers no more the second
// time; was is what it delivered the first.
func (c *Congestion) startupLap(now mono.Time, was, sample float64, excess bool) {
	m := &c.model
	full := m.was > 0 && was > 0 && sample < 1.1*was
	if full && c.lap.most <= c.path.low() { // it drops without a queue, and may have taken a burst
		m.reset(max(was, sample), sample)
	}
	if full || m.again && excess {
		c.enter(now, Drain, WhyCapacity)
	}
}

// early reports whether a lap of Startup is so short that what did not grow in it may be the schedulers' doing: a process that waits for its turn
// looks like a queue, and comes back within some milliseconds.
func (c *Congestion) early() bool {
	m, r := &c.model, &c.lap
	if !m.measured || r.tag != m.tag || max(r.leads, r.reports) >= leastSpan || r.exceeds(m.noise) {
		return false
	}
	return min(r.delivered(), r.fastest) <= 1.25*m.capacity
}

// startupRound ends Startup where nothing grows though the path falls behind what is sent. What it bears was not asked while all that was sent
// came, as where a window holds the source.
func (c *Congestion) startupRound(now mono.Time) {
	m := &c.model
	switch {
	case m.capacity > 1.25*m.full:
		m.full, m.flat = m.capacity, 0
	case m.fell:
		m.flat++
	}
	if m.fell = false; m.flat >= 3 {
		c.enter(now, Drain, WhyCapacity)
	}
}

// roundOver reports whether the acker has what was to be sent next when the round began, and enough to tell. Where nothing but repairs is
// sent, or very little, time decides.
func (c *Congestion) roundOver() bool {
	m := &c.model
	late := m.took >= 4*c.path.smoothed()+roundTime
	if !m.end.LessEq(c.lead) && !late || m.seen < leastLap {
		return false
	}
	if m.seen < roundPackets {
		return m.took >= 10*roundTime
	}
	return late || (c.phase == Startup || m.seen >= 4*roundPackets) && m.took >= leastSpan || m.took >= roundTime || m.seen >= mostDelivery
}

// endRound goes on to the next phase where it is time.
func (c *Congestion) endRound(now mono.Time) {
	m := &c.model
	m.end, m.seen, m.took = c.next, 0, 0
	m.rounds++
	switch c.phase {
	case Startup:
		c.startupRound(now)
	case Drain:
		// The first round may still lose what overflowed before; where something is lost, the second tells noise.
		if m.drained && (m.rounds >= 2 || m.noiseKnown()) || m.rounds >= drainRounds {
			c.drainEnds(now)
		} else {
			m.tag++
		}
	case Cruise:
		if m.clear && c.atMax() {
			return // nothing to find, nothing to let go
		}
		if wait := now.Sub(m.probed); m.rounds >= m.length && wait >= probePause || wait >= 5*probePause {
			m.probed = now
			m.target = m.capacity
			c.enter(now, Probe, WhyCapacity)
		}
	case Probe:
		c.enter(now, Drain, WhyCapacity)
	case Compete:
		c.tcpRound(now)
	}
}

func (c *Congestion) drainEnds(now mono.Time) {
	m := &c.model
	if m.drained {
		m.standing = max(m.standing-2, 0)
		m.alone = m.capacity
	} else if m.standing++; m.standing >= standingMost {
		m.standing = 0
		c.enter(now, Compete, WhyQueue)
		return
	}
	if m.moved {
		m.moved, m.target, m.probed = false, m.capacity, now
		c.enter(now, Probe, WhySwitched)
		return
	}
	// Of differing length, or the probes of sources that started together meet for ever. The clock's last digits decide: nothing here is random.
	m.length = cruiseRounds - 1 + int(uint64(now)*0x9e3779b97f4a7c15>>62)
	c.enter(now, Cruise, WhyCapacity)
}

// atMax reports whether probing would find nothing but the cap.
func (c *Congestion) atMax() bool { return 1.25*c.model.capacity >= c.max }

// judge looks, once less is sent, at what was lost without a queue: if hardly less is lost now, it is noise; else the rate was too high for
// something that drops without queueing.
func (m *model) judge(p float64, calm bool) {
	if m.suspect == 0 || !calm {
		return
	}
	if p < m.suspectLoss/2 {
		m.reset(min(m.capacity, m.suspect), min(m.mean, m.suspect))
	}
	m.suspect = 0
}

// noiseKnown reports whether what was lost lately is the noise that is known.
func (m *model) noiseKnown() bool {
	if m.loss == 0 && m.noise < 0.001 {
		return true
	}
	return m.noiseOf > noiseNumbers && m.suspect == 0 && m.loss > m.noise/2 && m.loss < float64(1.5*m.noise)+excessLoss
}

// learn takes what was lost without a queue, of the last few hundred numbers.
func (m *model) learn(p float64, n int) {
	if n <= 0 {
		return
	}
	m.noiseOf = min(m.noiseOf, noiseNumbers) + float64(n)
	m.noise += float64(float64(n) / m.noiseOf * (p - m.noise))
	m.noise = min(max(m.noise, 0), mostNoise)
}
