package flow

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// SlowMode says which receivers set the pace of the group, and what becomes of the others.
type SlowMode uint8

const (
	// FollowSlowest: the slowest receiver sets the pace, down to Floor. Who stays below it for Grace is not followed any more.
	FollowSlowest SlowMode = iota
	// FollowQuantile: the slowest Quantile of the receivers do not set the pace, where they are slower than 3/4 of who does.
	FollowQuantile
	// FollowNamed: only receivers in Named set the pace, down to Floor.
	FollowNamed
	// Ignore: who is slower than 3/4 of the median does not set the pace, and loses what it cannot take.
	Ignore
	// Evict: as FollowSlowest, but who stays below Floor for Grace is told to leave, and not served any more.
	Evict
)

var slowModes = [...]string{"follow the slowest", "follow a quantile", "follow named receivers", "ignore", "evict"}

// String returns the mode in words.
func (m SlowMode) String() string {
	if int(m) < len(slowModes) {
		return slowModes[m]
	}
	return "SlowMode(" + strconv.Itoa(int(m)) + ")"
}

// floors reports whether the mode leaves receivers behind for a floor, and not for being slower than others.
func (m SlowMode) floors() bool { return m != FollowQuantile && m != Ignore }

// Slow is the policy for receivers that are slower than others. The zero value follows the slowest down to 100 kbit/s.
type Slow struct {
	Mode SlowMode

	// Quantile is the part of the receivers, the slowest ones, that FollowQuantile leaves behind: above 0, below 1, default 0.1. Of
	// n receivers these are Quantile*n, rounded down. It belongs to FollowQuantile.
	Quantile float64

	// Named are the ids of the receivers that FollowNamed follows: 1 to 1024, none of them 0 (nobody), none twice. It belongs to
	// FollowNamed.
	Named []uint64

	// Floor is the delivery rate below which nobody is followed, with FollowSlowest, FollowNamed and Evict. Default 100 kbit/s;
	// negative: none.
	Floor Rate

	// Grace is how long a receiver may be slow until that is said, and until it is left behind for Floor. Default 1 s; negative:
	// none. At most an hour.
	Grace time.Duration

	// Share is the part of the rate that one receiver which is not followed may cause in repairs: above 0, to 1. Default 0.01.
	Share float64
}

const (
	maxNamed = 1024
	maxGrace = time.Hour

	defaultQuantile = 0.1
	defaultFloor    = 100 * Kbps
	defaultGrace    = time.Second
	defaultShare    = 0.01
)

// WithDefaults returns s with its defaults filled in: what Validate accepts becomes what is used. Once more changes nothing.
func (s Slow) WithDefaults() Slow {
	if s.Quantile == 0 && s.Mode == FollowQuantile {
		s.Quantile = defaultQuantile
	}
	if s.Floor == 0 && s.Mode.floors() {
		s.Floor = defaultFloor
	}
	if s.Grace == 0 {
		s.Grace = defaultGrace
	}
	if s.Share == 0 {
		s.Share = defaultShare
	}
	return s
}

// Validate returns an error that names the first field that is wrong, or the two that contradict each other.
func (s Slow) Validate() error {
	switch {
	case int(s.Mode) >= len(slowModes):
		return fmt.Errorf("flow: Slow.Mode %v is none of FollowSlowest, FollowQuantile, FollowNamed, Ignore and Evict", s.Mode)
	case !(s.Quantile >= 0 && s.Quantile < 1):
		return fmt.Errorf("flow: Slow.Quantile %v is not a part of the receivers below 1", s.Quantile)
	case s.Quantile > 0 && s.Mode != FollowQuantile:
		return fmt.Errorf("flow: Slow.Quantile is for Mode FollowQuantile, not %v", s.Mode)
	case len(s.Named) == 0 && s.Mode == FollowNamed:
		return fmt.Errorf("flow: Slow.Mode FollowNamed needs at least one receiver in Slow.Named")
	case len(s.Named) > 0 && s.Mode != FollowNamed:
		return fmt.Errorf("flow: Slow.Named is for Mode FollowNamed, not %v", s.Mode)
	case len(s.Named) > maxNamed:
		return fmt.Errorf("flow: Slow.Named has %d receivers, more than %d", len(s.Named), maxNamed)
	case s.Floor == Unlimited:
		return fmt.Errorf("flow: Slow.Floor is unlimited, so that no receiver would be followed; negative is no floor")
	case s.Floor > 0 && !s.Mode.floors():
		return fmt.Errorf("flow: Slow.Floor is for Modes FollowSlowest, FollowNamed and Evict, not %v", s.Mode)
	case s.Floor < 0 && s.Mode == Evict:
		return fmt.Errorf("flow: Slow.Floor is negative, so that Mode Evict would evict nobody; set a rate or another Mode")
	case s.Grace > maxGrace:
		return fmt.Errorf("flow: Slow.Grace %v is more than %v", s.Grace, maxGrace)
	case !(s.Share >= 0 && s.Share <= 1):
		return fmt.Errorf("flow: Slow.Share %v is not a part of the rate from 0 to 1", s.Share)
	}
	return s.validNamed()
}

func (s Slow) validNamed() error {
	named := slices.Sorted(slices.Values(s.Named))
	for i, id := range named {
		if id == 0 {
			return fmt.Errorf("flow: Slow.Named has the id 0, which is nobody's")
		}
		if i > 0 && id == named[i-1] {
			return fmt.Errorf("flow: Slow.Named has the id %016x twice", id)
		}
	}
	return nil
}
