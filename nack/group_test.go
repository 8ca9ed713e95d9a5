package nack

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// lossGroup is a group of receivers round a source: it advertises what Repairs estimates, they back off by it.
type lossGroup struct {
	r     *Repairs
	rng   *rand.Rand
	grtt  time.Duration
	now   mono.Time
	next  seq.Num
	burst int  // packets lost at once
	hide  bool // all NAKs seem to come from two addresses, as if through a translator: no help from counting receivers
}

// lose lets every receiver of who lose one packet, and plays the NAKs that follow until the NCF silences the rest.
func (g *lossGroup) lose(who []int) (naks int) {
	n := g.r.GroupSize()
	g.r.SetGroup(g.grtt, g.grtt, n)
	waits, first := make([]time.Duration, len(who)), time.Duration(math.MaxInt64)
	for i := range who {
		waits[i] = Wait(g.rng, Interval(g.grtt, n), n)
		first = min(first, waits[i])
	}
	for i, w := range waits {
		if w > first+g.grtt {
			continue
		}
		from := who[i]
		if g.hide {
			from = naks % 2
		}
		naks++
		for i := range g.burst {
			g.r.NAK(g.now.Add(w-first), addr(from), g.next.Add(i), 1432)
		}
	}
	for range g.burst {
		g.r.Sent(g.now.Add(g.grtt), g.next)
		g.next++
	}
	g.now = g.now.Add(8 * g.grtt)
	return naks
}

func everyone(n int) []int {
	who := make([]int, n)
	for i := range who {
		who[i] = i
	}
	return who
}

// The estimate finds the size of a group that loses together, from any start, within a factor of three, and stays there.
func TestGroupSizeConverges(t *testing.T) {
	for _, burst := range []int{1, 10} {
		hide := burst > 1
		for _, n := range []int{1, 10, 100, 1000} {
			for _, start := range []float64{1, 1000, 1e6} {
				g := &lossGroup{
					r:   NewRepairs(RepairsConfig{GroupSize: start, MaxRequesters: 64}),
					rng: rand.New(rand.NewPCG(uint64(n), uint64(start))), grtt: 10 * ms, burst: burst, hide: hide,
				}
				low, high, naks := math.Inf(1), 0.0, 0
				for i := range 1500 {
					k := g.lose(everyone(n))
					if i >= 1000 {
						low, high, naks = min(low, g.r.GroupSize()), max(high, g.r.GroupSize()), naks+k
					}
				}
				t.Logf("burst %d, hidden %v, %d receivers from %v: between %.1f and %.1f, %.1f NAKs a loss", burst, hide, n, start, low, high, float64(naks)/500)
				if low < float64(n)/3 || high > float64(n)*3 {
					t.Errorf("%d receivers from %v: between %.1f and %.1f", n, start, low, high)
				}
			}
		}
	}
}

// Where every receiver loses on its own, most numbers get one NAK. The estimate neither sinks below the receivers heard nor
// leaves for the sky.
func TestGroupSizeIndependentLoss(t *testing.T) {
	for _, n := range []int{1, 8, 100, 1000} {
		for _, loss := range []float64{0.001, 0.01, 0.1} {
			for _, start := range []float64{1, 1000} {
				g := &lossGroup{
					r:   NewRepairs(RepairsConfig{GroupSize: start}),
					rng: rand.New(rand.NewPCG(uint64(n), uint64(start))), grtt: ms, burst: 1,
				}
				events, heard := 0, make(map[int]bool)
				for events < 1500 {
					var who []int
					for i := range n {
						if g.rng.Float64() < loss {
							who = append(who, i)
							heard[i] = true
						}
					}
					if len(who) > 0 {
						g.lose(who)
						events++
					}
				}
				if size := g.r.GroupSize(); size < float64(n)/3 || size > float64(n)*3 {
					t.Errorf("%d receivers, loss %v, from %v: estimate %.1f", n, loss, start, size)
				}
			}
		}
	}
}

// A forged flood moves the estimate to its bounds, not past them.
func TestGroupSizeClamped(t *testing.T) {
	e := groupEstimate{size: 1}
	e.setGroup(time.Second, time.Second, 1e6)
	for range 1000 {
		e.sample(math.MaxInt32)
	}
	if e.size < MaxGroupSize/2 || e.size > MaxGroupSize {
		t.Errorf("estimate %v", e.size)
	}
	for range 10000 {
		e.sample(1)
	}
	if e.size < 1 || e.size > 1.01 {
		t.Errorf("estimate %v", e.size)
	}
}

// The formula against draws.
func TestGroupExpectation(t *testing.T) {
	const rounds = 400
	for _, c := range []struct {
		advertised float64
		mean       time.Duration
	}{{1, time.Second}, {10, time.Second}, {1000, time.Second}, {1000, time.Second / 2}} {
		advertised := c.advertised
		for _, n := range []int{1, 10, 100, 1000} {
			var e groupEstimate
			e.setGroup(time.Second, c.mean, advertised)
			rng := rand.New(rand.NewPCG(uint64(n), 5))
			sum, waits := 0, make([]time.Duration, n)
			for range rounds {
				first := time.Duration(math.MaxInt64)
				for i := range waits {
					waits[i] = Wait(rng, Interval(time.Second, advertised), advertised)
					first = min(first, waits[i])
				}
				for _, w := range waits {
					if w <= first+c.mean {
						sum++
					}
				}
			}
			got, want := float64(sum)/rounds, e.expect(float64(n))
			if got < want*0.8 || got > want*1.2 {
				t.Errorf("%+v: %d receivers send %.2f NAKs, want %.2f", c, n, got, want)
			}
		}
	}
	var e groupEstimate
	for n := 1.0; n <= MaxGroupSize; n *= 10 {
		e.setGroup(time.Second, time.Second, n)
		for k, last := 1.0, 0.0; k <= MaxGroupSize; k *= 1.1 {
			if got := e.expect(k); got < last {
				t.Fatalf("advertised %v: the expectation falls at %.1f from %v to %v", n, k, last, got)
			} else {
				last = got
			}
		}
	}
}
