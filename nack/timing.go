package nack

import (
	"math/rand/v2"
	"time"
)

// Timing is what a Scheduler waits for. Where a field states a default, zero means that; negative means off.
type Timing struct {
	// Backoff (NAK_BO_IVL) bounds the random wait before a NAK; T of RFC 5401, four times the group's greatest round trip.
	// Zero or less asks at once.
	Backoff time.Duration
	// GroupSize is how many receivers may miss the same packet (see Wait).
	GroupSize float64
	// Uniform draws RFC 3208's uniform wait, up to and including Backoff, in place of RFC 5401's.
	Uniform bool
	// Repeat (NAK_RPT_IVL) is how long an NCF may take after a NAK, Data (NAK_RDATA_IVL) how long the data may take after
	// an NCF. Both double with each retry of a range, up to MaxInterval or to themselves if they are longer.
	// Defaults 50 ms and 100 ms, right for a source that is not ours; with round trips known, pass what follows from them.
	Repeat, Data time.Duration
	// MaxInterval is where doubling ends, and by how much at most NCFs and NAKs of others can put off our own next NAK within
	// one round. Default 500 ms.
	MaxInterval time.Duration
	// Tolerance and TolerancePackets allow for reordering: the backoff of a new gap starts when TolerancePackets later
	// packets are known or after Tolerance, whichever is first. Defaults 1 ms and 2; either one off starts it at once.
	Tolerance        time.Duration
	TolerancePackets int
	// Limit is how long after it was first missing a number is given up (see Expired). Zero or less: never.
	Limit time.Duration
}

func (t Timing) withDefaults() Timing {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&t.Repeat, 50*time.Millisecond)
	set(&t.Data, 100*time.Millisecond)
	set(&t.MaxInterval, 500*time.Millisecond)
	set(&t.Tolerance, time.Millisecond)
	if t.TolerancePackets == 0 {
		t.TolerancePackets = 2
	}
	t.Repeat, t.Data, t.MaxInterval = max(t.Repeat, 0), max(t.Data, 0), max(t.MaxInterval, 0)
	return t
}

// tolerant reports whether a new gap is given time for late packets.
func (t *Timing) tolerant() bool { return t.Tolerance > 0 && t.TolerancePackets > 0 }

// draw returns the wait before a NAK.
func (t *Timing) draw(rng *rand.Rand) time.Duration {
	if t.Uniform {
		return UniformWait(rng, t.Backoff)
	}
	return Wait(rng, t.Backoff, t.GroupSize)
}

// redraw returns the wait before another NAK for numbers of which the source has confirmed none yet, and for the others: their repair
// went out, and only those still ask who lost that too.
func (t *Timing) redraw(rng *rand.Rand) (all, few time.Duration) {
	all = t.draw(rng)
	if t.Uniform {
		return all, all
	}
	return all, Wait(rng, t.Backoff, t.GroupSize/repaired)
}

const repaired = 100 // of so many receivers one is taken to have lost the repair too

// stretch returns d doubled retries times, within MaxInterval or d itself.
func (t *Timing) stretch(d time.Duration, retries uint8) time.Duration {
	limit := max(d, t.MaxInterval)
	for ; retries > 0 && d < limit; retries-- {
		if d > limit/2 {
			return limit
		}
		d *= 2
	}
	return d
}
