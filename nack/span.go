package nack

import (
	"time"

	"github.com/google/btree"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// State is where a missing number stands (RFC 3208, 6.3; OpenPGM's BACK_OFF, WAIT_NCF and WAIT_DATA).
type State uint8

const (
	BackOff  State = iota // waiting for the moment to ask
	WaitNCF               // asked, by us or by another receiver; waiting for the source's confirmation
	WaitData              // confirmed; waiting for the data
)

// String returns the RFC's word for s.
func (s State) String() string {
	switch s {
	case BackOff:
		return "BACK_OFF"
	case WaitNCF:
		return "WAIT_NCF"
	case WaitData:
		return "WAIT_DATA"
	}
	return "invalid"
}

// phase is what numbers must have in common to share a span.
type phase struct {
	state    State
	retries  uint8     // rounds that ended without data; saturates
	naks     uint8     // NAKs of ours; saturates
	confirms uint8     // NCFs heard; saturates
	heard    bool      // another's NAK came, so an NCF need not be for ours
	deadline mono.Time // when the state ends by itself, but for a hold
	began    mono.Time // when the state began
	nakAt    mono.Time // our latest NAK, if naks > 0
	ncfAt    mono.Time // entry into WaitData, if that is the state
	hold     mono.Time // BackOff only: what Hold named last; 0 when nothing did
}

// ends returns when the state ends by itself, a hold included.
func (p *phase) ends() mono.Time { return max(p.deadline, p.hold) }

// span is a run of missing numbers in one phase.
type span struct {
	r     seq.Range
	since mono.Time // when its numbers were first missing
	phase
	young bool          // in Scheduler.young: the tolerance for reordering still runs
	wait  time.Duration // young only: the backoff that follows the tolerance, contained in deadline
	ready bool          // in Scheduler.ready; otherwise in Scheduler.timers
	index int           // in that heap
	links [2]link[*span]
}

// The chains a span can be in.
const (
	byAge = iota // links spans by since, the oldest first; free spans by next
	byYouth
)

func (x *span) link(chain int) *link[*span] { return &x.links[chain] }

const (
	maxFreeSpans = 4096 // kept for reuse; 512 KiB
	treeDegree   = 16
	treeFree     = 128 // tree nodes kept for reuse
)

// spans finds spans by number. It is empty, a few words, until the first loss.
type spans struct {
	tree *btree.BTreeG[*span] // by r.From; ranges are disjoint
	free *span
	kept int   // length of free
	last *span // the span of the latest hit: numbers tend to come in order
	key  *span // search key
	hit  *span
	pick func(*span) bool // sets hit, ends the walk; kept so that a search allocates no closure
}

func (s *spans) init() {
	less := func(a, b *span) bool { return a.r.From.Less(b.r.From) }
	s.tree = btree.NewWithFreeListG(treeDegree, less, btree.NewFreeListG[*span](treeFree))
	s.key = new(span)
	s.pick = func(x *span) bool { s.hit = x; return false }
}

// new returns an empty span.
func (s *spans) new() *span {
	x := s.free
	if x == nil {
		return new(span)
	}
	s.free = x.links[byAge].next
	s.kept--
	*x = span{}
	return x
}

func (s *spans) recycle(x *span) {
	if s.last == x {
		s.last = nil
	}
	if s.kept == maxFreeSpans {
		return
	}
	*x = span{}
	x.links[byAge].next = s.free
	s.free = x
	s.kept++
}

// find returns the span that holds n, or nil.
func (s *spans) find(n seq.Num) *span {
	if s.last != nil && s.last.r.Has(n) {
		return s.last
	}
	if s.tree == nil || s.tree.Len() == 0 {
		return nil
	}
	s.hit, s.key.r.From = nil, n
	s.tree.DescendLessOrEqual(s.key, s.pick)
	if s.hit == nil || !s.hit.r.Has(n) {
		return nil
	}
	s.last = s.hit
	return s.hit
}

// from returns the span that holds n, or the next one after n, or nil.
func (s *spans) from(n seq.Num) *span {
	if x := s.find(n); x != nil || s.tree == nil {
		return x
	}
	s.hit, s.key.r.From = nil, n
	s.tree.AscendGreaterOrEqual(s.key, s.pick)
	return s.hit
}
