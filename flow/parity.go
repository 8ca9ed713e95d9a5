package flow

import (
	"math"
	"time"

	"github.com/rmcast/rmcast/mono"
)

// ParityGoal is what a source wants of its parity packets.
type ParityGoal uint8

const (
	// ParityBalanced saves bytes where that is worth a group's time, and else repairs at once.
	ParityBalanced ParityGoal = iota
	// ParityLeastBytes has receivers wait for a group's end whenever that saves bytes, however long a group takes.
	ParityLeastBytes
	// ParityLeastDelay looks for the least delay that 99 % of lost packets have until they are delivered, and sends parity unasked for
	// it, up to ParityConfig.Within.
	ParityLeastDelay
)

// Defaults of a ParityConfig.
const (
	DefaultParityGroup  = 64
	DefaultParityWithin = 0.25
)

// ParityConfig is what a Parity goes by. The zero value is ParityBalanced with groups of 64.
type ParityConfig struct {
	// GroupSize is k, the data packets of a transmission group: 2 to 128. Zero is DefaultParityGroup; other values are brought into range.
	GroupSize int
	// Goal is what to optimise.
	Goal ParityGoal
	// Within is the most parity packets per data packet that ParityLeastDelay sends unasked: 0 to 1. Zero is DefaultParityWithin;
	// negative, or no number, is none.
	Within float64
	// Proactive is how many parity packets of each full group go out unasked at the least, with every goal, and though it be more than
	// Within: 0 to 255-GroupSize, default 0. Negative is 0.
	Proactive int
	// Interleave is how many packets apart the parity packets that come unasked are sent: 1 (the default) to 256. Larger ones survive
	// longer bursts and take longer.
	Interleave int
}

func (c ParityConfig) withDefaults() ParityConfig {
	if c.GroupSize == 0 {
		c.GroupSize = DefaultParityGroup
	}
	c.GroupSize = min(max(c.GroupSize, 2), maxCostGroup)
	switch {
	case c.Within == 0:
		c.Within = DefaultParityWithin
	case !(c.Within > 0):
		c.Within = 0
	}
	c.Within = min(c.Within, 1)
	c.Proactive = min(max(c.Proactive, 0), maxParity-c.GroupSize)
	c.Interleave = min(max(c.Interleave, 1), 256)
	return c
}

// maxParity is how many packets of one group the code has, data and parity.
const maxParity = 255

// ParityPlan is how to repair for now.
type ParityPlan struct {
	// Proactive is h, how many parity packets of each full group go out unasked.
	Proactive int
	// Hold is how long receivers may hold a gap for its group's end, to ask then by count. Zero: they ask at once, by number.
	Hold time.Duration
}

const (
	// ParityIdle is the pause after which a group is taken to have ended early, and that does not count as time in which it fills.
	ParityIdle = 10 * time.Millisecond
	// MaxParityHold is the greatest Hold of a plan.
	MaxParityHold = 250 * time.Millisecond

	holdSpare = 2 * time.Millisecond // of Hold beyond the time that a group should take
)

// Parity chooses how a source repairs: by number at once, by parity on demand at the end of each group, or with parity that comes
// unasked. It goes by the loss that receivers report, by how fast the source sends, and by round-trip time, backoff and number of
// receivers. Copying a Parity copies its state.
//
// # Loss
//
// What counts is the loss of those whom repair is for, the worst if there are many of them, and it has to be found in reports that are
// noisy (a receiver counts few losses), that come mostly from those who just lost something, and that anybody could forge:
//
//   - Of the last three reports the median is taken. One odd report among others changes nothing.
//   - The estimate rises by a quarter of the difference and falls by a sixteenth of it: too little parity costs a round trip, too
//     much one packet. With reports that scatter by sigma about the same p it comes to rest about a third of sigma above p (it would be
//     0.55 without the median). Receivers should report over some hundred packets.
//   - It rises by no more than itself + 2 % with each report.
//   - Where 64 groups pass without any report it falls by a sixteenth. Nobody who loses packets is silent so long, unless parity
//     that comes unasked repairs everything; then less comes, and reports return.
//
// One bad receiver among many who report as often as it does counts for nothing, and it asks for what it misses. If it is the one that
// makes most of the reports, for it sends most NAKs, its loss is taken for that of all: the plan is more patient, or has more
// parity, than the others need, but no more than Within. There is no telling apart without a table of receivers.
//
// # Pace
//
// Sent measures it over about the last 8 groups. A source that pauses ends its groups early, so what counts as a group for the
// saving is what it sends between pauses of more than ParityIdle, if less than k packets.
//
// # Choice
//
// The saving of parity on demand is ReplayCost - ParityCost in packets per data packet. (With h parity packets unasked in any case, both
// have them: ReplayCost + h/k is compared to the cost of parity after those.)
//
//	goal        receivers wait for the group's end if
//	Balanced    Proactive > 0, or saving >= 1/8, or saving >= 0.02 and Fill <= max(2 ms, GRTT/8)
//	LeastBytes  saving >= 0.005
//	LeastDelay  the model says that 99 % of losses are repaired sooner so
//
// For the least delay h is chosen by the same model, of which the comment of delayModel tells (parity_delay.go), between Proactive and
// Within × k: the least h that brings the delay within 5 % of the least possible. It is h that makes groups whole for 99.7 % of lost
// packets if Within allows so much; else replay at once or on demand, whichever is faster. Where replay costs little more than parity
// does, Within at most, as with one receiver, replay at once and h besides is a choice too: the group's end cuts off the tail of long
// retries. The model takes the loss to be a tenth more than the estimate: too little parity leaves the last percents to another round.
//
// Where they wait already, three quarters of the saving and four thirds of the Fill are enough to go on. Fewer than two receivers
// never wait, for replay is as good, unless for parity that comes unasked. Nobody waits, and nothing comes unasked
// but ParityConfig.Proactive, while the pace is unknown or the estimate is below 0.01 %. Hold is
// 1.5 Fill + 2 ms, the time of the parity that comes unasked, and ParityIdle where groups end early, but at most
// MaxParityHold: receivers ask at the group's end anyway.
type Parity struct {
	cfg ParityConfig

	loss    float64    // estimate
	reports [3]float64 // the last ones
	next    int        // of reports to replace; -1 before the first
	silent  int        // packets since the last report

	last    mono.Time     // of Sent
	started bool          // last is set
	fresh   int           // packets at last
	packets int           // that were followed by others within ParityIdle, and
	time    time.Duration // until then; both are halved at times
	run     int           // packets since the last pause, at most maxRun
	runs    float64       // average of past runs, each as at most a group

	patient bool // the plan in force has Hold
	key     planKey
	plan    ParityPlan
}

// planKey is what a plan follows from, coarsely.
type planKey struct {
	loss, receivers, fill, grtt, backoff float64
	group                                int
}

const (
	lossRise, lossFall = 1.0 / 4, 1.0 / 16
	lossStep           = 0.02 // by which, besides doubling, the estimate may rise at once
	silentGroups       = 64
	leastLoss          = 1e-4 // for which anything is done

	paceGroups = 8
	maxRun     = 1 << 20
	runGain    = 1.0 / 4

	lossMargin = 1.1

	fewBytes, someBytes, manyBytes = 0.005, 0.02, 1.0 / 8 // savings, per data packet
	stay                           = 3.0 / 4              // of the savings, for those who wait already
	shortFill                      = 2 * time.Millisecond
)

// NewParity returns a Parity that knows of no loss and no pace. It clamps c to the ranges stated there.
func NewParity(c ParityConfig) *Parity { return &Parity{cfg: c.withDefaults(), next: -1} }

// Loss takes what a receiver reports: the share of packets that it lost, before repair. It is clamped to 0..1; NaN is ignored.
func (p *Parity) Loss(share float64) {
	if math.IsNaN(share) {
		return
	}
	share = min(max(share, 0), 1)
	p.silent = 0
	if p.next < 0 {
		p.reports = [3]float64{share, share, share}
		p.next = 0
	}
	p.reports[p.next] = share
	p.next = (p.next + 1) % len(p.reports)

	a, b, c := p.reports[0], p.reports[1], p.reports[2]
	if d := max(min(a, b), min(max(a, b), c)) - p.loss; d > 0 {
		p.loss += min(float64(d*lossRise), p.loss+lossStep)
	} else {
		p.loss += float64(d * lossFall)
	}
}

// Estimate returns the loss that plans are made for: 0..1.
func (p *Parity) Estimate() float64 { return p.loss }

// Sent takes that so many data packets went out at now. Zero or fewer is ignored; several calls at one instant are as one.
func (p *Parity) Sent(now mono.Time, packets int) {
	if packets <= 0 {
		return
	}
	packets = min(packets, maxRun)
	k := p.cfg.GroupSize
	if p.silent += packets; p.silent >= silentGroups*k {
		p.silent = 0
		p.loss -= float64(p.loss * lossFall)
	}

	d := now.Sub(p.last)
	switch {
	case !p.started:
		p.started = true
	case d == 0 && !now.Before(p.last):
		p.fresh = min(p.fresh+packets, maxRun)
		p.run = min(p.run+packets, maxRun)
		return
	case d < 0 || d > ParityIdle || now.Before(p.last):
		was := float64(min(p.run, k))
		if p.runs == 0 {
			p.runs = was
		}
		p.runs += float64((was - p.runs) * runGain)
		p.run = 0
	default:
		p.packets += p.fresh
		p.time += d
		for p.packets > paceGroups*k && p.packets > 1 {
			p.packets = (p.packets + 1) / 2
			p.time = (p.time + 1) / 2
		}
	}
	p.last, p.fresh = now, packets
	p.run = min(p.run+packets, maxRun)
}

// Fill returns an estimate of the time in which a whole group is sent, pauses of more than ParityIdle left out: at most
// GroupSize × ParityIdle, 0 while it is unknown.
func (p *Parity) Fill() time.Duration {
	if p.packets == 0 {
		return 0
	}
	return time.Duration(p.cfg.GroupSize) * p.time / time.Duration(p.packets)
}

// group returns how many data packets of a group come before it ends: GroupSize, or fewer where the source pauses earlier.
func (p *Parity) group() int {
	return min(max(p.run, int(p.runs+0.5), 1), p.cfg.GroupSize)
}

// Plan returns what to do now. grtt is the group's greatest round-trip time, backoff the T from which receivers draw the wait before a NAK
// (negative values count as 0), receivers an estimate of how many there are (1 to 2^40; NaN is 1). While these and what was measured
// change by less than about 3 % it answers from memory; a new plan takes some microseconds, ParityLeastDelay's up to some
// hundred.
func (p *Parity) Plan(grtt, backoff time.Duration, receivers float64) ParityPlan {
	key := planKey{
		loss: coarse(p.loss), receivers: coarse(costReceivers(receivers)), fill: coarse(float64(p.Fill())),
		grtt: coarse(float64(grtt)), backoff: coarse(float64(backoff)), group: p.group(),
	}
	if key == p.key {
		return p.plan
	}
	p.key = key
	h := p.cfg.Proactive
	if key.fill == 0 || key.loss < leastLoss {
		p.patient = false
	} else if p.cfg.Goal == ParityLeastDelay {
		h, p.patient = p.leastDelay(key)
	} else {
		p.patient = h > 0 || p.saves(key, h) // what comes unasked is for nothing where receivers do not wait for it
	}
	p.plan = ParityPlan{Proactive: h}
	if p.patient {
		p.plan.Hold = p.hold(key, h)
	}
	return p.plan
}

// Answer returns how many parity packets to send where need of them are asked for: 0 to need more. With ParityLeastDelay so many that need of
// them arrive nine times of ten, for another round of asking takes longer than they do; at most Within of a group more.
func (p *Parity) Answer(need int) int {
	if p.cfg.Goal != ParityLeastDelay || need < 1 {
		return need
	}
	loss := min(float64(p.loss*lossMargin), maxModel)
	most := need + min(need, int(p.cfg.Within*float64(p.cfg.GroupSize)))
	n := need
	for n < most && atLeast(n, need, 1-loss) < enoughAnswers {
		n++
	}
	return n
}

// saves reports whether it pays to wait for the end of groups.
func (p *Parity) saves(key planKey, h int) bool {
	if key.receivers < 2 && h == 0 {
		return false
	}
	many, some, few, short := manyBytes, someBytes, fewBytes, max(float64(shortFill), key.grtt/8)
	if p.patient {
		many, some, few, short = many*stay, some*stay, few*stay, short/stay
	}
	saving := ReplayCost(key.loss, key.receivers) + float64(h)/float64(key.group) - parityCost(key.group, h, key.loss, key.receivers)
	if p.cfg.Goal == ParityLeastBytes {
		return saving >= few
	}
	return saving >= many || saving >= some && key.fill <= short
}

// hold returns how long receivers may have to wait for a group's end and h parity packets.
func (p *Parity) hold(key planKey, h int) time.Duration {
	k := p.cfg.GroupSize
	t := float64(1.5*key.fill) + float64(holdSpare) + float64(h*p.cfg.Interleave)*key.fill/float64(k)
	if key.group < k {
		t += float64(ParityIdle)
	}
	return time.Duration(min(t, float64(MaxParityHold)))
}

// leastDelay returns the least delay's h, and whether receivers wait for the end of groups. Of what is within 5 % of the least delay,
// where what is in force counts as 3 % better than it is, it takes what costs the fewest bytes, and of what costs hardly more than
// that (0.5 %: parity that somebody in a large group is sure to need costs nothing when it comes unasked) what has the least delay.
func (p *Parity) leastDelay(key planKey) (proactive int, patient bool) {
	const habit, near, same = 1.03, 1.05, 1.005
	key.loss = min(float64(key.loss*lossMargin), 1) // an estimate a little low would leave the last percents to another round
	m := newDelayModel(p.cfg, key)
	k, h := p.cfg.GroupSize, p.cfg.Proactive
	most := max(h, min(int(float64(p.cfg.Within*float64(k))), maxParity-k))

	// Candidates are asking at once and patience, each with h to most.
	type choice struct{ delay, cost float64 }
	var all [2 * (maxParity + 1)]choice
	choices := all[:2*(most-h+1)]
	least, cheapest := math.Inf(1), math.Inf(1)
	replay, replayCost := m.replay(), ReplayCost(key.loss, key.receivers)
	dearest := parityCost(key.group, h, key.loss, key.receivers) + p.cfg.Within
	for i := range choices {
		c, n, waits := &choices[i], h+i/2, i%2 == 1
		switch {
		case waits && key.receivers < 2: // for one receiver parity costs what repairs by number do, and they need not wait
			c.delay = math.Inf(1)
		case waits:
			*c = choice{m.patient(n), parityCost(key.group, n, key.loss, key.receivers)}
		case n == 0:
			*c = choice{replay.tail(), replayCost}
		default:
			// In larger groups that would be two repairs for most losses.
			if *c = (choice{math.Inf(1), replayCost + float64(n)/float64(key.group)}); c.cost <= dearest {
				c.delay = m.rescued(&replay, n)
			}
		}
		if p.patient != waits {
			c.delay *= habit
		}
		least = min(least, c.delay)
	}
	for _, c := range choices {
		if c.delay <= float64(least*near) {
			cheapest = min(cheapest, c.cost)
		}
	}
	best := -1
	for i, c := range choices {
		if c.delay <= float64(least*near) && c.cost <= float64(cheapest*same) && (best < 0 || c.delay < choices[best].delay) {
			best = i
		}
	}
	return h + best/2, best%2 == 1
}

// coarse rounds to four binary digits after the first; what is not positive is 0.
func coarse(x float64) float64 {
	if !(x > 0) {
		return 0
	}
	const low = 1 << 48
	return math.Float64frombits((math.Float64bits(min(x, 1<<62)) + low/2) &^ (low - 1))
}
