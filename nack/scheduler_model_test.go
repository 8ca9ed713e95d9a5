package nack

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// missing is one number of the model: the phase by itself, with no idea of spans.
type missing struct {
	phase
	since mono.Time
	gap   int // which call of Missing, or of Hold and Resume since
	young bool
	wait  time.Duration
	ready bool
}

// until is when the state ends by itself.
func (x *missing) until() mono.Time {
	if x.state == BackOff {
		return max(x.deadline, x.hold)
	}
	return x.deadline
}

// schedulerModel is a Scheduler that keeps every number apart and searches them all each time. It draws from a generator of the
// same seed, so its times are the same.
type schedulerModel struct {
	rng     *rand.Rand
	t       Timing
	num     map[seq.Num]*missing
	lo, hi  seq.Num // all numbers ever missing
	gaps    int
	at, due mono.Time
	drawn   time.Duration
	hushed  uint64
}

func (m *schedulerModel) all(f func(seq.Num, *missing)) {
	for n := m.lo; n != m.hi; n++ {
		if x := m.num[n]; x != nil {
			f(n, x)
		}
	}
}

func (m *schedulerModel) missing(now mono.Time, r seq.Range, lead seq.Num) {
	start := mono.Time(-1)
	for n := r.From; n != r.To; n++ {
		if m.num[n] != nil {
			start = -1
			continue
		}
		if m.at != now {
			m.at, m.drawn = now, m.t.draw(m.rng)
		}
		if start < 0 {
			start = now
			m.gaps++
		}
		x := &missing{since: now, gap: m.gaps}
		x.began, x.deadline = now, now.Add(m.drawn)
		to := n
		for to != r.To && m.num[to] == nil {
			to++
		}
		if m.t.Tolerance > 0 && m.t.TolerancePackets > 0 && lead.Sub(to)+1 < m.t.TolerancePackets {
			x.young, x.wait = true, m.drawn
			x.deadline = now.Add(m.t.Tolerance + m.drawn)
		}
		defer func() { m.num[n] = x }()
	}
}

// end returns where the run of young numbers that n belongs to ends.
func (m *schedulerModel) end(n seq.Num) seq.Num {
	gap := m.num[n].gap
	for x := m.num[n]; x != nil && x.young && x.gap == gap; x = m.num[n] {
		n++
	}
	return n
}

func (m *schedulerModel) progress(now mono.Time, lead seq.Num) {
	var over []*missing
	m.all(func(n seq.Num, x *missing) {
		if x.young && lead.Sub(m.end(n))+1 >= m.t.TolerancePackets {
			over = append(over, x)
			x.deadline = min(x.deadline, now.Add(x.wait))
		} else if x.young && x.since.Add(m.t.Tolerance) <= now {
			over = append(over, x)
		}
	})
	for _, x := range over {
		x.young = false
	}
}

// regap gives the numbers that a hold was begun or ended for gaps of their own: they are not young together with their neighbours any more.
func (m *schedulerModel) regap(changed []*missing) {
	to := map[int]int{}
	for _, x := range changed {
		if to[x.gap] == 0 {
			m.gaps++
			to[x.gap] = m.gaps
		}
		x.gap = to[x.gap]
	}
}

func (m *schedulerModel) holdBack(r seq.Range, until mono.Time) {
	var changed []*missing
	m.all(func(n seq.Num, x *missing) {
		if r.Has(n) && x.state == BackOff && x.hold != until {
			changed = append(changed, x)
			x.hold = until
			x.ready = x.ready && until <= m.due
		}
	})
	m.regap(changed)
}

func (m *schedulerModel) resume(now mono.Time, r seq.Range) {
	m.all(func(n seq.Num, x *missing) {
		if r.Has(n) && x.state == BackOff && x.hold > now {
			if m.at != now {
				m.at, m.drawn = now, m.t.draw(m.rng)
			}
			x.hold, x.young, x.began, x.deadline = 0, false, now, now.Add(m.drawn)
		}
	})
}

func (m *schedulerModel) held(r seq.Range) (count int) {
	m.all(func(n seq.Num, x *missing) {
		if r.Has(n) && x.state == BackOff && x.hold == mono.Never {
			count++
		}
	})
	return count
}

func (m *schedulerModel) found(now mono.Time, n seq.Num) (time.Duration, bool) {
	x := m.num[n]
	if x == nil {
		return 0, false
	}
	delete(m.num, n)
	if x.state == BackOff && !x.young && x.naks == 0 && x.hold <= now {
		m.hushed++
	}
	if x.state == WaitData && x.confirms == 1 && x.retries == 0 {
		return now.Sub(x.ncfAt), true
	}
	return 0, false
}

func (m *schedulerModel) interval(d time.Duration, retries uint8) time.Duration {
	limit := max(d, m.t.MaxInterval)
	for range retries {
		d = min(2*d, limit)
	}
	return d
}

func (m *schedulerModel) until(now mono.Time, x *missing, d time.Duration) mono.Time {
	d = m.interval(d, x.retries)
	return min(now.Add(d), x.began.Add(d+m.t.MaxInterval))
}

func (m *schedulerModel) ncf(now mono.Time, n seq.Num) (rtt time.Duration, ok bool) {
	x := m.num[n]
	if x == nil {
		return 0, false
	}
	if x.state == BackOff && x.hold <= now {
		m.hushed++
	}
	if x.state == WaitNCF && x.naks == 1 && x.retries == 0 && !x.heard {
		rtt, ok = now.Sub(x.nakAt), true
	}
	if x.state != WaitData {
		x.state, x.began, x.ncfAt = WaitData, now, now
	}
	x.confirms++
	x.young, x.ready, x.hold = false, false, 0
	x.deadline = m.until(now, x, m.t.Data)
	return rtt, ok
}

func (m *schedulerModel) nakHeard(now mono.Time, n seq.Num) {
	x := m.num[n]
	if x == nil || x.state == WaitData || x.state == BackOff && x.retries >= 2 && x.confirms == 0 {
		return
	}
	if x.state == BackOff {
		if x.hold <= now {
			m.hushed++
		}
		x.state, x.began = WaitNCF, now
	}
	x.heard, x.young, x.ready, x.hold = true, false, false, 0
	x.deadline = m.until(now, x, m.t.Repeat)
}

func (m *schedulerModel) dueNow(now mono.Time, room int) (due []seq.Num) {
	if len(m.num) == 0 {
		return nil
	}
	ended, all, few := mono.Never, time.Duration(0), time.Duration(0)
	for {
		var next *missing
		m.all(func(_ seq.Num, x *missing) {
			if !x.ready && x.until() <= now && (next == nil || x.until() < next.until()) {
				next = x
			}
		})
		if next == nil {
			break
		}
		if next.state == BackOff {
			next.young, next.ready = false, true
			continue
		}
		if ended != next.deadline {
			ended = next.deadline
			all, few = m.t.redraw(m.rng)
		}
		wait := all
		if next.confirms > 0 {
			wait = few
		}
		next.state = BackOff
		next.retries++
		next.began, next.deadline = next.deadline, next.deadline.Add(wait)
	}
	m.all(func(n seq.Num, x *missing) {
		if x.ready && len(due) < room {
			due = append(due, n)
			x.ready = false
			x.naks++
			x.state, x.nakAt, x.began, x.hold = WaitNCF, now, now, 0
			x.deadline = now.Add(m.interval(m.t.Repeat, x.retries))
		}
	})
	m.due = now
	return due
}

func (m *schedulerModel) hurry(now mono.Time) {
	if len(m.num) == 0 {
		return
	}
	wait := m.t.draw(m.rng)
	m.all(func(_ seq.Num, x *missing) {
		switch {
		case x.ready:
		case x.young:
			x.deadline -= mono.Time(max(x.wait-wait, 0))
			x.wait = min(x.wait, wait)
		case x.state == BackOff:
			x.deadline = min(x.deadline, now.Add(wait))
		case x.state == WaitNCF:
			x.deadline = min(x.deadline, now.Add(m.interval(m.t.Repeat, x.retries)))
		case x.state == WaitData:
			x.deadline = min(x.deadline, now.Add(m.interval(m.t.Data, x.retries)))
		}
	})
}

func (m *schedulerModel) deadline() mono.Time {
	if m.anyReady() {
		return m.due
	}
	d := mono.Never
	m.all(func(_ seq.Num, x *missing) {
		d = min(d, x.until())
		if m.t.Limit > 0 {
			d = min(d, x.since.Add(m.t.Limit))
		}
	})
	return d
}

func (m *schedulerModel) anyReady() (any bool) {
	m.all(func(_ seq.Num, x *missing) { any = any || x.ready })
	return any
}

// checkScheduler walks all that s holds: tree, heaps and chains must tell one story.
func checkScheduler(t *rapid.T, s *Scheduler) {
	if s.tree == nil {
		return
	}
	var prev *span
	count, running, ready, young := 0, 0, 0, 0
	s.tree.Ascend(func(x *span) bool {
		if x.r.Empty() || prev != nil && x.r.From.Less(prev.r.To) {
			t.Fatalf("range %v after %v", x.r, prev)
		}
		h := s.timers
		if x.ready {
			h = s.ready
			ready++
		} else {
			running++
		}
		if x.young {
			young++
		}
		if h.Items[x.index] != x {
			t.Fatalf("%v is not at %d of its heap", x.r, x.index)
		}
		if p := h.Items[(max(x.index, 1)-1)/2]; p != x && h.Less(x, p) {
			t.Fatalf("heap order broken between %v and %v", p.r, x.r)
		}
		if x.young && x.state != BackOff || x.ready && x.state != BackOff {
			t.Fatalf("%v is young %v, ready %v in %v", x.r, x.young, x.ready, x.state)
		}
		if x.hold != 0 && x.state != BackOff || x.ready && x.hold > s.due {
			t.Fatalf("%v is held until %v in %v, ready %v", x.r, x.hold, x.state, x.ready)
		}
		count += x.r.Len()
		prev = x
		return true
	})
	if count != s.Len() || running != len(s.timers.Items) || ready != len(s.ready.Items) || running+ready != s.Ranges() {
		t.Fatalf("%d numbers, %d running, %d ready against Len %d, %d, %d", count, running, ready, s.Len(), len(s.timers.Items), len(s.ready.Items))
	}
	aged := 0
	for x := s.age.head; x != nil; x = x.links[byAge].next {
		aged++
		if n := x.links[byAge].next; n != nil && (n.since < x.since || n.links[byAge].prev != x) {
			t.Fatalf("age order broken after %v", x.r)
		}
	}
	for x := s.young.head; x != nil; x = x.links[byYouth].next {
		young--
	}
	if aged != s.Ranges() || young != 0 {
		t.Fatalf("%d of %d ranges by age, %d young too many", aged, s.Ranges(), young)
	}
}

func drawTiming(t *rapid.T) Timing {
	d := func(name string, most int) time.Duration { return time.Duration(rapid.IntRange(1, most).Draw(t, name)) }
	tm := Timing{
		Backoff: d("backoff", 300) - 1, GroupSize: float64(d("group", 100)), Uniform: rapid.Bool().Draw(t, "uniform"),
		Repeat: d("repeat", 100), Data: d("data", 100), MaxInterval: d("maxInterval", 1000),
		Tolerance: d("tolerance", 60), TolerancePackets: rapid.IntRange(1, 4).Draw(t, "packets"),
	}
	if rapid.Bool().Draw(t, "limited") {
		tm.Limit = d("limit", 3000)
	}
	if rapid.IntRange(0, 3).Draw(t, "intolerant") == 0 {
		tm.Tolerance = -1
	}
	return tm
}

// TestSchedulerModel runs a Scheduler beside the model through any calls in any order and compares all that can be seen.
func TestSchedulerModel(t *testing.T) { rapid.Check(t, schedulerBesideModel) }

func schedulerBesideModel(t *rapid.T) {
	seed := rapid.Uint64().Draw(t, "seed")
	tm := drawTiming(t)
	s := NewScheduler(rand.New(rand.NewPCG(seed, 1)), tm)
	base := rapid.SampledFrom([]seq.Num{0, 1000, 1<<31 - 20, 1<<31 - 1, 1<<32 - 20, 1<<32 - 1}).Draw(t, "base")
	m := &schedulerModel{
		rng: rand.New(rand.NewPCG(seed, 1)), t: s.Timing(), num: map[seq.Num]*missing{},
		lo: base, hi: base, at: mono.Never,
	}
	now := mono.Time(0)
	any := func(name string) seq.Num { return m.lo.Add(rapid.IntRange(-2, m.hi.Sub(m.lo)+2).Draw(t, name)) }
	one := func(t *rapid.T, f func(n seq.Num)) {
		n := any("n")
		for i := rapid.IntRange(1, 5).Draw(t, "run"); i > 0; i-- {
			f(n)
			n++
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"": func(t *rapid.T) {
			checkScheduler(t, s)
			for n := m.lo - 3; n != m.hi+3; n++ {
				st, ok := s.State(n)
				if x := m.num[n]; ok != (x != nil) || ok && st != x.state {
					t.Fatalf("%d: state %v %v, want %v", n, st, ok, x)
				}
			}
			if got, want := s.Deadline(), m.deadline(); got != want {
				t.Fatalf("deadline %d, want %d", got, want)
			}
			all := seq.Range{From: m.lo.Add(rapid.IntRange(-2, 50).Draw(t, "heldFrom")), To: m.hi.Add(rapid.IntRange(-50, 2).Draw(t, "heldTo"))}
			if got, want := s.Held(all), m.held(all); got != want {
				t.Fatalf("%d of %v held, want %d", got, all, want)
			}
			if s.Suppressed() != m.hushed || s.Len() != len(m.num) {
				t.Fatalf("%d suppressed, %d missing, want %d, %d", s.Suppressed(), s.Len(), m.hushed, len(m.num))
			}
		},
		"wait": func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(1, 100).Draw(t, "d"))) },
		"hurry": func(t *rapid.T) {
			m.t.Backoff = time.Duration(rapid.IntRange(0, 300).Draw(t, "backoff"))
			m.t.MaxInterval = time.Duration(rapid.IntRange(1, 1000).Draw(t, "maxInterval"))
			s.SetTiming(m.t)
			m.hurry(now)
			s.Hurry(now)
		},
		"hold": func(t *rapid.T) {
			from := any("from")
			r := seq.Range{From: from, To: from.Add(rapid.IntRange(-1, 80).Draw(t, "len"))}
			until := mono.Never
			if rapid.Bool().Draw(t, "finite") {
				until = now.Add(time.Duration(rapid.IntRange(-50, 300).Draw(t, "hold")))
			}
			m.holdBack(r, until)
			s.Hold(r, until)
		},
		"resume": func(t *rapid.T) {
			from := any("from")
			r := seq.Range{From: from, To: from.Add(rapid.IntRange(-1, 80).Draw(t, "len"))}
			m.resume(now, r)
			s.Resume(now, r)
		},
		"sleep": func(t *rapid.T) { now = max(now, min(s.Deadline(), now.Add(5000))) },
		"gap": func(t *rapid.T) {
			r := seq.Range{From: m.hi.Add(rapid.IntRange(0, 3).Draw(t, "skip"))}
			r.To = r.From.Add(rapid.IntRange(0, 100).Draw(t, "len"))
			lead := r.To.Add(rapid.IntRange(-1, 2).Draw(t, "later"))
			m.hi = seq.Max(m.hi, r.To)
			m.missing(now, r, lead)
			s.Missing(now, r, lead)
		},
		"again": func(t *rapid.T) { // only what is overtaken for sure: the young stand in order
			from := any("from")
			r := seq.Range{From: seq.Max(from, m.lo), To: seq.Min(m.hi, from.Add(rapid.IntRange(0, 10).Draw(t, "len")))}
			if !r.Empty() {
				m.missing(now, r, m.hi.Add(10))
				s.Missing(now, r, m.hi.Add(10))
			}
		},
		"progress": func(t *rapid.T) {
			lead := m.hi.Add(rapid.IntRange(-2, 3).Draw(t, "later"))
			m.progress(now, lead)
			s.Progress(now, lead)
		},
		"found": func(t *rapid.T) {
			one(t, func(n seq.Num) {
				want, wantOK := m.found(now, n)
				if got, ok := s.Found(now, n); got != want || ok != wantOK {
					t.Fatalf("Found(%d) = %v %v, want %v %v", n, got, ok, want, wantOK)
				}
			})
		},
		"ncf": func(t *rapid.T) {
			one(t, func(n seq.Num) {
				want, wantOK := m.ncf(now, n)
				if got, ok := s.NCF(now, n); got != want || ok != wantOK {
					t.Fatalf("NCF(%d) = %v %v, want %v %v", n, got, ok, want, wantOK)
				}
			})
		},
		"nakHeard": func(t *rapid.T) {
			one(t, func(n seq.Num) {
				m.nakHeard(now, n)
				s.NAKHeard(now, n)
			})
		},
		"forget": func(t *rapid.T) {
			from := any("from")
			r := seq.Range{From: from, To: from.Add(rapid.IntRange(-1, 50).Draw(t, "len"))}
			for n := r.From; !r.Empty() && n != r.To; n++ {
				delete(m.num, n)
			}
			s.Forget(r)
		},
		"due": func(t *rapid.T) {
			room := rapid.SampledFrom([]int{0, 1, 3, 63, 200}).Draw(t, "room")
			dst := make([]seq.Num, 2, 2+room)
			want := m.dueNow(now, min(room, MaxList))
			if got := s.Due(now, dst)[2:]; !slices.Equal(got, want) {
				t.Fatalf("due %v, want %v", got, want)
			}
		},
		"expired": func(t *rapid.T) {
			for {
				oldest := mono.Never
				m.all(func(_ seq.Num, x *missing) { oldest = min(oldest, x.since) })
				r, ok := s.Expired(now)
				if want := m.t.Limit > 0 && oldest.Add(m.t.Limit) <= now; ok != want {
					t.Fatalf("expired %v %v, oldest since %v", r, ok, oldest)
				}
				if !ok {
					break
				}
				for n := r.From; n != r.To; n++ {
					if x := m.num[n]; x == nil || x.since != oldest {
						t.Fatalf("%d of %v expired: %v, oldest since %v", n, r, x, oldest)
					}
					delete(m.num, n)
				}
			}
		},
		"timing": func(t *rapid.T) {
			if rapid.IntRange(0, 3).Draw(t, "rarely") > 0 || m.anyYoung() {
				return
			}
			s.SetTiming(drawTiming(t))
			m.t = s.Timing()
		},
	})
}

func (m *schedulerModel) anyYoung() (any bool) {
	m.all(func(_ seq.Num, x *missing) { any = any || x.young })
	return any
}
