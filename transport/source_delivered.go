package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/rmcast/rmcast/internal/gate"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

// Quorum says whose confirmation WaitDelivered waits for. Receivers take part whose Config.ReceiverID is set.
//
//	Quorum{Count: 3}                 three receivers, whichever
//	Quorum{Of: ids}                  all of these
//	Quorum{Of: ids, Count: 2}        two of these
type Quorum = session.Quorum

// UndeliveredError is why WaitDelivered did not return nil although it was not for the Source: the context ended before enough
// receivers had confirmed.
type UndeliveredError struct {
	Want      int               // receivers that were waited for
	Confirmed []wire.ReceiverID // who has confirmed, ascending
	// Missing are those of Quorum.Of that have not; if that is empty, those that ever were heard of and have not, ascending.
	Missing []wire.ReceiverID
	Err     error // the context's
}

// Error says how many have confirmed and who has not.
func (e *UndeliveredError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "transport: %d of %d receivers have confirmed", len(e.Confirmed), e.Want)
	for i, id := range e.Missing {
		switch {
		case i == 0:
			b.WriteString(", missing are ")
		case i == maxNamed:
			fmt.Fprintf(&b, " and %d more: %v", len(e.Missing)-i, e.Err)
			return b.String()
		default:
			b.WriteString(", ")
		}
		b.WriteString(id.String())
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	return b.String()
}

// maxNamed is how many receivers an UndeliveredError names in words.
const maxNamed = 8

// Unwrap returns the context's error.
func (e *UndeliveredError) Unwrap() error { return e.Err }

// Is makes the deadline of a context os.ErrDeadlineExceeded too, as it is for all other calls that take a context.
func (e *UndeliveredError) Is(target error) bool {
	return target == os.ErrDeadlineExceeded && e.Timeout()
}

// Timeout reports whether the context's deadline has passed, for net.Error.
func (e *UndeliveredError) Timeout() bool { return errors.Is(e.Err, context.DeadlineExceeded) }

// delivery is a WaitDelivered that waits.
type delivery struct {
	gate  *gate.Gate
	asked *session.Confirmation
}

// WaitDelivered waits until everything that was written before the call is held by the receivers that q asks for, or until ctx ends.
// Several goroutines may wait at once, each for what was written before its own call.
//
// Held means what an acknowledgement of TCP means: all of it has arrived, in whole, at the receiver's transport, which hands it
// to its application when that reads. It does not mean that the application has read it.
//
// A receiver counts if it holds everything from the end of the last wait that was over when this one began. So one that
// joined later than that, or has lost something since then (LossError), does not count for this wait; for the next it does.
// Before the first wait that means from the first byte of the session. To wait before anything is written waits for the
// receivers to be there.
//
// While somebody waits, what is waited for stays repairable beyond Config.WindowAge, as long as no writer needs the room.
//
// If ctx ends first the error is an *UndeliveredError, which says who is missing; errors.Is finds the context's error in it. Close,
// of the Source by another goroutine too, ends the wait with net.ErrClosed. Write deadlines do not concern it.
//
// It costs a packet of each receiver that takes part (in a large group with a quorum of a few, of some of them), at most one in an
// interval that grows with their number, and nothing at all for those who never call it. Nothing proves that a receiver
// is who it says it is: who can send to the source can confirm in another's name as long as that one is silent.
func (s *Source) WaitDelivered(ctx context.Context, q Quorum) error {
	return opError("wait", s.local, s.remote, s.waitDelivered(ctx, q))
}

func (s *Source) waitDelivered(ctx context.Context, q Quorum) error {
	if err := q.Validate(); err != nil {
		return err
	}
	var (
		t   told
		err error
		d   *delivery
	)
	s.do(&t, func(now mono.Time) {
		if err = s.usable(); err != nil {
			return
		}
		if asked := s.source.Await(now, q); !asked.Done() {
			d = &delivery{gate.New(), asked}
			s.deliveries = append(s.deliveries, d)
		}
	})
	if d == nil {
		return err
	}
	waited := d.gate.Wait(ctx, nil)
	s.do(&t, func(now mono.Time) {
		switch {
		case d.asked.Done():
		case waited == nil && s.failed != nil:
			err = s.failed
		case errors.Is(waited, gate.ErrClosed):
			err = net.ErrClosed
		default:
			err = &UndeliveredError{Want: d.asked.Want(), Confirmed: d.asked.Got(), Missing: s.source.Lacking(d.asked), Err: waited}
		}
		if err != nil {
			s.source.Forget(now, d.asked)
		}
		s.deliveries = remove(s.deliveries, d)
	})
	return err
}

// settleDeliveries adds to t those whose wait is over. mu is held.
func (s *Source) settleDeliveries(t *told) {
	if len(s.deliveries) == 0 {
		return
	}
	n := s.source.Confirmed()
	if n == s.confirmed && s.failed == nil {
		return
	}
	s.confirmed = n
	for _, d := range s.deliveries {
		if s.failed != nil || d.asked.Done() {
			t.gates = append(t.gates, d.gate)
		}
	}
}

// closeDeliveries ends all waits. mu is held.
func (s *Source) closeDeliveries() {
	for _, d := range s.deliveries {
		d.gate.Close()
	}
}

// remove takes x out of list, whose order does not matter.
func remove(list []*delivery, x *delivery) []*delivery {
	for i, d := range list {
		if d == x {
			last := len(list) - 1
			list[i], list[last] = list[last], nil
			return list[:last]
		}
	}
	return list
}
