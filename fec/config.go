package fec

import (
	"errors"
	"fmt"
	"strconv"
)

// Goal says what a source aims at when it decides how its receivers repair losses.
type Goal uint8

const (
	// Balanced: parity on demand. Receivers ask at once, by number, unless waiting for the end of the transmission group and asking
	// by count saves at least an eighth of all bytes, or costs next to no time.
	Balanced Goal = iota
	// LeastBytes: parity on demand, and receivers wait for the end of the group wherever that saves anything.
	LeastBytes
	// LeastDelay: the source chooses how many parity packets go with each group before anybody asks, at most Within of its data,
	// so that 99 of 100 losses are repaired soonest; where repair by number is sooner (short round trips, slow data), that.
	LeastDelay
)

var goals = [...]string{"balanced", "least bytes", "least delay"}

// String returns the goal in words.
func (g Goal) String() string {
	if int(g) < len(goals) {
		return goals[g]
	}
	return "Goal(" + strconv.Itoa(int(g)) + ")"
}

// Config chooses how a source makes parity. The zero value is parity on demand in groups of 64 packets, for receivers of this
// library; others are served by replay and do not see it.
type Config struct {
	// Off repairs by replay alone: nothing about parity is announced. The other fields must be zero with it.
	Off bool

	// GroupSize (TGSIZE, k) is the number of data packets that share parity: a power of two from 2 to 128. Default 64.
	GroupSize int

	// Goal is what decides between asking at once and waiting for the group's end, and on parity ahead of demand.
	Goal Goal

	// Within is the most parity ahead of demand for each data packet that LeastDelay may spend: 0 to 1, default 0.25. It belongs to
	// LeastDelay.
	Within float64

	// Proactive is the number of parity packets sent with each full group before anybody asks (RFC 3208, 11.7), the least number with
	// LeastDelay; of a group that ends early, in proportion, rounded up. At most GroupSize. Default 0.
	Proactive int

	// Interleave is how many data packets of the groups after it go between two of the Proactive packets of a group, so that
	// a burst of losses does not take them all. At most 2*GroupSize; 0 is the default 1; negative: none go between.
	Interleave int
}

// Defaults.
const (
	defaultGroupSize  = 64
	defaultWithin     = 0.25
	defaultInterleave = 1
)

// WithDefaults returns c with its defaults filled in: what Validate accepts becomes what is used.
func (c Config) WithDefaults() Config {
	if c.Off {
		return Config{Off: true}
	}
	if c.GroupSize == 0 {
		c.GroupSize = defaultGroupSize
	}
	if c.Within == 0 && c.Goal == LeastDelay {
		c.Within = defaultWithin
	}
	switch {
	case c.Interleave == 0:
		c.Interleave = defaultInterleave
	case c.Interleave < 0:
		c.Interleave = 0
	}
	return c
}

// Validate returns an error that names the first field that is wrong, or the two that contradict each other.
func (c Config) Validate() error {
	k := c.GroupSize
	if k == 0 {
		k = defaultGroupSize
	}
	switch {
	case c.Off && c != Config{Off: true}:
		return errors.New("fec: Off excludes all other fields, which must be zero")
	case k < 2 || k > 128 || k&(k-1) != 0:
		return fmt.Errorf("fec: GroupSize %d is not a power of two from 2 to 128", k)
	case c.Goal > LeastDelay:
		return fmt.Errorf("fec: Goal %v is none of Balanced, LeastBytes and LeastDelay", c.Goal)
	case !(c.Within >= 0 && c.Within <= 1):
		return fmt.Errorf("fec: Within %v is not between 0 and 1", c.Within)
	case c.Within > 0 && c.Goal != LeastDelay:
		return fmt.Errorf("fec: Within is for Goal LeastDelay, not %v", c.Goal)
	case c.Proactive < 0 || c.Proactive > k:
		return fmt.Errorf("fec: Proactive %d is not between 0 and GroupSize %d", c.Proactive, k)
	case c.Proactive > 0 && c.Goal == LeastBytes:
		return fmt.Errorf("fec: Proactive %d contradicts Goal %v", c.Proactive, c.Goal)
	case c.Interleave > 2*k:
		return fmt.Errorf("fec: Interleave %d is more than twice GroupSize %d", c.Interleave, k)
	}
	return nil
}
