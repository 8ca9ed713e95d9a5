package window

import (
	"math/bits"
	"time"

	"github.com/rmcast/rmcast/internal/invariant"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// Transmit is the source's window: what was sent and can be sent again, followed by what is written but not sent.
//
//	  trail          next           end
//	----+--------------+--------------+-----------> numbers
//	    | sent         | unsent       | Slot
//	    |<------------- at most Slots ------------>|
//
// Invariants:
//  1. Trail ≤ Next ≤ End, and End - Trail ≤ Slots.
//  2. First sendings do not decrease from Trail to Next, and no packet was last sent before it was first sent.
//  3. The memory of End's slot belongs to the writer, all other memory to the window.
//
// Payload memory is allocated in chunks as the ring is first written, and never given back.
type Transmit struct {
	trail, next, end seq.Num
	mask             uint32
	slotBytes        int
	stride           int // slotBytes rounded up to whole cache lines
	chunkShift       uint8
	chunkMask        uint32
	chunks           []transmitChunk // nil before the first Slot
	unsentBytes      int
	latest           mono.Time // of all sendings
	unchecked        int       // calls since the last walk of check
}

type transmitChunk struct {
	slots  []transmitSlot
	memory []byte
}

type transmitSlot struct {
	first, last mono.Time // sendings; of sent packets only
	fragment    Fragment
	payload     uint16 // bytes
	sum         uint16
}

const transmitChunkBytes = 128 << 10 // at most, where it holds one slot

// NewTransmit returns an empty window whose first packet will have number first. It has slots slots (1 to 2^30), rounded
// down to a power of two, of slotBytes bytes each (1 to MaxPayload).
func NewTransmit(slots, slotBytes int, first seq.Num) *Transmit {
	if slots < 1 || slots > maxWindow || slotBytes < 1 || slotBytes > MaxPayload {
		bug("a transmit window of %d slots of %d bytes", slots, slotBytes)
	}
	slots = 1 << (bits.Len(uint(slots)) - 1)
	stride := (slotBytes + cacheLine - 1) &^ (cacheLine - 1)
	perChunk := min(slots, 1<<(bits.Len(uint(max(transmitChunkBytes/stride, 1)))-1))
	return &Transmit{
		trail: first, next: first, end: first,
		mask:       uint32(slots - 1),
		slotBytes:  slotBytes,
		stride:     stride,
		chunkShift: uint8(bits.Len(uint(perChunk)) - 1),
		chunkMask:  uint32(perChunk - 1),
	}
}

// Trail returns the lowest number that can still be repaired (TXW_TRAIL). It equals Next when nothing can.
func (t *Transmit) Trail() seq.Num { return t.trail }

// Lead returns the highest number sent (TXW_LEAD), Next - 1.
func (t *Transmit) Lead() seq.Num { return t.next - 1 }

// Next returns the number that is sent next.
func (t *Transmit) Next() seq.Num { return t.next }

// End returns the number that the next Put gives.
func (t *Transmit) End() seq.Num { return t.end }

// Slots returns how many packets the window can hold.
func (t *Transmit) Slots() int { return int(t.mask) + 1 }

// Free returns how many packets can be Put before Reclaim has to make room.
func (t *Transmit) Free() int { return t.Slots() - t.end.Sub(t.trail) }

// Unsent returns how many packets are written but not sent.
func (t *Transmit) Unsent() int { return t.end.Sub(t.next) }

// UnsentBytes returns how many payload bytes are written (Put) but not sent.
func (t *Transmit) UnsentBytes() int { return t.unsentBytes }

// Slot returns the memory of the next packet, slotBytes long, or nil when the window is full. It stays the caller's to fill,
// over several calls if need be, until Put; what it held before is undefined.
func (t *Transmit) Slot() []byte {
	if t.Free() == 0 {
		return nil
	}
	_, memory := t.at(t.end)
	return memory
}

// Put makes the first n bytes of Slot packet End and returns that number. sum is kept for the caller (wire.Sum of the
// payload). It panics when the window is full or n exceeds the slot.
func (t *Transmit) Put(n int, sum uint16, f Fragment) seq.Num {
	if t.Free() == 0 || n < 0 || n > t.slotBytes {
		bug("Put of %d bytes, slots of %d, %d free", n, t.slotBytes, t.Free())
	}
	s, _ := t.at(t.end)
	s.payload, s.sum, s.fragment = uint16(n), sum, f
	t.unsentBytes += n
	t.end++
	t.walk()
	return t.end - 1
}

// Get returns packet n, sent or not, and whether the window holds it. The payload is valid until Reclaim moves Trail past n.
func (t *Transmit) Get(n seq.Num) (Packet, bool) {
	if n.Less(t.trail) || t.end.LessEq(n) {
		return Packet{}, false
	}
	s, memory := t.at(n)
	return Packet{Payload: memory[:s.payload:s.payload], Sum: s.sum, Fragment: s.fragment}, true
}

// Sent says that the next n unsent packets went out at now: Next moves. An instant before that of an earlier call counts as
// that one. It panics when n exceeds Unsent.
func (t *Transmit) Sent(now mono.Time, n int) {
	if n < 0 || n > t.Unsent() {
		bug("%d packets sent of %d unsent", n, t.Unsent())
	}
	t.latest = max(t.latest, now)
	for range n {
		s, _ := t.at(t.next)
		s.first, s.last = t.latest, t.latest
		t.unsentBytes -= int(s.payload)
		t.next++
	}
	t.walk()
}

// Resent says that packet n went out again (RDATA) at now. It panics unless n is in [Trail, Next).
func (t *Transmit) Resent(now mono.Time, n seq.Num) {
	if n.Less(t.trail) || t.next.LessEq(n) {
		bug("%d resent, sent are %v", n, seq.Range{From: t.trail, To: t.next})
	}
	s, _ := t.at(n)
	t.latest = max(t.latest, now)
	s.last = t.latest
	t.walk()
}

// LastSent returns when packet n went out the last time. It panics unless n is in [Trail, Next).
func (t *Transmit) LastSent(n seq.Num) mono.Time {
	if n.Less(t.trail) || t.next.LessEq(n) {
		bug("when was %d sent? sent are %v", n, seq.Range{From: t.trail, To: t.next})
	}
	s, _ := t.at(n)
	return s.last
}

// Reclaim moves Trail over at most most packets that were first sent age or longer ago, and returns over how many. A packet
// that was last sent (Resent) less than age ago stays, and so do pending and what comes after it if hasPending, for a
// repair of pending is queued; but no packet stays for that longer than age + grace after its first sending.
//
// Call it with the short age (WindowHold) when a writer needs room, and with the long one (WindowAge) when idle.
func (t *Transmit) Reclaim(now mono.Time, age, grace time.Duration, pending seq.Num, hasPending bool, most int) int {
	moved := 0
	for moved < most && t.trail != t.next {
		s, memory := t.at(t.trail)
		if now.Before(t.reclaimAt(s, age, grace, hasPending && pending.LessEq(t.trail))) {
			break
		}
		if invariant.Enabled {
			fill(memory)
		}
		t.trail++
		moved++
	}
	if moved > 0 {
		t.walk()
	}
	return moved
}

// ReclaimAt returns when Reclaim with the same arguments will next move Trail if nothing else happens until then. It may be
// past. Never if nothing is sent.
func (t *Transmit) ReclaimAt(age, grace time.Duration, pending seq.Num, hasPending bool) mono.Time {
	if t.trail == t.next {
		return mono.Never
	}
	s, _ := t.at(t.trail)
	return t.reclaimAt(s, age, grace, hasPending && pending.LessEq(t.trail))
}

// reclaimAt returns when the packet of s may leave; held says that a queued repair keeps it.
func (t *Transmit) reclaimAt(s *transmitSlot, age, grace time.Duration, held bool) mono.Time {
	earliest := s.first.Add(age)
	latest := earliest.Add(max(grace, 0))
	if held {
		return latest
	}
	return min(s.last.Add(age), latest)
}

// at returns the slot of n and its memory, allocated if it has none yet.
func (t *Transmit) at(n seq.Num) (*transmitSlot, []byte) {
	i := uint32(n) & t.mask
	if t.chunks == nil {
		t.chunks = make([]transmitChunk, t.Slots()>>t.chunkShift)
	}
	c := &t.chunks[i>>t.chunkShift]
	if c.slots == nil {
		perChunk := int(t.chunkMask) + 1
		c.slots = make([]transmitSlot, perChunk)
		c.memory = make([]byte, perChunk*t.stride)
	}
	j := int(i & t.chunkMask)
	return &c.slots[j], c.memory[j*t.stride:][:t.slotBytes:t.slotBytes]
}

// walk runs check now and then: often enough to find what is broken, seldom enough that large windows stay usable.
func (t *Transmit) walk() {
	if !invariant.Enabled {
		return
	}
	t.unchecked++
	if t.unchecked*4 > t.end.Sub(t.trail) {
		t.unchecked = 0
		t.check()
	}
}

// check panics if an invariant of the type's comment does not hold.
func (t *Transmit) check() {
	if t.next.Less(t.trail) || t.end.Less(t.next) || t.Free() < 0 {
		bug("trail %d, next %d, end %d, %d slots", t.trail, t.next, t.end, t.Slots())
	}
	unsentBytes := 0
	var before mono.Time
	for n := t.trail; n != t.end; n++ {
		s, _ := t.at(n)
		if !n.Less(t.next) {
			unsentBytes += int(s.payload)
			continue
		}
		if n != t.trail && s.first.Before(before) || s.last.Before(s.first) || t.latest.Before(s.last) {
			bug("%d first sent %v, last %v, the one before first %v", n, s.first, s.last, before)
		}
		before = s.first
	}
	if unsentBytes != t.unsentBytes {
		bug("%d unsent bytes counted as %d", unsentBytes, t.unsentBytes)
	}
}

// fill poisons memory whose views are no longer valid.
func fill(b []byte) {
	if len(b) == 0 {
		return
	}
	b[0] = poison
	for n := 1; n < len(b); n *= 2 { // copying is quick under the race detector, too
		copy(b[n:], b[:n])
	}
}
