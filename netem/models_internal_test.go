package netem

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"testing"
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
