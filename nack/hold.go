package nack

import (
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// Hold keeps the numbers of r that are in BackOff, asked for before or not, from being asked for before until; mono.Never is not before
// Resume. It is for what the end of a group of packets, or parity, will repair for less. The backoff runs on meanwhile: a number goes out
// at the later of both ends. A later Hold takes the place of the earlier one, also where it ends sooner. A number that leaves BackOff
// is not held any more, and not when it comes back; Expired has it by age, held or not.
//
// It costs O(log n) for each span that r touches.
func (s *Scheduler) Hold(r seq.Range, until mono.Time) {
	for x := s.after(r.From, r); x != nil; x = s.after(x.r.To, r) {
		if x.state != BackOff || x.hold == until {
			continue
		}
		x = s.isolate(x, r)
		x.hold = until
		switch {
		case !x.ready:
			s.timers.Fix(x.index)
		case until > s.due: // otherwise it stays ready
			s.idle(x)
			s.timers.Push(x)
		}
	}
}

// Resume ends what Hold began for the numbers of r: those that were held beyond now begin a backoff now. As gaps found at one instant do,
// they share it with all others that begin one then. Their tolerance for reordering is over.
func (s *Scheduler) Resume(now mono.Time, r seq.Range) {
	for x := s.after(r.From, r); x != nil; x = s.after(x.r.To, r) {
		if x.state != BackOff || x.hold <= now {
			continue
		}
		x = s.isolate(x, r)
		s.grown(x)
		x.hold, x.began, x.deadline = 0, now, now.Add(s.draw(now))
		s.timers.Fix(x.index)
	}
}

// Hasten ends the wait for the data of n at the latest at the instant at: what came of it tells when the rest would be here. Only numbers in
// WaitData heed it, and only where their wait would last longer.
func (s *Scheduler) Hasten(n seq.Num, at mono.Time) {
	if x := s.find(n); x != nil && x.state == WaitData && at < x.deadline && x.r.Len() == 1 {
		x.deadline = max(at, x.began)
		s.timers.Fix(x.index)
	}
}

// Held returns how many numbers of r wait for Resume: those that Hold named last with mono.Never.
func (s *Scheduler) Held(r seq.Range) (n int) {
	for x := s.after(r.From, r); x != nil; x = s.after(x.r.To, r) {
		if x.state == BackOff && x.hold == mono.Never {
			n += r.Intersect(x.r).Len()
		}
	}
	return n
}

// after returns the span that holds n, or the next one, as far as it lies in r; nil when there is none.
func (s *Scheduler) after(n seq.Num, r seq.Range) *span {
	if !n.Less(r.To) {
		return nil
	}
	x := s.from(n)
	if x == nil || r.To.LessEq(x.r.From) {
		return nil
	}
	return x
}

// isolate returns a span of those numbers of x that are in r: x itself, or what split made of it.
func (s *Scheduler) isolate(x *span, r seq.Range) *span {
	if x.r.From.Less(r.From) {
		x = s.split(x, r.From)
	}
	if r.To.Less(x.r.To) {
		s.split(x, r.To)
	}
	return x
}

// Shorten returns the T by which a receiver that needs so many parity packets of a group draws its wait, when the greatest need in the
// group is mostly about most: a quarter of t for a need that is the greatest or nearly so, t for others and where most is not known
// (less than 1). RFC 3208, 11: who needs more speaks earlier, for the source's answer to it serves those who need less. With only two
// classes those who speak early stay few: in proportion to the need, a good part of a large group would speak within one round
// trip. A t of zero or less is returned as it is.
func Shorten(t time.Duration, need, most int) time.Duration {
	if t <= 0 || most < 1 || need < most-1 {
		return t
	}
	return t / early
}

const early = 4 // T is four group round trips: the first NCF is back when others begin
