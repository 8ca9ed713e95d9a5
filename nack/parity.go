package nack

import (
	"fmt"
	"net/netip"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// Repair is what Next wants sent: packet N, or Count parity packets of the group that begins at N. Without Parity, Count is 1.
type Repair struct {
	N      seq.Num
	Parity bool
	Count  int
}

// parityRequest is what a request for the parity of a group has besides. What receivers lack is a number of packets, any of the group's,
// so a packet that goes out lessens the need of everybody, and the greatest need is all that must be kept.
type parityRequest struct {
	need      int    // parity packets still to send, if queued
	fair      int    // of them, those that receivers within their share need; need - fair wait with what is over
	asked     int    // most that a NAK named for which an NCF is pending
	confirmed int    // how many the latest NCF named
	sends     *sends // nil: none yet
}

// maxSends is how many sends of a group are told apart.
const maxSends = 16

// sends is what went out of a group's parity, oldest first.
type sends struct {
	n    int
	list [maxSends]struct {
		at      mono.Time
		packets int
	}
	next *sends // of free ones
}

// add notes that packets went out now; what went out until old does not matter any more. When there is no room, the two oldest become
// one, as if both were the later: a NAK may be taken to have crossed what it followed, so that too little is sent, which is asked for
// again, rather than too much.
func (s *sends) add(now, old mono.Time, packets int) {
	if s.n > 0 && s.list[s.n-1].at == now {
		s.list[s.n-1].packets += packets
		return
	}
	if s.n == maxSends {
		if s.list[0].at > old {
			s.list[1].packets += s.list[0].packets
		}
		copy(s.list[:], s.list[1:])
		s.n--
	}
	s.list[s.n].at, s.list[s.n].packets = now, packets
	s.n++
}

// after returns how many packets went out after t.
func (s *sends) after(t mono.Time) (packets int) {
	if s == nil {
		return 0
	}
	for i := s.n - 1; i >= 0 && s.list[i].at > t; i-- {
		packets += s.list[i].packets
	}
	return packets
}

// repair returns q as Next does, with n packets if it is for parity.
func (q *request) repair(n int) Repair {
	if !q.parity {
		n = 1
	}
	return Repair{N: q.n, Parity: q.parity, Count: n}
}

// confirm notes that an NCF goes out now, and returns the number by which it names q.
func (q *request) confirm(now mono.Time) seq.Num {
	q.ncfs, q.ncfAt = true, now
	if !q.parity {
		return q.n
	}
	q.confirmed = max(q.asked, q.need) // what is queued was asked for, and goes out after this
	return q.n.Add(q.confirmed - 1)
}

// ParityNAK takes a parity NAK from the receiver at from: it lacks count packets, 1 to k, of the group that begins at base, and when it
// asked it had heard, or lost, all that was sent until seen (by the source's clock). bytes is what one parity packet will cost.
//
// Parity of the group that went out after seen counts against count: its packets are on their way to the receiver. What is left is
// queued, but for what is queued already: all receivers' needs are met by as many packets as the greatest of them. What went out
// HoldOff ago or earlier does not count, whatever seen is: a receiver that asks that late has lost it.
//
// The verdict is Queued when the group's need has grown, Merged when it was as great already, HeldOff when all that is asked for went out
// after seen. What a share of its own does not pay for is refused, of a count that asks for more as well. The group is to be confirmed by the next ParityNCFs unless as large a count was a moment ago.
func (r *Repairs) ParityNAK(now mono.Time, from netip.Addr, base seq.Num, count int, seen mono.Time, bytes int) Verdict {
	if count < 1 {
		panic(fmt.Sprintf("BUG: nack: a parity NAK for %d packets", count))
	}
	r.forget(now)
	who := r.requesters.get(now, from)
	q, known := r.find(base, true)
	need := count
	if known {
		need -= q.sends.after(max(seen, r.old(now)))
	}
	if need > 0 && (!known || !q.queued) && !r.admit(now, who) {
		r.stats.ParityRefused++
		return Refused
	}
	if who.own > 0 && need > 0 {
		queued := 0
		if known {
			queued = q.need
		}
		cut := need - queued - r.afforded(now, who, need-queued, bytes)
		if cut == need {
			r.stats.ParityRefused++
			return Refused
		}
		if cut > 0 {
			need, count = need-cut, count-cut
		}
	}
	if !known {
		q = r.newParity(base)
	}
	if q.naks == 0 {
		q.from, q.first, q.naks, q.sample = who.id, now, 1, r.group.begin(now)
	} else {
		r.count(now, q, who)
	}
	v := HeldOff
	switch {
	case need > 0 && need > q.need:
		v = Queued
		r.stats.ParityQueued++
	case need > 0:
		v = Merged
		r.stats.ParityMerged++
	default:
		r.stats.ParityHeldOff++
	}
	if need > 0 {
		if !q.queued {
			q.asker, q.shared = who.id, false
			if known {
				r.unremember(q)
			}
		}
		q.shared = q.shared || q.asker != who.id
		r.require(now, q, who, need, bytes)
	}
	r.confirm(now, q, count)
	return v
}

// afforded charges who, which has a share of its own, for as many of n packets as that pays for.
func (r *Repairs) afforded(now mono.Time, who *requester, n, bytes int) (packets int) {
	for packets < n && r.requesters.take(now, who, bytes) {
		packets++
	}
	if packets < n {
		r.stats.Limited++
	}
	return packets
}

func (r *Repairs) newParity(base seq.Num) *request {
	q := r.new()
	q.n, q.parity = base, true
	r.tree.ReplaceOrInsert(q)
	return q
}

// old returns until when what went out does not count any more.
func (r *Repairs) old(now mono.Time) mono.Time { return now.Add(-max(r.cfg.HoldOff, 0)) }

// require raises the need of q, which is in a queue or nowhere, to need packets, as many of them within who's share as that allows.
func (r *Repairs) require(now mono.Time, q *request, who *requester, need, bytes int) {
	fair := q.fair
	for fair < need && who.own == 0 && r.requesters.take(now, who, bytes) {
		fair++
	}
	r.setNeed(q, max(q.need, need), fair)
}

// setNeed changes what is to be sent of q, which is in a queue or nowhere, and puts it in the queue where it belongs.
func (r *Repairs) setNeed(q *request, need, fair int) {
	over := fair == 0
	if q.queued && (need == 0 || q.over != over) {
		r.unqueue(q)
	}
	q.need, q.fair = need, fair
	if need == 0 || q.queued {
		return
	}
	q.queued, q.over = true, over
	if over {
		r.over.Push(q)
	} else {
		r.within.Push(q)
	}
}

// ParitySent tells that n parity packets of the group that begins at base went out, asked for or not: so many less are needed, and they
// count against NAKs of receivers that had not heard them. When none is needed any more, nor is an NCF: the packets themselves confirm.
func (r *Repairs) ParitySent(now mono.Time, base seq.Num, n int) {
	r.forget(now)
	if n <= 0 {
		return
	}
	r.stats.ParitySent += uint64(n)
	q, known := r.find(base, true)
	switch {
	case !known:
		q = r.newParity(base)
	case q.queued:
		r.setNeed(q, max(q.need-n, 0), max(q.fair-n, 0))
		if !q.queued {
			r.unconfirm(q)
		}
	default:
		r.unremember(q)
	}
	if !q.queued {
		r.remember(now, q)
	}
	if q.sends == nil {
		q.sends = r.newSends()
	}
	q.sends.add(now, r.old(now), n)
}

func (r *Repairs) newSends() *sends {
	s := r.freeSends
	if s == nil {
		return new(sends)
	}
	r.freeSends = s.next
	*s = sends{}
	return s
}

// ParityNCFs is NCFs for the parity of groups. Each number stands for a group and a count, the group's first number + count - 1. The count
// is the greatest that a NAK named for which this NCF is due, and not less than what is queued.
func (r *Repairs) ParityNCFs(now mono.Time, dst []seq.Num) []seq.Num {
	start := len(dst)
	dst = r.confirmed(now, dst, &r.parityNCF)
	r.stats.ParityNCFs += uint64(len(dst) - start)
	return dst
}

// ParityNCFPending reports whether ParityNCFs has something to return.
func (r *Repairs) ParityNCFPending() bool { return r.parityNCF.head != nil }
