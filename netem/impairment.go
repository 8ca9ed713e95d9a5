package netem

import (
	"fmt"
	"reflect"
	"slices"
	"time"
)

// Impairment says what a Link does to packets. The zero value is a perfect link: everything arrives at once and in order.
// [ParseImpairment] reads one from the words of tc-netem(8), and String prints it so. The words mean what they mean to the kernel
// but for these, on purpose:
//
//   - A correlation c makes a random number equal to the one before it with probability c, and else a fresh one. So the
//     autocorrelation is c, c², c³, … as with the kernel's, but rates and delays keep the distribution that is asked for; the kernel's
//     weighted mean narrows it (its "loss 1% 25%" loses far less than 1 %).
//   - Delay begins when a packet has left the transmitter, and Limit counts packets that have not yet; the kernel's counts also those
//     that Delay holds. A reordered packet skips Delay and Jitter, not the queue of Rate.
//   - Loss, one of GE and Markov, and Every may be given together: a packet is lost if one of them says so. tc takes one model.
//   - The second copy of a duplicated packet meets the same state of GE, Markov and Every; its other draws are its own, uncorrelated.
//   - GE and Markov begin in a state drawn from their stationary distribution, so that [Impairment.MeanLoss] holds from the first
//     packet; the kernel begins in the good state.
//   - Gap counts lost packets too, so that a change of loss does not reorder other packets.
//
// An Impairment may be copied, but copies share GE, Markov and Down: do not change those in place.
type Impairment struct {
	// Loss is the probability, 0 to 1, that a packet is lost, independently of the others.
	Loss float64
	// LossCorrelation, 0 to 1, makes losses of Loss come in groups: after a loss, Loss + LossCorrelation * (1 - Loss) is the probability
	// of another.
	LossCorrelation float64
	// GE loses packets in bursts, as tc's "loss gemodel". nil is none.
	GE *GilbertElliott
	// Markov loses packets in bursts, as tc's "loss state". nil is none.
	Markov *Markov4
	// Every loses each n-th packet, the first of them being drawn from the Link's seed and stream, so that links do not lose in step.
	// 0 is none, 1 loses everything.
	Every int

	// Delay is how long a packet travels after it left the queue. At most 24 hours.
	Delay time.Duration
	// Jitter spreads Delay, by default evenly over [Delay-Jitter, Delay+Jitter], never below zero. It may reorder packets. At most 24 hours.
	// The kernel spreads it evenly only as far as 2*Jitter in ns divides 2^32, of which it takes the remainder: short delays are
	// likelier there, by a fifth with 400 ms and by nothing to speak of below 10 ms.
	Jitter time.Duration
	// DelayCorrelation, 0 to 1, is how much the Jitter of a packet depends on that of the one before.
	DelayCorrelation float64
	// Distribution is the shape of Jitter; all but Uniform need a Jitter.
	Distribution Distribution

	// Duplicate is the probability that a packet is sent twice. Either copy can be lost, corrupted or overtaken.
	Duplicate, DuplicateCorrelation float64
	// Reorder is the probability that a packet skips Delay and Jitter and so overtakes others. It needs a Delay.
	Reorder, ReorderCorrelation float64
	// Gap is how many packets there are at least from one that skips Delay to the next: with Reorder 1 exactly so many. It needs a
	// Reorder; 0 is 1.
	Gap int
	// Corrupt is the probability that a packet arrives with an error in it.
	Corrupt, CorruptCorrelation float64

	// Rate is the speed of the link in bits per second of whole IP packets; 0 is unlimited.
	Rate int64
	// Limit is the length of the queue in front of a link with a Rate, in packets, with the one that is being transmitted; what does not
	// fit is dropped. 0 means 1000, or no such limit where LimitBytes is set.
	// On a link without Rate the Link itself has no queue; a Fabric then takes it as leave to drop what a receiver's full
	// buffer cannot hold, instead of holding the sender back.
	Limit int
	// LimitBytes is the length of that queue in bytes of IP packets; 0 is unlimited.
	LimitBytes int
	// MTU is the largest IP packet in bytes; larger ones are dropped. 0 is unlimited.
	MTU int
	// Down is when the link is down, on the clock of the instants given to [Link.Send]. What leaves the transmitter then (and on a link
	// without Rate, what is sent then) is lost; what travels already arrives.
	Down []Outage
}

// Outage is a time during which a link is down: from From until From+For, and with an Every again each Every.
type Outage struct {
	From, For time.Duration
	// Every is from the beginning of one to that of the next, longer than For; 0 is once.
	Every time.Duration
}

// defaultLimit is tc-netem's own default queue length in packets.
const defaultLimit = 1000

const (
	// maxDelay keeps sums of instants and delays far from overflow.
	maxDelay = 24 * time.Hour
	// maxInstant, 36 years, does so for an Outage and for a backlog.
	maxInstant = time.Duration(1 << 60)
	maxEvery   = 1<<31 - 1
	// A sum of probabilities may be more than 1 by this, because decimals that add up to 1 need not do so in binary.
	sumSlack = 1e-12
)

// Perfect reports whether i does nothing to any packet.
func (i Impairment) Perfect() bool {
	if len(i.Down) == 0 {
		i.Down = nil
	}
	return reflect.ValueOf(i).IsZero()
}

// MeanLoss returns the share of packets, 0 to 1, that Loss, GE, Markov and Every lose in the mean. It knows nothing of queues, MTU
// and Down.
func (i Impairment) MeanLoss() float64 {
	arrive := 1 - i.Loss // conversions keep products from being fused with sums, so that all machines agree
	if i.GE != nil {
		arrive = float64(arrive * (1 - i.GE.MeanLoss()))
	}
	if i.Markov != nil {
		arrive = float64(arrive * (1 - i.Markov.MeanLoss()))
	}
	if i.Every > 0 {
		arrive = float64(arrive * (1 - 1/float64(i.Every)))
	}
	return 1 - arrive
}

// Up reports whether the schedule of Down has the link up at an instant, and until when that stays so at least: the end of the longest
// outage, or the beginning of the next, or the largest Duration.
func (i Impairment) Up(now time.Duration) (up bool, until time.Duration) {
	down, end, next := false, now, never
	for _, o := range i.Down {
		is, change := o.at(now)
		switch {
		case is:
			down, end = true, max(end, change)
		default:
			next = min(next, change)
		}
	}
	if down {
		return false, end
	}
	return true, next
}

// at reports whether o covers an instant, and when that changes.
func (o Outage) at(now time.Duration) (down bool, change time.Duration) {
	if now < o.From {
		return false, o.From
	}
	begin := o.From
	if o.Every > 0 {
		begin = now - (now-o.From)%o.Every
	}
	switch {
	case now-begin < o.For:
		return true, begin + o.For
	case o.Every > 0 && begin <= never-o.Every:
		return false, begin + o.Every
	}
	return false, never
}

// Validate reports the first setting that makes no sense.
func (i Impairment) Validate() error {
	if err := i.validateProbabilities(); err != nil {
		return err
	}
	switch {
	case i.Every < 0 || i.Every > maxEvery:
		return fmt.Errorf("netem: Every %d is not from 0 to %d", i.Every, maxEvery)
	case i.Delay < 0 || i.Jitter < 0:
		return fmt.Errorf("netem: Delay %v or Jitter %v is negative", i.Delay, i.Jitter)
	case i.Delay > maxDelay || i.Jitter > maxDelay:
		return fmt.Errorf("netem: Delay %v or Jitter %v is more than %v", i.Delay, i.Jitter, maxDelay)
	case i.Distribution >= distributions:
		return fmt.Errorf("netem: %v is not a Distribution", i.Distribution)
	case i.Distribution != Uniform && i.Jitter == 0:
		return fmt.Errorf("netem: Distribution %v needs a Jitter", i.Distribution)
	case i.Reorder > 0 && i.Delay == 0:
		return fmt.Errorf("netem: Reorder %v needs a Delay to skip", i.Reorder)
	case i.Gap < 0 || i.Gap > maxEvery:
		return fmt.Errorf("netem: Gap %d is not from 0 to %d", i.Gap, maxEvery)
	case i.Gap > 0 && i.Reorder == 0:
		return fmt.Errorf("netem: Gap %d needs a Reorder", i.Gap)
	case i.Rate < 0 || i.Limit < 0 || i.LimitBytes < 0 || i.MTU < 0:
		return fmt.Errorf("netem: Rate %d, Limit %d, LimitBytes %d or MTU %d is negative", i.Rate, i.Limit, i.LimitBytes, i.MTU)
	}
	for _, o := range i.Down {
		switch {
		case o.From < 0 || o.For <= 0 || o.Every < 0:
			return fmt.Errorf("netem: Down: %v from %v every %v: a negative or missing time", o.For, o.From, o.Every)
		case o.Every > 0 && o.Every <= o.For:
			return fmt.Errorf("netem: Down: %v every %v leaves no time between", o.For, o.Every)
		case o.From > maxInstant || o.For > maxInstant || o.Every > maxInstant:
			return fmt.Errorf("netem: Down: %v from %v every %v: more than %v", o.For, o.From, o.Every, maxInstant)
		}
	}
	return nil
}

// validateProbabilities reports the first that is none, and models that could not be meant.
func (i Impairment) validateProbabilities() error {
	type named struct {
		name string
		p    float64
	}
	all := []named{
		{"Loss", i.Loss}, {"LossCorrelation", i.LossCorrelation}, {"DelayCorrelation", i.DelayCorrelation},
		{"Duplicate", i.Duplicate}, {"DuplicateCorrelation", i.DuplicateCorrelation},
		{"Reorder", i.Reorder}, {"ReorderCorrelation", i.ReorderCorrelation},
		{"Corrupt", i.Corrupt}, {"CorruptCorrelation", i.CorruptCorrelation},
	}
	if g := i.GE; g != nil {
		all = append(all, named{"GE.P", g.P}, named{"GE.R", g.R}, named{"GE.H1", g.H1}, named{"GE.K1", g.K1})
	}
	if m := i.Markov; m != nil {
		all = append(all, named{"Markov.P13", m.P13}, named{"Markov.P31", m.P31}, named{"Markov.P32", m.P32},
			named{"Markov.P23", m.P23}, named{"Markov.P14", m.P14})
	}
	for _, p := range all {
		if !(p.p >= 0 && p.p <= 1) { // also refuses NaN
			return fmt.Errorf("netem: %s is %v, not a probability from 0 to 1", p.name, p.p)
		}
	}
	if i.GE != nil && i.Markov != nil {
		return fmt.Errorf("netem: GE and Markov together: a link has one of them")
	}
	if g := i.GE; g != nil && g.P > 0 && g.H1 == 0 && g.K1 == 0 {
		return fmt.Errorf("netem: GE.H1 and GE.K1 are 0: nothing would be lost (tc's H1 is 1 where it is not given)")
	}
	if m := i.Markov; m != nil && (m.P13+m.P14 > 1+sumSlack || m.P31+m.P32 > 1+sumSlack) {
		return fmt.Errorf("netem: Markov: P13 %v + P14 %v or P31 %v + P32 %v is more than 1", m.P13, m.P14, m.P31, m.P32)
	}
	return nil
}

// clone returns i with nothing shared.
func (i Impairment) clone() Impairment {
	if i.GE != nil {
		i.GE = new(*i.GE)
	}
	if i.Markov != nil {
		i.Markov = new(*i.Markov)
	}
	i.Down = slices.Clone(i.Down)
	return i
}
