package session

import (
	"net/netip"
	"slices"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// evicted is a receiver that has to be told that it is not served any more.
type evicted struct {
	id    wire.ReceiverID
	until mono.Time
}

// tellEvicted has SPMs say for a while that a receiver is not served any more.
func (s *Source) tellEvicted(now mono.Time, id wire.ReceiverID) {
	q := s.pace
	for i := range q.told {
		if q.told[i].id == id {
			q.told[i].until = now.Add(evictTold)
			return
		}
	}
	if len(q.told) < mostTold {
		q.told = append(q.told, evicted{id, now.Add(evictTold)})
		s.spm.ask(now)
	}
}

// spareRate is what all receivers that are not followed may have repaired together.
func (q *sourcePace) spareRate() flow.Rate {
	return max(flow.Rate(float64(q.rate)*max(q.share, spareMost)), flow.Kbps)
}

// limit gives a receiver whose NAK is at hand the share of repairs that it may cause: a small one if it is not followed.
func (s *Source) limit(now mono.Time, from netip.Addr) {
	q, share := s.pace, int64(0)
	if q.ignored {
		share = q.slowShare()
	}
	s.repairs.SetShareOf(now, from, share)
}

// slowShare is how many bytes a second one receiver that is not followed may cause.
func (q *sourcePace) slowShare() int64 { return max(int64(float64(q.rate)/8*q.share), 1) }

// grants reports whether what the packet at hand asks for may be repaired: receivers that are not followed have a small part of the rate
// for all of them, too.
func (s *Source) grants(now mono.Time) bool {
	return s.pace == nil || !s.pace.ignored || s.pace.spare.Open(now)
}

// granted books a repair of so many bytes that the packet at hand caused, and reports whether what that says counts for the group.
func (s *Source) granted(now mono.Time, n seq.Num, bytes int) bool {
	q := s.pace
	switch {
	case q == nil:
		return true
	case q.ignored:
		q.spare.Take(now, bytes)
		if len(q.spared) == mostSpared {
			q.spared = append(q.spared[:0], q.spared[1:]...)
		}
		q.spared = append(q.spared, n)
		return false
	case q.mute:
		q.foreign.asked++
	}
	return true
}

// resent books that packet n goes out again: it stays repairable for longer then, unless that is for receivers that are not followed, who
// would keep the others' packets out of the window.
func (s *Source) resent(now mono.Time, n seq.Num) {
	if q := s.pace; q != nil && len(q.spared) > 0 {
		if i := slices.Index(q.spared, n); i >= 0 {
			q.spared = slices.Delete(q.spared, i, i+1)
			return
		}
	}
	s.window.Resent(now, n)
}

// forgetSlow has round trips and lateness of NAKs measured anew once a receiver is not followed any more, and once in a while when such a one
// is heard: what it said before, from behind a queue of its own, would hold the window for all others until it fades.
func (s *Source) forgetSlow(now mono.Time) {
	q := s.pace
	if now < q.forgetAt || !q.ignored && !q.left {
		return
	}
	rtt := q.control.State().RTT * 5 / 4
	if rtt == 0 {
		return // whoever sets the pace from now on did not report yet
	}
	if q.left {
		s.effort = effort{} // it was mostly for that one
	}
	q.forgetAt, q.left = now.Add(forgetSpacing), false
	if rtt < s.grtt.Value(now) {
		s.grtt.Init(rtt)
		s.lag.Init(rtt)
		s.bound(now)
		s.tune(now)
	}
}
