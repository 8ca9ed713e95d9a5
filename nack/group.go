package nack

import (
	"math"
	"time"
)

// groupEstimate infers the group's size from how many NAKs reach the source for one number.
//
// Let receivers back off by Wait with maximum T and advertised size N, so that lambda = ln N + 1, e^lambda = e*N, and let n of
// them have lost the packet. With y = e^(lambda*t/T), the law makes each receiver's y uniform in [1, e*N]. The first NAK leaves at
// the least of n such values, y1, in the mean 1 + (e*N-1)/(n+1). Its NCF silences the others one round trip D later, at
// most: until then, those speak whose y is below g*y1, g = e^(lambda*D/T). So the source gets for that number
//
//	E(n) = 1 + (n-1) * (min(g*y1, e*N) - y1) / (e*N - y1)
//
// NAKs, which for n = N = 1000 and T = 4D is about 10 and which, for n well above N, grows as n*(g-1)/(e*N): this is RFC 5401's
// expectation (3.2.3, there fitted by e^(1.2*lambda*D/(2T))...) with n and N told apart, and so it can be turned round. E
// rises with n; sample solves it for n.
//
// The answer is the number of receivers that lost the same packet. Where each loses on its own that is few; the estimate
// therefore falls slowly and rises fast, and Repairs holds it above the number of receivers it has heard.
type groupEstimate struct {
	size    float64
	backoff time.Duration // T
	n       float64       // N
	g       float64       // e^(lambda*D/T)
}

const (
	roundTrips = 4 // T/D: receivers use T = 4*GRTT
	gainUp     = 1.0 / 8
	gainDown   = 1.0 / 32
)

func (e *groupEstimate) setBackoff(max time.Duration, groupSize float64) {
	n := clampGroup(groupSize)
	if e.backoff == max && e.n == n {
		return
	}
	e.backoff, e.n = max, n
	e.g = math.Exp((math.Log(n) + 1) / roundTrips)
}

// window is how long after the first NAK for a number others belong to the same loss: a round trip, and half of one for what is
// slower than it should be. Receivers that ask again do so later.
func (e *groupEstimate) window() time.Duration { return e.backoff / roundTrips * 3 / 2 }

// expect returns E(n).
func (e *groupEstimate) expect(n float64) float64 {
	top := math.E * e.n
	y := 1 + (top-1)/(n+1)
	return 1 + (n-1)*(min(e.g*y, top)-y)/(top-y)
}

// sample takes in that naks NAKs came for one number.
func (e *groupEstimate) sample(naks int) {
	low, high := 1.0, MaxGroupSize
	for step := 0; step < 24 && naks > 1; step++ { // halving the exponent: 24 steps leave an error of one millionth
		mid := math.Sqrt(low * high)
		if e.expect(mid) < float64(naks) {
			low = mid
		} else {
			high = mid
		}
	}
	n, gain := low, gainDown
	if n > e.size {
		gain = gainUp
	}
	e.size = clampGroup(e.size + gain*(n-e.size))
}
