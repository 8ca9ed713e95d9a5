package flow

import (
	"math"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"pgregory.net/rapid"
)

// Whatever receivers say, in whatever order: the rate stays between Min and Max, the window is never closed, nothing overflows.
func TestCongestionBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low := someRates().Draw(t, "min")
		cfg := CongestionConfig{
			Min: low, Max: low + someRates().Draw(t, "above"), Start: someRates().Draw(t, "start"),
			PacketBytes: rapid.IntRange(1, 65535).Draw(t, "packet"), RTT: time.Duration(rapid.Int64Range(0, 1e10).Draw(t, "rtt")),
			LossIsCongestion: rapid.Bool().Draw(t, "as TCP"),
		}
		if rapid.Bool().Draw(t, "no cap") {
			cfg.Max = Unlimited
		}
		now := mono.Time(rapid.Int64Range(0, 1e18).Draw(t, "now"))
		next := seq.Num(rapid.Uint32().Draw(t, "next"))
		c := NewCongestion(now, cfg)
		wild := rapid.OneOf(rapid.Int64(), rapid.Int64Range(0, 1000), rapid.Int64Range(0, 1e8))
		small := rapid.OneOf(rapid.IntRange(0, 100), rapid.Int())
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if r := c.Rate(); r < cfg.Min || r > cfg.Max {
					t.Fatalf("%v, not from %v to %v", r, cfg.Min, cfg.Max)
				}
				if w := c.Window(); w < leastWindow || w > blindWindow {
					t.Fatalf("a window of %d", w)
				}
				if e := c.Every(); e < leastInterval || e > mostInterval {
					t.Fatalf("reports every %v", e)
				}
				if c.Silence() < 100*ms || c.Silence() > 3*maxRTT {
					t.Fatalf("gone after %v", c.Silence())
				}
				s := c.State()
				if s.Loss < 0 || s.Loss > 1 || s.Noise < 0 || s.Noise > 1 || math.IsNaN(s.Noise) || math.IsNaN(s.Loss) || s.RTT < 0 || s.MinRTT < 0 || s.Capacity < 0 {
					t.Fatalf("%+v", s)
				}
			},
			"wait": func(t *rapid.T) { now = now.Add(time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "time"))) },
			"send": func(t *rapid.T) {
				for range rapid.IntRange(1, 200).Draw(t, "runs") {
					n := rapid.IntRange(0, 46).Draw(t, "packets")
					next = next.Add(n)
					c.Sent(now, next, n*1480)
					now = now.Add(ms)
				}
			},
			"report": func(t *rapid.T) {
				c.Delivered(now, Delivery{
					Lead: next.Add(-int(wild.Draw(t, "behind"))), Expected: small.Draw(t, "expected"), Came: small.Draw(t, "came"), Bytes: wild.Draw(t, "bytes"),
					Over: time.Duration(wild.Draw(t, "over")), Held: time.Duration(wild.Draw(t, "held")), Room: small.Draw(t, "room"),
				})
			},
			"likely report": func(t *rapid.T) {
				n := rapid.IntRange(0, 3000).Draw(t, "expected")
				c.Delivered(now, Delivery{
					Lead: next.Add(-1 - rapid.IntRange(0, 50).Draw(t, "behind")), Expected: n, Came: n - rapid.IntRange(0, n).Draw(t, "lost"), Bytes: int64(n) * 1480,
					Over: time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "over")), Held: time.Duration(rapid.Int64Range(0, 1e7).Draw(t, "held")),
				})
			},
			"limited":  func(*rapid.T) { c.Limited(now) },
			"switched": func(t *rapid.T) { c.Switched(now, Rate(wild.Draw(t, "pace"))) },
			"blind":    func(*rapid.T) { c.Blind(now) },
			"lost":     func(t *rapid.T) { c.Lost(now, small.Draw(t, "asked"), small.Draw(t, "sent")) },
			"marked":   func(*rapid.T) { c.Marked(now) },
			"advance": func(t *rapid.T) {
				if d := c.Deadline(); d != mono.Never && rapid.Bool().Draw(t, "due") {
					now = max(now, d)
				}
				c.Advance(now)
				if d := c.Deadline(); d <= now {
					t.Fatalf("due at %v, now %v, after Advance", d, now)
				}
			},
		})
	})
}

func someRates() *rapid.Generator[Rate] {
	return rapid.Custom(func(t *rapid.T) Rate {
		return 1 + Rate(rapid.Int64Range(0, 1<<40).Draw(t, "rate")>>rapid.IntRange(0, 40).Draw(t, "shift"))
	})
}

// A receiver that says it got all, at once, moves the rate to Max and no further; one that got nothing to Min.
func TestCongestionLies(t *testing.T) {
	for _, lie := range []struct {
		name string
		came int
		want Rate
	}{{"all", 1, 500 * Mbps}, {"nothing", 0, 2 * Mbps}} {
		b := newBottleneck(100*Mbps, 20*ms, 1000, 1)
		s := newSource(b, CongestionConfig{Start: 10 * Mbps, Min: 2 * Mbps, Max: 500 * Mbps}, 0)
		s.lie = func(d *Delivery) {
			d.Lead, d.Came = base.Add(s.sent-1), d.Expected*lie.came
			d.Held, d.Bytes, d.Over = time.Hour, d.Bytes*int64(lie.came), d.Over/8
		}
		b.run(seconds(20))
		r := s.c.Rate()
		t.Log(lie.name, r, s.c.State())
		if r < 2*Mbps || r > 500*Mbps {
			t.Errorf("%s: %v", lie.name, r)
		}
	}
}

// Silence halves the rate step by step, and the next report brings it back.
func TestCongestionSilence(t *testing.T) {
	b := newBottleneck(100*Mbps, 20*ms, bdpPackets(100*Mbps, 20*ms), 1)
	s := newSource(b, modelConfig(20*ms), 0)
	b.run(seconds(5))
	before := s.c.Rate()
	s.dead = true
	b.run(seconds(5).Add(s.c.Silence() + 50*ms))
	if r := s.c.Rate(); r > before*6/10 || r < before*2/10 || s.c.State().Why != WhySilence {
		t.Errorf("%v before, %v after a silence, because of %v", before, r, s.c.State().Why)
	}
	s.dead, s.told = false, b.now
	b.run(b.now.Add(300 * ms))
	if r := s.c.Rate(); r < before*7/10 {
		t.Errorf("%v before, %v when the acker is back", before, r)
	}
}

// Repairs that go to others, while the acker has everything and says nothing, do not slow down.
func TestCongestionRepairsAlone(t *testing.T) {
	c := NewCongestion(0, CongestionConfig{Start: 10 * Mbps, RTT: 10 * ms})
	now, next := mono.Time(0), seq.Num(0)
	for range 100 {
		next++
		c.Sent(now, next, 1500)
		now = now.Add(10 * ms)
		c.Delivered(now, Delivery{Lead: next - 1, Expected: 1, Came: 1, Bytes: 1500, Over: 10 * ms, Room: 1000})
	}
	before := c.Rate()
	for range 1000 {
		c.Sent(now, next, 1500)
		now = now.Add(10 * ms)
		c.Advance(now)
	}
	if r := c.Rate(); r < before {
		t.Errorf("%v before, %v after ten seconds of repairs that the acker did not need", before, r)
	}
	for range 1000 {
		next++
		c.Sent(now, next, 1500)
		now = now.Add(10 * ms)
		c.Advance(now)
	}
	if r := c.Rate(); r > before/100 && r > DefaultMinRate {
		t.Errorf("%v before, %v after ten seconds of data that the acker says nothing of", before, r)
	}
}

// Where nobody ever reports, a source sends at Start before long; loss that NAKs tell brings it down.
func TestCongestionBlind(t *testing.T) {
	b := newBottleneck(100*Mbps, 20*ms, 1000, 1)
	s := newSource(b, CongestionConfig{Start: 50 * Mbps, RTT: 10 * ms}, 0)
	s.dead = true
	b.run(seconds(1))
	if st := s.c.State(); st.Phase != Blind || s.c.Rate() != 50*Mbps {
		t.Errorf("%v in %v", s.c.Rate(), st.Phase)
	}
	for range 40 {
		s.c.Lost(b.now, 500, 1000)
		b.run(b.now.Add(250 * ms))
	}
	if r := s.c.Rate(); r > 5*Mbps {
		t.Errorf("%v after ten seconds of half of it lost", r)
	}
	s.dead, s.told = false, b.now
	b.run(b.now.Add(3 * time.Second))
	if st, got := s.c.State(), b.mean(0, 13*time.Second, 14*time.Second); st.Phase == Blind || got < 90e6 {
		t.Errorf("%.2f Mbit/s in the third second after somebody reports, in %v", got/1e6, st.Phase)
	}
}

// A slower receiver that takes over sets the pace at once; a faster one is followed within some round trips.
func TestCongestionSwitched(t *testing.T) {
	b := newBottleneck(100*Mbps, 20*ms, bdpPackets(100*Mbps, 20*ms), 1)
	s := newSource(b, modelConfig(20*ms), 0)
	b.run(seconds(5))
	s.c.Switched(b.now, 10*Mbps)
	if r := s.c.Rate(); r > 10*Mbps {
		t.Errorf("%v right after a receiver of 10 Mbit/s took over", r)
	}
	b.run(b.now.Add(700 * ms))
	if r := s.c.Rate(); r < 70*Mbps {
		t.Errorf("%v after 35 round trips on a link of 100 Mbit/s", r)
	}
}

// From the least rate, whether it begins there or a receiver took over whose pace was mistaken, a source is soon back where the path is free.
func TestCongestionFromMin(t *testing.T) {
	for _, rtt := range []time.Duration{200 * time.Microsecond, 20 * ms, 100 * ms} {
		for _, loss := range []float64{0, 0.02} {
			b := newBottleneck(Gbps, rtt, bdpPackets(Gbps, rtt), 1)
			b.loss = loss
			s := newSource(b, CongestionConfig{Start: DefaultMinRate, Max: 60 * Mbps, RTT: 10 * ms}, 0)
			b.run(seconds(6))
			if r := s.c.Rate(); r < 50*Mbps {
				t.Errorf("%v, %v: %v 6 s after the start, %+v", rtt, loss, r, s.c.State())
			}
			for _, pace := range []Rate{1, 250 * Kbps} {
				s.c.Switched(b.now, pace)
				b.run(b.now.Add(5 * time.Second))
				if r := s.c.Rate(); r < 40*Mbps {
					t.Errorf("%v, %v: %v 5 s after a switch to %v, %+v", rtt, loss, r, pace, s.c.State())
				}
			}
		}
	}
}

func TestCongestionAllocs(t *testing.T) {
	c := NewCongestion(0, CongestionConfig{})
	now, next := mono.Time(0), seq.Num(0)
	if n := testing.AllocsPerRun(5000, func() {
		now, next = now.Add(ms), next.Add(8)
		c.Sent(now, next, 8*1480)
		c.Delivered(now, Delivery{Lead: next - 1, Expected: 8, Came: 8, Bytes: 8 * 1480, Over: ms})
		c.Advance(now)
		c.State()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCongestion(b *testing.B) {
	c := NewCongestion(0, CongestionConfig{})
	now, next := mono.Time(0), seq.Num(0)
	b.ReportAllocs()
	for b.Loop() {
		now, next = now.Add(ms), next.Add(8)
		c.Sent(now, next, 8*1480)
		c.Delivered(now, Delivery{Lead: next - 1, Expected: 8, Came: 8, Bytes: 8 * 1480, Over: ms})
	}
}
