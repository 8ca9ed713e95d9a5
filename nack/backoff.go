package nack

import (
	"math"
	"math/rand/v2"
	"time"
)

// MaxGroupSize is the largest group the backoff law and the estimate count with; the smallest is 1.
const MaxGroupSize = 1e6

// Wait draws how long to hold a NAK back: at least 0, less than max, by RFC 5401's truncated exponential law for a group of
// groupSize receivers that may all have lost the same packet (clamped to [1, MaxGroupSize]). A max of zero or less is no wait.
//
// RFC 5401 (RandomBackoff): with lambda = ln(groupSize) + 1 the density grows as e^(lambda*t/max), so that most of a large group draws a
// late instant and a handful an early one; those few are heard before the rest speaks. In closed form, for u uniform in [0,1),
//
//	t = max/lambda * ln(1 + u*(e^lambda - 1)),   P(t <= x) = (e^(lambda*x/max) - 1) / (e^lambda - 1)
//
// The same rng gives the same wait on every architecture.
func Wait(rng *rand.Rand, max time.Duration, groupSize float64) time.Duration {
	if max <= 0 {
		return 0
	}
	n := clampGroup(groupSize)
	lambda := ln(n) + 1
	y := 1 + float64(rng.Float64()*(float64(math.E*n)-1)) // float64(…): see ln
	t := float64(max) / lambda * ln(y)
	if t >= float64(max) {
		return max - 1 // and what does not fit is not converted
	}
	return min(time.Duration(t), max-1)
}

const (
	roundTrips = 4    // T of a large group in group round trips (RFC 5401)
	largeGroup = 33   // receivers from which on it has that
	steepest   = 3.15 // the most that lambda is in round trips of T
)

// Interval returns the T (NAK_BO_IVL) that suits a group: four times its greatest round trip, and less for a few receivers, down
// to nothing for one. Waiting saves a group of N at most N-1 NAKs a loss; where N is small that is not worth the delay
// of every repair. Beyond 100,000 it is longer, 4.7 times for a million: a loss costs e^(lambda*D/T) NAKs, where D is the
// round trip in which the first one silences the others.
func Interval(grtt time.Duration, groupSize float64) time.Duration {
	full, n := roundTrips*grtt, clampGroup(groupSize)
	if n < largeGroup {
		return time.Duration(float64(full) * ((n - 1) / (largeGroup - 1)))
	}
	if trips := (ln(n) + 1) / steepest; trips > roundTrips {
		t := float64(grtt) * trips
		if t >= math.MaxInt64 {
			return math.MaxInt64
		}
		return time.Duration(t)
	}
	return full
}

// UniformWait draws RFC 3208's own backoff: uniform in (0, max]. A max of zero or less is no wait.
func UniformWait(rng *rand.Rand, max time.Duration) time.Duration {
	if max <= 0 {
		return 0
	}
	return 1 + time.Duration(rng.Int64N(int64(max)))
}

// clampGroup brings a group size into [1, MaxGroupSize]; what is no number becomes 1.
func clampGroup(n float64) float64 {
	if !(n > 1) {
		return 1
	}
	return min(n, MaxGroupSize)
}
