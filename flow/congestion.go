package flow

import (
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// DefaultMinRate is the least a source that adapts sends, whatever its receivers say: an SPM, a NAK's repair and a few packets a second
// still pass, so that it finds out when the path is better again.
const DefaultMinRate = 100 * Kbps

const (
	firstWindow   = 32      // packets under way before anything is known
	spareWindow   = 8       // packets beyond what the path holds; with loss, reports of few packets come late
	leastWindow   = 4       // packets; fewer, and one lost report stops everything
	blindWindow   = 1 << 30 // numbers: no bound
	fastest       = 1e12    // bit/s: what Unlimited means to the estimates
	leastRTT      = 50 * time.Microsecond
	leastInterval = time.Millisecond
	mostInterval  = 50 * time.Millisecond
	mostDelivery  = 1 << 24 // packets in one Delivery
)

// CongestionConfig says between which bounds a Congestion moves.
type CongestionConfig struct {
	// Max, Min and Start bound the rate, in bit/s of IP packets: its cap (zero, Unlimited: none), the least (zero: DefaultMinRate) and what is
	// sent before anything is known (zero: DefaultRate). Min is at most Max; Start is brought between them.
	Max, Min, Start Rate

	// PacketBytes is the size of a full packet with its IP header. Zero is 1500.
	PacketBytes int

	// RTT is a first guess of the round trip, 50 µs to an hour. Zero is 100 ms.
	RTT time.Duration

	// LossIsCongestion takes every loss as TCP does: a TCP-friendly window instead of a model of the path.
	LossIsCongestion bool
}

// Congestion finds the rate that the path to one receiver, the acker, bears: the highest rate of delivery seen lately, found by sending
// somewhat more for a round trip and somewhat less in the next. Loss says little: only where it comes with a queue that grew or
// with less delivered is it congestion; what is lost even at three quarters of the rate is noise, learnt there, and repaired.
//
//	         ┌───── a quarter more was delivered, and no queue ─────────────────────┐
//	         ▼                                                                       │
//	      Startup ── with a queue, or a quarter ─► Drain ── queue empty ──► Cruise ──┼──► Probe
//	     (2.5 x C)   lost, no more delivered    (0.75 x D)   ▲             (1 x C)   │  (1.25 x C)
//	         ▲                                     ▲  │      │                │      └──────┤
//	         │                                     │  │      └── excess loss ─┘             │
//	         │                                     └──┼─────────────────────────────────────┘
//	         │ no queue for three rounds              │ never empty, four times: somebody else fills it
//	         │ (empty in a test drain: Cruise)        ▼
//	         └──────────────────────────────────── Compete ◄── LossIsCongestion: always, after Startup
//	                                       (a window as TCP CUBIC's)
//
//	any state ── nobody reports for Silence ──► the rate halves for each Silence, until somebody reports
//	any state ── Blind, or no first report ──► Blind (Lost moves the rate, at most Start) ── a report ──► Startup
//
// C, the capacity, is the maximum of ten rounds or a second, in Startup of all reports of 16 packets or more; D is the mean of what was delivered
// lately. What noise took counts as delivered for both. A round ends when the acker has what was to be sent next when it began; what is delivered
// of the numbers sent in one phase is that phase's, whenever it is reported. Rules:
//
//  1. Rate stays between Min and Max, and Window is at least 4, whatever is reported.
//  2. A rate grows only on delivery, and not beyond 2.5 times what was sent when it was measured.
//  3. C falls fast only where less came than was sent and a queue stood, where less was lost once less was sent, or where Startup ends for loss
//     without a queue. What was delivered while the application limited the source only raises it.
//  4. At Max with neither queue nor loss there is nothing to find: the rate stays there.
//
// It reads no clock and sends nothing. A source calls Sent after each run, Delivered with each report of the acker, Limited when nothing
// waits, Advance at Deadline, and asks Rate and Window before it sends. Memory is bounded; Sent and Delivered allocate nothing.
type Congestion struct {
	cfg CongestionConfig

	min, max float64 // bit/s
	packet   float64 // bits of a full packet
	rate     Rate    // in force
	window   int
	phase    Phase
	why      Why

	sent    sentLog
	next    seq.Num       // one after the highest number sent
	lead    seq.Num       // highest number the acker told
	heard   bool          // somebody reported, since the start or Blind
	started bool          // something was sent
	waiting mono.Time     // since when a report is due; Never while nothing is under way
	held    time.Duration // of the latest report of this receiver; negative: there was none
	halved  int           // times the rate was halved for silence

	path  path
	lap   lap
	model model
	tcp   tcpWindow
	blind blindRate
}

// NewCongestion returns a controller in Startup at Start. It panics where Min is above Max or a value is negative.
func NewCongestion(now mono.Time, cfg CongestionConfig) *Congestion {
	if cfg.Max == 0 {
		cfg.Max = Unlimited
	}
	if cfg.Min == 0 {
		cfg.Min = min(DefaultMinRate, cfg.Max)
	}
	if cfg.Start == 0 {
		cfg.Start = DefaultRate
	}
	if cfg.PacketBytes == 0 {
		cfg.PacketBytes = 1500
	}
	if cfg.RTT == 0 {
		cfg.RTT = 100 * time.Millisecond
	}
	if cfg.Min < 0 || cfg.Min > cfg.Max || cfg.Start < 0 || cfg.PacketBytes < 0 || cfg.RTT < 0 {
		panic("BUG: flow: a congestion controller's bounds contradict each other")
	}
	cfg.Start = min(max(cfg.Start, cfg.Min), cfg.Max)
	cfg.RTT = min(max(cfg.RTT, leastRTT), maxRTT)
	c := &Congestion{
		cfg: cfg, min: float64(cfg.Min), max: min(float64(cfg.Max), fastest), packet: float64(min(cfg.PacketBytes, 1<<16)) * 8,
		phase: Startup, why: WhyStart, waiting: mono.Never, held: -1,
	}
	c.min = min(c.min, c.max)
	c.path.guess = cfg.RTT
	c.model.capacity = min(float64(cfg.Start), c.max)
	c.blind.rate = c.model.capacity
	c.set(now)
	return c
}

// Sent tells what a run took: next is one after the highest number sent so far (unchanged by repairs), bytes are of IP.
func (c *Congestion) Sent(now mono.Time, next seq.Num, bytes int) {
	if !c.started {
		c.started, c.next, c.lead, c.model.end = true, next, next-1, next
		c.sent.begin(now, next-1)
		c.waiting = now
	}
	c.sent.bytes += int64(max(bytes, 0))
	if c.next.Less(next) || c.sent.n == 0 {
		if c.waiting == mono.Never { // nothing is to be told of repairs, which may be for others
			c.waiting = now
		}
		c.next = next
		c.sent.add(sentMark{next: next, at: now, rate: float64(c.rate), tag: c.model.tag, phase: c.phase, calm: c.model.rounds > 0}, c.path.smoothed()/128)
	}
}

// Limited tells that nothing waits to be sent: what is delivered of the numbers before says nothing of the capacity, but that it is as much.
func (c *Congestion) Limited(mono.Time) {
	c.model.limited, c.model.limit = true, c.next
}

// Delivered takes a report of the acker.
func (c *Congestion) Delivered(now mono.Time, d Delivery) {
	if !c.started {
		return // nothing can have been delivered
	}
	if !c.heard {
		c.firstReport(now)
	}
	c.halved = 0
	if !d.Lead.Less(c.next) {
		d.Lead = c.next - 1
	}
	if d.Lead.Less(c.lead) {
		c.set(now)
		return // overtaken by a later one
	}
	sent, was := c.sent.find(d.Lead), c.sent.find(d.Lead.Add(-min(max(d.Expected, 0), mostDelivery)))
	c.path.sample(now, sent.at, d.Held)
	c.clamp(&d)
	c.model.limited = c.model.limited && c.lead.Less(c.model.limit) // before: the pause is between the two leads
	c.lead = d.Lead
	if c.waiting != mono.Never {
		c.path.reported(now.Sub(c.waiting))
	}
	c.waiting = now
	if c.next == c.lead+1 {
		c.waiting = mono.Never
	}
	c.model.seen += max(d.Expected, int(min(float64(d.Bytes)*8/c.packet, mostDelivery)))
	since := d.Over // between this report's leaving and the one's before
	if c.held >= 0 {
		since += d.Held - c.held
	}
	c.model.took += since
	if c.phase == Drain && c.path.queue() <= c.path.low() {
		c.model.drained = true
	}
	if c.lap.n > 0 && c.lap.tag != sent.tag {
		c.endLap(now)
	}
	if c.lap.n == 0 {
		c.lap.tag, c.lap.phase, c.lap.calm = sent.tag, sent.phase, sent.calm
	}
	c.lap.add(&d, since, c.path.queue(), sent.rate)
	c.lap.limited = c.lap.limited || c.model.limited
	if d.Expected > 0 {
		c.lap.sent += sent.after - was.after
		c.lap.sending += sent.at.Sub(was.at)
	}
	c.held = d.Held
	if c.phase == Compete {
		c.tcpDelivered(now, &d)
	}
	tag, over := c.model.tag, c.roundOver()
	switch { // else the lap goes on
	case over && c.lap.enough(leastLap, c.packet),
		c.phase == Startup && c.lap.enough(roundPackets, c.packet) && !c.early(), // or each doubling takes two round trips: the next one's reports are of the old rate
		c.phase == Probe && c.lap.phase == Probe && c.lap.exceeds(c.model.noise): // it found what it was to find
		c.endLap(now)
	}
	if over && tag == c.model.tag { // else it entered another phase
		c.endRound(now)
	}
	c.set(now)
}

// clamp brings what a report says to what can be.
func (c *Congestion) clamp(d *Delivery) {
	before := d.Lead.Add(-min(max(d.Expected, 0), mostDelivery))
	d.Bytes = min(max(d.Bytes, 0), c.sent.since(before))
	d.Expected = min(max(d.Expected, 0), d.Lead.Sub(c.lead), mostDelivery)
	d.Came = min(max(d.Came, 0), 2*d.Expected+roundPackets)
	d.Over = min(max(d.Over, 0), maxRTT)
	d.Held = min(max(d.Held, 0), maxRTT)
}

func (c *Congestion) firstReport(now mono.Time) {
	c.heard = true
	if c.phase == Blind {
		c.restart(now, c.blind.rate)
	}
}

// restart begins again to look for the capacity.
func (c *Congestion) restart(now mono.Time, capacity float64) {
	c.model.forget(capacity)
	c.path.forget()
	c.enter(now, Startup, WhyStart)
}

// enter begins a phase, and a round with it.
func (c *Congestion) enter(now mono.Time, p Phase, why Why) {
	if p != Compete && c.cfg.LossIsCongestion && p != Startup && p != Blind {
		p = Compete
	}
	if p == Compete && c.phase != Compete {
		c.tcp.begin(now, c)
	}
	c.phase, c.why = p, why
	c.model.tag++
	c.model.end, c.model.seen, c.model.took, c.model.rounds = c.next, 0, 0, 0
	c.model.drained = false
}

// set computes rate and window.
func (c *Congestion) set(now mono.Time) {
	r, w := c.model.capacity, 0.0
	bdp := float64(c.model.capacity / c.packet * c.path.least().Seconds())
	switch c.phase {
	case Startup:
		r, w = float64(2.5*r), float64(2*bdp)
		if !c.model.measured {
			r = c.model.capacity
		}
	case Drain:
		r, w = float64(0.75*min(c.model.capacity, c.model.mean)), float64(0.9*bdp)
	case Cruise:
		switch {
		case c.path.queue() > c.path.low():
			r *= 0.95
		case c.model.clear && c.atMax():
			r = c.max
		}
		w = float64(1.5 * bdp)
	case Probe:
		r, w = float64(1.25*r), float64(1.5*bdp)
	case Compete:
		r, w = c.tcp.rate(c)
	case Blind:
		r = c.blind.rate
	}
	for range min(c.halved, 60) {
		r /= 2
	}
	r = min(max(r, c.min), c.max)
	c.rate = Rate(r)
	if c.cfg.Max == Unlimited && r >= c.max {
		c.rate = Rate(fastest)
	}
	c.rate = min(max(c.rate, c.cfg.Min), c.cfg.Max)
	switch {
	case c.phase == Blind || c.halved > 0 && c.model.measured:
		c.window = blindWindow
	case !c.model.measured:
		c.window = firstWindow
	default:
		perRun := min(max(r*RunTime.Seconds()/c.packet, 1), MaxRunPackets)
		unheard := float64(r / c.packet * max(c.Every(), c.path.gap-c.path.least()/2).Seconds())
		if c.phase != Drain {
			w += spareWindow
		}
		c.window = int(min(max(w+perRun+unheard, leastWindow), blindWindow))
	}
}

// Rate returns the rate for everything the source sends.
func (c *Congestion) Rate() Rate { return c.rate }

// Window returns how many numbers may be under way beyond the acker's lead: 4 or more, very many while blind.
func (c *Congestion) Window() int { return c.window }

// Every returns the interval of the acker's reports: a quarter of a round trip, 1 to 50 ms.
func (c *Congestion) Every() time.Duration {
	return min(max(c.path.smoothed()/4, leastInterval), mostInterval)
}

// Silence returns after which time without a report, while data is under way, the acker is gone.
func (c *Congestion) Silence() time.Duration {
	return 2*c.path.smoothed() + 4*c.Every() + 100*time.Millisecond
}
