package flow

import (
	"fmt"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
)

// The rate follows the link's, ten times down or up, within 20 round trips or 2 s.
func TestCongestionCapacityChanges(t *testing.T) {
	for _, rtt := range []time.Duration{ms, 20 * ms, 100 * ms} {
		for _, to := range []Rate{10 * Mbps, 100 * Mbps} {
			t.Run(fmt.Sprint("to ", to, " ", rtt), func(t *testing.T) {
				for seed := range uint64(4) {
					b := newBottleneck(110*Mbps-to, rtt, bdpPackets(100*Mbps, rtt), seed)
					newSource(b, modelConfig(rtt), 0)
					b.run(seconds(6 + 0.1*float64(b.rng.IntN(10))))
					change := time.Duration(b.now)
					b.rate = to
					settled := change + max(20*rtt, 2*time.Second)
					b.run(seconds(settled.Seconds() + 3))
					if got := b.mean(0, settled, settled+3*time.Second); got < 0.85*float64(to) {
						t.Errorf("%.2f Mbit/s after the change to %v", got/1e6, to)
					}
				}
			})
		}
	}
}

// The start doubles once a round trip, and stops where the queue shows the end: it is quick, and overflows little.
func TestCongestionStart(t *testing.T) {
	const rate = 100 * Mbps
	for _, rtt := range []time.Duration{20 * ms, 100 * ms} {
		for seed := range uint64(4) {
			b := newBottleneck(rate, rtt, bdpPackets(rate, rtt), seed)
			newSource(b, modelConfig(rtt), 0)
			b.run(mono.Time(20 * rtt))
			if most := bdpPackets(rate, rtt); b.drops > most {
				t.Errorf("%v: %d packets are lost at the start, %d fill the link", rtt, b.drops, most)
			}
			if got := b.mean(0, 10*rtt, 20*rtt); got < 0.8*float64(rate) {
				t.Errorf("%v: %.2f Mbit/s in the second ten round trips", rtt, got/1e6)
			}
		}
	}
}

// A policer drops what is beyond its rate and delays nothing: that is not noise, and the rate does not run away.
func TestCongestionPolicer(t *testing.T) {
	for _, rtt := range []time.Duration{ms, 20 * ms, 100 * ms} {
		t.Run(fmt.Sprint(rtt), func(t *testing.T) {
			const rate = 50 * Mbps
			b := newBottleneck(rate, rtt, 40, 1)
			b.police = true
			s := newSource(b, modelConfig(rtt), 0)
			b.run(seconds(20))
			use := b.mean(0, 2*time.Second, 20*time.Second) / float64(rate)
			t.Logf("%.1f %% used, %.1f %% dropped, noise %.3f", 100*use, 100*b.lossShare(), s.c.State().Noise)
			if use < 0.85 || b.lossShare() > 0.15 {
				t.Errorf("uses %.2f and loses %.2f", use, b.lossShare())
			}
		})
	}
}

// With LossIsCongestion a source gets no less than TCP on a link with the same random loss, and not many times as much where that is little.
func TestCongestionFriendly(t *testing.T) {
	const rate = 100 * Mbps
	for _, loss := range []float64{0.001, 0.01, 0.05} {
		for _, rtt := range []time.Duration{ms, 20 * ms, 100 * ms} {
			t.Run(fmt.Sprint(loss, " ", rtt), func(t *testing.T) {
				run := func(tcp bool) float64 {
					b := newBottleneck(rate, rtt, bdpPackets(rate, rtt), 1)
					b.loss = loss
					if tcp {
						newCubic(b, 0)
					} else {
						cfg := modelConfig(rtt)
						cfg.LossIsCongestion = true
						newSource(b, cfg, 0)
					}
					b.run(seconds(30))
					return b.mean(0, 2*time.Second, 30*time.Second) / 1e6
				}
				ours, tcp := run(false), run(true)
				t.Logf("%.2f Mbit/s, TCP %.2f", ours, tcp)
				if ours < 0.95*tcp || ours > 4*tcp+1 {
					t.Errorf("%.2f Mbit/s, TCP gets %.2f", ours, tcp)
				}
			})
		}
	}
}

// Reports are counters: a fifth of them lost costs little.
func TestCongestionReportsLost(t *testing.T) {
	for _, rtt := range []time.Duration{ms, 20 * ms, 100 * ms} {
		const rate = 100 * Mbps
		b := newBottleneck(rate, rtt, bdpPackets(rate, rtt), 1)
		b.ackLoss, b.loss = 0.2, 0.05
		newSource(b, modelConfig(rtt), 0)
		b.run(seconds(20))
		if use := b.mean(0, 2*time.Second, 20*time.Second) / float64(rate); use < 0.85 {
			t.Errorf("%v: uses %.2f", rtt, use)
		}
	}
}

// An application that writes little first is not held to that later.
func TestCongestionApplicationLimited(t *testing.T) {
	for _, rtt := range []time.Duration{ms, 20 * ms, 100 * ms} {
		const rate = 100 * Mbps
		b := newBottleneck(rate, rtt, bdpPackets(rate, rtt), 1)
		s := newSource(b, modelConfig(rtt), 0)
		s.writes = func(now mono.Time) mono.Time { // 100 packets/s for 5 s
			if now >= seconds(5) {
				return now
			}
			return max(now, mono.Time(time.Duration(s.sent)*10*ms))
		}
		b.run(seconds(10))
		settled := 5*time.Second + max(20*rtt, 2*time.Second)
		if use := b.mean(0, settled, 10*time.Second) / float64(rate); use < 0.85 {
			t.Errorf("%v: uses %.2f after the application woke up", rtt, use)
		}
	}
}

// An outage of 50 ms every 5 s on the way back stops nothing for long.
func TestCongestionHiccups(t *testing.T) {
	for _, rtt := range []time.Duration{ms, 20 * ms, 100 * ms} {
		const rate = 100 * Mbps
		b := newBottleneck(rate, rtt, bdpPackets(rate, rtt), 1)
		newSource(b, modelConfig(rtt), 0)
		for i := range 4 {
			b.run(seconds(5 * float64(i+1)))
			b.ackLoss = 1
			b.run(seconds(5*float64(i+1) + 0.05))
			b.ackLoss = 0
		}
		b.run(seconds(25))
		if use := b.mean(0, 3*time.Second, 25*time.Second) / float64(rate); use < 0.85 {
			t.Errorf("%v: uses %.2f", rtt, use)
		}
	}
}
