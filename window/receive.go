package window

import (
	"math/bits"
	"slices"

	"github.com/rmcast/rmcast/internal/invariant"
	"github.com/rmcast/rmcast/seq"
)

// State is what a receive window knows about one number.
type State uint8

// States of a number. Its life is Unknown, perhaps Missing, then Have or Lost, then Done.
const (
	Unknown State = iota // at or beyond End
	Missing              // not here yet
	Have                 // here and not released
	Lost                 // given up and not released
	Done                 // released, or before Next
)

// String gives the state's name.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "State?"
}

var stateNames = [...]string{"Unknown", "Missing", "Have", "Lost", "Done"}

// Result is what Insert did with a packet.
type Result uint8

// Results of Insert. The first three mean that the window took the packet, the others that nothing has changed.
const (
	InOrder   Result = iota // it was number End
	Ahead                   // it was beyond End: the numbers between are missing now
	Filled                  // it was Missing
	Duplicate               // it is here, or was released ahead of Next
	Late                    // it is before Next, or given up
	Full                    // at or beyond Limit, or no memory is left for it
)

// String gives the result's name.
func (r Result) String() string {
	if int(r) < len(resultNames) {
		return resultNames[r]
	}
	return "Result?"
}

var resultNames = [...]string{"InOrder", "Ahead", "Filled", "Duplicate", "Late", "Full"}

// Receive is a receiver's window on one source: a ring of slots that grows by doubling, and the payloads held in it.
//
//	  Next         Run                    End            Limit
//	----+-----------+-----------------------+--------------+----> numbers
//	    | no number | from Run on, some     | nothing known| do not fit
//	    | missing   | Missing, some not     |              |
//
// Invariants:
//  1. Next ≤ Run ≤ End; Next is not Done unless it is End; Run is Missing unless it is End.
//  2. Missing and Held are the numbers of Missing and Have in [Next, End).
//  3. A slot has a buffer if and only if it is Have or kept, with a payload; of a hollow window, none has.
//  4. While the largest class of payloads seen does not grow, every number Missing below one that is Have with a buffer will find memory.
//  5. What is kept is Done and not before Next's group. When a group has become Done altogether, nothing of it is kept.
//
// A Receive takes no memory before the first number.
type Receive struct {
	next, run, end seq.Num
	top            seq.Num // after the highest number Have with a buffer, or later, but not after End
	mask           uint32
	started        bool
	released       bool // something was, since Start
	hollow         bool
	group          uint8   // k-1 of Keep; 0: nothing is kept
	kept           int32   // numbers that are
	low            seq.Num // while something is kept: nothing before it is, and its slot is in the ring
	maxSlots       int
	missing, held  int
	beyond         int // Missing numbers from top on
	bytes          int64
	unchecked      int // calls since the last walk of check
	slots          []receiveSlot
	buffers        buffers
}

type receiveSlot struct {
	buffer   bufferID
	payload  uint16 // bytes
	state    State
	kept     bool // Done, but for the payload
	fragment Fragment
}

const (
	firstSlots  = 64 // of a ring
	hollowSlots = 8  // of one that keeps no payload
)

// zeros is what a hollow window shows as payload.
var zeros [MaxPayload]byte

// NewReceive returns a window that takes numbers in [Next, Next+maxSlots), 1 ≤ maxSlots ≤ 2^30, and whose payload memory
// takes at most maxBytes, rounded down to chunks of 64 KiB but not below one of them.
func NewReceive(maxSlots int, maxBytes int64) *Receive {
	r := &Receive{}
	r.Resize(maxSlots)
	r.buffers.init(maxBytes)
	return r
}

// NewHollow returns a window that keeps the length of each payload and not its bytes: Packet gives as many zeros, which must not
// be written. It takes no payload memory and knows no bound for it. Simulations of large groups use it.
func NewHollow(maxSlots int) *Receive {
	r := &Receive{hollow: true}
	r.Resize(maxSlots)
	r.buffers.init(0)
	return r
}

// Clone returns a window in the same state that shares nothing with r.
func (r *Receive) Clone() *Receive {
	c := *r
	c.slots = slices.Clone(r.slots)
	c.buffers = r.buffers.clone()
	return &c
}

// EmptyAlike reports whether r and x are hollow, hold nothing, keep the same (Keep), and will do the same with all that comes.
func (r *Receive) EmptyAlike(x *Receive) bool {
	empty := func(w *Receive) bool {
		return w.hollow && w.started && w.next == w.end && w.missing == 0 && w.held == 0
	}
	return empty(r) && empty(x) && r.next == x.next && r.run == x.run && r.top == x.top && r.beyond == x.beyond &&
		r.maxSlots == x.maxSlots && r.released == x.released && r.sameKept(x)
}

// Resize changes the distance from Next to Limit, 1 ≤ maxSlots ≤ 2^30. What is known stays, even beyond the new Limit.
func (r *Receive) Resize(maxSlots int) {
	if maxSlots < 1 || maxSlots > maxWindow {
		bug("a receive window of %d slots", maxSlots)
	}
	r.maxSlots = maxSlots
}

// SetMemory raises what payload memory may take to maxBytes; a lower figure than the one in force changes nothing.
func (r *Receive) SetMemory(maxBytes int64) {
	if !r.hollow {
		r.buffers.raise(maxBytes)
	}
}

// Spare returns how many packets beyond those that are Missing already there is payload memory for. What is kept (Keep) counts as free where
// less than a thousand would be left without.
func (r *Receive) Spare() int {
	if r.hollow {
		return max(r.maxSlots-r.missing, 0)
	}
	spare := r.buffers.spare()
	if r.kept > 0 && spare-r.missing < ample {
		spare = r.spareOfKept()
	}
	return max(spare-r.missing, 0)
}

// Start makes first the first number of the window: what is before is Done. A window may be started anew, elsewhere, once
// everything in it is released; it panics if something is not.
func (r *Receive) Start(first seq.Num) {
	if r.next != r.end {
		bug("Start at %d with %v known", first, seq.Range{From: r.next, To: r.end})
	}
	r.freeKept(r.end)
	r.next, r.run, r.end, r.top = first, first, first, first
	r.started, r.released = true, false
}

// Started reports whether Start was called.
func (r *Receive) Started() bool { return r.started }

// Rewind lets the window begin at the earlier number first, and returns the numbers that are Missing by this. ok is false,
// and nothing has changed, if something was released since Start, if first comes after Next, or if what is known from first
// on does not fit into the window or its memory.
func (r *Receive) Rewind(first seq.Num) (missing seq.Range, ok bool) {
	r.mustBeStarted()
	more := r.next.Sub(first)
	known := r.end.Sub(r.next)
	if r.released || more < 0 || more > r.maxSlots-known {
		return seq.Range{}, false
	}
	missing = seq.Range{From: first, To: r.next}
	if more == 0 {
		return missing, true
	}
	if r.bytes > 0 && !r.hollow && r.buffers.spare() < more+r.missing-r.beyond {
		return seq.Range{}, false
	}
	r.reserve(first, more+known)
	r.mark(missing, Missing)
	r.missing += more
	if r.bytes == 0 {
		r.top, r.beyond = first, r.missing
	}
	r.next, r.run = first, first
	r.walk()
	return missing, true
}

// Next returns the lowest number that is not released (the read edge).
func (r *Receive) Next() seq.Num { return r.next }

// Run returns the end of the longest run from Next in which no number is Missing: all of it can be read.
func (r *Receive) Run() seq.Num { return r.run }

// End returns the number after the highest known one.
func (r *Receive) End() seq.Num { return r.end }

// Limit returns the lowest number that does not fit, Next + maxSlots.
func (r *Receive) Limit() seq.Num { return r.next.Add(r.maxSlots) }

// Missing returns how many numbers are Missing.
func (r *Receive) Missing() int { return r.missing }

// Held returns how many numbers are in state Have.
func (r *Receive) Held() int { return r.held }

// Bytes returns how many payload bytes are held.
func (r *Receive) Bytes() int64 { return r.bytes }

// Memory returns how many bytes are allocated for payloads, held or free. It is at most NewReceive's maxBytes and does not
// shrink.
func (r *Receive) Memory() int64 { return r.buffers.allocated() }

// State returns what is known about n.
func (r *Receive) State(n seq.Num) State {
	switch {
	case !r.started || r.end.LessEq(n):
		return Unknown
	case n.Less(r.next):
		return Done
	}
	return r.slot(n).state
}

// Packet returns packet n if it is in state Have. The payload is valid until Release(n).
func (r *Receive) Packet(n seq.Num) (Packet, bool) {
	if n.Less(r.next) || r.end.LessEq(n) {
		return Packet{}, false
	}
	s := r.slot(n)
	if s.state != Have {
		return Packet{}, false
	}
	if s.buffer == noBuffer {
		return Packet{Payload: zeros[:s.payload:s.payload], Fragment: s.fragment}, true // of a hollow window; else of none
	}
	return Packet{Payload: r.buffers.bytes(s.buffer)[:s.payload:s.payload], Fragment: s.fragment}, true
}

// Insert takes packet n with a copy of payload, at most MaxPayload bytes, and says what it was. The range is that of newly
// Missing numbers; it is empty unless the result is Ahead. A packet that is refused (Duplicate, Late, Full) changes nothing.
//
// When memory is short the lower numbers have it: one that is held may not keep a lower one that is Missing from being
// taken.
func (r *Receive) Insert(n seq.Num, payload []byte, f Fragment) (Result, seq.Range) {
	if known := n.Sub(r.next); n == r.end && r.missing == 0 && known < r.maxSlots && n.Sub(r.base()) < len(r.slots) {
		if id, ok := r.memory(len(payload), 0); ok { // put, with n at End and so at or after top
			if id != noBuffer {
				copy(r.buffers.bytes(id), payload)
				r.top = n + 1
			}
			s := r.slot(n)
			s.buffer, s.payload, s.state, s.fragment = id, uint16(len(payload)), Have, f
			r.held++
			r.bytes += int64(len(payload))
			r.end++
			r.run = r.end
			r.walk()
			return InOrder, seq.Range{From: n, To: n}
		}
	}
	return r.insert(n, payload, f)
}

// insert is Insert out of order, or where the ring is too small.
func (r *Receive) insert(n seq.Num, payload []byte, f Fragment) (Result, seq.Range) {
	r.mustBeStarted()
	if len(payload) > MaxPayload {
		bug("a payload of %d bytes", len(payload))
	}
	ahead := n.Sub(r.end)
	if ahead < 0 {
		return r.fill(n, payload, f), seq.Range{}
	}
	known := r.end.Sub(r.next)
	if ahead >= r.maxSlots-known {
		return Full, seq.Range{}
	}
	id, ok := r.memoryOrKept(len(payload), r.missing+ahead)
	if !ok {
		return Full, seq.Range{}
	}
	r.reserve(r.next, known+ahead+1)
	gap := seq.Range{From: r.end, To: n}
	result := InOrder
	if ahead > 0 {
		result = Ahead
		r.mark(gap, Missing)
		r.missing += ahead
		r.beyond += ahead
	} else if r.run == n {
		r.run++
	}
	r.end = n + 1
	r.put(n, id, payload, f)
	r.walk()
	return result, gap
}

// fill is Insert of a number before End.
func (r *Receive) fill(n seq.Num, payload []byte, f Fragment) Result {
	if n.Less(r.next) {
		return Late
	}
	switch r.slot(n).state {
	case Have, Done:
		return Duplicate
	case Lost:
		return Late
	}
	id, ok := r.memory(len(payload), r.missing-1)
	if !ok {
		id, ok = r.memoryOrKept(len(payload), r.keepFor(n))
	}
	if !ok && n == r.run {
		id, ok = r.memoryOrKept(len(payload), 0)
	}
	if !ok {
		return Full
	}
	r.missing--
	if !n.Less(r.top) {
		r.beyond--
	}
	r.put(n, id, payload, f)
	r.advanceRun()
	r.walk()
	return Filled
}

// keepFor returns how many numbers must still find memory after n, which is Missing, has taken some: the others that are
// Missing before n or before one that has memory.
func (r *Receive) keepFor(n seq.Num) int {
	if n.Less(r.top) {
		return r.missing - r.beyond - 1
	}
	return r.missing - r.beyond + r.missingIn(seq.Range{From: r.top, To: n})
}

// put makes n Have, with a copy of payload in buffer id.
func (r *Receive) put(n seq.Num, id bufferID, payload []byte, f Fragment) {
	s := r.slot(n)
	s.buffer, s.payload, s.state, s.fragment = id, uint16(len(payload)), Have, f
	if id != noBuffer {
		copy(r.buffers.bytes(id), payload)
		if r.top.LessEq(n) {
			if r.beyond > 0 {
				r.beyond -= r.missingIn(seq.Range{From: r.top, To: n})
			}
			r.top = n + 1
		}
	}
	r.held++
	r.bytes += int64(len(payload))
}

// Extend says that all numbers before end exist. It makes those in [End, end) Missing, as far as Limit, and returns them.
func (r *Receive) Extend(end seq.Num) seq.Range {
	r.mustBeStarted()
	more := seq.Range{From: r.end, To: seq.Min(end, r.Limit())}
	if more.Empty() {
		return seq.Range{From: r.end, To: r.end}
	}
	r.create(more, Missing)
	r.missing += more.Len()
	r.beyond += more.Len()
	r.walk()
	return more
}

// Lose gives up the Missing numbers of lost: they become Lost. So do those from End on that are before Limit, unless the
// range begins beyond End. It returns how many became Lost.
func (r *Receive) Lose(lost seq.Range) int {
	r.mustBeStarted()
	if lost.Empty() || r.end.Less(lost.From) {
		return 0
	}
	count := 0
	for n, to := seq.Max(lost.From, r.run), seq.Min(lost.To, r.end); n.Less(to); n++ {
		if s := r.slot(n); s.state == Missing {
			s.state = Lost
			count++
			if !n.Less(r.top) {
				r.beyond--
			}
		}
	}
	r.missing -= count
	if more := (seq.Range{From: r.end, To: seq.Min(lost.To, r.Limit())}); !more.Empty() {
		r.create(more, Lost)
		count += more.Len()
	}
	r.advanceRun()
	r.walk()
	return count
}

// Release says that n, which must be Have or Lost, was dealt with: it becomes Done, its payload is no longer valid (but see Keep),
// and Next moves over all Done numbers.
func (r *Receive) Release(n seq.Num) {
	if n.Less(r.next) || r.end.LessEq(n) {
		bug("Release of %d, known are %v", n, seq.Range{From: r.next, To: r.end})
	}
	s := r.slot(n)
	switch s.state {
	case Have:
		r.held--
		r.bytes -= int64(s.payload)
		if r.group != 0 {
			r.keep(n, s)
		} else if s.buffer != noBuffer {
			r.buffers.put(s.buffer)
		}
	case Lost:
		if r.kept > 0 && !r.needed(n) {
			r.freeGroup(n)
		}
	default:
		bug("Release of %d, which is %v", n, s.state)
	}
	s.state = Done
	r.released = true
	if n == r.next {
		r.next++
		if r.next != r.run && r.slot(r.next).state == Done {
			r.skipDone()
		}
		r.top = seq.Max(r.top, r.next)
	}
	r.walk()
}

// skipDone moves Next over what was released ahead of it.
func (r *Receive) skipDone() {
	for r.next != r.run && r.slot(r.next).state == Done {
		r.next++
	}
	r.low = seq.Max(r.low, r.base()) // there may be groups between of which nothing is kept
}

// NextMissing returns the first run of Missing numbers at or after from; its length costs time in proportion, and so does
// the way to it.
func (r *Receive) NextMissing(from seq.Num) (seq.Range, bool) {
	if r.missing == 0 {
		return seq.Range{}, false
	}
	n := seq.Max(from, r.run)
	for n.Less(r.end) && r.slot(n).state != Missing {
		n++
	}
	if !n.Less(r.end) {
		return seq.Range{}, false
	}
	gap := seq.Range{From: n, To: n + 1}
	for gap.To != r.end && r.slot(gap.To).state == Missing {
		gap.To++
	}
	return gap, true
}

// memory returns a buffer for a payload of size bytes; see buffers.get.
func (r *Receive) memory(size, keep int) (bufferID, bool) {
	if r.hollow {
		return noBuffer, true
	}
	return r.buffers.get(size, keep)
}

func (r *Receive) slot(n seq.Num) *receiveSlot { return &r.slots[uint32(n)&r.mask] }

// advanceRun moves Run to the first Missing number.
func (r *Receive) advanceRun() {
	for r.run != r.end && r.slot(r.run).state != Missing {
		r.run++
	}
}

// missingIn counts the Missing numbers of a range that is in [Next, End).
func (r *Receive) missingIn(which seq.Range) int {
	count := 0
	for n := which.From; n != which.To; n++ {
		if r.slot(n).state == Missing {
			count++
		}
	}
	return count
}

// create adds the numbers of more, which begins at End, to those that are known.
func (r *Receive) create(more seq.Range, state State) {
	r.reserve(r.next, more.To.Sub(r.next))
	r.mark(more, state)
	r.end = more.To
}

// mark sets the state of all numbers of a range to one without a buffer.
func (r *Receive) mark(which seq.Range, state State) {
	for n := which.From; n != which.To; n++ {
		*r.slot(n) = receiveSlot{buffer: noBuffer, state: state}
	}
}

// reserve makes the ring hold count numbers from first on, which is Next or before, and those of its group before.
func (r *Receive) reserve(first seq.Num, count int) {
	count += int(uint32(first) & uint32(r.group))
	if count > len(r.slots) {
		r.grow(count)
	}
}

func (r *Receive) grow(count int) {
	least := firstSlots
	if r.hollow {
		least = hollowSlots
	}
	slots := make([]receiveSlot, max(least, 1<<bits.Len(uint(count-1))))
	mask := uint32(len(slots) - 1)
	for n := r.first(); n != r.end; n++ {
		slots[uint32(n)&mask] = *r.slot(n)
	}
	r.slots, r.mask = slots, mask
}

func (r *Receive) mustBeStarted() {
	if !r.started {
		bug("the receive window is not started")
	}
}

// walk runs check now and then: often enough to find what is broken, seldom enough that large windows stay usable.
func (r *Receive) walk() {
	if !invariant.Enabled {
		return
	}
	r.unchecked++
	if r.unchecked*4 > r.end.Sub(r.next)+64*len(r.buffers.chunks) {
		r.unchecked = 0
		r.check()
	}
}
