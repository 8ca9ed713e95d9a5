package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/rmcast/rmcast/flow"
)

// Cell is one network, one law and one traffic.
type Cell struct {
	Receivers int
	RTT       RTT
	Loss      Loss
	Law       Law
	Stream    bool          `json:",omitempty"` // packets one after the other in place of single ones
	Events    int           // loss events to count
	Cold      int           // loss events before, from the start on, counted apart
	Backoff   time.Duration `json:",omitempty"` // T by configuration; 0: the default, which adapts
	Seed      uint64
}

// RTT is a range of round trip times over which receivers are spread evenly.
type RTT struct{ Least, Most time.Duration }

// Loss is who loses a packet together.
type Loss string

// The patterns of loss.
const (
	Independent Loss = "independent"
	Shared      Loss = "shared"
	Half        Loss = "half"
)

// Law is how receivers draw their waits.
type Law string

// The laws.
const (
	Uniform   Law = "uniform"
	Known     Law = "known"
	Estimated Law = "estimated"
)

const lossRate = 0.01

var (
	mixed   = RTT{20 * time.Millisecond, 100 * time.Millisecond}
	sizes   = []int{1, 8, 32, 100, 1_000, 10_000, 100_000, 1_000_000}
	rtts    = []RTT{same(100 * time.Microsecond), same(time.Millisecond), same(10 * time.Millisecond), same(100 * time.Millisecond), mixed}
	losses  = []Loss{Independent, Shared, Half}
	laws    = []Law{Uniform, Known, Estimated}
	maxSize = 2_000_000
)

func same(d time.Duration) RTT { return RTT{d, d} }

// String gives the round trip time as the flag -rtt takes it.
func (r RTT) String() string {
	switch {
	case r == mixed:
		return "mixed"
	case r.Least == r.Most:
		return r.Least.String()
	}
	return r.Least.String() + "-" + r.Most.String()
}

// parseRTT is the reverse of String.
func parseRTT(s string) (RTT, error) {
	if s == "mixed" {
		return mixed, nil
	}
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	least, err := time.ParseDuration(from)
	if err != nil {
		return RTT{}, err
	}
	most, err := time.ParseDuration(to)
	if err == nil && (least < 0 || most < least || most > 10*time.Second) {
		err = fmt.Errorf("%q is no range of round trip times up to 10s", s)
	}
	return RTT{least, most}, err
}

// parseSize reads a group size like 1000, 1k or 1M.
func parseSize(s string) (int, error) {
	unit := 1
	if k := len(s) - 1; k > 0 {
		switch s[k] {
		case 'k':
			s, unit = s[:k], 1000
		case 'M':
			s, unit = s[:k], 1_000_000
		}
	}
	n, err := strconv.Atoi(s)
	if err == nil && (n < 1 || n > maxSize/unit) {
		err = fmt.Errorf("%s is not between 1 and %d", s, maxSize)
	}
	return n * unit, err
}

// sizeText is the reverse of parseSize.
func sizeText(n int) string {
	switch {
	case n >= 1_000_000 && n%1_000_000 == 0:
		return strconv.Itoa(n/1_000_000) + "M"
	case n >= 1000 && n%1000 == 0:
		return strconv.Itoa(n/1000) + "k"
	}
	return strconv.Itoa(n)
}

// parseWord returns a parser of one of some words.
func parseWord[T ~string](known []T) func(string) (T, error) {
	return func(s string) (T, error) {
		for _, k := range known {
			if string(k) == s {
				return k, nil
			}
		}
		return "", fmt.Errorf("%q is none of %v", s, known)
	}
}

// String names the cell.
func (c Cell) String() string {
	s := fmt.Sprintf("%s receivers, RTT %v, %s loss, %s", sizeText(c.Receivers), c.RTT, c.Loss, c.Law)
	if c.Stream {
		s += ", stream"
	}
	return s
}

// link reports whether the receivers are neighbours of the source, with hop limit 1.
func (c Cell) link() bool { return c.RTT.Most <= time.Millisecond && c.Receivers <= 100 }

// rate is that of the source.
func (c Cell) rate() flow.Rate {
	if c.link() {
		return 100 * flow.Mbps
	}
	return 10 * flow.Mbps
}

// chance is the probability that a packet is a loss event.
func (c Cell) chance() float64 {
	if c.Loss != Independent && !c.Stream {
		return 1 // each is made to be lost
	}
	if c.Loss != Independent {
		return lossRate
	}
	return 1 - math.Pow(1-lossRate, float64(c.Receivers))
}

// packets is how many packets at most are sent for the events wanted.
func (c Cell) packets() int { return int(1.5*float64(c.Cold+c.Events)/c.chance()) + 20 }

// spacing is the time between two single packets: longer than a recovery of two rounds.
func (c Cell) spacing() time.Duration {
	return time.Second + 10*c.RTT.Most + 2*c.Backoff
}

// feasible reports whether a cell takes minutes and some GB at most: with the uniform law most of a large group that misses the
// same speaks, and each that speaks is simulated for itself.
func (c Cell) feasible() bool {
	return c.Receivers < 500_000 || c.Loss == Independent || c.Law != Uniform
}

// delays returns the one-way delays of the network's groups of receivers, and how many receivers each has.
func (c Cell) delays() (delay []time.Duration, count []int) {
	const most = 17
	k := 1
	if c.RTT.Least != c.RTT.Most {
		k = min(c.Receivers, most)
	}
	for i := range k {
		rtt := (c.RTT.Least + c.RTT.Most) / 2
		if k > 1 {
			rtt = c.RTT.Least + (c.RTT.Most-c.RTT.Least)*time.Duration(i)/time.Duration(k-1)
		}
		delay = append(delay, rtt/2)
		count = append(count, c.Receivers*(i+1)/k-c.Receivers*i/k)
	}
	return delay, count
}
