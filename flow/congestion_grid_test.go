package flow

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
)

func seconds(s float64) mono.Time { return mono.Time(s * 1e9) }

// modelConfig is what the transport begins with: more where the group is one hop away.
func modelConfig(rtt time.Duration) CongestionConfig {
	if rtt <= ms {
		return CongestionConfig{Start: 100 * Mbps, RTT: 10 * ms}
	}
	return CongestionConfig{Start: 10 * Mbps, RTT: 100 * ms}
}

// Alone on a link, whatever its rate and length: nine tenths of it, and of that at most a hundredth lost.
func TestCongestionAlone(t *testing.T) {
	for _, rate := range []Rate{Mbps, 10 * Mbps, 100 * Mbps, Gbps} {
		for _, rtt := range []time.Duration{ms, 20 * ms, 100 * ms} {
			t.Run(fmt.Sprint(rate, " ", rtt), func(t *testing.T) {
				span := 60 * time.Second
				if rate == Gbps {
					span = 12 * time.Second
				}
				b := newBottleneck(rate, rtt, bdpPackets(rate, rtt), 1)
				s := newSource(b, modelConfig(rtt), 0)
				b.run(mono.Time(span))
				use := b.mean(0, 2*time.Second, span) / float64(rate)
				t.Logf("%4.1f %% used (%4.1f %% in the first 2 s), %.2f %% lost, queue at most %.1f ms, %v %v", 100*use, 100*b.mean(0, 0, 2*time.Second)/float64(rate),
					100*b.lossShare(), rate.Duration(int64(b.most)).Seconds()*1e3, s.c.State().Phase, s.c.State().Noise)
				if use < 0.9 || b.lossShare() > 0.01 {
					t.Errorf("uses %.1f %% and loses %.2f %%", 100*use, 100*b.lossShare())
				}
			})
		}
	}
}

// Random loss on an idle link is repaired and no reason to slow down.
func TestCongestionNoise(t *testing.T) {
	for _, loss := range []float64{0.01, 0.05, 0.1, 0.2} {
		for _, rtt := range []time.Duration{ms, 20 * ms, 100 * ms} {
			t.Run(fmt.Sprintf("%.0f%% %v", 100*loss, rtt), func(t *testing.T) {
				const rate = 100 * Mbps
				b := newBottleneck(rate, rtt, bdpPackets(rate, rtt), 1)
				b.loss = loss
				s := newSource(b, modelConfig(rtt), 0)
				b.run(seconds(20))
				use := b.mean(0, 2*time.Second, 20*time.Second) / float64(rate)
				t.Logf("%4.1f %% used (%4.1f %% in the first 2 s), %.2f %% lost at the queue, noise %.3f, %v", 100*use,
					100*b.mean(0, 0, 2*time.Second)/float64(rate), 100*b.lossShare(), s.c.State().Noise, s.c.State().Phase)
				if use < 0.9 || b.lossShare() > 0.02 {
					t.Errorf("uses %.1f %%, loses %.2f %%", 100*use, 100*b.lossShare())
				}
			})
		}
	}
}

// Beside TCP CUBIC on a drop-tail queue of one bandwidth-delay product: between half and twice a fair share, whoever came first.
func TestCongestionBesideCubic(t *testing.T) {
	const rate, rtt = 100 * Mbps, 20 * ms
	for _, n := range []int{1, 4} {
		for _, late := range []float64{0, 3, -3} {
			t.Run(fmt.Sprintf("%d, %v s later", n, late), func(t *testing.T) {
				const runs = 5
				var ours, worst []float64
				for seed := range uint64(runs) {
					b := newBottleneck(rate, rtt, bdpPackets(rate, rtt), seed)
					newSource(b, modelConfig(rtt), seconds(max(late, 0)+0.05*b.rng.Float64()))
					tcp := 100.0
					for i := range n {
						newCubic(b, seconds(max(-late, 0)+float64(i)*0.1))
					}
					b.run(seconds(33))
					for i := range n {
						tcp = min(tcp, b.mean(i+1, 3*time.Second, 33*time.Second)/1e6)
					}
					ours, worst = append(ours, b.mean(0, 3*time.Second, 33*time.Second)/1e6), append(worst, tcp)
				}
				slices.Sort(ours)
				slices.Sort(worst)
				fair := 100 / float64(n+1)
				t.Logf("%.1f Mbit/s, a fair share is %.1f; the worst TCP %.1f", ours, fair, worst)
				if ours[runs/2] < fair/2 || ours[runs/2] > 2*fair || worst[runs/2] < fair/2 {
					t.Error("that is not shared")
				}
			})
		}
	}
}

// A report that comes late once, because a process waited for its turn, looks like a queue longer than there is. Losses beside a queue as long as it
// gets count all the same, or the window grows for as long as that is remembered.
func TestCongestionBesideCubicHiccup(t *testing.T) {
	const rate, rtt = 100 * Mbps, 20 * ms
	b := newBottleneck(rate, rtt, bdpPackets(rate, rtt), 1)
	s := newSource(b, modelConfig(rtt), 0)
	for range 4 {
		newCubic(b, 0)
	}
	b.run(seconds(1))
	s.c.path.peak = 3 * rtt // as after a report that was 60 ms late
	b.run(seconds(20))
	if ours := b.mean(0, 5*time.Second, 20*time.Second); ours > 2*float64(rate)/5 {
		t.Errorf("%.1f Mbit/s, a fair share is 20", ours/1e6)
	}
}

// jain is the fairness of shares, 1 at best.
func jain(shares ...float64) float64 {
	sum, squares := 0.0, 0.0
	for _, s := range shares {
		sum, squares = sum+s, squares+s*s
	}
	return sum * sum / squares / float64(len(shares))
}

// Two of ours share, whether they start together or one comes later: medians of five runs.
func TestCongestionTwo(t *testing.T) {
	for _, rate := range []Rate{10 * Mbps, 100 * Mbps} {
		for _, rtt := range []time.Duration{ms, 20 * ms, 100 * ms} {
			for _, late := range []float64{0, 5} {
				t.Run(fmt.Sprintf("%v %v %v s later", rate, rtt, late), func(t *testing.T) {
					const runs = 5
					var fair, use []float64
					for seed := range uint64(runs) {
						b := newBottleneck(rate, rtt, bdpPackets(rate, rtt), seed)
						newSource(b, modelConfig(rtt), 0)
						newSource(b, modelConfig(rtt), seconds(late+0.05*b.rng.Float64()))
						b.run(seconds(40))
						x, y := b.mean(0, 20*time.Second, 40*time.Second), b.mean(1, 20*time.Second, 40*time.Second)
						fair, use = append(fair, jain(x, y)), append(use, (x+y)/float64(rate))
					}
					slices.Sort(fair)
					slices.Sort(use)
					t.Logf("Jain %.3f, together %.3f of the rate", fair, use)
					if fair[runs/2] < 0.95 || use[0] < 0.9 {
						t.Error("that is not shared well")
					}
				})
			}
		}
	}
}
