package nack

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// asker is a Scheduler with a clock. Without Backoff its times are exact.
type asker struct {
	*Scheduler
	t   *testing.T
	now mono.Time
}

func newAsker(t *testing.T, tm Timing) *asker {
	return &asker{Scheduler: NewScheduler(rand.New(rand.NewPCG(1, 2)), tm), t: t}
}

func (a *asker) wantDue(at time.Duration, want ...seq.Num) {
	a.t.Helper()
	if len(want) > 0 && a.Deadline() != mono.Time(at) {
		a.t.Fatalf("deadline %v, want %v", a.Deadline(), at)
	}
	if got := a.Due(mono.Time(at)-1, nil); len(want) > 0 && len(got) > 0 {
		a.t.Fatalf("%v due too early", got)
	}
	a.now = mono.Time(at)
	if got := a.Due(a.now, nil); !slices.Equal(got, want) {
		a.t.Fatalf("at %v %v due, want %v", at, got, want)
	}
}

func (a *asker) wantState(n seq.Num, want State) {
	a.t.Helper()
	if st, ok := a.State(n); !ok || st != want {
		a.t.Fatalf("%d is in %v (%v), want %v", n, st, ok, want)
	}
}

func (a *asker) wantDeadline(want mono.Time) {
	a.t.Helper()
	if got := a.Deadline(); got != want {
		a.t.Fatalf("deadline %v, want %v", got, want)
	}
}

const ms = time.Millisecond

var plain = Timing{Repeat: 10 * ms, Data: 20 * ms, MaxInterval: 50 * ms, Tolerance: -1}

func TestSchedulerRetriesDouble(t *testing.T) {
	a := newAsker(t, plain)
	a.wantDeadline(mono.Never)
	a.Missing(0, seq.Range{From: 5, To: 7}, 7)
	a.wantDue(0, 5, 6)
	a.wantState(5, WaitNCF)
	a.wantDue(10*ms, 5, 6)  // NAK_RPT_IVL
	a.wantDue(30*ms, 5, 6)  // twice that
	a.wantDue(70*ms, 5, 6)  // and again
	a.wantDue(120*ms, 5, 6) // up to MaxInterval
	a.wantDue(170*ms, 5, 6)
	a.NCF(a.now, 5)
	a.wantState(5, WaitData)
	a.wantDue(220*ms, 5, 6) // 5: NAK_RDATA_IVL as often doubled, 6: NAK_RPT_IVL
	a.Found(a.now, 5)
	a.Found(a.now, 6)
	a.wantDeadline(mono.Never)
}

// An interval of the caller's that exceeds MaxInterval is kept.
func TestSchedulerLongIntervals(t *testing.T) {
	tm := plain
	tm.Repeat = 200 * ms
	a := newAsker(t, tm)
	a.Missing(0, seq.Range{From: 5, To: 6}, 6)
	a.wantDue(0, 5)
	a.wantDue(200*ms, 5)
	a.wantDue(400*ms, 5)
}

// A retry's backoff counts from the end of the interval, even when nobody looked then.
func TestSchedulerLateLook(t *testing.T) {
	a := newAsker(t, plain)
	a.Missing(0, seq.Range{From: 5, To: 6}, 6)
	a.wantDue(0, 5)
	tm := plain
	tm.Backoff, tm.Uniform = 4*ms, true
	a.SetTiming(tm)
	if got := a.Due(mono.Time(14*ms), nil); len(got) != 1 {
		t.Fatalf("%v due 4 ms after the interval's end, with at most 4 ms of backoff", got)
	}
}

func TestSchedulerTolerance(t *testing.T) {
	tm := plain
	tm.Tolerance, tm.TolerancePackets = 0, 0 // the defaults: 1 ms, 2 packets
	a := newAsker(t, tm)
	a.Missing(0, seq.Range{From: 5, To: 6}, 6)
	a.Progress(mono.Time(ms/4), 6)
	a.wantDeadline(mono.Time(ms))
	a.Progress(mono.Time(ms/2), 7)
	a.wantDue(ms/2, 5)
	a.Missing(mono.Time(2*ms), seq.Range{From: 8, To: 9}, 8) // known from an SPM
	a.wantDue(3*ms, 8)
	a.Missing(mono.Time(4*ms), seq.Range{From: 10, To: 15}, 15)
	a.Found(mono.Time(4*ms), 14) // late, not lost
	a.Progress(mono.Time(4*ms), 15)
	a.wantDue(4*ms, 10, 11, 12, 13)
	if a.Suppressed() != 0 {
		t.Error("a late packet counts as a suppressed NAK")
	}
}

func TestSchedulerSuppressesOnNCF(t *testing.T) {
	tm := plain
	tm.Backoff, tm.GroupSize = 100*ms, 10
	a := newAsker(t, tm)
	a.Missing(0, seq.Range{From: 5, To: 9}, 20)
	d := a.Deadline()
	if rtt, ok := a.NCF(1, 6); ok {
		t.Errorf("rtt %v from an NCF we did not cause", rtt)
	}
	a.NAKHeard(1, 7)
	a.Found(1, 8)
	a.wantState(5, BackOff)
	a.wantState(6, WaitData)
	a.wantState(7, WaitNCF)
	if a.Suppressed() != 3 {
		t.Errorf("%d NAKs suppressed, want 3", a.Suppressed())
	}
	a.wantDeadline(min(d, mono.Time(10*ms+1)))
	if got := a.Due(mono.Time(9*ms), nil); len(got) > 1 {
		t.Errorf("%v due although suppressed", got)
	}
}

func TestSchedulerMeasures(t *testing.T) {
	a := newAsker(t, plain)
	a.Missing(0, seq.Range{From: 5, To: 9}, 20)
	a.wantDue(0, 5, 6, 7, 8)
	a.NAKHeard(mono.Time(ms), 6)
	for n, want := range map[seq.Num]bool{5: true, 6: false, 7: true} {
		if rtt, ok := a.NCF(mono.Time(3*ms), n); ok != want || ok && rtt != 3*ms {
			t.Errorf("NCF(%d) measures %v %v, want %v", n, rtt, ok, want)
		}
	}
	a.NCF(mono.Time(4*ms), 7)
	for n, want := range map[seq.Num]bool{5: true, 7: false, 8: false} {
		if wait, ok := a.Found(mono.Time(5*ms), n); ok != want || ok && wait != 2*ms {
			t.Errorf("Found(%d) measures %v %v, want %v", n, wait, ok, want)
		}
	}
	a.Missing(mono.Time(5*ms), seq.Range{From: 30, To: 31}, 40)
	a.Due(mono.Time(5*ms), nil)
	a.Due(mono.Time(15*ms), nil)
	if _, ok := a.NCF(mono.Time(16*ms), 30); ok {
		t.Error("a retried NAK measures the round trip")
	}
	if _, ok := a.Found(mono.Time(17*ms), 30); ok {
		t.Error("a retried range measures the source's queue")
	}
}

// Forged NCFs and NAKs may postpone a request, not prevent it.
func TestSchedulerBoundedSuppression(t *testing.T) {
	for name, hush := range map[string]func(*asker){
		"ncf": func(a *asker) { a.NCF(a.now, 5) },
		"nak": func(a *asker) { a.NAKHeard(a.now, 5) },
	} {
		a := newAsker(t, plain)
		a.Missing(0, seq.Range{From: 5, To: 6}, 6)
		a.Due(0, nil)
		for len(a.Due(a.now, nil)) == 0 {
			if a.now = a.now.Add(ms); a.now > mono.Time(20*ms+50*ms+ms) {
				t.Fatalf("%s: not asked for again after %v", name, a.now)
			}
			hush(a)
		}
	}
}

func TestSchedulerExpires(t *testing.T) {
	tm := plain
	tm.Limit = 25 * ms
	a := newAsker(t, tm)
	a.Missing(0, seq.Range{From: 5, To: 9}, 9)
	a.Missing(mono.Time(ms), seq.Range{From: 1 << 31, To: 1<<31 + 1}, 1<<31+1)
	a.Due(mono.Time(ms), nil)
	a.NCF(mono.Time(10*ms), 6)
	if r, ok := a.Expired(mono.Time(25*ms) - 1); ok {
		t.Fatalf("%v expired too early", r)
	}
	a.Due(mono.Time(20*ms), nil)
	a.wantDeadline(mono.Time(25 * ms))
	for _, want := range []seq.Range{{From: 5, To: 6}, {From: 6, To: 7}, {From: 7, To: 9}} {
		if r, ok := a.Expired(mono.Time(25 * ms)); !ok || r != want {
			t.Fatalf("%v %v expired, want %v", r, ok, want)
		}
	}
	if r, ok := a.Expired(mono.Time(25 * ms)); ok {
		t.Fatalf("%v expired as well", r)
	}
	a.wantDeadline(mono.Time(26 * ms))
}

// Neighbours that are confirmed together still expire each in its time.
func TestSchedulerExpiresNeighbours(t *testing.T) {
	tm := plain
	tm.Backoff, tm.Limit = 40*ms, 25*ms
	a := newAsker(t, tm)
	a.Missing(0, seq.Range{From: 5, To: 6}, 10)
	a.Missing(mono.Time(ms), seq.Range{From: 6, To: 7}, 10)
	a.NCF(mono.Time(2*ms), 5)
	a.NCF(mono.Time(2*ms), 6)
	for i := range 2 {
		at := mono.Time(25*ms + time.Duration(i)*ms)
		if r, ok := a.Expired(at); !ok || r.From != seq.Num(5+i) || r.Len() != 1 {
			t.Fatalf("%v %v expired at %v", r, ok, at)
		}
		if r, ok := a.Expired(at); ok {
			t.Fatalf("%v expired too early at %v", r, at)
		}
	}
}

// Lists hold MaxList numbers, and as many as the caller has room for; the rest is due at once.
func TestSchedulerLists(t *testing.T) {
	a := newAsker(t, plain)
	const all = 150
	first := seq.Num(1<<32 - 70)
	a.Missing(0, seq.Range{From: first, To: first + 100}, 200)
	a.Missing(0, seq.Range{From: 30, To: 80}, 200)
	var got []seq.Num
	for _, room := range []int{10, 63, 64, 100} {
		list := a.Due(0, make([]seq.Num, 0, room))
		if len(list) != min(room, MaxList, all-len(got)) {
			t.Errorf("%d numbers in a list of %d", len(list), room)
		}
		got = append(got, list...)
		if len(got) < all {
			a.wantDeadline(0)
		}
	}
	a.wantDeadline(mono.Time(10 * ms))
	for i, n := range got {
		if n != first.Add(i) {
			t.Fatalf("number %d asked for is %d", i, n)
		}
	}
	if len(got) != all || a.Ranges() > 6 {
		t.Errorf("%d numbers asked for, in %d ranges", len(got), a.Ranges())
	}
	// The list's NCFs come one by one and leave few ranges behind.
	for i := range all {
		a.NCF(mono.Time(ms), first.Add(i))
	}
	if a.Ranges() > 2 {
		t.Errorf("%d ranges after all were confirmed", a.Ranges())
	}
}

// A hundred receivers miss a number and answer to a source that is one round trip away and repairs at once: however the draws
// fall, each asks or is suppressed, and nobody waits longer than backoff and round trip.
func TestSchedulerGroup(t *testing.T) {
	const n, rtt = 100, 2 * ms
	for seed := range uint64(20) {
		var group [n]*Scheduler
		for i := range group {
			group[i] = NewScheduler(rand.New(rand.NewPCG(seed, uint64(i))), Timing{Backoff: 4 * rtt, GroupSize: n})
			group[i].Missing(0, seq.Range{From: 1, To: 2}, 3)
		}
		asked, suppressed, first := 0, uint64(0), mono.Never
		for now := mono.Time(0); first == mono.Never || now < first.Add(rtt); now = now.Add(10 * time.Microsecond) {
			for _, s := range group {
				if len(s.Due(now, nil)) > 0 {
					asked++
					first = min(first, now)
				}
			}
		}
		for _, s := range group {
			s.NCF(first.Add(rtt), 1)
			s.Found(first.Add(rtt), 1)
			suppressed += s.Suppressed()
			if s.Len() != 0 {
				t.Fatal("a number that was found is still missing")
			}
		}
		if asked+int(suppressed) != n || asked > n/4 || first > mono.Time(4*rtt) {
			t.Errorf("seed %d: %d asked, %d suppressed, the first after %v", seed, asked, suppressed, first)
		}
	}
}

// lossy runs a stream with the given loss through s: gaps are asked for, confirmed, and repaired 200 packets after.
type lossy struct {
	s     *Scheduler
	rng   *rand.Rand
	loss  float64
	burst int
	now   mono.Time
	next  seq.Num
	due   []seq.Num
	late  []seq.Num // asked for, oldest first
}

func newLossy(loss float64, burst int) *lossy {
	return &lossy{
		s:    NewScheduler(rand.New(rand.NewPCG(1, 2)), Timing{Backoff: ms, GroupSize: 10, Repeat: 5 * ms, Data: 20 * ms, Limit: time.Second}),
		rng:  rand.New(rand.NewPCG(3, 4)),
		loss: loss, burst: burst, next: 1<<32 - 1000,
		due: make([]seq.Num, 0, MaxList), late: make([]seq.Num, 0, 1<<16),
	}
}

func (l *lossy) packet() {
	l.now = l.now.Add(10 * time.Microsecond)
	if l.loss > 0 && l.rng.Float64() < l.loss {
		gap := seq.Range{From: l.next, To: l.next.Add(l.burst)}
		l.next = gap.To
		l.s.Missing(l.now, gap, l.next)
	}
	l.s.Progress(l.now, l.next)
	l.next++
	if l.s.Deadline() <= l.now {
		for l.s.Deadline() <= l.now {
			l.due = l.s.Due(l.now, l.due[:0])
			for _, n := range l.due {
				l.s.NCF(l.now, n)
			}
			l.late = append(l.late, l.due...)
		}
	}
	k := 0
	for k < len(l.late) && l.next.Sub(l.late[k]) > 200*l.burst {
		l.s.Found(l.now, l.late[k])
		k++
	}
	l.late = slices.Delete(l.late, 0, k)
}

func TestSchedulerAllocs(t *testing.T) {
	for _, loss := range []float64{0, 0.01, 0.1} {
		l := newLossy(loss, 3)
		for range 20000 {
			l.packet()
		}
		if n := testing.AllocsPerRun(10, func() {
			for range 1000 {
				l.packet()
			}
		}); n != 0 {
			t.Errorf("%v loss: %v allocations in 1000 packets", loss, n)
		}
		if loss > 0 && l.s.Len() == 0 {
			t.Error("nothing was missing")
		}
	}
}

func BenchmarkSchedulerLoss(b *testing.B) {
	for _, c := range []struct {
		name string
		loss float64
	}{{"0%", 0}, {"1%", 0.01}, {"10%", 0.1}} {
		b.Run(c.name, func(b *testing.B) {
			l := newLossy(c.loss, 1)
			b.ReportAllocs()
			for b.Loop() {
				l.packet()
			}
		})
	}
}

// The life of one range, among others that stay missing: gap, NAK, NCF, data.
func BenchmarkSchedulerRanges(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
	}{{"100", 100}, {"1k", 1000}, {"10k", 10000}} {
		b.Run(c.name, func(b *testing.B) {
			s := NewScheduler(rand.New(rand.NewPCG(1, 2)), Timing{Backoff: ms, Repeat: time.Hour, Data: time.Hour, Tolerance: -1})
			now, next := mono.Time(0), seq.Num(0)
			due := make([]seq.Num, 0, MaxList)
			gap := func() {
				now = now.Add(ms)
				s.Missing(now, seq.Range{From: next, To: next + 3}, next+3)
				due = s.Due(now.Add(ms), due[:0])
				for _, n := range due {
					s.NCF(now.Add(ms), n)
				}
				next += 4
			}
			for range c.n {
				gap()
			}
			b.ReportAllocs()
			for b.Loop() {
				gap()
				old := next.Add(-4 * (c.n + 1))
				s.Found(now, old+1) // splits it
				s.Found(now, old)
				s.Found(now, old+2)
			}
			if s.Ranges() != c.n {
				b.Fatalf("%d ranges", s.Ranges())
			}
		})
	}
}
