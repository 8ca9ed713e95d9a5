package netem

import (
	"fmt"
	"math"
	"math/bits"
	"sync"
	"time"
)

// Distribution is the shape of Jitter around Delay. The shapes are those that tc knows by these names, with Jitter as the unit; the tables
// are our own, finer and interpolated.
type Distribution uint8

const (
	// Uniform is even between -1 and 1. It is also what tc does without a distribution.
	Uniform Distribution = iota
	// Normal has Jitter as standard deviation, and is cut at -4 and 4.
	Normal
	// Pareto is 4/3 (X - 3/2), where X has the Pareto distribution with shape 3, minimum 1 and so mean 3/2; it begins at -2/3 and is cut at 4.
	Pareto
	// ParetoNormal has at each quantile a quarter of Normal's and three quarters of Pareto's.
	ParetoNormal
	distributions
)

var distributionNames = [distributions]string{"uniform", "normal", "pareto", "paretonormal"}

// String returns tc's name.
func (d Distribution) String() string {
	if d < distributions {
		return distributionNames[d]
	}
	return fmt.Sprintf("Distribution(%d)", uint8(d))
}

// spread is the quantile function of a Distribution at multiples of 1/spreadSteps, straight between them, in units of 2^-28 of Jitter.
type spread [spreadSteps + 1]int32

const (
	spreadBits  = 12
	spreadSteps = 1 << spreadBits
	spreadScale = 28
	spreadMost  = 4.0 // jitters
)

// spreads returns the tables of a Distribution, computed at the first use; nil for Uniform, which needs none. They are computed in
// float64 by the four operations alone, each rounded (no fused multiply and add), and so have the same bits everywhere.
var spreads = [distributions]func() *spread{
	Uniform: func() *spread { return nil },
	Normal: sync.OnceValue(func() *spread {
		s := normal()
		return tabulate(func(i int) float64 { return s[i] })
	}),
	Pareto: sync.OnceValue(func() *spread { return tabulate(pareto) }),
	ParetoNormal: sync.OnceValue(func() *spread {
		s := normal()
		return tabulate(func(i int) float64 { return float64(0.25*s[i]) + float64(0.75*pareto(i)) })
	}),
}

func tabulate(quantile func(i int) float64) *spread {
	s := new(spread)
	for i := range s {
		s[i] = int32(math.Round(quantile(i) * (1 << spreadScale)))
	}
	return s
}

// normal returns the quantiles of the normal distribution.
func normal() *[spreadSteps + 1]float64 {
	q := new([spreadSteps + 1]float64)
	const middle = spreadSteps / 2
	x := 0.0
	for i := 1; i < middle; i++ {
		u := float64(i) / spreadSteps // above 1/2
		for range 6 {                 // Newton's method from the quantile before
			above, density := normalAbove(x)
			x += (u - above) / density
		}
		q[middle+i], q[middle-i] = x, -x
	}
	q[0], q[spreadSteps] = -spreadMost, spreadMost
	return q
}

// normalAbove returns the probability of [0, x] and the density at x, by their power series. Good to 1e-12 for |x| up to 4.
func normalAbove(x float64) (above, density float64) {
	const perSqrt2Pi = 0.3989422804014327
	y := float64(x*x) / 2
	term, sum, integral := 1.0, 0.0, 0.0
	for n := 1; term > 1e-18 || term < -1e-18; n++ {
		sum += term
		integral += term / float64(2*n-1)
		term = -float64(term*y) / float64(n)
	}
	return float64(float64(x*integral) * perSqrt2Pi), float64(sum * perSqrt2Pi)
}

// pareto returns a quantile of Pareto: X is the cube root of 1/(1-u).
func pareto(i int) float64 {
	if i == spreadSteps {
		return spreadMost
	}
	cube := spreadSteps / float64(spreadSteps-i)
	x := cube
	for range 40 { // Newton's method from above; 4096 needs 17 rounds
		x -= (x - cube/float64(x*x)) / 3
	}
	return min(spreadMost, float64((x-1.5)*4)/3)
}

// of returns the deviation from the mean that u, uniform over 64 bits, stands for.
func (s *spread) of(u uint64, jitter time.Duration) time.Duration {
	i, part := u>>(64-spreadBits), int64(u<<spreadBits>>32)
	a, b := int64(s[i]), int64(s[i+1])
	x := a + (b-a)*part>>32
	hi, lo := bits.Mul64(uint64(max(x, -x)), uint64(jitter))
	lo, carry := bits.Add64(lo, 1<<(spreadScale-1), 0)
	d := time.Duration((hi+carry)<<(64-spreadScale) | lo>>spreadScale)
	if x < 0 {
		return -d
	}
	return d
}
