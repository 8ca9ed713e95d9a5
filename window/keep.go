package window

import "github.com/rmcast/rmcast/seq"

// MaxKeep is the largest group that Keep takes, as many packets as the code of package fec has in a group at most.
const MaxKeep = 128

// ample is from how many packets on Spare need not count what is kept as free.
const ample = 1024

// Keep makes the payloads of released numbers stay readable, by Kept, as long as their group may need them to make up for a
// number that is Missing. A group is k numbers that differ in the low bits only; k is a power of two, 2 to MaxKeep, or 0, as in a
// new window, which keeps nothing. A change of k frees what was kept.
//
// What is kept of a group is freed by the Release that finds all numbers of the group known and none Missing, at the latest by that which
// moves Next past the group, and by Start. It also gives way to payloads that arrive, the group with the lowest number first, when
// memory is short; all else is as if what is kept were free.
func (r *Receive) Keep(k int) {
	if k != 0 && (k < 2 || k > MaxKeep || k&(k-1) != 0) {
		bug("groups of %d", k)
	}
	if k == r.keeps() {
		return
	}
	r.freeKept(r.end)
	r.group = uint8(max(k, 1) - 1)
}

// keeps returns the k of Keep.
func (r *Receive) keeps() int {
	if r.group == 0 {
		return 0
	}
	return int(r.group) + 1
}

// Kept returns packet n if it is in state Have, or was and is kept. The payload is valid until the next call that changes r.
func (r *Receive) Kept(n seq.Num) (Packet, bool) {
	if !r.isKept(n) {
		return r.Packet(n)
	}
	s := r.slot(n)
	p := Packet{Payload: zeros[:s.payload:s.payload], Fragment: s.fragment}
	if s.buffer != noBuffer {
		p.Payload = r.buffers.bytes(s.buffer)[:s.payload:s.payload]
	}
	return p, true
}

func (r *Receive) isKept(n seq.Num) bool {
	return r.kept > 0 && !n.Less(r.low) && n.Less(r.end) && r.slot(n).kept
}

// base returns the first number of Next's group, or Next when nothing is kept: the ring has room from there on.
func (r *Receive) base() seq.Num { return r.next &^ seq.Num(r.group) }

// first returns the lowest number whose slot must stay.
func (r *Receive) first() seq.Num {
	if r.kept > 0 {
		return seq.Min(r.low, r.next)
	}
	return r.next
}

// keep keeps the payload of n, which is Have and is being released, or frees it and all of its group.
func (r *Receive) keep(n seq.Num, s *receiveSlot) {
	if !r.needed(n) {
		if s.buffer != noBuffer {
			r.buffers.put(s.buffer)
		}
		if r.kept > 0 {
			r.freeGroup(n)
		}
		return
	}
	s.kept = true
	if r.kept == 0 || n.Less(r.low) {
		r.low = n
	}
	r.kept++
}

// needed reports whether some number of the group of n is Missing or not known yet.
func (r *Receive) needed(n seq.Num) bool {
	group := r.groupOf(n)
	if r.end.Less(group.To) {
		return true
	}
	for n := seq.Max(group.From, r.run); n.Less(group.To); n++ {
		if r.slot(n).state == Missing {
			return true
		}
	}
	return false
}

func (r *Receive) groupOf(n seq.Num) seq.Range {
	mask := seq.Num(r.group)
	return seq.Range{From: n &^ mask, To: (n | mask) + 1}
}

// freeGroup frees what is kept of the group of n.
func (r *Receive) freeGroup(n seq.Num) {
	group := r.groupOf(n)
	from := seq.Max(group.From, r.low)
	for n := from; r.kept > 0 && n.Less(group.To) && n != r.end; n++ {
		if s := r.slot(n); s.kept {
			r.free(s)
		}
	}
	if from == r.low {
		r.low = seq.Max(r.low, group.To)
	}
}

// freeKept frees what is kept before to.
func (r *Receive) freeKept(to seq.Num) {
	for ; r.kept > 0 && r.low.Less(to); r.low++ {
		if s := r.slot(r.low); s.kept {
			r.free(s)
		}
	}
}

func (r *Receive) free(s *receiveSlot) {
	s.kept = false
	r.kept--
	if s.buffer != noBuffer {
		r.buffers.put(s.buffer)
	}
}

// giveWay frees what is kept of the lowest group of which something is.
func (r *Receive) giveWay() {
	for !r.slot(r.low).kept {
		r.low++
	}
	r.freeGroup(r.low)
}

// memoryOrKept is memory to which what is kept gives way, unless that would be in vain.
func (r *Receive) memoryOrKept(size, keep int) (bufferID, bool) {
	id, ok := r.memory(size, keep)
	if ok || r.kept == 0 {
		return id, ok
	}
	least := keep
	if classOf(size) == r.buffers.largest {
		least++
	}
	if r.spareOfKept() < least {
		return noBuffer, false
	}
	for !ok && r.kept > 0 {
		r.giveWay()
		id, ok = r.memory(size, keep)
	}
	return id, ok
}

// spareOfKept returns what buffers.spare would be if nothing were kept. Its time grows with the distance from the lowest kept number
// to the highest.
func (r *Receive) spareOfKept() int {
	b := &r.buffers
	if b.hot != nil {
		b.cool()
	}
	spare := b.spare()
	r.eachKept(func(id bufferID) {
		ch := &b.chunks[id.chunk()]
		ch.kept++
		if ch.class == b.largest {
			spare++
		} else if ch.kept == ch.used {
			spare += int(perChunk[b.largest])
		}
	})
	r.eachKept(func(id bufferID) { b.chunks[id.chunk()].kept = 0 })
	return spare
}

// eachKept calls f for each buffer that is kept.
func (r *Receive) eachKept(f func(bufferID)) {
	for n, left := r.low, r.kept; left > 0; n++ {
		if s := r.slot(n); s.kept {
			left--
			if s.buffer != noBuffer {
				f(s.buffer)
			}
		}
	}
}

// checkKept panics if what is kept breaks an invariant of the type's comment. It returns how many buffers that takes.
func (r *Receive) checkKept() int {
	kept, inUse := int32(0), 0
	for n := r.first(); n != r.end; n++ {
		s := r.slot(n)
		if n.Less(r.next) && s.state != Done {
			bug("%d before next %d is %v", n, r.next, s.state)
		}
		if !s.kept {
			continue
		}
		kept++
		if s.buffer != noBuffer {
			inUse++
		}
		if s.state != Done || n.Less(r.low) || n.Less(r.base()) || r.group == 0 {
			bug("%d is kept: it is %v, next is %d, the lowest kept %d, a group has %d", n, s.state, r.next, r.low, r.keeps())
		}
		if (s.buffer == noBuffer) != (s.payload == 0 || r.hollow) {
			bug("%d keeps %d bytes in buffer %#x", n, s.payload, s.buffer)
		}
	}
	if kept != r.kept || kept > 0 && r.low.Less(r.base()) {
		bug("%d kept from %d on, counted as %d, next is %d", kept, r.low, r.kept, r.next)
	}
	if used := r.end.Sub(r.first()); used > len(r.slots) {
		bug("%d slots in use of %d", used, len(r.slots))
	}
	return inUse
}

// sameKept reports whether r and x, which have the same Next, keep the same numbers before it with the same lengths and fragments.
func (r *Receive) sameKept(x *Receive) bool {
	if r.group != x.group || r.kept != x.kept {
		return false
	}
	for n := r.base(); n != r.next && r.kept > 0; n++ {
		kept := r.isKept(n)
		if kept != x.isKept(n) {
			return false
		}
		if s, t := r.slot(n), x.slot(n); kept && (s.payload != t.payload || s.fragment != t.fragment) {
			return false
		}
	}
	return true
}
