package nack

import (
	"slices"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// parityHarness speaks of one group of 64 that begins at 128.
type parityHarness struct {
	*testing.T
	r *Repairs
}

const base = seq.Num(128)

func (h parityHarness) nak(at time.Duration, from, count int, seen time.Duration, want Verdict) {
	h.Helper()
	if got := h.r.ParityNAK(mono.Time(at), addr(from), base, count, mono.Time(seen), 1000); got != want {
		h.Errorf("NAK for %d at %v by %d, who had heard until %v: %v, want %v", count, at, from, seen, got, want)
	}
}

// next is over what is next; 0 is nothing.
func (h parityHarness) next(at time.Duration, count int) {
	h.Helper()
	want := Repair{N: base, Parity: true, Count: count}
	if got, ok := h.r.Next(mono.Time(at)); ok != (count > 0) || ok && got != want {
		h.Errorf("next at %v is %+v %v, want %+v", at, got, ok, want)
	}
}

func (h parityHarness) ncfs(at time.Duration, counts ...int) {
	h.Helper()
	var want []seq.Num
	for _, c := range counts {
		want = append(want, base.Add(c-1))
	}
	if pending := h.r.ParityNCFPending(); pending != (len(want) > 0) {
		h.Errorf("at %v parity NCFs are pending: %v", at, pending)
	}
	if got := h.r.ParityNCFs(mono.Time(at), nil); !slices.Equal(got, want) {
		h.Errorf("parity NCFs at %v: %v, want %v", at, got, want)
	}
}

func TestParityGreatestNeed(t *testing.T) {
	h := parityHarness{t, NewRepairs(RepairsConfig{HoldOff: 10 * ms, NCFSpacing: 2 * ms})}
	h.nak(20*ms, 1, 3, 15*ms, Queued)
	h.nak(20*ms, 2, 3, 15*ms, Merged)
	h.nak(20*ms, 3, 2, 15*ms, Merged)
	h.next(20*ms, 3)
	h.ncfs(20*ms, 3)
	h.nak(21*ms, 4, 3, 15*ms, Merged)
	h.ncfs(21 * ms)                   // spacing
	h.nak(21*ms, 5, 5, 15*ms, Queued) // but this is more
	h.ncfs(21*ms, 5)
	h.next(21*ms, 5) // not 3+5
	h.r.ParitySent(mono.Time(22*ms), base, 4)
	h.next(22*ms, 1)
	h.nak(23*ms, 6, 4, 21*ms, HeldOff) // they are on the way to it
	h.nak(23*ms, 6, 5, 21*ms, Merged)  // and the fifth is queued
	h.nak(23*ms, 6, 2, 22*ms, Queued)  // it has heard those, and lacks two more
	h.next(23*ms, 2)
	h.ncfs(23*ms, 5)
	h.r.ParitySent(mono.Time(24*ms), base, 2)
	h.next(24*ms, 0)
	h.nak(31*ms, 7, 6, 20*ms, HeldOff)
	h.nak(32*ms, 7, 6, 20*ms, Queued) // the four are HoldOff old
	h.next(32*ms, 4)
	if s := h.r.Stats(); s != (RepairsStats{ParityQueued: 4, ParityMerged: 4, ParityHeldOff: 2, ParityNCFs: 3, ParitySent: 6}) {
		t.Errorf("stats %+v", s)
	}
}

func TestParityUnasked(t *testing.T) {
	h := parityHarness{t, NewRepairs(RepairsConfig{HoldOff: 10 * ms, MaxQueued: 4})}
	h.r.ParitySent(0, base, 2)
	h.next(0, 0)
	h.nak(ms, 1, 2, -ms, HeldOff)
	h.ncfs(ms, 2)
	h.nak(ms, 2, 3, -ms, Queued)
	h.next(ms, 1)
	h.ncfs(ms, 3)
	h.r.ParitySent(mono.Time(ms), base, 64) // more than needed
	h.next(ms, 0)
	for i := range 1000 { // what is remembered is bounded
		h.r.ParitySent(mono.Time(2*ms), base.Add(64*i), 1)
	}
	if n := h.r.tree.Len(); n > 4 {
		t.Errorf("%d groups are remembered", n)
	}
	h.r.Next(mono.Time(time.Minute))
	if n := h.r.tree.Len(); n != 0 {
		t.Errorf("%d groups are never forgotten", n)
	}
}

// A number and a group of the same number are two requests; the number goes first. Trim and Oldest mean the group's first number.
func TestParityAmongNumbers(t *testing.T) {
	r := NewRepairs(RepairsConfig{})
	for _, n := range []seq.Num{190, 128, 192} {
		r.NAK(0, addr(1), n, 1000)
	}
	r.ParityNAK(0, addr(1), 128, 7, 0, 1000)
	r.ParityNAK(0, addr(1), 64, 2, 0, 1000)
	if n, ok := r.Oldest(); !ok || n != 64 || r.Pending() != 5 {
		t.Errorf("oldest is %d %v of %d, want 64 of 5", n, ok, r.Pending())
	}
	if got := r.NCFs(0, nil); !slices.Equal(got, []seq.Num{128, 190, 192}) {
		t.Errorf("NCFs %v", got)
	}
	if got := r.ParityNCFs(0, nil); !slices.Equal(got, []seq.Num{65, 134}) {
		t.Errorf("parity NCFs %v", got)
	}
	r.Trim(65)
	for _, want := range []Repair{{128, false, 1}, {128, true, 7}, {190, false, 1}, {192, false, 1}} {
		got, ok := r.Next(0)
		if !ok || got != want {
			t.Fatalf("next is %+v %v, want %+v", got, ok, want)
		}
		if got.Parity {
			r.Sent(0, got.N) // that is something else
			r.ParitySent(0, got.N, got.Count)
		} else {
			r.Sent(0, got.N)
		}
	}
}

// A receiver that is beyond its share adds to what is sent only when others do not wait.
func TestParityShare(t *testing.T) {
	h := parityHarness{t, NewRepairs(RepairsConfig{ReceiverShare: 30_000})} // 3 packets at once
	h.nak(0, 1, 10, 0, Queued)
	h.next(0, 3)
	h.nak(0, 2, 2, 0, Merged)
	h.next(0, 3)
	h.nak(0, 3, 4, 0, Merged) // it pays for the fourth
	h.next(0, 4)
	h.r.NAK(0, addr(1), 130, 1000) // beyond its share, as most of the ten
	h.r.NAK(0, addr(3), 131, 1000)
	h.r.ParitySent(0, base, 4)
	if got, _ := h.r.Next(0); got != (Repair{131, false, 1}) {
		t.Errorf("next is %+v, want 131", got)
	}
	h.r.Sent(0, 131)
	h.next(0, 6)
	if h.r.Pending() != 2 {
		t.Errorf("%d pending", h.r.Pending())
	}
}

// What went out long ago is forgotten first; then the oldest counts as later than it was, and never the other way.
func TestSends(t *testing.T) {
	var s sends
	for i := range 40 {
		now := mono.Time(i) * 10
		s.add(now, now-1000, 1)
		s.add(now, now-1000, 1)
	}
	for i := range maxSends {
		at := mono.Time(39-i) * 10
		if got := s.after(at); got != 2*i {
			t.Errorf("%d after %v, want %d", got, at, 2*i)
		}
	}
	if got := s.after(239); got != 80 {
		t.Errorf("%d in all, want 80", got)
	}
	s = sends{}
	for i := range 40 {
		now := mono.Time(i) * 10
		s.add(now, now-100, 1)
	}
	if got := s.after(-1); got != maxSends {
		t.Errorf("%d in all, want those told apart: %d", got, maxSends)
	}
}

func TestShorten(t *testing.T) {
	for _, c := range []struct {
		t          time.Duration
		need, most int
		want       time.Duration
	}{
		{80 * ms, 1, 1, 20 * ms},
		{80 * ms, 6, 8, 80 * ms},
		{80 * ms, 7, 8, 20 * ms},
		{80 * ms, 60, 8, 20 * ms},
		{80 * ms, 0, 8, 80 * ms},
		{80 * ms, 3, 0, 80 * ms},
		{0, 8, 8, 0},
		{-1, 8, 8, -1},
		{1<<63 - 1, 64, 64, 1<<61 - 1},
	} {
		if got := Shorten(c.t, c.need, c.most); got != c.want {
			t.Errorf("Shorten(%v, %d, %d) = %v, want %v", c.t, c.need, c.most, got, c.want)
		}
	}
}

// parityRound has two receivers lose in a group, and the source confirm and repair it.
func parityRound(r *Repairs, now mono.Time, n seq.Num, nums []seq.Num) {
	r.ParitySent(now, n, 1)
	r.ParityNAK(now, addr(1), n, 3, now.Add(-ms), 1000)
	r.ParityNAK(now, addr(2), n, 4, now.Add(-ms), 1000)
	r.ParityNCFs(now, nums[:0])
	for q, ok := r.Next(now); ok; q, ok = r.Next(now) {
		r.ParitySent(now, q.N, 1)
	}
	r.Trim(n - 64*1000)
}

func TestParityAllocs(t *testing.T) {
	r := NewRepairs(RepairsConfig{ReceiverShare: 1e12})
	now, n, nums := mono.Time(0), seq.Num(0), make([]seq.Num, 0, MaxList)
	round := func() {
		now, n = now.Add(ms/10), n.Add(64)
		parityRound(r, now, n, nums)
	}
	for range 5000 {
		round()
	}
	if got := testing.AllocsPerRun(5000, round); got != 0 {
		t.Errorf("%v allocations a group", got)
	}
}

func BenchmarkParity(b *testing.B) {
	r := NewRepairs(RepairsConfig{ReceiverShare: 1e12})
	now, n, nums := mono.Time(0), seq.Num(0), make([]seq.Num, 0, MaxList)
	b.ReportAllocs()
	for b.Loop() {
		now, n = now.Add(ms/10), n.Add(64)
		parityRound(r, now, n, nums)
	}
}

// NAKs for a group count for the estimate as those for a number do, also when some of its parity went out before.
func TestParityEstimate(t *testing.T) {
	size := func(ask func(r *Repairs, i int)) float64 {
		r := NewRepairs(RepairsConfig{})
		for i := range 20 {
			ask(r, i)
		}
		r.Trim(1000)
		return r.group.size
	}
	number := size(func(r *Repairs, i int) { r.NAK(0, addr(i), base, 1000) })
	parity := size(func(r *Repairs, i int) { r.ParityNAK(0, addr(i), base, 1, 0, 1000) })
	unasked := size(func(r *Repairs, i int) {
		if i == 0 {
			r.ParitySent(0, base, 1)
		}
		r.ParityNAK(0, addr(i), base, 2, -1, 1000)
	})
	if number <= 10 || parity != number || unasked != number {
		t.Errorf("estimates %v by number, %v by count, %v with parity before", number, parity, unasked)
	}
}
