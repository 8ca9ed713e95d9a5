package nack

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// newHold returns a Scheduler without a tolerance for reordering, so that with no Backoff only holds make it wait.
func newHold(t Timing) *Scheduler {
	t.Tolerance = -1
	return NewScheduler(rand.New(rand.NewPCG(1, 1)), t)
}

func wantDue(t *testing.T, s *Scheduler, now mono.Time, want ...seq.Num) {
	t.Helper()
	if got := s.Due(now, nil); !slices.Equal(got, want) {
		t.Errorf("due at %v: %v, want %v", now, got, want)
	}
}

func TestHoldUntil(t *testing.T) {
	s := newHold(Timing{Repeat: 20 * ms, Data: 20 * ms})
	s.Missing(0, seq.Range{From: 10, To: 20}, 20)
	s.Hold(seq.Range{From: 12, To: 15}, 5*mono.Time(ms))
	s.Hold(seq.Range{From: 14, To: 17}, mono.Never)
	if got := s.Held(seq.Range{From: 0, To: 16}); got != 2 {
		t.Errorf("%d are held, want 2", got)
	}
	wantDue(t, s, 0, 10, 11, 17, 18, 19)
	if d := s.Deadline(); d != 5*mono.Time(ms) {
		t.Errorf("deadline %v, want the end of the hold", d)
	}
	wantDue(t, s, 5*mono.Time(ms)-1)
	wantDue(t, s, 5*mono.Time(ms), 12, 13)
	s.Resume(6*mono.Time(ms), seq.Range{From: 0, To: 15})
	wantDue(t, s, 6*mono.Time(ms), 14)
	s.Hold(seq.Range{From: 0, To: 100}, 7*mono.Time(ms)) // sooner; what is asked for already does not mind
	if got := s.Held(seq.Range{From: 0, To: 100}); got != 0 {
		t.Errorf("%d are held for ever, want none", got)
	}
	wantDue(t, s, 7*mono.Time(ms), 15, 16)
}

// What is heard of a number ends its hold, and it does not count as suppressed.
func TestHoldHeard(t *testing.T) {
	s := newHold(Timing{Repeat: 20 * ms, Data: 20 * ms})
	all := seq.Range{From: 10, To: 13}
	s.Missing(0, all, 20)
	s.Hold(all, mono.Never)
	s.NCF(0, 10)
	s.NAKHeard(0, 11)
	s.Found(0, 12)
	if s.Held(all) != 0 || s.Suppressed() != 0 || s.Len() != 2 {
		t.Errorf("%d held, %d suppressed, %d missing, want 0, 0, 2", s.Held(all), s.Suppressed(), s.Len())
	}
	s.Hold(all, mono.Never) // neither is in BackOff
	wantDue(t, s, 20*mono.Time(ms), 10, 11)
}

// A hold does not keep a number from growing old, and Hurry does not end it.
func TestHoldExpires(t *testing.T) {
	s := newHold(Timing{Backoff: 10 * ms, GroupSize: 100, Limit: 50 * ms})
	all := seq.Range{From: 10, To: 13}
	s.Missing(0, all, 20)
	s.Hold(all, mono.Never)
	s.SetTiming(Timing{Limit: 50 * ms})
	s.Hurry(0)
	s.Progress(0, 100)
	wantDue(t, s, 49*mono.Time(ms))
	if d := s.Deadline(); d != 50*mono.Time(ms) {
		t.Errorf("deadline %v, want the limit", d)
	}
	if r, ok := s.Expired(50 * mono.Time(ms)); !ok || r != all {
		t.Errorf("expired is %v %v, want %v", r, ok, all)
	}
}

// What is more than one list stays ready between two calls of Due, and can be held then.
func TestHoldReady(t *testing.T) {
	s := newHold(Timing{})
	s.Missing(0, seq.Range{From: 0, To: 100}, 100)
	if got := s.Due(0, nil); len(got) != MaxList {
		t.Fatalf("%d in the first list", len(got))
	}
	s.Hold(seq.Range{From: 70, To: 100}, mono.Time(ms))
	if got := s.Due(0, nil); len(got) != 70-MaxList || s.Deadline() != mono.Time(ms) {
		t.Errorf("%d in the second list and the deadline %v, want %d and %v", len(got), s.Deadline(), 70-MaxList, ms)
	}
	if got := s.Due(mono.Time(ms), nil); len(got) != 30 {
		t.Errorf("%d when the hold is over, want 30", len(got))
	}
}
