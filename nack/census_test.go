package nack

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// Groups of few are known for what they are after a few answers; large ones are hardly ever taken for less than they are.
func TestCensus(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	addr := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) }
	for _, c := range []struct {
		receivers, answers int
		known              float64 // share of censuses that end with a bound
		most               float64 // that is so much in the mean of these
		below              float64 // share of them that are less than the truth
	}{
		{1, 3, 1, 1, 0},
		{1, 16, 1, 1, 0},
		{2, 16, 1, 4.5, 0.001},
		{8, 16, 1, 18, 0.03},
		{32, 16, 0.75, 62, 0.05},
		{1000, 16, 0.001, 80, 1},
	} {
		const times = 5000
		var known, below int
		var sum float64
		for range times {
			var s census
			var most float64
			var ok bool
			for range c.answers {
				most, ok = s.first(addr(rng.IntN(c.receivers)))
			}
			if !ok {
				continue
			}
			known++
			sum += most
			if most < float64(c.receivers) {
				below++
			}
		}
		share, mean := float64(known)/times, sum/float64(max(known, 1))
		if share < c.known-0.05 || share > c.known+0.05 || mean > c.most || float64(below) > c.below*float64(known) {
			t.Errorf("%d receivers: known in %.3f of censuses, want about %g; %.1f in the mean, want at most %g; %d of %d below the truth",
				c.receivers, share, c.known, mean, c.most, below, known)
		}
	}
}
