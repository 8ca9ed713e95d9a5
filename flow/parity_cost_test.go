package flow

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// Figures known from elsewhere (the issue of parity, and sums by hand).
func TestCostKnown(t *testing.T) {
	for _, c := range []struct{ p, r, replay, parity float64 }{
		{0.1, 8, 1.656, 1.177},
		{0.1, 1000, 3.738, 1.282},
		{0, 1000, 1, 1},
		{0.5, 1, 2, 2}, // one receiver: 1/(1-p) for both
		{0.2, 1, 1.25, 1.25},
		{0.5, 2, 8.0 / 3, -1}, // 4 - 4/3
	} {
		if got := ReplayCost(c.p, c.r); math.Abs(got-c.replay) > 0.0005 {
			t.Errorf("p=%v r=%v: replay costs %v, want %v", c.p, c.r, got, c.replay)
		}
		if got := ParityCost(64, c.p, c.r); c.parity > 0 && math.Abs(got-c.parity) > 0.0005 {
			t.Errorf("p=%v r=%v: parity costs %v, want %v", c.p, c.r, got, c.parity)
		}
	}
}

// The formulas against groups that are sent.
func TestCostMonteCarlo(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 64))
	for _, c := range []struct {
		k, h int
		p    float64
		r    int
	}{
		{64, 0, 0.1, 8}, {64, 0, 0.01, 20}, {64, 0, 0.3, 3}, {8, 0, 0.2, 16}, {1, 0, 0.1, 8}, {16, 0, 0.05, 50}, {16, 2, 0.05, 5}, {32, 8, 0.1, 4},
	} {
		const groups = 3000
		var sum, squares float64
		for range groups {
			most := c.k + c.h
			for range c.r {
				n := 0
				for held := 0; held < c.k; n++ {
					if rng.Float64() >= c.p {
						held++
					}
				}
				most = max(most, n)
			}
			cost := float64(most) / float64(c.k)
			sum += cost
			squares += cost * cost
		}
		mean := sum / groups
		sigma := math.Sqrt((squares/groups - mean*mean) / groups)
		if got := parityCost(c.k, c.h, c.p, float64(c.r)); math.Abs(got-mean) > 4*sigma+1e-9 {
			t.Errorf("%+v: computed %v, measured %v ± %v", c, got, mean, sigma)
		}
		if got, replay := ParityCost(1, c.p, float64(c.r)), ReplayCost(c.p, float64(c.r)); math.Abs(got-replay) > 1e-8 {
			t.Errorf("%+v: replay costs %v, parity in groups of one %v", c, replay, got)
		}
	}
}

// The tail from far away is as good as that of exact sums: r so large that 1 - (1-T)^r is all in the last digits of T.
func TestAtLeastOne(t *testing.T) {
	for _, p := range []float64{0, 1e-300, 1e-18, 1e-9, 0.01, 0.5, 1} {
		for _, r := range []float64{1, 2, 3, 1000, 1 << 20, 1 << 40} {
			want := -math.Expm1(r * math.Log1p(-p))
			if got := atLeastOne(p, r); math.Abs(got-want) > 1e-12*want {
				t.Errorf("at least one of %v of probability %v: %v, want %v", r, p, got, want)
			}
		}
	}
	if got := atLeastOne(0.5, 1.5); got != 0.5+0.25*0.5 {
		t.Errorf("half a receiver more: %v", got)
	}
}

func genAnyFloat() *rapid.Generator[float64] {
	return rapid.OneOf(rapid.Float64(), rapid.Float64Range(0, 1), rapid.Float64Range(1, 2000),
		rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 0, 1, math.MaxFloat64, math.SmallestNonzeroFloat64}))
}

// Costs are finite and ordered: 1 <= parity <= replay, larger with more loss, more receivers, more that comes unasked.
func TestCostProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, h := rapid.IntRange(-1, 200).Draw(t, "k"), rapid.IntRange(0, 40).Draw(t, "h")
		p, r := genAnyFloat().Draw(t, "p"), genAnyFloat().Draw(t, "r")
		const slack = 1e-7
		replay, parity := ReplayCost(p, r), ParityCost(k, p, r)
		if !(parity >= 1) || !(replay >= parity-slack) || !(replay < 1e4) {
			t.Fatalf("replay %v, parity %v", replay, parity)
		}
		if more := parityCost(k, h, p, r); !(more >= parity-slack) || !(more <= parity+float64(h)/float64(min(max(k, 1), maxCostGroup))+slack) {
			t.Fatalf("with %d unasked %v, without %v", h, more, parity)
		}
		p2, r2 := p+rapid.Float64Range(0, 1).Draw(t, "dp"), r+rapid.Float64Range(0, 100).Draw(t, "dr")
		if math.IsNaN(p2) || math.IsNaN(r2) {
			return
		}
		if ReplayCost(p2, r2) < replay-slack || ParityCost(k, p2, r2) < parity-slack {
			t.Fatalf("less at %v %v than at %v %v", p2, r2, p, r)
		}
	})
}

func BenchmarkParityCost(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		ParityCost(64, 0.1, 1000)
	}
}
