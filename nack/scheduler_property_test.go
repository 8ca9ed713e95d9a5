package nack

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// TestSchedulerDriven drives a Scheduler as a receiver does, by nothing but its Deadline, and has no model of how it works. What
// must hold: no missing number is forgotten, and none asked for that is not missing or is held; no state lasts longer than its interval
// and MaxInterval and, in BackOff, a hold, whatever others say; a number that is not confirmed is asked for, again and again; none outlives
// Limit.
func TestSchedulerDriven(t *testing.T) { rapid.Check(t, drivenScheduler) }

// search is what is known from outside of one missing number.
type search struct {
	since, entered mono.Time // missing, in its state
	asked          mono.Time // or missing, if it was not; or not held any more
	hold           mono.Time // the end of its hold
	state          State
	confirmed      bool
	spoken         bool // somebody has asked for it since we looked
}

type schedulerDriver struct {
	t       *rapid.T
	s       *Scheduler
	tm      Timing
	now     mono.Time
	lo, hi  seq.Num
	missing map[seq.Num]*search
}

// released notes what became of a hold.
func (x *search) released(st State, now mono.Time) {
	switch {
	case x.hold == 0:
	case st != BackOff:
		x.asked = max(x.asked, min(x.hold, now))
		x.hold = 0
	case x.hold > now:
		x.entered, x.asked = now, now // and time does not count
	default:
		x.entered, x.asked = max(x.entered, x.hold), max(x.asked, x.hold)
		x.hold = 0
	}
}

// longest is how long a state may last.
func (d *schedulerDriver) longest(st State) time.Duration {
	switch st {
	case WaitNCF:
		return max(d.tm.Repeat, d.tm.MaxInterval) + d.tm.MaxInterval
	case WaitData:
		return max(d.tm.Data, d.tm.MaxInterval) + d.tm.MaxInterval
	}
	return max(d.tm.Tolerance, 0) + d.tm.Backoff
}

// work does what is due now.
func (d *schedulerDriver) work() {
	for rounds := 0; d.s.Deadline() <= d.now; rounds++ {
		if rounds > 1000 {
			d.t.Fatalf("Deadline is %v at %v, whatever is done", d.s.Deadline(), d.now)
		}
		for r, ok := d.s.Expired(d.now); ok; r, ok = d.s.Expired(d.now) {
			for n := r.From; n != r.To; n++ {
				x := d.missing[n]
				if x == nil || d.tm.Limit <= 0 || d.now.Sub(x.since) < d.tm.Limit {
					d.t.Fatalf("%d expires at %v: %+v", n, d.now, x)
				}
				delete(d.missing, n)
			}
		}
		nums := d.s.Due(d.now, make([]seq.Num, 0, rapid.IntRange(1, 100).Draw(d.t, "room")))
		if len(nums) > MaxList {
			d.t.Fatalf("a list of %d", len(nums))
		}
		for i, n := range nums {
			x := d.missing[n]
			if x == nil || x.hold > d.now || i > 0 && !nums[i-1].Less(n) {
				d.t.Fatalf("asked for %v; missing is %+v", nums, x)
			}
			x.asked, x.entered, x.state, x.hold = d.now, d.now, WaitNCF, 0 // asked again, perhaps
		}
	}
}

// heard has another receiver ask for n, of which x is known.
func (d *schedulerDriver) heard(n seq.Num, x *search) {
	if d.s.NAKHeard(d.now, n); x != nil {
		x.spoken = true
	}
}

// look compares the books with the Scheduler.
func (d *schedulerDriver) look() {
	held := 0
	for n := d.lo - 2; n != d.hi+2; n++ {
		st, ok := d.s.State(n)
		x := d.missing[n]
		if ok != (x != nil) {
			d.t.Fatalf("%d: held %v, missing %+v", n, ok, x)
		}
		if x == nil {
			continue
		}
		held++
		if st != x.state {
			if st == WaitNCF && !x.spoken || st == WaitData && !x.confirmed {
				d.t.Fatalf("%d is in %v, and nobody asked or confirmed", n, st)
			}
			x.state, x.entered = st, d.now
		}
		x.released(st, d.now)
		x.spoken = false
		if in := d.now.Sub(x.entered); in > d.longest(st) {
			d.t.Fatalf("%d is in %v for %v, at most %v", n, st, in, d.longest(st))
		}
		if d.tm.Limit > 0 && d.now.Sub(x.since) > d.tm.Limit {
			d.t.Fatalf("%d is missing since %v at %v", n, x.since, d.now)
		}
		// Two rounds in which others speak for us, and then ours.
		if most := 3 * (d.longest(BackOff) + d.longest(WaitNCF)); !x.confirmed && d.now.Sub(x.asked) > most {
			d.t.Fatalf("%d was last asked for %v ago, at most %v", n, d.now.Sub(x.asked), most)
		}
	}
	if d.s.Len() != held {
		d.t.Fatalf("Len is %d, missing are %d", d.s.Len(), held)
	}
	if d.s.Deadline() <= d.now || held == 0 && d.s.Deadline() != mono.Never {
		d.t.Fatalf("at rest at %v with the deadline %v, %d missing", d.now, d.s.Deadline(), held)
	}
}

func drivenScheduler(t *rapid.T) {
	tm := drawTiming(t)
	d := &schedulerDriver{t: t, missing: map[seq.Num]*search{}}
	d.s = NewScheduler(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)), tm)
	d.tm = d.s.Timing()
	d.lo = rapid.SampledFrom([]seq.Num{0, 1<<31 - 20, 1<<32 - 20}).Draw(t, "base")
	d.hi = d.lo
	run := func(t *rapid.T, f func(n seq.Num, x *search)) {
		n := d.lo.Add(rapid.IntRange(-2, d.hi.Sub(d.lo)+2).Draw(t, "n"))
		for i := rapid.IntRange(1, 40).Draw(t, "run"); i > 0; i-- {
			f(n, d.missing[n])
			n++
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"": func(t *rapid.T) {
			d.t = t
			d.work()
			d.look()
		},
		"wait": func(t *rapid.T) {
			d.t = t
			for until := d.now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "d"))); d.now < until; {
				d.now = min(until, max(d.now, d.s.Deadline()))
				d.work()
				d.look()
			}
		},
		"gap": func(t *rapid.T) {
			r := seq.Range{From: d.hi.Add(rapid.IntRange(0, 3).Draw(t, "skip"))}
			r.To = r.From.Add(rapid.IntRange(0, 100).Draw(t, "len"))
			for n := r.From; n != r.To; n++ {
				d.missing[n] = &search{since: d.now, entered: d.now, asked: d.now}
			}
			d.hi = seq.Max(d.hi, r.To)
			d.s.Missing(d.now, r, r.To.Add(rapid.IntRange(-1, 2).Draw(t, "later")))
		},
		"progress": func(t *rapid.T) { d.s.Progress(d.now, d.hi.Add(rapid.IntRange(-2, 3).Draw(t, "later"))) },
		"found": func(t *rapid.T) {
			run(t, func(n seq.Num, _ *search) {
				d.s.Found(d.now, n)
				delete(d.missing, n)
			})
		},
		"forget": func(t *rapid.T) {
			from := d.lo.Add(rapid.IntRange(-2, d.hi.Sub(d.lo)+2).Draw(t, "from"))
			r := seq.Range{From: from, To: from.Add(rapid.IntRange(0, 50).Draw(t, "len"))}
			d.s.Forget(r)
			for n := r.From; n != r.To; n++ {
				delete(d.missing, n)
			}
		},
		"ncf": func(t *rapid.T) {
			run(t, func(n seq.Num, x *search) {
				if d.s.NCF(d.now, n); x != nil {
					x.confirmed = true
				}
			})
		},
		"heard": func(t *rapid.T) { run(t, d.heard) },
		"hold": func(t *rapid.T) {
			until := mono.Never
			if rapid.IntRange(0, 3).Draw(t, "finite") > 0 {
				until = d.now.Add(time.Duration(rapid.IntRange(-100, 2000).Draw(t, "hold")))
			}
			from := d.lo.Add(rapid.IntRange(-2, d.hi.Sub(d.lo)+2).Draw(t, "from"))
			r := seq.Range{From: from, To: from.Add(rapid.IntRange(0, 64).Draw(t, "len"))}
			never := 0
			for n := r.From; n != r.To; n++ {
				if x := d.missing[n]; x != nil && x.state == BackOff {
					x.hold = until
					if until == mono.Never {
						never++
					}
				}
			}
			if d.s.Hold(r, until); d.s.Held(r) != never {
				t.Fatalf("%d are held, want %d", d.s.Held(r), never)
			}
		},
		"resume": func(t *rapid.T) {
			from := d.lo.Add(rapid.IntRange(-2, d.hi.Sub(d.lo)+2).Draw(t, "from"))
			r := seq.Range{From: from, To: from.Add(rapid.IntRange(0, 64).Draw(t, "len"))}
			d.s.Resume(d.now, r)
			for n := r.From; n != r.To; n++ {
				if x := d.missing[n]; x != nil && x.hold > d.now {
					x.hold, x.entered, x.asked = 0, d.now, d.now
				}
			}
			if d.s.Held(r) != 0 {
				t.Fatalf("%d are held after Resume", d.s.Held(r))
			}
		},
		"hush": func(t *rapid.T) { // somebody asks for everything just before we would
			d.t = t
			for range rapid.IntRange(1, 30).Draw(t, "times") {
				if d.s.Deadline() == mono.Never {
					return
				}
				d.now = max(d.now, d.s.Deadline())
				for n := d.lo; n != d.hi; n++ {
					d.heard(n, d.missing[n])
				}
				d.work()
				d.look()
			}
		},
		"hurry": func(t *rapid.T) { d.s.Hurry(d.now) },
	})
	// When nothing is said any more, everything is found or given up.
	for n := range d.missing {
		d.s.Found(d.now, n)
	}
	if d.s.Len() != 0 || d.s.Ranges() != 0 || d.s.Deadline() != mono.Never {
		t.Fatalf("everything is found, and %d are missing", d.s.Len())
	}
}
