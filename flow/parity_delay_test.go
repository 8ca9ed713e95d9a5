package flow

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestLn(t *testing.T) {
	for _, x := range []float64{1, 1.1, 1.5, 2, math.E, 10, 1000, 1 << 40, 3e12} {
		if got, want := ln(x), math.Log(x); math.Abs(got-want) > 1e-11*want {
			t.Errorf("ln %v = %v, want %v", x, got, want)
		}
	}
}

func TestMixture(t *testing.T) {
	for _, c := range []struct{ a, b, want float64 }{
		{1e6, 0, 0.99e6}, {0, 2e6, 1.98e6}, {1e6, 1e6, 1e6 * (2 - math.Sqrt(0.02))}, {0, 0, 0},
	} {
		d, left := mixture{}, 1.0
		d.add(&left, 0, 0, 5e6, c.a, c.b)
		if got := quantile(d.longest(), d.below, 0.99); math.Abs(got-5e6-c.want) > 3*tick {
			t.Errorf("%v and %v: 99 %% are below %v, want %v", c.a, c.b, got, 5e6+c.want)
		}
	}
}

// The model against groups in which everything happens as it says, but with each receiver, NAK, draw of the backoff and packet by itself.
// Where close to 1 % need another round the one says so and the other does not, so some may differ by a round.
func TestDelayModel(t *testing.T) {
	rng, more := rand.New(rand.NewPCG(99, 100)), rand.New(rand.NewPCG(101, 102))
	const ms = time.Millisecond
	far, all := 0, 0
	for _, r := range []int{1, 8, 100} {
		if r == 100 && testing.Short() {
			continue // seconds where int has 32 bits
		}
		for _, p := range []float64{0.01, 0.1, 0.2} {
			for _, fill := range []time.Duration{ms, 20 * ms} {
				for _, grtt := range []time.Duration{ms, 20 * ms} {
					key := planKey{loss: p, receivers: float64(r), fill: float64(fill), grtt: float64(grtt),
						backoff: float64(backoffOf(grtt, float64(r))), group: 64}
					m := newDelayModel(ParityConfig{}.withDefaults(), key)
					w, extra := world{m, rng}, world{m, more}
					check := func(what string, h int, model, seen float64) {
						all++
						q := model / seen
						if q < 0.7 || q > 1.45 {
							far++
						}
						if q < 0.45 || q > 2.25 {
							t.Errorf("%d receivers, loss %v, fill %v, rtt %v, %s %d: model %v, seen %v", r, p, fill, grtt, what, h,
								time.Duration(model), time.Duration(seen))
						}
					}
					replay, delays := m.replay(), w.replay()
					check("replay", 0, replay.tail(), tailOf(delays))
					for _, h := range []int{1, 4, 8} {
						if s := m.short(&replay, h); s < 0.002 || s > 0.03 {
							check("replay and parity", h, m.rescued(&replay, h), extra.rescued(delays, h))
						}
					}
					for _, h := range []int{0, 2, 5, 10, 16} {
						// Near 99 % the model is cautious, and a little loss more or less is a round trip.
						if s := m.fails(h); s < 0.002 || s > 0.03 {
							check("parity", h, m.patient(h), w.parity(h))
						}
					}
				}
			}
		}
	}
	if far > all/8 {
		t.Errorf("%d of %d differ much", far, all)
	}
	t.Logf("%d of %d differ much", far, all)
}

type world struct {
	delayModel
	rng *rand.Rand
}

func (w *world) lost() bool { return w.rng.Float64() < w.p }

// asked returns when the first NAK of n receivers arrives, half a round trip left out, and false if none does.
func (w *world) asked(n int, again bool) (float64, bool) {
	r := w.r
	if again {
		r = max(1, r/100)
	}
	first, ok := math.Inf(1), false
	for range n {
		if t := w.backoff / (math.Log(r) + 1) * math.Log(1+w.rng.Float64()*(math.E*r-1)); !w.lost() {
			first, ok = min(first, t), true
		}
	}
	return first, ok
}

func (w *world) replay() []float64 {
	var delays []float64
	for range 3000 {
		missing := 1 // receiver 0
		for range int(w.r) - 1 {
			if w.lost() {
				missing++
			}
		}
		t := w.packet + min(2*w.packet, reorderMost)
		for i, done, again := 0, false, false; !done; t, i = t+w.retry(min(i, 20)), i+1 {
			wait, ok := w.asked(missing, again)
			again = true
			if !ok {
				t += w.grtt
				continue
			}
			t += wait + w.grtt
			others := 0
			for range missing - 1 {
				if w.lost() {
					others++
				}
			}
			missing = others + 1
			if done = !w.lost(); done {
				delays = append(delays, t)
			}
		}
	}
	return delays
}

func (w *world) parity(h int) float64 {
	var delays []float64
	need := make([]int, int(w.r))
	for range int(20/w.p) + 300 {
		whole := math.Inf(1) // when receiver 0 has all
		var at []float64     // of what it lost, before the end
		for i := range need {
			need[i] = 0
			for j := range w.k {
				if w.lost() {
					need[i]++
					if i == 0 {
						at = append(at, w.packet*float64(w.k-1-j))
					}
				}
			}
			for j := range h {
				if need[i] > 0 && !w.lost() {
					if need[i]--; need[i] == 0 && i == 0 {
						whole = w.packet * float64(j+1)
					}
				}
			}
		}
		if len(at) == 0 {
			continue
		}
		for t, again := w.packet*float64(h), false; need[0] > 0; t += w.retry(0) {
			asking := 0
			for _, n := range need {
				if n > 0 {
					asking++
				}
			}
			wait, ok := w.asked(asking, again)
			again = true
			if t += w.grtt; !ok {
				continue
			}
			t += wait
			for j := range slices.Max(need) {
				for i := range need {
					if need[i] > 0 && !w.lost() {
						if need[i]--; need[i] == 0 && i == 0 {
							whole = t + w.packet*float64(j+1)
						}
					}
				}
			}
		}
		for _, a := range at {
			delays = append(delays, a+whole)
		}
	}
	return tailOf(delays)
}

// rescued draws the delays of replay from those seen.
func (w *world) rescued(replay []float64, h int) float64 {
	var delays []float64
	for range int(20/w.p) + 300 {
		var lost [][2]float64 // how long before the end, delay
		open := 0
		for j := range w.k {
			if w.lost() {
				x := [2]float64{w.packet * float64(w.k-1-j), replay[w.rng.IntN(len(replay))]}
				if lost = append(lost, x); x[0] < x[1] {
					open++
				}
			}
		}
		for range h {
			if !w.lost() {
				open--
			}
		}
		for _, x := range lost {
			d := x[1]
			if open <= 0 {
				d = min(d, x[0]+float64(h)*w.packet)
			}
			delays = append(delays, d)
		}
	}
	return tailOf(delays)
}

// tailOf is the tail of what was seen.
func tailOf(delays []float64) float64 {
	slices.Sort(delays)
	n := len(delays)
	return (delays[n*985/1000] + delays[n*99/100] + delays[n*995/1000]) / 3
}
