package netem_test

import (
	"math"
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
	"pgregory.net/rapid"
)

// wantShare fails if n of total is further than 4 standard deviations from p.
func wantShare(t *testing.T, what string, n uint64, total int, p float64) {
	t.Helper()
	mean, dev := p*float64(total), math.Sqrt(p*(1-p)*float64(total))
	if math.Abs(float64(n)-mean) > 4*dev+1e-9 {
		t.Errorf("%s: %d of %d, want %.0f ± %.0f", what, n, total, mean, 4*dev)
	}
}

func TestLinkProbabilities(t *testing.T) {
	n := 200_000
	if raced {
		n /= 20
	}
	for seed, p := range []float64{0, 0.001, 0.01, 0.1, 0.5, 0.9, 1} {
		for _, c := range []struct {
			name string
			imp  netem.Impairment
			got  func(netem.LinkStats) uint64
		}{
			{"loss", netem.Impairment{Loss: p}, func(s netem.LinkStats) uint64 { return s.Lost }},
			{"duplicate", netem.Impairment{Duplicate: p}, func(s netem.LinkStats) uint64 { return s.Duplicated }},
			{"duplicates arrive", netem.Impairment{Duplicate: p}, func(s netem.LinkStats) uint64 { return s.Arrived - uint64(n) }},
			{"reorder", netem.Impairment{Reorder: p, Delay: 1}, func(s netem.LinkStats) uint64 { return s.Reordered }},
			{"corrupt", netem.Impairment{Corrupt: p}, func(s netem.LinkStats) uint64 { return s.Corrupted }},
		} {
			l := netem.NewLink(c.imp, uint64(seed), 0)
			for i := range n {
				l.Send(time.Duration(i), 100)
			}
			wantShare(t, c.name, c.got(l.Stats()), n, p)
		}
	}
}

// TestLinkLossIsIndependent counts runs: after a loss the next packet is lost as often as any other.
func TestLinkLossIsIndependent(t *testing.T) {
	const n, p = 400_000, 0.2
	l := netem.NewLink(netem.Impairment{Loss: p}, 3, 4)
	m := netem.NewLink(netem.Impairment{Loss: p}, 3, 5) // another stream
	var before bool
	var losses, pairs, common uint64
	for range n {
		lost, other := l.Send(0, 100).N == 0, m.Send(0, 100).N == 0
		if lost {
			losses++
			if before {
				pairs++
			}
			if other {
				common++
			}
		}
		before = lost
	}
	wantShare(t, "losses after a loss", pairs, int(losses), p)
	wantShare(t, "losses that another stream has too", common, int(losses), p)
}

func TestLinkJitterIsUniform(t *testing.T) {
	const n, bins = 100_000, 10
	delay, jitter := 50*time.Millisecond, 10*time.Millisecond
	l := netem.NewLink(netem.Impairment{Delay: delay, Jitter: jitter}, 1, 0)
	var count [bins]uint64
	for range n {
		d := l.Send(0, 100).Copy[0].At
		if d < delay-jitter || d > delay+jitter {
			t.Fatalf("took %v, outside %v ± %v", d, delay, jitter)
		}
		count[min(bins-1, int((d-delay+jitter)*bins/(2*jitter)))]++
	}
	for i, c := range count {
		wantShare(t, "packets in a tenth of the spread "+string(rune('0'+i)), c, n, 1.0/bins)
	}
	l = netem.NewLink(netem.Impairment{Jitter: jitter}, 1, 0)
	for range 1000 {
		if l.Send(5, 100).Copy[0].At < 5 {
			t.Fatal("arrived before it was sent")
		}
	}
}

func TestLinkReorderSkipsTheDelay(t *testing.T) {
	l := netem.NewLink(netem.Impairment{Delay: time.Second, Jitter: time.Millisecond, Reorder: 1, Rate: 8000}, 1, 0)
	if got := l.Send(0, 100).Copy[0].At; got != 100*time.Millisecond {
		t.Errorf("arrived at %v, want right after 100 ms on the transmitter", got)
	}
}

func TestLinkRate(t *testing.T) {
	// One minute at full load: bytes are rate x time within 0.1 %.
	for _, rate := range []int64{64_000, 10_000_000, 999_999_937, 100_000_000_000} {
		l := netem.NewLink(netem.Impairment{Rate: rate, Limit: 4}, 1, 0)
		sent, now := 0, time.Duration(0)
		for now < time.Minute && sent < 5e8 {
			if f := l.Send(now, 1500); f.N == 1 {
				sent += 1500
				continue
			}
			now += max(1, l.Backlog(now)/2)
		}
		last := now + l.Backlog(now)
		if want := float64(rate) / 8 * last.Seconds(); math.Abs(float64(sent)-want) > want/1000 {
			t.Errorf("%d bit/s: %d bytes in %v, want %.0f", rate, sent, last, want)
		}
	}
}

func TestLinkQueue(t *testing.T) {
	l := netem.NewLink(netem.Impairment{Rate: 8e6, Limit: 3, Delay: time.Second}, 1, 0) // 1000 bytes take 1 ms
	for i, want := range []time.Duration{1, 2, 3, 0, 0} {
		f := l.Send(0, 1000)
		if (f.N == 1) != (want > 0) || want > 0 && f.Copy[0].At != want*time.Millisecond+time.Second {
			t.Errorf("packet %d: %+v", i, f)
		}
	}
	if b, n := l.Backlog(0), l.BacklogBytes(500*time.Microsecond); b != 3*time.Millisecond || n != 2500 {
		t.Errorf("backlog %v, %d bytes", b, n)
	}
	if l.Send(999*time.Microsecond, 1000).N != 0 || l.Send(time.Millisecond, 1000).N != 1 {
		t.Error("the queue has room when the first packet has left, not earlier")
	}
	if s := l.Stats(); s.Overflow != 3 || s.Arrived != 4 || s.Packets != 7 || s.Bytes != 7000 {
		t.Errorf("counted %+v", s)
	}
	if netem.NewLink(netem.Impairment{MTU: 1500}, 1, 0).Send(0, 1501).N != 0 {
		t.Error("a packet larger than the MTU passed")
	}
}

// TestLinkSettingsDoNotReshuffleLosses: what is lost depends on the seed and Loss alone.
func TestLinkSettingsDoNotReshuffleLosses(t *testing.T) {
	a := netem.NewLink(netem.Impairment{Loss: 0.3}, 9, 1)
	b := netem.NewLink(netem.Impairment{Loss: 0.3, Delay: time.Second, Jitter: time.Second, Corrupt: 0.5, Reorder: 0.5, Rate: 1e9, Limit: 1e6}, 9, 1)
	for i := range 10_000 {
		if x, y := a.Send(0, 100), b.Send(0, 100); x.N != y.N {
			t.Fatalf("packet %d: %d and %d copies", i, x.N, y.N)
		}
	}
}

// TestLinkModel checks any link with any traffic: counters add up, order holds without jitter, nothing arrives early.
func TestLinkModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.Float64Range(0, 1)
		imp := netem.Impairment{
			Loss: p.Draw(t, "loss"), Duplicate: p.Draw(t, "duplicate"), Corrupt: p.Draw(t, "corrupt"),
			Delay: time.Duration(rapid.Int64Range(1, 1e9).Draw(t, "delay")),
			Rate:  rapid.Int64Range(0, 1e9).Draw(t, "rate"), Limit: rapid.IntRange(0, 20).Draw(t, "limit"),
			MTU: rapid.IntRange(0, 2000).Draw(t, "mtu"),
		}
		l, again := netem.NewLink(imp, 1, 2), netem.NewLink(imp, 1, 2)
		var now, last time.Duration
		var copies uint64
		for range rapid.IntRange(1, 200).Draw(t, "packets") {
			now += time.Duration(rapid.Int64Range(0, 1e6).Draw(t, "wait"))
			size := rapid.IntRange(1, 1500).Draw(t, "size")
			f := l.Send(now, size)
			if f != again.Send(now, size) {
				t.Fatal("the same seed gave another fate")
			}
			for _, c := range f.Copy[:f.N] {
				if c.At < now+imp.Delay || c.At < last {
					t.Fatalf("sent at %v after one of %v, arrived at %v", now, last, c.At)
				}
				last = c.At
			}
			copies += uint64(f.N)
		}
		s := l.Stats()
		if s.Arrived != copies || s.Arrived+s.Lost+s.Overflow+s.TooBig+s.Down != s.Packets+s.Duplicated {
			t.Fatalf("counters do not add up: %+v, %d copies", s, copies)
		}
	})
}

func TestLinkAllocs(t *testing.T) {
	l := netem.NewLink(netem.Impairment{Loss: 0.1, Jitter: time.Second, Rate: 1e6, Limit: 100}, 1, 0)
	now := time.Duration(0)
	if n := testing.AllocsPerRun(10_000, func() { l.Send(now, 1000); now += time.Millisecond }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func TestImpairmentValidate(t *testing.T) {
	for _, imp := range []netem.Impairment{
		{Loss: -0.1}, {Loss: 1.1}, {Loss: math.NaN()}, {Duplicate: 2}, {Corrupt: -1}, {Reorder: 0.5}, {Delay: -1}, {Jitter: -1},
		{Rate: -1}, {Limit: -1}, {MTU: -1}, {Delay: 48 * time.Hour},
	} {
		if imp.Validate() == nil {
			t.Errorf("%+v is taken", imp)
		}
	}
	if err := (netem.Impairment{Loss: 1, Reorder: 1, Delay: 1}).Validate(); err != nil {
		t.Error(err)
	}
}
