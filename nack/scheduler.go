package nack

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/rmcast/rmcast/internal/heap"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// MaxList is the most numbers one NAK or NCF can name: its own and 62 in OPT_NAK_LIST.
const MaxList = 63

// Scheduler decides when a receiver asks for what it misses. The owner tells it what is missing, found, confirmed or lost, and
// sends what Due returns.
//
// It keeps runs of numbers that share state and timers as one span: the cost is O(log spans) a call, nothing per number, and
// nothing at all while nothing is missing. Numbers present at one time must lie within half the number space; a receive window
// sees to that, and bounds how many there are.
//
//  1. A number is held from Missing until Found, Forget or Expired names it, in exactly one state with exactly one deadline.
//  2. Due returns a number only in BackOff, not before its backoff ended, and moves it to WaitNCF.
//  3. A number leaves WaitNCF and WaitData forward only by an NCF or its data, backward only when its interval has passed.
//  4. Nothing puts the end of an interval off by more than MaxInterval, however many NCFs and NAKs arrive.
//  5. Due returns no number before the end of its hold, and only BackOff has one; Limit counts on meanwhile.
//
// now must not go backwards between calls. A Scheduler is not safe for concurrent use.
type Scheduler struct {
	rng    *rand.Rand
	timing Timing
	spans
	timers heap.Heap[*span] // by ends: all spans whose state is still running
	ready  heap.Heap[*span] // by number: the spans whose backoff and hold have ended
	age    chain[*span]     // all spans by since
	young  chain[*span]     // the spans whose tolerance runs, by since and number
	count  int              // missing numbers
	due    mono.Time        // since when ready is not empty
	drawn  time.Duration    // the latest backoff drawn for a new gap or one that is held no more
	at     mono.Time        // and when
	hushed uint64
}

// NewScheduler returns a Scheduler that draws its backoffs from rng, which it keeps.
func NewScheduler(rng *rand.Rand, t Timing) *Scheduler {
	return &Scheduler{
		rng:    rng,
		timing: t.withDefaults(),
		timers: heap.Heap[*span]{Less: sooner, Place: place},
		ready:  heap.Heap[*span]{Less: lower, Place: place},
		age:    chain[*span]{id: byAge},
		young:  chain[*span]{id: byYouth},
		at:     mono.Never,
	}
}

// Clone returns a Scheduler in the same state that draws from rng. It panics if a number is missing.
func (s *Scheduler) Clone(rng *rand.Rand) *Scheduler {
	if s.count > 0 {
		panic(fmt.Sprintf("BUG: nack: Clone with %d numbers missing", s.count))
	}
	c := NewScheduler(rng, s.timing)
	c.drawn, c.at, c.hushed = s.drawn, s.at, s.hushed
	return c
}

// Own is what a Scheduler without missing numbers keeps of its past.
type Own struct {
	drawn  time.Duration
	at     mono.Time
	hushed uint64
}

// Suppressed is Scheduler.Suppressed.
func (o Own) Suppressed() uint64 { return o.hushed }

// Own returns what s keeps of its past.
func (s *Scheduler) Own() Own { return Own{s.drawn, s.at, s.hushed} }

// Take gives s the past of another, which takes nothing else from it.
func (s *Scheduler) Take(o Own) { s.drawn, s.at, s.hushed = o.drawn, o.at, o.hushed }

func sooner(a, b *span) bool { return a.ends() < b.ends() }
func lower(a, b *span) bool  { return a.r.From.Less(b.r.From) }
func place(x *span, i int)   { x.index = i }

// SetTiming changes the timing of what begins from now on; deadlines already set stay. Limit counts at once.
func (s *Scheduler) SetTiming(t Timing) { s.timing = t.withDefaults() }

// Timing returns the timing in force, defaults filled in.
func (s *Scheduler) Timing() Timing { return s.timing }

// Len returns how many numbers are missing.
func (s *Scheduler) Len() int { return s.count }

// Ranges returns in how many spans they are kept.
func (s *Scheduler) Ranges() int {
	if s.tree == nil {
		return 0
	}
	return s.tree.Len()
}

// Suppressed returns how many numbers we were about to ask for and did not, because an NCF, another receiver's NAK or the data
// itself came first. Data within the reordering tolerance, or after a NAK of ours, does not count, nor what was held.
func (s *Scheduler) Suppressed() uint64 { return s.hushed }

// State returns where n stands; ok is false when n is not missing.
func (s *Scheduler) State(n seq.Num) (st State, ok bool) {
	x := s.find(n)
	if x == nil {
		return 0, false
	}
	return x.state, true
}

// Missing begins to ask for the numbers of r; lead is the highest number known to exist. Numbers already missing keep their
// state, so naming them again is harmless. Gaps found at the same instant share one backoff and so one NAK.
func (s *Scheduler) Missing(now mono.Time, r seq.Range, lead seq.Num) {
	if s.tree == nil {
		s.init()
	}
	for !r.Empty() {
		part := r
		if x := s.from(r.From); x != nil {
			part.To = seq.Max(r.From, seq.Min(r.To, x.r.From))
			r.From = seq.Min(r.To, x.r.To)
		} else {
			r.From = r.To
		}
		if !part.Empty() {
			s.add(now, part, lead)
		}
	}
}

func (s *Scheduler) add(now mono.Time, r seq.Range, lead seq.Num) {
	wait := s.draw(now)
	x := s.new()
	x.r, x.since = r, now
	x.phase = phase{state: BackOff, began: now, deadline: now.Add(wait)}
	if s.timing.tolerant() && !s.overtaken(x, lead) {
		x.wait = wait
		x.deadline = now.Add(s.timing.Tolerance).Add(x.wait)
		x.young = true
		s.young.pushBack(x)
	}
	s.count += r.Len()
	s.age.pushBack(x)
	s.timers.Push(x)
	s.tree.ReplaceOrInsert(x)
}

// draw returns the backoff of what is to be asked for from now on.
func (s *Scheduler) draw(now mono.Time) time.Duration {
	if s.at != now {
		s.drawn, s.at = s.timing.draw(s.rng), now
	}
	return s.drawn
}

// overtaken reports whether enough later packets are known for x to be a loss and not a late packet.
func (s *Scheduler) overtaken(x *span, lead seq.Num) bool {
	return lead.Sub(x.r.To)+1 >= s.timing.TolerancePackets
}

// Progress tells that lead is now the highest number known to exist: gaps that enough packets have overtaken begin their backoff.
// It costs nothing while no gap is that new.
func (s *Scheduler) Progress(now mono.Time, lead seq.Num) {
	for x := s.young.head; x != nil; x = s.young.head {
		switch {
		case s.overtaken(x, lead):
			s.grown(x)
			if d := now.Add(x.wait); d < x.deadline {
				x.deadline = d
				s.timers.Fix(x.index)
			}
		case x.since.Add(s.timing.Tolerance) <= now:
			s.grown(x) // its backoff runs already
		default:
			return
		}
	}
}

// grown ends the tolerance for reordering of x.
func (s *Scheduler) grown(x *span) {
	if x.young {
		x.young = false
		s.young.remove(x)
	}
}

// Found ends the search for n, which has arrived. ok tells that wait is a clean measure of how long the source took from its
// NCF to the data: confirmed once and never retried (Karn's rule). A number that is not missing changes nothing.
func (s *Scheduler) Found(now mono.Time, n seq.Num) (wait time.Duration, ok bool) {
	x := s.find(n)
	if x == nil {
		return 0, false
	}
	switch {
	case x.state == WaitData:
		wait, ok = now.Sub(x.ncfAt), x.confirms == 1 && x.retries == 0
	case x.state == BackOff && !x.young && x.naks == 0 && x.hold <= now:
		s.hushed++
	}
	s.cut(x, seq.Range{From: n, To: n.Add(1)})
	if !ok {
		wait = 0
	}
	return wait, ok
}

// Forget ends the search for all numbers of r: they are lost, given up or not wanted.
func (s *Scheduler) Forget(r seq.Range) {
	for !r.Empty() {
		x := s.from(r.From)
		if x == nil || r.To.LessEq(x.r.From) {
			return
		}
		both := r.Intersect(x.r)
		r.From = both.To
		s.cut(x, both)
	}
}

// cut takes r, which x holds whole and which is not empty, out of x. Where only x's bounds move, its place in the tree and the
// heaps stays right: ranges are disjoint, so no order among them changes.
func (s *Scheduler) cut(x *span, r seq.Range) {
	switch {
	case r == x.r:
		s.drop(x)
		return
	case r.From == x.r.From:
		x.r.From = r.To
	case r.To == x.r.To:
		x.r.To = r.From
	default:
		s.split(x, r.To)
		x.r.To = r.From
	}
	s.count -= r.Len()
}

// drop removes x with all its numbers.
func (s *Scheduler) drop(x *span) {
	s.count -= x.r.Len()
	s.tree.Delete(x)
	s.idle(x)
	s.grown(x)
	s.age.remove(x)
	s.recycle(x)
}

// split cuts x in two at n, which must lie inside; x keeps the numbers before n. It returns the rest.
func (s *Scheduler) split(x *span, n seq.Num) *span {
	y := s.new()
	*y = *x
	y.links = [2]link[*span]{}
	y.r.From, x.r.To = n, n
	s.age.insertAfter(x, y)
	if y.young {
		s.young.insertAfter(x, y)
	}
	if y.ready {
		s.ready.Push(y)
	} else {
		s.timers.Push(y)
	}
	s.tree.ReplaceOrInsert(y)
	return y
}

// idle takes x out of the heap it is in.
func (s *Scheduler) idle(x *span) {
	if x.ready {
		s.ready.Remove(x.index)
		x.ready = false
	} else {
		s.timers.Remove(x.index)
	}
}

// enter puts all of x into phase p, which has a running deadline.
func (s *Scheduler) enter(x *span, p phase) {
	s.grown(x)
	x.phase = p
	if x.ready {
		s.idle(x)
		s.timers.Push(x)
	} else {
		s.timers.Fix(x.index)
	}
}

// move puts n, which x holds, into phase p.
func (s *Scheduler) move(x *span, n seq.Num, p phase) {
	if n == x.r.From {
		// Numbers come in lists: mostly the one before has just gone this way, and n only changes sides.
		if left := s.find(n - 1); left != nil && left.phase == p && left.since == x.since {
			s.cut(x, seq.Range{From: n, To: n + 1})
			left.r.To = n + 1
			s.count++
			return
		}
	}
	if n != x.r.From {
		x = s.split(x, n)
	}
	if n != x.r.To-1 {
		s.split(x, n+1)
	}
	s.enter(x, p)
	s.last = x
}

// NCF tells that the source has confirmed a NAK for n: its data is coming, and we wait for it. ok tells that rtt is the time from
// our NAK to this answer: we had asked once and heard nobody else ask. A number that is not missing changes nothing.
//
// RFC 3208, 6.3: a matching NCF leads to WAIT_DATA from everywhere, and there restarts NAK_RDATA_IVL.
func (s *Scheduler) NCF(now mono.Time, n seq.Num) (rtt time.Duration, ok bool) {
	x := s.find(n)
	if x == nil {
		return 0, false
	}
	p := x.phase
	switch p.state {
	case BackOff:
		s.hush(now, &p)
	case WaitNCF:
		if ok = p.naks == 1 && p.retries == 0 && !p.heard; ok {
			rtt = now.Sub(p.nakAt)
		}
	}
	if p.state != WaitData {
		p.state, p.began, p.ncfAt = WaitData, now, now
	}
	increment(&p.confirms)
	p.deadline = s.until(now, &p, s.timing.Data)
	s.move(x, n, p)
	return rtt, ok
}

// NAKHeard tells that another receiver has asked for n by multicast. RFC 3208, 6.3: that suppresses our own NAK as if we had
// sent it, and restarts NAK_RPT_IVL. Not for ever: when two rounds brought no NCF, what that receiver says does not reach the
// source, and ours goes out.
func (s *Scheduler) NAKHeard(now mono.Time, n seq.Num) {
	x := s.find(n)
	if x == nil || x.state == WaitData {
		return
	}
	if x.state == BackOff && x.retries >= hushedRounds && x.confirms == 0 {
		return
	}
	p := x.phase
	if p.state == BackOff {
		s.hush(now, &p)
		p.state, p.began = WaitNCF, now
	}
	p.heard = true
	p.deadline = s.until(now, &p, s.timing.Repeat)
	s.move(x, n, p)
}

// hush notes that p leaves BackOff because of what others said: its hold is over.
func (s *Scheduler) hush(now mono.Time, p *phase) {
	if p.hold <= now {
		s.hushed++
	}
	p.hold = 0
}

const hushedRounds = 2 // without an NCF, in which others may speak for us

// until returns when the interval d of p's state ends if it starts again now: invariant 4.
func (s *Scheduler) until(now mono.Time, p *phase, d time.Duration) mono.Time {
	d = s.timing.stretch(d, p.retries)
	return min(now.Add(d), p.began.Add(d).Add(s.timing.MaxInterval))
}

// increment adds one to a counter that stops at its maximum.
func increment(n *uint8) {
	if *n < math.MaxUint8 {
		*n++
	}
}

// Due appends to dst the numbers to ask for now, at most MaxList and at most as many as dst has room for (a dst without
// capacity is allocated): the lowest of those whose backoff has ended, ascending. It counts them as asked for. When there are
// more, Deadline does not lie in the future and the next call returns them. Call Expired first, so that nothing given up is asked
// for.
//
// Where an NCF or data did not come in time, another round begins: a new backoff, counted from the instant the interval ended,
// not from when somebody looked. Intervals are doubled in that round.
func (s *Scheduler) Due(now mono.Time, dst []seq.Num) []seq.Num {
	if len(s.timers.Items) == 0 && len(s.ready.Items) == 0 {
		return dst
	}
	s.fire(now)
	room := MaxList
	if cap(dst) > 0 {
		room = min(room, cap(dst)-len(dst))
	}
	var prev *span
	for room > 0 && len(s.ready.Items) > 0 {
		x := s.ready.Items[0]
		if x.r.Len() > room {
			s.split(x, x.r.From.Add(room))
		}
		room -= x.r.Len()
		for n := x.r.From; n != x.r.To; n++ {
			dst = append(dst, n)
		}
		prev = s.asked(now, x, prev)
	}
	s.due = now
	return dst
}

// fire handles all deadlines up to now. Ranges whose intervals end together were asked for together and draw one backoff
// together, so that they fit one list again.
func (s *Scheduler) fire(now mono.Time) {
	ended, all, few := mono.Never, time.Duration(0), time.Duration(0)
	for len(s.timers.Items) > 0 {
		x := s.timers.Items[0]
		if x.ends() > now {
			return
		}
		if x.state == BackOff {
			s.grown(x)
			s.timers.Remove(0)
			x.ready = true
			s.ready.Push(x)
			continue
		}
		if x.deadline != ended {
			ended = x.deadline
			all, few = s.timing.redraw(s.rng)
		}
		wait := all
		if x.confirms > 0 {
			wait = few
		}
		increment(&x.retries)
		x.state = BackOff
		x.began, x.deadline = x.deadline, x.deadline.Add(wait)
		s.timers.Fix(0)
	}
}

// asked moves x, the lowest of ready, to WaitNCF, and joins it to prev, which was asked for just before, where they are alike.
func (s *Scheduler) asked(now mono.Time, x, prev *span) *span {
	p := x.phase
	increment(&p.naks)
	p.state, p.nakAt, p.began, p.hold = WaitNCF, now, now, 0
	p.deadline = s.until(now, &p, s.timing.Repeat)
	if prev != nil && prev.r.To == x.r.From && prev.since == x.since && prev.phase == p {
		to := x.r.To
		s.count += x.r.Len() // drop takes them off
		s.drop(x)
		prev.r.To = to
		return prev
	}
	s.enter(x, p)
	return x
}

// Hurry shortens waits that began under a slower Timing to what the present one would make of them from now on. It lengthens
// none and ends no hold, and what counts against Limit stays. It costs as much as there are ranges: call it when Timing falls at one stroke.
func (s *Scheduler) Hurry(now mono.Time) {
	if s.age.head == nil {
		return
	}
	wait := s.timing.draw(s.rng)
	for x := s.age.head; x != nil; x = x.links[byAge].next {
		if x.ready {
			continue
		}
		at := now.Add(wait)
		switch {
		case x.young:
			if wait >= x.wait {
				continue
			}
			x.wait, at = wait, x.deadline.Add(wait-x.wait)
		case x.state == WaitNCF:
			at = now.Add(s.timing.stretch(s.timing.Repeat, x.retries))
		case x.state == WaitData:
			at = now.Add(s.timing.stretch(s.timing.Data, x.retries))
		}
		if at < x.deadline {
			x.deadline = at
			s.timers.Fix(x.index)
		}
	}
}

// Expired removes a range that has been missing for Limit and returns it, the longest missing first; ok is false when there is
// none (left).
func (s *Scheduler) Expired(now mono.Time) (r seq.Range, ok bool) {
	x := s.age.head
	if x == nil || s.timing.Limit <= 0 || x.since.Add(s.timing.Limit) > now {
		return seq.Range{}, false
	}
	r = x.r
	s.drop(x)
	return r, true
}

// Deadline returns when Due or Expired next has something to do, exactly; mono.Never when nothing is missing.
func (s *Scheduler) Deadline() mono.Time {
	if s.age.head == nil {
		return mono.Never
	}
	if len(s.ready.Items) > 0 {
		return s.due
	}
	d := s.timers.Items[0].ends()
	if s.timing.Limit > 0 {
		d = min(d, s.age.head.since.Add(s.timing.Limit))
	}
	return d
}
