package nack

import (
	"math"
	"time"

	"github.com/rmcast/rmcast/mono"
)

// groupEstimate infers the group's size from how many NAKs reach the source for one number.
//
// Let receivers back off by Wait with maximum T and advertised size N, so that lambda = ln N + 1, e^lambda = e*N, and let n of
// them have lost the packet. With y = e^(lambda*t/T), the law makes each receiver's y uniform in [1, e*N]. The first NAK leaves at
// the least of n such values, in the mean y1 = 1 + (e*N-1)/(n+1). Its NCF silences the others one round trip D later
// (half of it to the source, half back), in the mean of the receivers; until then those speak whose y is below g*y1,
// g = e^(lambda*D/T). So for one number
//
//	E(n) = 1 + (n-1) * (min(g*y1, e*N) - y1) / (e*N - y1)
//
// NAKs are to be expected: for n = N about g*(1+1/e), 9.5 for a thousand receivers with T = 4D. With the greatest round trip in D's place
// too many would be, and the estimate come to rest far below the truth. For n well above N it grows as
// n*(g-1)/(e*N); below N it is flat, so that a single count says little there, and turning the formula round would run away.
// Instead, sample moves the estimate, in the logarithm, by how far the count is from what the estimate predicts: it comes to
// rest where both agree in the mean.
//
// The answer is the number of receivers that lost the same packet. Where each loses on its own that is few, mostly one; Repairs
// therefore never puts it below the number of receivers it has heard.
type groupEstimate struct {
	size float64
	grtt time.Duration // the greatest round trip
	mean time.Duration // D
	n    float64       // N
	g    float64       // e^(lambda*D/T)
	next mono.Time     // when the next number may be counted
	seen int           // counts so far, up to settled
}

const (
	gain    = 1. / 20 // how fast the estimate follows in the end; it scatters by a third about the truth
	hurry   = 5       // times as fast at the beginning, for the first guess may be far off,
	settled = 100     // and less and less so until that many counts
	leap    = 2       // it at most doubles with one count
)

// setGroup tells what receivers use from now on, T by Interval and N, and D.
func (e *groupEstimate) setGroup(grtt, mean time.Duration, groupSize float64) {
	n := clampGroup(groupSize)
	if e.grtt == grtt && e.mean == mean && e.n == n {
		return
	}
	e.grtt, e.mean, e.n = grtt, mean, n
	e.g = math.MaxFloat64 // T is 0: nobody is silenced
	if t := Interval(grtt, n); t > 0 {
		e.g = min(e.g, exp((ln(n)+1)*float64(mean)/float64(t)))
	}
}

// window is how long after the first NAK for a number others belong to the same loss: a round trip, and half of one for what is
// slower than it should be. Receivers that ask again do so later.
func (e *groupEstimate) window() time.Duration { return e.grtt * 3 / 2 }

// expect returns E(n).
func (e *groupEstimate) expect(n float64) float64 {
	top := float64(math.E * e.n) // float64(…): see ln
	y := 1 + (top-1)/(n+1)
	return 1 + float64(n-1)*(min(float64(e.g*y), top)-y)/(top-y)
}

// begin reports whether the number that a NAK asks for first, now, shall be counted: one a window, for what is lost together is
// asked for together, and many numbers of one list say no more than one.
func (e *groupEstimate) begin(now mono.Time) bool {
	if now < e.next {
		return false
	}
	e.next = now.Add(e.window())
	return true
}

// sample takes in that naks NAKs came for one number.
func (e *groupEstimate) sample(naks int) { e.follow(float64(naks) / e.expect(e.size)) }

// answers takes in that n receivers answered a question that all of the group hear, each after Wait(within, N): the same law, with another T.
func (e *groupEstimate) answers(n int, within time.Duration) {
	x := *e
	if within > 0 {
		x.g = min(math.MaxFloat64, exp((ln(x.n)+1)*float64(x.mean)/float64(within)))
	}
	e.follow(float64(n) / x.expect(e.size))
}

// follow moves the estimate by how many times more spoke than it predicts.
func (e *groupEstimate) follow(more float64) {
	e.seen = min(e.seen+1, settled)
	fast := min(settled/float64(e.seen), hurry)
	step := float64(gain * fast * (more - 1))
	e.size = clampGroup(float64(e.size * min(exp(step), leap)))
}
