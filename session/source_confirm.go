package session

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// Quorum says whose confirmation is enough. Receivers take part that were given an ID (PeersConfig.ID, Confirm).
type Quorum struct {
	Of    []wire.ReceiverID // these count; empty: whoever takes part
	Count int               // so many of them, at least; 0: all in Of
}

// Validate refuses what nobody can mean: no receivers at all, more than there are, an ID of nobody or one named twice.
func (q Quorum) Validate() error {
	switch {
	case q.Count < 0:
		return fmt.Errorf("session: quorum of %d receivers", q.Count)
	case q.Count == 0 && len(q.Of) == 0:
		return errors.New("session: quorum of nobody: name receivers or say how many")
	case q.Count > maxConfirming || len(q.Of) > maxConfirming:
		return fmt.Errorf("session: quorum of more than %d receivers", maxConfirming)
	case len(q.Of) > 0 && q.Count > len(q.Of):
		return fmt.Errorf("session: quorum of %d, and only %d receivers are named", q.Count, len(q.Of))
	}
	of := slices.Sorted(slices.Values(q.Of))
	for i, id := range of {
		if id == 0 || i > 0 && of[i-1] == id {
			return fmt.Errorf("session: quorum of receivers: %v is nobody or named twice", id)
		}
	}
	return nil
}

// Confirmation is one wait for a quorum. A Source makes them (Await).
type Confirmation struct {
	mark  seq.Num           // everything before this is waited for,
	since seq.Num           // and from whom began later than this, it is not enough: it lacks something
	of    []wire.ReceiverID // ascending; empty: anybody
	want  int               // how many
	got   []wire.ReceiverID // who has said so, ascending; want at most
}

// Done reports whether enough receivers have confirmed. It stays so whatever becomes of them.
func (w *Confirmation) Done() bool { return len(w.got) >= w.want }

// Want returns how many receivers are waited for.
func (w *Confirmation) Want() int { return w.want }

// Got returns who has confirmed, ascending. The slice is valid until the next call of the Source.
func (w *Confirmation) Got() []wire.ReceiverID { return w.got }

// confirmer is a receiver that takes part.
type confirmer struct {
	id           wire.ReceiverID
	from         netip.Addr // the one address that may speak for id while it is alive
	start, front seq.Num    // it holds everything between
	heard        mono.Time
}

// sourceConfirm is the confirmation of delivery at a source. While somebody waits, and for confirmLinger after, SPMs say that
// confirmation is wanted, up to which number, and how often one receiver may send it; they are repeated while somebody waits, so
// that lost ACKs and SPMs cost a round trip or two.
type sourceConfirm struct {
	list   []confirmer     // ascending by id, maxConfirming at most
	waits  []*Confirmation // that are not over, ascending by mark
	base   seq.Num         // everything before this was waited for by a Confirmation that is over
	last   seq.Num         // the highest mark so far
	seen   seq.Num         // after the last number that was sent before the latest SPM
	until  mono.Time       // confirmation is wanted till then when nobody waits
	onAt   mono.Time       // since when it is wanted; Never when it is not
	told   bool            // the latest SPM said so
	askAt  mono.Time       // when an SPM asks again; Never when nobody waits, or it is about to leave
	step   time.Duration   // the wait after it
	passed uint64          // Confirmations that got what they want
}

const (
	maxConfirming    = 4096                   // receivers that take part in one session
	maxClaims        = 64                     // of them at one address
	confirmLinger    = time.Second            // confirmation stays on after the last wait: the next one costs no SPM then
	confirmGrace     = 24 * time.Hour         // past WindowAge, for what somebody waits for while no writer needs the slot
	confirmAlive     = 10 * time.Second       // no other address may claim an id whose holder was heard so lately
	confirmForget    = 30 * time.Second       // who was silent so long gives way when the table is full
	confirmAnew      = 500 * time.Millisecond // who was silent so long may have begun anew with less; else its packet is old
	confirmShare     = 32                     // confirmations of a large group in a round trip
	confirmSpacing   = 20 * time.Microsecond  // of confirmations of all receivers together
	confirmRepeatMax = 250 * time.Millisecond // SPMs that ask again double their interval up to this, or to the first one
	maxConfirmEvery  = 10 * time.Second
)

// Await begins to wait until everything written so far is held by the receivers that q names, and has their confirmation asked for.
// Ask Done after Handle, and call Forget when it does not matter any more. q must be valid. A partial packet is closed, as by
// Flush.
//
// A receiver counts that has everything from since on, the mark of the waits that were over when this one began: one that joined
// later than that, or has lost something since, counts from the next wait on.
func (s *Source) Await(now mono.Time, q Quorum) *Confirmation {
	c := s.confirm
	if c == nil {
		c = &sourceConfirm{base: s.cfg.First, seen: s.cfg.First, onAt: mono.Never, askAt: mono.Never}
		s.confirm = c
	}
	w := &Confirmation{mark: s.Flush(now), since: c.base, of: slices.Sorted(slices.Values(q.Of)), want: q.Count}
	if w.want == 0 {
		w.want = len(w.of)
	}
	if w.mark.Sub(w.since) > farthest/4 || w.mark.Less(w.since) {
		w.since = w.mark.Add(-farthest / 4) // receivers bound their start by twice that
	}
	c.last = w.mark
	for i := range c.list {
		w.take(&c.list[i])
	}
	if w.Done() {
		s.over(now, w)
		return w
	}
	c.waits = append(c.waits, w)
	if c.onAt == mono.Never {
		c.onAt = now
	}
	if !c.told {
		s.askNow(now)
	}
	if len(c.waits) == 1 {
		s.askLater(now)
	}
	return w
}

// Forget ends a wait that was not Done.
func (s *Source) Forget(now mono.Time, w *Confirmation) {
	c := s.confirm
	i := slices.Index(c.waits, w)
	if i < 0 {
		return
	}
	c.waits = slices.Delete(c.waits, i, i+1)
	s.over(now, w)
	s.askLater(now)
}

// over books that nobody waits for w any more.
func (s *Source) over(now mono.Time, w *Confirmation) {
	c := s.confirm
	if d := w.mark.Sub(c.base); d > 0 || d < -farthest {
		c.base = w.mark
	}
	c.until = now.Add(confirmLinger)
	if w.Done() {
		c.passed++
	}
}

// Lacking returns who is missing from w: of named receivers those that have not confirmed, else those heard of that have not.
func (s *Source) Lacking(w *Confirmation) []wire.ReceiverID {
	var lack []wire.ReceiverID
	miss := func(id wire.ReceiverID) {
		if _, ok := slices.BinarySearch(w.got, id); !ok {
			lack = append(lack, id)
		}
	}
	for _, id := range w.of {
		miss(id)
	}
	if len(w.of) == 0 {
		for i := range s.confirm.list {
			miss(s.confirm.list[i].id)
		}
	}
	return lack
}

// Confirmed returns how many waits got what they wanted so far: when it has not changed, no more of them are Done than before.
func (s *Source) Confirmed() uint64 {
	if s.confirm == nil {
		return 0
	}
	return s.confirm.passed
}

// take counts r for w if it holds everything that w is about.
func (w *Confirmation) take(r *confirmer) {
	if w.Done() || !w.mark.LessEq(r.front) || !r.start.LessEq(w.since) {
		return
	}
	if len(w.of) > 0 {
		if _, ok := slices.BinarySearch(w.of, r.id); !ok {
			return
		}
	}
	if at, ok := slices.BinarySearch(w.got, r.id); !ok {
		w.got = slices.Insert(w.got, at, r.id)
	}
}

// handleReport takes what a NAK or an ACK says of delivery.
func (s *Source) handleReport(now mono.Time, m Meta, p *wire.Packet) {
	c, o := s.confirm, &p.Options.Peer
	q := &o.Report
	if c == nil || !p.Options.Set.Has(wire.OptPeer) || !q.On || q.ID == 0 || o.Flags&peerConfirms == 0 {
		return
	}
	next := s.window.Next()
	if ahead := q.Front.Sub(next); ahead > 0 || ahead < -farthest || q.Start.Sub(next) > 0 || q.Start.Sub(q.Front) < -farthest {
		s.stats.Refused.Malformed++ // of what was never sent
		return
	}
	r := s.confirmer(now, m.From, q)
	if r == nil {
		return
	}
	r.heard = now
	if r.start == q.Start && r.front == q.Front {
		return
	}
	r.start, r.front = q.Start, q.Front
	s.stats.Confirmations++
	before := len(c.waits)
	c.waits = slices.DeleteFunc(c.waits, func(w *Confirmation) bool {
		if !w.mark.LessEq(r.front) {
			return false
		}
		w.take(r)
		if w.Done() {
			s.over(now, w)
		}
		return w.Done()
	})
	if len(c.waits) == before {
		return
	}
	if s.confirmEvery(now) > confirmAtOnce { // who has not spoken yet need not any more
		s.askNow(now)
	}
	s.askLater(now)
}

// confirmer finds the receiver that q is of, or makes it one; nil if q is not to be believed.
func (s *Source) confirmer(now mono.Time, from netip.Addr, q *wire.Report) *confirmer {
	c := s.confirm
	find := func() (int, bool) {
		return slices.BinarySearchFunc(c.list, q.ID, func(r confirmer, id wire.ReceiverID) int { return cmp.Compare(r.id, id) })
	}
	at, known := find()
	if known && c.list[at].from == from {
		r := &c.list[at]
		if (q.Start.Less(r.start) || q.Start == r.start && q.Front.Less(r.front)) && now.Sub(r.heard) < confirmAnew {
			return nil // overtaken by a later one
		}
		return r
	}
	claims := 0
	for i := range c.list {
		if c.list[i].from == from {
			claims++
		}
	}
	if claims >= maxClaims || known && now.Sub(c.list[at].heard) < confirmAlive {
		s.stats.Claimed++
		return nil
	}
	if !known {
		if len(c.list) >= maxConfirming {
			c.list = slices.DeleteFunc(c.list, func(r confirmer) bool { return now.Sub(r.heard) >= confirmForget })
			at, _ = find()
		}
		if len(c.list) >= maxConfirming {
			s.stats.Refused.TooMany++
			return nil
		}
		c.list = slices.Insert(c.list, at, confirmer{})
	}
	c.list[at] = confirmer{id: q.ID, from: from, start: q.Start, front: q.Front.Add(-1)} // so that q tells something new
	return &c.list[at]
}
