package netem

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"testing"
	"time"
)

// TestSpreads compares the tables with the formulas, and their bits with those of the machine on which they were first made.
func TestSpreads(t *testing.T) {
	for d, want := range []uint64{Normal: 0xe70c7d49bd0401ef, Pareto: 0x8b0f2933379fbfea, ParetoNormal: 0x701b974b64bc4296} {
		s := spreads[d]()
		if s == nil {
			continue
		}
		h := fnv.New64a()
		for i, x := range s {
			h.Write(binary.LittleEndian.AppendUint32(nil, uint32(x)))
			u := float64(i) / spreadSteps
			normal := max(-4, min(4, math.Sqrt2*math.Erfinv(2*u-1)))
			pareto := min(4, 4./3*(math.Pow(1-u, -1./3)-1.5))
			want := []float64{Normal: normal, Pareto: pareto, ParetoNormal: normal/4 + pareto*3/4}[d]
			if got := float64(x) / (1 << spreadScale); math.Abs(got-want) > 1e-8 {
				t.Errorf("%v: quantile %v is %v, want %v", Distribution(d), u, got, want)
			}
		}
		if got := h.Sum64(); got != want {
			t.Errorf("%v: the table's hash is %#x, want %#x", Distribution(d), got, want)
		}
	}
}

// TestSpreadInterpolates: between the entries of a table, a deviation is where the formula has it.
func TestSpreadInterpolates(t *testing.T) {
	s := spreads[Normal]()
	for i := range 10_000 {
		u := (float64(i) + 0.5) / 10_000
		got := s.of(uint64(u*(1<<63)*2), 24*time.Hour).Hours() / 24
		want := math.Sqrt2 * math.Erfinv(2*u-1)
		if i < 10 || i >= 9990 { // the tails are straight lines, to ±4
			continue
		}
		// A chord is off by at most step²/8 times the second derivative, x/density².
		density := math.Exp(-want*want/2) / math.Sqrt(2*math.Pi)
		if most := 2.0 / 8 / spreadSteps / spreadSteps * math.Abs(want) / density / density; math.Abs(got-want) > most+1e-7 {
			t.Errorf("at %v: %v, want %v", u, got, want)
		}
	}
	if got := s.of(0, time.Second); got != -4*time.Second {
		t.Errorf("least %v", got)
	}
	if got := s.of(math.MaxUint64, time.Second); got > 4*time.Second || got < 4*time.Second-10 {
		t.Errorf("most %v", got)
	}
}

// TestSeedsAreApart: a link's generators, and those of neighbouring seeds and streams, are all different.
func TestSeedsAreApart(t *testing.T) {
	seen := map[uint64]string{}
	for seed := range uint64(20) {
		for stream := range uint64(20) {
			for u := useLoss; u <= useDelay; u++ {
				p := seedFor(seed, stream, u)
				x := p.Uint64()
				if seen[x] != "" {
					t.Fatalf("seed %d, stream %d, use %d begin as %s", seed, stream, u, seen[x])
				}
				seen[x] = "another"
			}
		}
	}
}
