package session

import (
	"time"

	"github.com/rmcast/rmcast/mono"
)

// allowed is how many packets of new data may leave now, as far as receivers are concerned.
func (s *Source) allowed(now mono.Time) int {
	q := s.pace
	if q == nil {
		return s.window.Unsent()
	}
	next := s.window.Next()
	n := q.control.Window() - next.Sub(q.lead.Add(1))
	if q.room = false; n > 0 {
		if lead, room, ok := q.group.Room(now); ok {
			room -= next.Sub(lead.Add(1))
			q.room = room <= 0
			n = min(n, room)
		}
	}
	return max(n, 0)
}

// maySend reports whether there is new data that waits for nothing but the limiter. When receivers hold it up, it sees to it that they are
// asked: reports, or the news that there is room again, may have been lost.
func (s *Source) maySend(now mono.Time) bool {
	if s.unsent() == 0 {
		return false
	}
	q := s.pace
	if q == nil {
		return true
	}
	if s.allowed(now) > 0 {
		q.askAt = mono.Never
		return true
	}
	if q.room {
		q.group.Blocked(now)
	}
	if q.askAt == mono.Never {
		q.ask = max(q.control.Silence()/4, overdueMin)
		q.askAt = now.Add(q.ask)
	}
	return false
}

// silence is how long the acker may say nothing: so that at low rates it had something to say several times.
func (q *sourcePace) silence(packetBytes int) time.Duration {
	d := max(q.control.Silence(), silentPackets*q.rate.Duration(int64(packetBytes)))
	if q.reports < provenReports {
		d = max(d, unproven) // a queue that the start filled may hold what names it, and its reports
	}
	return d
}

// silentAt is when the acker counts as gone: it has not reported while data was under way and more is waiting.
func (s *Source) silentAt() mono.Time {
	q := s.pace
	if q.acker == 0 || s.unsent() == 0 || !q.lead.Less(s.window.Lead()) {
		return mono.Never
	}
	return max(q.heardAt, q.flowsAt).Add(q.silence(s.packetBytes))
}
