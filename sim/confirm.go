package sim

import (
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/session"
)

// waiting is an application that waits for confirmation before it goes on.
type waiting struct {
	quorum session.Quorum
	done   func(took time.Duration)
	began  mono.Time
	asked  *session.Confirmation // nil: not yet
}

// Await has the application, when all before is written, wait until q confirms that it has all of it, and only then go on. done is told
// how long that took; it may give the source more to do. Await panics on a quorum that is not valid.
func (s *Source) Await(q session.Quorum, done func(took time.Duration)) {
	if err := q.Validate(); err != nil {
		panic("sim: " + err.Error())
	}
	s.push(writing{what: writeAwait, wait: &waiting{quorum: q, done: done}})
}

// over asks if it is not asked yet, and reports whether the quorum has confirmed.
func (w *waiting) over(s *Source) bool {
	now := s.n.now
	if w.asked == nil {
		w.asked, w.began = s.engine.Await(now, w.quorum), now
	}
	if !w.asked.Done() {
		return false
	}
	w.done(now.Sub(w.began))
	return true
}
