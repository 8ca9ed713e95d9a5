package flow

import (
	"math"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"pgregory.net/rapid"
)

const ms = time.Millisecond

// RFC 6298, 2.2 and 2.3, by hand.
func TestRTT(t *testing.T) {
	var r RTT
	if r.Valid() || r.Timeout(2*ms) != 2*ms || r.Smoothed() != 0 {
		t.Error("the zero value has an opinion")
	}
	r.Sample(80 * ms)
	if r.Smoothed() != 80*ms || r.Var() != 40*ms || r.Timeout(0) != 241*ms {
		t.Errorf("first sample: %v, %v, %v", r.Smoothed(), r.Var(), r.Timeout(0))
	}
	r.Sample(160 * ms) // var 3/4*40 + 1/4*80, then srtt 7/8*80 + 1/8*160
	if r.Smoothed() != 90*ms || r.Var() != 50*ms || r.Timeout(0) != 291*ms || r.Timeout(time.Second) != time.Second {
		t.Errorf("second sample: %v, %v, %v", r.Smoothed(), r.Var(), r.Timeout(0))
	}
	r.Sample(-5)
	r.Sample(math.MaxInt64)
	if r.Smoothed() < 0 || r.Smoothed() > maxRTT || r.Timeout(0) < r.Smoothed() {
		t.Errorf("after nonsense: %v, %v", r.Smoothed(), r.Timeout(0))
	}
}

func TestRTTConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r RTT
		for _, d := range rapid.SliceOf(rapid.Int64()).Draw(t, "history") {
			r.Sample(time.Duration(d))
			if r.Smoothed() < 0 || r.Var() < 0 || r.Timeout(0) <= 0 {
				t.Fatalf("negative: %+v", r)
			}
		}
		want := time.Duration(rapid.Int64Range(1e3, 1e9).Draw(t, "rtt"))
		for range 400 {
			r.Sample(want)
		}
		if (r.Smoothed()-want).Abs() > 16 || r.Var() > 16 || r.Timeout(0) > want+ms+64 {
			t.Fatalf("settles at %v +- %v, want %v", r.Smoothed(), r.Var(), want)
		}
	})
}

func TestGRTT(t *testing.T) {
	var g GRTT
	now := mono.Time(0)
	if g.Value(now) != MinGRTT {
		t.Errorf("zero value says %v", g.Value(now))
	}
	g.Init(10 * ms)
	g.Sample(now, 20*ms)
	if g.Value(now) != 20*ms {
		t.Errorf("a greater sample gives %v", g.Value(now))
	}
	g.Sample(now, time.Second)
	if g.Value(now) != 80*ms {
		t.Errorf("one absurd sample gives %v, want fourfold", g.Value(now))
	}
	now = now.Add(time.Hour)
	if got := g.Value(now); got != 80*ms {
		t.Errorf("the first interval ended at %v, its peak was 80 ms", got)
	}
	now = now.Add(time.Hour)
	if got := g.Value(now); got != 80*ms {
		t.Errorf("silence moved it to %v", got)
	}
	g.Sample(now, 3*ms)
	now = now.Add(639 * ms)
	if got := g.Value(now); got != 80*ms {
		t.Errorf("fell to %v before its interval of 8 GRTT", got)
	}
	now = now.Add(ms)
	if got := g.Value(now); got != 60*ms {
		t.Errorf("an interval with 3 ms brings 80 ms to %v, want 60 ms", got)
	}
}

// The first guess is no measurement: the first sample replaces it, later ones only bring it down step by step.
func TestGRTTFirstGuess(t *testing.T) {
	var g GRTT
	g.Init(500 * ms)
	g.Sample(0, 2*ms)
	if got := g.Value(0); got != 4*ms {
		t.Errorf("a sample of 2 ms replaces the guess by %v, want 4 ms", got)
	}
	g.Sample(0, ms)
	if got := g.Value(mono.Time(100*ms - 1)); got != 4*ms {
		t.Errorf("fell to %v before its interval was over", got)
	}
	if got := g.Value(mono.Time(100 * ms)); got != 3*ms {
		t.Errorf("the first interval brings 4 ms to %v, want 3 ms", got)
	}
}

// A source on a LAN begins with 10 ms; two seconds of samples are enough to know better.
func TestGRTTConverges(t *testing.T) {
	var g GRTT
	g.Init(10 * ms)
	now := mono.Time(0)
	for range 200 {
		g.Sample(now, 300*time.Microsecond)
		now = now.Add(10 * ms)
	}
	if got := g.Value(now); got != 300*time.Microsecond {
		t.Errorf("after two seconds it is still %v", got)
	}
}

func TestGRTTBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var g GRTT
		g.Init(time.Duration(rapid.Int64().Draw(t, "init")))
		now := mono.Time(0)
		first := true // the sample that replaces the guess
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			before := g.Value(now)
			sample := time.Duration(rapid.Int64Range(-1e9, 20e9).Draw(t, "rtt"))
			g.Sample(now, sample)
			after := g.Value(now)
			if after < MinGRTT || after > MaxGRTT || after > 4*before || after < min(clampGRTT(sample), before) || !first && after < before {
				t.Fatalf("sample %v brings %v to %v", sample, before, after)
			}
			first = false
			now = now.Add(time.Duration(rapid.Int64Range(0, 10e9).Draw(t, "wait")))
			fallen := g.Value(now)
			if fallen > after || fallen < after-after/4 || g.Value(now) != fallen {
				t.Fatalf("fell from %v to %v", after, fallen)
			}
		}
	})
}

func TestGRTTAllocs(t *testing.T) {
	var r RTT
	var g GRTT
	now := mono.Time(0)
	if got := testing.AllocsPerRun(1000, func() {
		now = now.Add(ms)
		r.Sample(time.Duration(now % 1e6))
		g.Sample(now, r.Timeout(ms))
		DecodeGRTT(EncodeGRTT(g.Value(now)))
		DecodeGroupSize(EncodeGroupSize(float64(now)))
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkGRTT(b *testing.B) {
	var g GRTT
	g.Init(10 * ms)
	now := mono.Time(0)
	b.ReportAllocs()
	for b.Loop() {
		now += 1e5
		g.Sample(now, 2*ms)
		EncodeGRTT(g.Value(now))
	}
}

// In a large group the estimate leaves the first guess as fast as in a small one, and then falls slowly.
func TestGRTTLarge(t *testing.T) {
	const far, near = 100 * time.Millisecond, 40 * time.Millisecond
	after := func(large bool, samples int, rtt time.Duration) time.Duration {
		var g GRTT
		g.Init(500 * time.Millisecond)
		g.SetLarge(large)
		now := mono.Time(0)
		for i := range 40 + samples {
			d := far
			if i >= 40 {
				d = rtt
			}
			g.Sample(now, d)
			now = now.Add(2 * time.Second)
		}
		return g.Value(now)
	}
	for _, large := range []bool{false, true} {
		if got := after(large, 0, 0); got != far {
			t.Errorf("large %v: %v after samples of %v", large, got, far)
		}
	}
	if got := after(false, 4, near); got != near {
		t.Errorf("small group: %v after samples of %v", got, near)
	}
	if got := after(true, 4, near); got < far*7/8 || got >= far {
		t.Errorf("large group: %v after four samples of %v", got, near)
	}
	if got := after(true, 60, near); got != near {
		t.Errorf("large group: %v after sixty samples of %v", got, near)
	}
}
