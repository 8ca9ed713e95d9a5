package nack

import (
	"net/netip"
	"slices"
	"time"

	"github.com/google/btree"

	"github.com/rmcast/rmcast/internal/heap"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// Verdict says what became of one number of a NAK.
type Verdict uint8

const (
	Queued  Verdict = iota // a repair is now queued
	Merged                 // a repair was queued already
	HeldOff                // the repair went out less than HoldOff ago, or after the receiver had heard what it asks by
	Refused                // the queue is full, or the receiver's own share used up; no NCF either, so that it asks again
)

// String returns v in lower case.
func (v Verdict) String() string {
	switch v {
	case Queued:
		return "queued"
	case Merged:
		return "merged"
	case HeldOff:
		return "held off"
	case Refused:
		return "refused"
	}
	return "invalid"
}

// RepairsConfig configures Repairs. Zero means the default, negative means off where that makes sense.
type RepairsConfig struct {
	// HoldOff is how long after a repair further NAKs for its number are taken to have crossed it: about the greatest round
	// trip, so that a NAK sent because the repair was lost too comes later. For parity, NAKs tell what they crossed, and HoldOff
	// is how long that is remembered. Default 2 ms.
	HoldOff time.Duration
	// NCFSpacing is the least time between two NCFs for one number; the first goes at once (RFC 3208, 5.2). Default 2 ms.
	NCFSpacing time.Duration
	// MaxQueued bounds the repairs queued and, apart from them, the repairs remembered for HoldOff; a group's parity counts as one.
	// Default 16384.
	MaxQueued int
	// MaxRequesters bounds the table of receivers heard. Default 1024.
	MaxRequesters int
	// ReceiverShare is how many bytes of repairs a second one receiver may cause while others wait; 100 ms of it may come at
	// once. Zero or less: no limit.
	ReceiverShare int64
	// GRTT and GroupSize are what receivers draw their waits by (see Interval) until SetGroup says otherwise; GroupSize is also
	// where the estimate starts. Defaults 10 ms and 10.
	GRTT      time.Duration
	GroupSize float64
}

func (c RepairsConfig) withDefaults() RepairsConfig {
	if c.HoldOff == 0 {
		c.HoldOff = 2 * time.Millisecond
	}
	if c.NCFSpacing == 0 {
		c.NCFSpacing = 2 * time.Millisecond
	}
	if c.MaxQueued <= 0 {
		c.MaxQueued = 16384
	}
	if c.MaxRequesters <= 0 {
		c.MaxRequesters = 1024
	}
	if c.GRTT == 0 {
		c.GRTT = 10 * time.Millisecond
	}
	if c.GroupSize == 0 {
		c.GroupSize = 10
	}
	return c
}

// RepairsStats counts what happened since the start.
type RepairsStats struct {
	Queued, Merged, HeldOff, Refused uint64 // numbers of NAKs, by verdict
	NCFs                             uint64 // numbers confirmed
	Sent                             uint64 // repairs
	Limited                          uint64 // NAKs refused, and parity NAKs cut short or refused, for a share of their own (SetShareOf)

	ParityQueued, ParityMerged, ParityHeldOff, ParityRefused uint64 // parity NAKs, by verdict
	ParityNCFs                                               uint64 // groups confirmed
	ParitySent                                               uint64 // parity packets, asked for or not
}

// request is a number some receiver asked for, or the parity of a group: queued, or repaired a moment ago and remembered.
type request struct {
	n       seq.Num
	parity  bool // for the group that begins at n
	queued  bool
	over    bool // queued by receivers beyond their share only
	pending bool // an NCF is due
	sample  bool // its NAKs count for the estimate of the group
	ncfs    bool // ncfAt means something
	naks    int  // receivers that asked within the window of the estimate
	bytes   int
	from    uint64    // the last receiver that asked
	asker   uint64    // the first one since it is queued,
	shared  bool      // and whether another one did too
	first   mono.Time // first NAK
	ncfAt   mono.Time // latest NCF
	sentAt  mono.Time // latest repair, unless queued
	index   int       // in its heap, while queued
	links   [2]link[*request]
	parityRequest
}

// The chains a request can be in.
const (
	byNCF  = iota // those with an NCF pending, by kind, the longest waiting first; free requests by next
	bySent        // those repaired, in the order of their repairs
)

func (q *request) link(chain int) *link[*request] { return &q.links[chain] }

// Repairs is the source's side of NAKs: it merges them, decides what is repaired next and what is to be confirmed, keeps one receiver
// from taking more than its share, and estimates how large the group is. All calls cost O(log n) in what is held. Numbers, and
// groups by their first one, must come from the transmit window: the caller checks that before NAK and calls Trim as the trail moves.
//
//  1. A number is queued at most once, and so is the parity of a group. It leaves the queue by Sent, ParitySent or Trim, or, beyond its
//     requester's share, for another in a full queue.
//  2. Two NCFs for a number are NCFSpacing apart, so are two for a group unless the second names more packets; nothing is confirmed
//     that was refused.
//  3. All tables are bounded: 2*MaxQueued numbers and groups, MaxRequesters addresses.
//  4. Of a group no more parity packets are queued than some receiver lacked when it asked, and those that go out count against
//     all who had not heard them then: the greatest need, never the sum.
//
// now must not go backwards between calls. Repairs is not safe for concurrent use.
type Repairs struct {
	cfg        RepairsConfig
	tree       *btree.BTreeG[*request] // all, by number
	key        *request
	within     heap.Heap[*request] // queued, by number: some requester was within its share
	over       heap.Heap[*request] // queued, by number: the others
	ncf        chain[*request]     // pending NCFs for numbers
	parityNCF  chain[*request]     // and for groups
	sent       chain[*request]     // repaired and remembered
	remembered int                 // length of sent
	free       *request
	freeSends  *sends
	requesters requesters
	group      groupEstimate
	census     census
	stats      RepairsStats
}

// NewRepairs returns an empty Repairs.
func NewRepairs(c RepairsConfig) *Repairs {
	c = c.withDefaults()
	less := func(a, b *request) bool {
		if a.n != b.n {
			return a.n.Less(b.n)
		}
		return !a.parity && b.parity
	}
	where := func(q *request, i int) { q.index = i }
	r := &Repairs{
		cfg:        c,
		tree:       btree.NewWithFreeListG(treeDegree, less, btree.NewFreeListG[*request](treeFree)),
		key:        new(request),
		within:     heap.Heap[*request]{Less: less, Place: where},
		over:       heap.Heap[*request]{Less: less, Place: where},
		ncf:        chain[*request]{id: byNCF},
		parityNCF:  chain[*request]{id: byNCF},
		sent:       chain[*request]{id: bySent},
		requesters: newRequesters(c.MaxRequesters, c.ReceiverShare),
		group:      groupEstimate{size: clampGroup(c.GroupSize)},
	}
	r.group.setGroup(c.GRTT, c.GRTT, c.GroupSize)
	return r
}

// SetHoldOff changes HoldOff, as the greatest round trip becomes known. Zero or less turns it off.
func (r *Repairs) SetHoldOff(d time.Duration) { r.cfg.HoldOff = d }

// SetNCFSpacing changes NCFSpacing. Zero or less turns it off.
func (r *Repairs) SetNCFSpacing(d time.Duration) { r.cfg.NCFSpacing = d }

// SetShare changes ReceiverShare, as the rate changes. Zero or less turns it off for what is asked from now on.
func (r *Repairs) SetShare(bytesPerSecond int64) { r.requesters.share = bytesPerSecond }

// SetShareOf gives the receiver at from a share of its own, in bytes of repairs a second, as long as it is heard within a minute; with 0 the
// common one again. Unlike that it is a limit: what exceeds it is refused, even while nobody else waits, and what it pays for comes after
// the repairs that others within their share wait for. What others asked for too costs it nothing; what it alone waits for at first, asked
// for when it was not limited, is forgotten. To be told with each NAK of a receiver
// that is to be limited, for a full table forgets; it costs little when nothing changes.
func (r *Repairs) SetShareOf(now mono.Time, from netip.Addr, bytesPerSecond int64) {
	r.forget(now)
	q := r.requesters.byAddr[from]
	switch {
	case q == nil && bytesPerSecond <= 0:
		return
	case q == nil:
		q = r.requesters.get(now, from)
	case q.own == 0 && bytesPerSecond > 0:
		r.dismiss(q.id, r.within.Items)
		r.dismiss(q.id, r.over.Items)
	}
	r.requesters.limit(now, q, max(bytesPerSecond, 0))
}

// dismiss drops of those queued what id alone waits for.
func (r *Repairs) dismiss(id uint64, queued []*request) {
	for _, q := range slices.Clone(queued) {
		if q.asker == id && !q.shared {
			r.drop(q)
		}
	}
}

// SetGroup tells which greatest round trip and which group size receivers are told to draw their waits by, and how long their
// round trips are in the mean; GroupSize reads their NAKs accordingly.
func (r *Repairs) SetGroup(grtt, mean time.Duration, groupSize float64) {
	r.group.setGroup(grtt, mean, groupSize)
}

// NAK takes one number of a NAK from the receiver at from; bytes is what its repair will cost. The number is to be confirmed by
// the next NCFs unless it was a moment ago.
func (r *Repairs) NAK(now mono.Time, from netip.Addr, n seq.Num, bytes int) Verdict {
	r.forget(now)
	who := r.requesters.get(now, from)
	q, known := r.find(n, false)
	switch {
	case !known:
		if !r.admit(now, who) || !r.afford(now, who, bytes) {
			r.stats.Refused++
			return Refused
		}
		q = r.new()
		q.n, q.from, q.first, q.naks, q.sample = n, who.id, now, 1, r.group.begin(now)
		r.tree.ReplaceOrInsert(q)
		r.queue(now, q, who, bytes)
	case q.queued:
		r.count(now, q, who)
		q.shared = q.shared || q.asker != who.id
		if q.over && who.own == 0 && r.requesters.take(now, who, q.bytes) {
			r.over.Remove(q.index)
			q.over = false
			r.within.Push(q)
		}
		r.confirm(now, q, 0)
		r.stats.Merged++
		return Merged
	case now < q.sentAt.Add(r.cfg.HoldOff):
		r.count(now, q, who)
		r.confirm(now, q, 0)
		r.stats.HeldOff++
		return HeldOff
	default:
		if !r.admit(now, who) || !r.afford(now, who, bytes) {
			r.stats.Refused++
			return Refused
		}
		r.count(now, q, who)
		r.unremember(q)
		r.queue(now, q, who, bytes)
	}
	r.stats.Queued++
	return Queued
}

// find returns what is held of n, the number, or of the group that begins there.
func (r *Repairs) find(n seq.Num, parity bool) (q *request, known bool) {
	r.key.n, r.key.parity = n, parity
	return r.tree.Get(r.key)
}

// admit makes sure that there is room for a repair more. In a full queue what exceeds a share gives way to what does not: one of
// the later numbers, near enough.
func (r *Repairs) admit(now mono.Time, who *requester) bool {
	if r.Pending() < r.cfg.MaxQueued {
		return true
	}
	if len(r.over.Items) == 0 || who.own > 0 || !r.requesters.within(now, who) {
		return false
	}
	r.drop(r.over.Items[len(r.over.Items)-1])
	return true
}

// afford charges who for a repair if it has a share of its own; false when that is used up.
func (r *Repairs) afford(now mono.Time, who *requester, bytes int) bool {
	if who.own == 0 || r.requesters.take(now, who, bytes) {
		return true
	}
	r.stats.Limited++
	return false
}

// queue puts q, which is in no queue, in the one its requester has earned.
func (r *Repairs) queue(now mono.Time, q *request, who *requester, bytes int) {
	q.queued, q.bytes, q.asker, q.shared = true, bytes, who.id, false
	if q.over = who.own > 0 || !r.requesters.take(now, who, bytes); q.over {
		r.over.Push(q)
	} else {
		r.within.Push(q)
	}
	r.confirm(now, q, 0)
}

// count notes another NAK for q, for the estimate of the group. OpenPGM asks twice for the first number of every list, so a
// receiver counts once in a row.
func (r *Repairs) count(now mono.Time, q *request, who *requester) {
	if q.from != who.id && now.Sub(q.first) <= r.group.window() {
		q.naks++
	}
	q.from = who.id
}

// confirm makes an NCF for q due unless one is or went out a moment ago; for a group, one that named as many as count packets.
func (r *Repairs) confirm(now mono.Time, q *request, count int) {
	if !q.pending {
		if q.ncfs && now < q.ncfAt.Add(r.cfg.NCFSpacing) && count <= q.confirmed {
			return
		}
		q.pending = true
		r.ncfsOf(q).pushBack(q)
	}
	q.asked = max(q.asked, count)
}

// ncfsOf returns the chain that q waits in for its NCF.
func (r *Repairs) ncfsOf(q *request) *chain[*request] {
	if q.parity {
		return &r.parityNCF
	}
	return &r.ncf
}

// unconfirm takes back an NCF that is due.
func (r *Repairs) unconfirm(q *request) {
	if q.pending {
		q.pending, q.asked = false, 0
		r.ncfsOf(q).remove(q)
	}
}

// NCFs appends to dst the numbers to confirm now, at most MaxList and at most as many as dst has room for (a dst without
// capacity is allocated), ascending, and counts them as confirmed. Those that wait longest go first; call again for more.
func (r *Repairs) NCFs(now mono.Time, dst []seq.Num) []seq.Num {
	start := len(dst)
	dst = r.confirmed(now, dst, &r.ncf)
	r.stats.NCFs += uint64(len(dst) - start)
	return dst
}

// confirmed does what NCFs says with those that wait in c.
func (r *Repairs) confirmed(now mono.Time, dst []seq.Num, c *chain[*request]) []seq.Num {
	room := MaxList
	if cap(dst) > 0 {
		room = min(room, cap(dst)-len(dst))
	}
	start := len(dst)
	for ; room > 0 && c.head != nil; room-- {
		q := c.head
		dst = append(dst, q.confirm(now))
		r.unconfirm(q)
	}
	slices.SortFunc(dst[start:], func(a, b seq.Num) int { return a.Sub(b) })
	return dst
}

// NCFPending reports whether NCFs has something to return.
func (r *Repairs) NCFPending() bool { return r.ncf.head != nil }

// Next returns what to repair next: the lowest that a receiver within its share waits for, for it leaves the window first; if there is
// none, the lowest of all. A group counts as its first number, and comes after it. It stays queued until Sent or ParitySent.
func (r *Repairs) Next(now mono.Time) (repair Repair, ok bool) {
	r.forget(now)
	switch {
	case len(r.within.Items) > 0:
		q := r.within.Items[0]
		return q.repair(q.fair), true
	case len(r.over.Items) > 0:
		q := r.over.Items[0]
		return q.repair(q.need), true
	}
	return Repair{}, false
}

// Sent tells that the repair of n went out: it leaves the queue and its hold-off begins. A number that is not queued changes
// nothing. An NCF still due for it is not needed any more: the data itself confirms.
func (r *Repairs) Sent(now mono.Time, n seq.Num) {
	r.forget(now)
	q, ok := r.find(n, false)
	if !ok || !q.queued {
		return
	}
	r.unqueue(q)
	r.unconfirm(q)
	r.stats.Sent++
	r.remember(now, q)
}

// remember keeps q, which is in no queue any more and went out now, for what may still be asked.
func (r *Repairs) remember(now mono.Time, q *request) {
	if r.remembered == r.cfg.MaxQueued {
		r.drop(r.sent.head)
	}
	q.sentAt = now
	r.sent.pushBack(q)
	r.remembered++
}

func (r *Repairs) unremember(q *request) {
	r.sent.remove(q)
	r.remembered--
}

func (r *Repairs) unqueue(q *request) {
	if q.over {
		r.over.Remove(q.index)
	} else {
		r.within.Remove(q.index)
	}
	q.queued, q.over = false, false
}

// Oldest returns the lowest number queued; a group counts as its first one.
func (r *Repairs) Oldest() (n seq.Num, ok bool) {
	if len(r.within.Items) > 0 {
		n, ok = r.within.Items[0].n, true
	}
	if len(r.over.Items) > 0 && (!ok || r.over.Items[0].n.Less(n)) {
		n, ok = r.over.Items[0].n, true
	}
	return n, ok
}

// Trim forgets every number before trail, and every group that begins there: it cannot be repaired any more, and is not confirmed either.
func (r *Repairs) Trim(trail seq.Num) {
	for {
		q, ok := r.tree.Min()
		if !ok || !q.n.Less(trail) {
			return
		}
		r.drop(q)
	}
}

// Pending returns how many repairs are queued; the parity of a group is one, however many packets it is.
func (r *Repairs) Pending() int { return len(r.within.Items) + len(r.over.Items) }

// GroupSize estimates how many receivers there are, between 1 and MaxGroupSize: see groupEstimate, but not less than the number
// of addresses NAKs came from in the last minute.
func (r *Repairs) GroupSize() float64 { return max(r.group.size, float64(len(r.requesters.byAddr))) }

// Answers tells that n receivers, at least one, answered a question that all of the group hear, each after a wait of its own, Wait(within,
// groupSize as in SetGroup): within a round trip and a half of the first, for its answer is told to all. It serves the estimate of the group
// where nothing is lost.
func (r *Repairs) Answers(n int, within time.Duration) { r.group.answers(max(n, 1), within) }

// FirstAnswer tells who was the first to answer such a question.
func (r *Repairs) FirstAnswer(from netip.Addr) {
	if most, ok := r.census.first(from); ok {
		r.group.size = min(r.group.size, most)
	}
}

// Stats returns the counters.
func (r *Repairs) Stats() RepairsStats { return r.stats }

// forget drops what was repaired so long ago that nothing depends on it any more, and receivers not heard for long.
func (r *Repairs) forget(now mono.Time) {
	for q := r.sent.head; q != nil; q = r.sent.head {
		if q.pending || now < q.sentAt.Add(r.cfg.HoldOff) || q.ncfs && now < q.ncfAt.Add(r.cfg.NCFSpacing) ||
			now.Sub(q.first) <= r.group.window() {
			break
		}
		r.drop(q)
	}
	r.requesters.forget(now)
}

// drop removes q from everything.
func (r *Repairs) drop(q *request) {
	r.tree.Delete(q)
	r.unconfirm(q)
	if q.queued {
		r.unqueue(q)
	} else {
		r.unremember(q)
	}
	if q.sample {
		r.group.sample(q.naks)
	}
	if q.sends != nil {
		q.sends.next, r.freeSends = r.freeSends, q.sends
	}
	*q = request{}
	q.links[byNCF].next = r.free
	r.free = q
}

func (r *Repairs) new() *request {
	q := r.free
	if q == nil {
		return new(request)
	}
	r.free = q.links[byNCF].next
	*q = request{}
	return q
}
