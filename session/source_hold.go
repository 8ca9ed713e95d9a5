package session

import (
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
)

// hold is WindowHold: how long a packet that was sent stays repairable while a writer waits for its slot. Without a rate nothing but this
// holds a source back that is faster than its receivers.
//
// A repair that goes out begins a hold of its own (Resent), and one that is queued has grace. So what is lost for good was missed by a
// receiver all of whose NAKs within one hold were lost, too. Its first NAK is here a cycle after the packet left at the latest: a wait, a round trip.
// The second comes after its timer, two group round trips at most, and another wait: two cycles and a round trip later than the packet, and
// somewhat more, for what receivers are told is rounded up. The third comes after twice the timer: within four cycles where that has come down
// to one round trip, or the wait is most of a cycle. If a share p of the packets is missed and a share q of the NAKs lost, then of all that is
// sent this much is lost for good:
//
//	p q^2  if there is time for two,   p q^3  for three.
//
// Two do while effort.clean: p, of all receivers together, is below 1/1000, and no NAK came late, which is how the source learns of a q that is
// worse. With q = p that is one packet in 10^9. Else there is time for three, and for more as soon as NAKs come later than after one
// cycle: lag is how late they come, and one that comes two and a half times as late is still in time.
func (s *Source) hold(now mono.Time) time.Duration {
	hold := s.laterHold(now)
	if s.cfg.WindowHold == 0 && now < s.beganAt.Add(min(20*s.cfg.InitialGRTT, time.Second)) {
		// Who is near answers first: until the far ones can have, the first guess of the round trip still stands for them.
		hold = max(hold, min(4*s.cycleOf(s.cfg.InitialGRTT), s.cfg.WindowAge))
	}
	return hold
}

// laterHold is what hold is when the first guess stands for nobody any more.
func (s *Source) laterHold(now mono.Time) time.Duration {
	if s.cfg.WindowHold > 0 {
		return s.cfg.WindowHold
	}
	least := holdMin
	if s.rate() == flow.Unlimited {
		least = holdUnlimited
	}
	late := min(5*s.lag.Value(now)/2, maxInterval)
	tries := 4 * s.cycle(now)
	if s.effort.clean() {
		tries = tries*17/32 + s.grtt.Value(now)
	}
	return min(max(tries, late, least), s.cfg.WindowAge)
}

// grace is how much longer a writer waits for a packet that is still being repaired. Without a rate the repairs are what
// brings the source down to what its receivers can take.
func (s *Source) grace() time.Duration {
	if s.rate() == flow.Unlimited {
		return idleGrace
	}
	return repairGrace
}

// wanted books that a NAK asks for count packets, of which the latest went out age ago.
func (s *Source) wanted(now mono.Time, count int, age time.Duration) {
	if age >= 2*s.hold(now) {
		s.effort.now.asked += count // who joined late asks for what is old, and is not late by that
		return
	}
	s.lag.Sample(now, min(age, s.late))
	s.effort.asked(now, count, age > 3*s.cycle(now)/2)
}

// windowRate is the rate at which the window is used up in one hold. A source that adapts sends no faster once half the window is: it would come
// to a stop until its oldest packets may leave, go on in the pattern in which those were sent, and neither empty the queue that each burst makes nor
// learn what the path bears. And that queue is in the round trip time that the hold goes by.
func (s *Source) windowRate(now mono.Time) flow.Rate {
	slots := s.window.Slots()
	if s.window.Free() > slots/2 {
		return flow.Unlimited
	}
	bits := float64(slots) * max(float64(8*s.packetBytes), s.effort.bits())
	return max(flow.Rate(bits/s.laterHold(now).Seconds()), s.pace.least)
}

// effort counts, over the last one to two windows of packets, how many were asked for, and what they cost with their repairs.
type effort struct {
	now, before effortCount
	late        int       // above 0: a NAK came that cannot have been the first of its sender for what it asks for
	at          mono.Time // of the latest NAK
}

type effortCount struct {
	packets, asked int
	bytes          int64 // of all that was sent, as Rate counts them
}

const (
	effortLeast = 4096 // packets of a small window's
	effortClean = 1000 // of so many packets one may be asked for
	effortLate  = 16   // NAKs in time, or windows, until a late one is forgotten
)

// sent books new packets.
func (e *effort) sent(packets, slots int) {
	if e.now.packets += packets; e.now.packets >= max(slots, effortLeast) {
		e.before, e.now = e.now, effortCount{}
		e.late = max(e.late-1, 0)
	}
}

// asked books that count packets were asked for at now, and whether that came late. What is asked for at one instant is one NAK.
func (e *effort) asked(now mono.Time, count int, late bool) {
	e.now.asked += count
	switch {
	case late:
		e.late = effortLate
	case e.at != now:
		e.late = max(e.late-1, 0)
	}
	e.at = now
}

// clean reports whether hardly anything is asked for and NAKs come in time, as far as enough was sent to tell.
func (e *effort) clean() bool {
	n := e.now.packets + e.before.packets
	return n >= effortLeast && effortClean*(e.now.asked+e.before.asked) <= n && e.late == 0
}

// bits is what a new packet costs in the mean.
func (e *effort) bits() float64 {
	return float64(8*(e.now.bytes+e.before.bytes)) / float64(max(e.now.packets+e.before.packets, 1))
}
