package flow

import (
	"math"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"pgregory.net/rapid"
)

func genRate() *rapid.Generator[Rate] {
	return rapid.Custom(func(t *rapid.T) Rate {
		r := rapid.SampledFrom([]Rate{Kbps, 64 * Kbps, Mbps, 100 * Mbps, 2500 * Mbps, 400 * Gbps}).Draw(t, "magnitude")
		return Rate(rapid.Int64Range(int64(r)/2, 2*int64(r)).Draw(t, "rate"))
	})
}

// sent is a log of takes; worst compares every interval between two of them with what the bucket allows.
type sent struct {
	at    []mono.Time
	bytes []int64
}

func (s *sent) take(at mono.Time, bytes int) {
	s.at, s.bytes = append(s.at, at), append(s.bytes, int64(bytes))
}

// worst returns by how many bytes the fullest interval passes rate x time + most; not positive is right.
func (s *sent) worst(r Rate, most int64) int64 {
	// Interval i..j holds prefix(j+1)-prefix(i) bytes, so one pass with the best start so far finds the worst of them.
	over, best, prefix := int64(math.MinInt64), int64(math.MinInt64), int64(0)
	for i, at := range s.at {
		passed := r.Bytes(at.Sub(s.at[0]))
		best = max(best, passed-prefix)
		prefix += s.bytes[i]
		over = max(over, prefix-passed+best-most)
	}
	return over
}

// A caller that asks before it takes never gets more than rate x time + burst + slack + one run in any interval, however it
// jumps in time, and always gets through at OpenAt.
func TestPacerBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genRate().Draw(t, "r")
		run := rapid.IntRange(1, MaxRunBytes).Draw(t, "run")
		now := mono.Time(rapid.Int64Range(0, 1e18).Draw(t, "start"))
		p := NewPacer(r, 2*run, now)
		var log sent
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				now = now.Add(time.Duration(rapid.Int64Range(0, 20e6).Draw(t, "wait")))
			case 1:
				before := now
				now = p.OpenAt(now)
				if now.Before(before) || !p.Open(now) {
					t.Fatalf("at %v it should open at %v, and does not", before, now)
				}
				if open := p.Open(before); open != (now == before) {
					t.Fatalf("open %v, opens at %v, now %v", open, now, before)
				}
			default:
				if n := rapid.IntRange(1, run).Draw(t, "bytes"); p.Open(now) {
					p.Take(now, n)
					log.take(now, n)
				}
			}
		}
		if len(log.at) == 0 {
			return
		}
		most := int64(p.Burst()) + r.Bytes(Slack) + int64(run) + 4 // roundings
		if over := log.worst(r, most); over > 0 {
			t.Fatalf("%v, burst %d: %d bytes too many", r, p.Burst(), over)
		}
	})
}

// The bound of the test above is not loose: a full bucket does pass its burst at once, and one byte less would fail.
func TestPacerBurst(t *testing.T) {
	const run = 15000
	p := NewPacer(100*Mbps, 2*run, 0)
	if got := p.Burst(); got != 100000 {
		t.Fatalf("100 Mbit/s holds %d bytes, want 8 ms", got)
	}
	if got := int64(drain(&p, 0, run)); got != 120000 {
		t.Errorf("a full bucket passes %d bytes, want 120000: 100000, slack 6250, to the end of the run", got)
	}
	if got, want := p.OpenAt(0), mono.Time(20000*80); got != want {
		t.Errorf("20000 bytes of debt are paid at %v, want %v", got, want)
	}
	if p.Open(mono.Time(13750*80 - 100)) {
		t.Error("open with more than 500 us of debt")
	}
	if !p.Open(mono.Time(13750*80 + 1)) {
		t.Error("closed with less than 500 us of debt")
	}
	p.Take(mono.Time(time.Second), 0)
	p.Take(mono.Time(time.Second), -5)
	if got := drain(&p, mono.Time(time.Second), run); got != 120000 {
		t.Errorf("after a second it passes %d bytes, want 120000", got)
	}
	slow := NewPacer(64*Kbps, 3000, 0)
	if got := drain(&slow, 0, 1500); got != 4500 {
		t.Errorf("64 kbit/s passes %d bytes at once, want its two packets and the one that makes the debt", got)
	}
}

func drain(p *Pacer, now mono.Time, run int) (bytes int) {
	for p.Open(now) {
		p.Take(now, run)
		bytes += run
	}
	return bytes
}

// A run beyond the bucket's size is paid for in full.
func TestPacerLargeTake(t *testing.T) {
	p := NewPacer(8*Mbps, 3000, 0)
	p.Take(0, 1e6)
	if got, want := p.OpenAt(0), mono.Time((1e6-8000)*1000); got != want {
		t.Errorf("1 MB at 1 MB/s opens at %v, want %v", got, want)
	}
	slow := NewPacer(1, 1, 0)
	slow.Take(0, 2e9)
	if got := slow.OpenAt(0); got != mono.Never {
		t.Errorf("507 years of debt are paid at %v", got)
	}
}

func TestPacerTimeDoesNotRunBackwards(t *testing.T) {
	const second = mono.Time(time.Second)
	p := NewPacer(8*Mbps, 8000, second)
	p.Take(second, 8000)
	p.Take(0, 4000) // must not let the second pass twice
	if got, want := p.OpenAt(second), second+4e6; got != want {
		t.Errorf("opens at %v, want %v", got, want)
	}
	if got, want := p.OpenAt(0), second+4e6; got != want {
		t.Errorf("asked early it opens at %v, want %v", got, want)
	}
	p.SetRate(0, 16*Mbps)
	if got, want := p.OpenAt(second), second+2e6; got != want {
		t.Errorf("at twice the rate it opens at %v, want %v", got, want)
	}
}

func TestPacerSetRate(t *testing.T) {
	p := NewPacer(Unlimited, 3000, 0)
	p.Take(0, 1e9)
	if !p.Open(0) || p.OpenAt(5) != 5 || p.Rate() != Unlimited {
		t.Error("Unlimited closed")
	}
	p.SetRate(0, 80*Mbps)
	if got := drain(&p, 0, 1000); got != 80000+5000+1000 {
		t.Errorf("80 Mbit/s after Unlimited passes %d bytes at once, want a full bucket", got)
	}
	p.SetRate(0, Unlimited)
	if !p.Open(0) {
		t.Error("Unlimited again, and closed")
	}
	var zero Pacer
	zero.Take(0, 1e9)
	if !zero.Open(0) || zero.Rate() != Unlimited {
		t.Error("the zero value has a limit")
	}
	for _, r := range []Rate{0, -1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("rate %d taken", int64(r))
				}
			}()
			NewPacer(r, 1, 0)
		}()
	}
}

func TestPacerAllocs(t *testing.T) {
	p := NewPacer(Gbps, 2*MaxRunBytes, 0)
	now := mono.Time(0)
	if got := testing.AllocsPerRun(1000, func() {
		if p.Open(now) {
			p.Take(now, MaxRunBytes)
		}
		now = p.OpenAt(now)
	}); got != 0 {
		t.Errorf("%v allocations a run", got)
	}
}

func BenchmarkPacer(b *testing.B) {
	for _, r := range []Rate{Gbps, Unlimited} {
		b.Run(r.String(), func(b *testing.B) {
			p := NewPacer(r, 2*MaxRunBytes, 0)
			now := mono.Time(0)
			b.ReportAllocs()
			for b.Loop() {
				if p.Open(now) {
					p.Take(now, 1480)
				}
				now += 11840
			}
		})
	}
}
