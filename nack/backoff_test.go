package nack

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The draws must follow the formula: the greatest distance between their distribution and its (Kolmogorov and Smirnov) stays
// below what one honest sample in a thousand exceeds.
func TestWaitLaw(t *testing.T) {
	const draws = 20000
	top := 40 * time.Millisecond
	for _, n := range []float64{0.1, 1, 2, 10, 1000, 1e6, 1e9} {
		lambda := math.Log(min(max(n, 1), 1e6)) + 1
		law := func(x float64) float64 { return math.Expm1(lambda*x/float64(top)) / math.Expm1(lambda) }
		check := func(name string, draw func(*rand.Rand) time.Duration, law func(float64) float64) {
			rng := rand.New(rand.NewPCG(uint64(n*10), 7))
			got := make([]time.Duration, draws)
			for i := range got {
				got[i] = draw(rng)
				if got[i] < 0 || got[i] > top {
					t.Fatalf("%s, N %v: drew %v", name, n, got[i])
				}
			}
			slices.Sort(got)
			worst := 0.0
			for i, d := range got {
				p := law(float64(d))
				worst = max(worst, math.Abs(p-float64(i)/draws), math.Abs(p-float64(i+1)/draws))
			}
			if limit := 1.95 / math.Sqrt(draws); worst > limit {
				t.Errorf("%s, N %v: distribution is off by %.4f, more than %.4f", name, n, worst, limit)
			}
		}
		check("exponential", func(r *rand.Rand) time.Duration { return Wait(r, top, n) }, law)
		check("uniform", func(r *rand.Rand) time.Duration { return UniformWait(r, top) }, func(x float64) float64 { return x / float64(top) })
	}
}

func TestWaitEdges(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, top := range []time.Duration{-time.Second, 0, 1, 2, math.MaxInt64} {
		for _, n := range []float64{math.Inf(-1), math.NaN(), 0, 1, 1e6, math.Inf(1)} {
			for range 100 {
				if d := Wait(rng, top, n); d < 0 || d > 0 && d >= top {
					t.Fatalf("Wait(%v, %v) = %v", top, n, d)
				}
				if d := UniformWait(rng, top); d < 0 || d > max(top, 0) || top > 0 && d == 0 {
					t.Fatalf("UniformWait(%v) = %v", top, d)
				}
			}
		}
	}
}

// T is four round trips for most groups, less for small ones, more where lambda is large, and never falls as the group grows.
func TestInterval(t *testing.T) {
	const grtt = 100 * time.Millisecond
	for _, c := range []struct {
		n    float64
		want time.Duration
	}{{math.NaN(), 0}, {1, 0}, {17, 2 * grtt}, {33, 4 * grtt}, {100_000, 4 * grtt}, {1e6, 470333668}, {1e9, 470333668}} {
		if got := Interval(grtt, c.n); got != c.want {
			t.Errorf("%v receivers: %v, want %v", c.n, got, c.want)
		}
	}
	last := time.Duration(0)
	for n := 1.0; n < 2e6; n *= 1.01 {
		if got := Interval(grtt, n); got < last {
			t.Fatalf("%v receivers: %v, and %v for fewer", n, got, last)
		} else {
			last = got
		}
	}
	if got := Interval(math.MaxInt64, 1e6); got != math.MaxInt64 {
		t.Errorf("without bound: %v", got)
	}
}

func BenchmarkWait(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		Wait(rng, time.Second, 100)
	}
}
