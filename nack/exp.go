package nack

import "math"

// The logarithm and the exponential function for the backoff law and the estimate of the group. Those of package math are in
// assembly on some architectures and fused multiplications on others, and so differ in their last bits; a wait that is a
// nanosecond longer makes another history of the whole simulation. These two use only what IEEE 754 defines to the last bit: +, -, *
// and / of float64. The conversions float64(x*y) look idle: they forbid the compiler to fuse the product with a sum, here or
// in the caller that the function is inlined into.

// lnSteps is how many intervals ln cuts [1, 2) into: a power of two.
const lnSteps = 64

// lnTable holds the intervals' lower ends and their logarithms, each from the one before.
var lnTable = func() (t [lnSteps]struct{ x, ln float64 }) {
	t[0].x = 1
	for i := 1; i < lnSteps; i++ {
		t[i].x = float64(lnSteps+i) / lnSteps
		t[i].ln = t[i-1].ln + lnRatio(1/float64(2*(lnSteps+i)-1))
	}
	return t
}()

// ln returns the natural logarithm of x, which is at least 1 and finite, to 1e-14 of itself.
//
// x = 2^k * m with m in [1, 2); a is the end of m's interval. ln x = k ln 2 + ln a + ln(m/a): no term is negative, so nothing cancels.
func ln(x float64) float64 {
	const fraction = 1<<52 - 1
	b := math.Float64bits(x)
	a := &lnTable[b>>(52-6)%lnSteps]
	k := float64(int(b>>52) - 1023)
	m := math.Float64frombits(b&fraction | 1023<<52)
	return float64(k*math.Ln2) + (a.ln + lnRatio((m-a.x)/(m+a.x)))
}

// lnRatio returns ln(m/a) for s = (m-a)/(m+a), from 0 to 1/128: 2 artanh s as a series of which no more terms matter.
func lnRatio(s float64) float64 {
	q := float64(s * s)
	p := 2./5 + float64(q*(2./7))
	p = 2./3 + float64(q*p)
	p = 2 + float64(q*p)
	return float64(s * p)
}

// expTerms are the coefficients of the exponential series, from the 13th power down.
var expTerms = [...]float64{
	1. / 6227020800, 1. / 479001600, 1. / 39916800, 1. / 3628800, 1. / 362880, 1. / 40320, 1. / 5040, 1. / 720, 1. / 120, 1. / 24, 1. / 6, 1. / 2, 1, 1,
}

// exp returns e^x for x from -700 on, to 1e-12 of itself (1e-15 near 0); from 709 on it is math.MaxFloat64.
//
// x = k ln 2 + r with r within half of ln 2 round 0: the series of e^r converges fast.
func exp(x float64) float64 {
	if x >= 709 {
		return math.MaxFloat64
	}
	k := math.Floor(float64(x*math.Log2E) + 0.5)
	r := x - float64(k*math.Ln2)
	p := 0.
	for _, c := range expTerms {
		p = c + float64(r*p)
	}
	return float64(p * math.Float64frombits(uint64(int64(k)+1023)<<52))
}
