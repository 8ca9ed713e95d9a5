package session

import (
	"slices"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/nack"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/window"
	"github.com/rmcast/rmcast/wire"
)

// announced is what a source says of its parity.
type announced struct {
	shift  uint8 // groups of 1<<shift packets; 0: no parity
	hold   uint8 // how long a gap may wait for its group's end, quantised
	ahead  uint8 // parity packets that come with each full group unasked
	spread uint8 // data packets that come between two of those
}

func (a announced) groupSize() int { return 1 << a.shift }

// end is the number by which the group at base has ended: its last, or, where parity comes unasked, one after the last of that.
func (a announced) end(base seq.Num) seq.Num {
	last := base.Add(a.groupSize() - 1)
	if a.ahead > 0 {
		last = last.Add(1 + (int(a.ahead)-1)*int(a.spread))
	}
	return last
}

// repairing is what a receiver keeps while packets are missing that parity can restore. A receiver without loss has none.
//
// Every missing number stays in Receiver.naks, which knows its age. A group is asked for in one of three ways:
//
//	open      it has not ended: by number, but not before the hold that the source allows is over
//	byCount   it has ended: its numbers are held in naks, its base is in asks, a parity NAK says how many it needs
//	byNumber  parity would cost more, or cannot be had
//
// In each of them, a group of which as many parity packets came as it misses numbers is restored.
type repairing struct {
	asks    *nack.Scheduler  // of the bases of groups
	fresh   nack.Own         // of asks when it was made
	hushed  uint64           // asks.Suppressed when it was last new
	groups  []*receiverGroup // with missing numbers, ascending
	open    int              // how many of them are open
	ends    seq.Num          // the first end of those
	held    int              // parity packets, in all groups,
	bytes   int64            // and their payloads
	gap     time.Duration    // between the latest two parity packets of a group
	code    *fec.Code
	decoder fec.Decoder
	missing []uint8
	parity  []fec.Parity
	memory  []byte  // of restored payloads
	lengths []int   // of them
	plain   trailer // scratch, as is
	one     trailer
	marks   []wire.EncodedFragment
	free    []*receiverGroup // with the memory of their parity
}

type groupMode uint8

const (
	groupOpen groupMode = iota
	groupByCount
	groupByNumber
)

type receiverGroup struct {
	base   seq.Num
	mode   groupMode
	top    int       // after the highest index that came
	expect int       // the index after those that an NCF promised, as far as we know
	at     mono.Time // when the latest parity came
	parity []heldParity
}

// heldParity is a parity packet that waits for others.
type heldParity struct {
	fec.Parity
	shape
	trailer trailer
	payload []byte // longest bytes; of a hollow window none
}

const (
	minParityHeld = fec.MaxGroupSize // parity packets that one session may keep at least,
	heldShare     = 4                // and a quarter of what its window holds, in packets and in bytes
	maxFreeGroups = 32
	maxFreeBytes  = 256 << 10 // of parity in one of them
	mostDecay     = 16
	quietPackets  = 4096 // without a loss or a repair: nothing is kept any more
	mostDenials   = 4    // in a row: 15 groups after one that has no parity are asked for by number then
)

// usesParity reports whether losses are asked for by count where that pays: not where nobody else is there to whom the answer
// is of use, unless parity comes unasked.
func (r *Receiver) usesParity() bool {
	cfg := &r.peers.cfg
	return r.parity.shift > 0 && !cfg.NoParity && (r.group >= 2 && !cfg.ReceiveOnly || r.parity.ahead > 0)
}

// handleParity takes one packet of the source that came under the port of parity. It is no sign of life: what comes under the session's own
// port is, and comes as often.
func (r *Receiver) handleParity(now mono.Time, p *wire.Packet) {
	r.clock = now
	switch {
	case r.closed:
		r.stats.Refused.Closed++
		return
	case r.reset != nil && r.noNAKs, r.evictedBy() != nil:
		return
	case r.peers.cfg.NoParity && p.Type != wire.TypeSPM:
		return
	}
	switch p.Type {
	case wire.TypeODATA, wire.TypeRDATA, wire.TypeNCF:
		if p.Flags&wire.FlagParity == 0 || r.parity.shift == 0 || r.spms == 0 {
			r.stats.Refused.Parity++
			return
		}
		r.packets++
		if p.Type == wire.TypeNCF {
			r.handleParityNCF(now, p)
		} else {
			if r.report != nil {
				r.gotOther(p)
			}
			r.handleParityData(now, p)
		}
	case wire.TypeSPM:
		r.packets++
		r.handleParitySPM(now, p)
	default:
		r.stats.Refused.WrongType++
	}
}

// handleParitySPM takes the announcement of parity, and the news that a group was closed early.
func (r *Receiver) handleParitySPM(now mono.Time, p *wire.Packet) {
	o := &p.Options
	prm := o.ParityPRM
	if k := prm.GroupSize; !o.Set.Has(wire.OptParityPRM) || !o.Set.Has(wire.OptPeer) || k < 2 || k > fec.MaxGroupSize || k&(k-1) != 0 {
		r.stats.Refused.Parity++
		return
	}
	if r.spms == 0 || !r.handleSPM(now, p) { // the first SPM must be one that says where a late receiver may begin
		return
	}
	a := announced{hold: o.Peer.Hold, ahead: o.Peer.Ahead, spread: o.Peer.Spread}
	for 1<<a.shift < prm.GroupSize {
		a.shift++
	}
	if r.parity.shift != a.shift {
		r.forgetParity(now)
	}
	r.parity = a
	r.keep()
	if r.repair != nil {
		r.countOpen() // they end by the new plan
		r.endGroups(now, r.lead, o.Set.Has(wire.OptCurrTGSize))
	}
}

// keep has the window keep what parity may need, but while nobody misses anything: it would go through as much memory as groups have, in
// place of the same packet's over and over. What is lost first after that is asked for by number.
func (r *Receiver) keep() {
	k := 0
	if r.usesParity() && (r.parity.ahead > 0 || !r.quiet()) {
		k = r.parity.groupSize()
	}
	r.window.Keep(k)
}

// quiet reports whether nothing is missing, and there has been no sign of repairs for long.
func (r *Receiver) quiet() bool {
	if r.repair != nil || r.lead.Sub(r.stir) < quietPackets {
		return false
	}
	r.stir = r.lead.Add(-quietPackets) // lest the numbers go round
	return true
}

// stirred notes that somebody misses something.
func (r *Receiver) stirred() {
	if r.stir = r.lead; r.parity.shift > 0 {
		r.keep()
	}
}

// handleParityNCF takes the source's word that parity is coming, or that there is none (RFC 3208, 11.8; see Source.sendParityNCF).
func (r *Receiver) handleParityNCF(now mono.Time, p *wire.Packet) {
	r.stats.NCFs++
	r.stirred()
	k := r.parity.groupSize()
	denied := p.Options.Set.Has(wire.OptCurrTGSize) && p.Options.CurrTGSize == 0
	for _, n := range p.Numbers(r.peers.nums[:0]) {
		base := groupBase(n, k)
		count := uint8(n.Sub(base) + 1)
		r.learnMost(base, count)
		if r.repair == nil {
			continue
		}
		g := r.groupAt(base)
		switch {
		case denied:
			r.avoidParity(base)
			if g != nil {
				r.askByNumber(now, g)
			}
		case g != nil && g.mode == groupByCount && int(count) >= r.need(g):
			g.expect = max(g.expect, g.top+int(count))
			if d, ok := r.repair.asks.NCF(now, base); ok {
				r.rtt.Sample(d)
				r.retime()
			}
		}
	}
}

// avoidParity notes that the group at base has no parity, and takes it that those after it have none either: the more of them, the oftener
// that was so in a row.
func (r *Receiver) avoidParity(base seq.Num) {
	switch after := base.Sub(r.avoid); {
	case after < 0 && after >= -r.avoidance():
		return // known
	case after >= 0 && after <= r.parity.groupSize():
		r.denials = min(r.denials+1, mostDenials)
	default:
		r.denials = 0
	}
	r.avoid = base.Add(r.avoidance())
}

// avoidance is how many numbers are asked for as such from the beginning of a group on that has no parity.
func (r *Receiver) avoidance() int { return r.parity.groupSize() << r.denials }

// learnMost follows the greatest need of the groups of late. What is confirmed of a group after the greatest is of those who lost repairs.
func (r *Receiver) learnMost(base seq.Num, count uint8) {
	if r.most == 0 || r.mostOf.Less(base) {
		r.most -= (r.most + mostDecay - 1) / mostDecay
		r.mostOf = base
	}
	r.most = max(r.most, count)
}

// hearParityNAK takes another receiver's parity NAK that was sent to the group: it speaks for us if it asks for as many.
func (r *Receiver) hearParityNAK(now mono.Time, p *wire.Packet) {
	if r.clock = now; r.repair == nil {
		return
	}
	for _, n := range p.Numbers(r.peers.nums[:0]) {
		base := groupBase(n, r.parity.groupSize())
		if g := r.groupAt(base); g != nil && g.mode == groupByCount && n.Sub(base)+1 >= r.need(g) {
			r.repair.asks.NAKHeard(now, base)
		}
	}
}

// noteGap has numbers just found missing wait for the end of their groups. lead is the highest number known.
func (r *Receiver) noteGap(now mono.Time, gap seq.Range, lead seq.Num) {
	if !r.usesParity() {
		return
	}
	r.stirred()
	if r.repair == nil {
		r.repair = r.peers.newRepairing(r)
	}
	k := r.parity.groupSize()
	until := now.Add(r.patience())
	for base := groupBase(gap.From, k); base.Less(gap.To); base = base.Add(k) {
		g, held := r.enter(base), gap.Intersect(groupSpan(base, k))
		if g.mode == groupByCount && !r.parity.end(base).LessEq(lead) {
			g.mode = groupOpen // it was closed early, and goes on
			r.repair.asks.Forget(seq.Range{From: base, To: base.Add(1)})
			held = groupSpan(base, k)
		}
		if g.mode != groupByNumber {
			r.naks.Hold(held, until)
		}
	}
	r.countOpen()
	r.endGroups(now, lead, false)
}

// patience is how long a gap may wait for its group's end: as the source allows, but so that there is time left to ask.
func (r *Receiver) patience() time.Duration {
	hold := decodeHold(r.parity.hold)
	if limit := r.naks.Timing().Limit; limit > 0 && !r.peers.cfg.ReceiveOnly {
		hold = min(hold, limit/4)
	}
	return hold
}

// enter returns the group at base, a new one if need be.
func (r *Receiver) enter(base seq.Num) *receiverGroup {
	q := r.repair
	i, known := r.search(base)
	if known {
		return q.groups[i]
	}
	var g *receiverGroup
	if n := len(q.free); n > 0 {
		g, q.free = q.free[n-1], q.free[:n-1]
	} else {
		g = new(receiverGroup)
	}
	g.base, g.mode, g.top, g.expect, g.at = base, groupOpen, 0, 0, mono.Never
	if base.Less(r.avoid) && r.avoid.Sub(base) <= r.avoidance() || !r.keptAt(base) {
		g.mode = groupByNumber
	}
	q.groups = slices.Insert(q.groups, i, g)
	return g
}

// keptAt reports whether n is still to come or to be released, or is kept: if not so of the first of a group, that has no use for parity.
func (r *Receiver) keptAt(n seq.Num) bool {
	if r.window.State(n) == window.Missing || !n.Less(r.window.End()) {
		return true
	}
	_, ok := r.window.Kept(n)
	return ok
}

func (r *Receiver) search(base seq.Num) (int, bool) {
	return slices.BinarySearchFunc(r.repair.groups, base, func(g *receiverGroup, n seq.Num) int { return g.base.Sub(n) })
}

// groupAt returns the group at base, nil if nothing of it is missing.
func (r *Receiver) groupAt(base seq.Num) *receiverGroup {
	if r.repair == nil {
		return nil
	}
	if i, ok := r.search(base); ok {
		return r.repair.groups[i]
	}
	return nil
}

// countOpen counts the open groups anew.
func (r *Receiver) countOpen() {
	q := r.repair
	q.open = 0
	for i := len(q.groups) - 1; i >= 0; i-- { // they are the last ones, or nearly
		if g := q.groups[i]; g.mode == groupOpen {
			q.open++
			q.ends = r.parity.end(g.base)
		}
	}
}

// progress ends the groups that lead has come past the end of. It costs nothing while none is open.
func (r *Receiver) progress(now mono.Time) {
	if q := r.repair; q.open > 0 && q.ends.LessEq(r.lead) {
		r.endGroups(now, r.lead, false)
	}
}

// endGroups ends all open groups that end by lead, or all of them.
func (r *Receiver) endGroups(now mono.Time, lead seq.Num, all bool) {
	q := r.repair
	for i := 0; q.open > 0 && i < len(q.groups); i++ {
		if g := q.groups[i]; g.mode == groupOpen && (all || r.parity.end(g.base).LessEq(lead)) {
			r.endGroup(now, g, lead)
		}
	}
	r.countOpen()
}

// endGroup decides how an open group that has ended is asked for: by count, unless so much is missing that the others' losses are few
// beside it, or not all that was received of it is still there, or nobody else is there and nothing has waited for the end: then what a
// number is asked for next goes by how often it was asked for in vain.
func (r *Receiver) endGroup(now mono.Time, g *receiverGroup, lead seq.Num) {
	k := r.parity.groupSize()
	span := groupSpan(g.base, k)
	missing, last, whole := r.survey(g)
	alone := r.group < 2 && r.parity.hold == 0
	if r.peers.cfg.ReceiveOnly || alone || !whole || missing > k/2 || g.base.Less(r.trail) {
		r.askByNumber(now, g)
		return
	}
	if r.naks.Hold(span, mono.Never); r.naks.Held(span) == 0 { // they were asked for by number before the end
		g.mode = groupByNumber
		return
	}
	g.mode = groupByCount
	asks := r.repair.asks
	t := r.askTiming()
	wait := t.Backoff
	t.Backoff = nack.Shorten(wait, r.need(g), int(r.most))
	known := g.base.Add(reorderPackets)
	if lead.Sub(last) < reorderPackets {
		known, t.Tolerance = g.base, reorderWait
	}
	asks.SetTiming(t)
	asks.Missing(now, seq.Range{From: g.base, To: g.base.Add(1)}, known)
	t.Backoff = wait
	asks.SetTiming(t)
}

// survey returns how many numbers of g are missing, the last of them, and whether all else that is known of g is still there.
func (r *Receiver) survey(g *receiverGroup) (missing int, last seq.Num, whole bool) {
	last, whole = g.base, true
	for n, end := g.base, seq.Min(g.base.Add(r.parity.groupSize()), r.window.End()); n.Less(end); n++ {
		if r.window.State(n) == window.Missing {
			missing++
			last = n
		} else if _, ok := r.window.Kept(n); !ok {
			whole = false
		}
	}
	return missing, last, whole
}

// askTiming is what groups are asked by: numbers grow old in naks, not here.
func (r *Receiver) askTiming() nack.Timing {
	t := r.timing()
	t.Limit = 0
	return t
}

// askByNumber leaves the numbers of g to naks.
func (r *Receiver) askByNumber(now mono.Time, g *receiverGroup) {
	r.naks.Resume(now, groupSpan(g.base, r.parity.groupSize()))
	was := g.mode
	if g.mode = groupByNumber; was == groupOpen {
		r.countOpen()
	} else if was == groupByCount {
		r.repair.asks.Forget(seq.Range{From: g.base, To: g.base.Add(1)})
	}
}

// need is how many parity packets g needs beside those it has, and beside the numbers that are asked for as such.
func (r *Receiver) need(g *receiverGroup) int {
	return r.naks.Held(groupSpan(g.base, r.parity.groupSize())) - len(g.parity)
}

// sendParityNAK asks for parity of all groups whose backoff is over, and reports whether there was one.
func (r *Receiver) sendParityNAK(now mono.Time, t *Transmit) bool {
	asks := r.repair.asks
	nums := asks.Due(now, r.peers.nums[:0])
	asked := nums[:0]
	for _, base := range nums {
		g := r.groupAt(base)
		if g == nil || g.mode != groupByCount {
			asks.Forget(seq.Range{From: base, To: base.Add(1)})
			continue
		}
		missing, _, whole := r.survey(g)
		switch need := r.need(g); {
		case !whole, need < 1 && missing == r.naks.Held(groupSpan(base, r.parity.groupSize())):
			r.askByNumber(now, g) // also what so many parity packets do not determine
		case need > 0: // else numbers asked for as such are on their way
			asked = append(asked, base.Add(need-1))
		}
	}
	if len(asked) == 0 {
		return false
	}
	p := r.upstream(wire.TypeNAK)
	p.SourcePort, p.Flags = parityPort(r.peers.cfg.DestinationPort), wire.FlagParity
	p.Source, p.Group = r.path, r.peers.cfg.Group
	setNumbers(p, asked)
	r.addEcho(now, p)
	t.B, t.To = p.Append(t.B), r.nakTo()
	r.pace.Take(now, len(t.B)+headerBytes)
	r.stats.NAKs++
	r.stats.NAKNumbers += uint64(len(asked))
	r.trace(now, EventNAK, seq.Range{From: asked[0], To: asked[len(asked)-1].Add(1)})
	return true
}

// filled tells that number n, which was missing, is here, by a repair or late.
func (r *Receiver) filled(now mono.Time, n seq.Num) {
	if g := r.groupAt(groupBase(n, r.parity.groupSize())); g != nil {
		r.settle(now, g)
	}
}

// given tells that the missing numbers of span were given up, or that the trail has come to its end: their groups cannot be restored.
func (r *Receiver) given(now mono.Time, span seq.Range) {
	k := r.parity.groupSize()
	i, _ := r.search(groupBase(span.From, k))
	for q := r.repair; q != nil && i < len(q.groups) && q.groups[i].base.Less(span.To); q = r.repair {
		g := q.groups[i]
		if r.missingOf(g) == 0 {
			r.leave(now, g)
			continue
		}
		r.dropParity(g)
		r.askByNumber(now, g)
		i++
	}
	if r.repair != nil {
		r.countOpen()
	}
}

// leave forgets a group of which nothing is missing.
func (r *Receiver) leave(now mono.Time, g *receiverGroup) {
	q := r.repair
	if d, ok := q.asks.Found(now, g.base); ok {
		r.wait.Sample(d)
		r.retime()
	}
	q.empty(g, 0)
	i, _ := r.search(g.base)
	q.groups = slices.Delete(q.groups, i, i+1)
	if len(q.free) < maxFreeGroups && g.memory() <= maxFreeBytes {
		q.free = append(q.free, g)
	}
	if g.mode == groupOpen {
		r.countOpen()
	}
	if len(q.groups) == 0 {
		r.dropRepairing()
	}
}

// newRepairing returns an empty one for r.
func (ps *Peers) newRepairing(r *Receiver) *repairing {
	q := ps.spare
	if ps.spare = nil; q == nil {
		q = &repairing{asks: nack.NewScheduler(ps.rng, r.askTiming())}
		q.fresh = q.asks.Own()
	}
	if k := r.parity.groupSize(); q.code == nil || q.code.GroupSize() != k {
		q.code = fec.NewCode(k)
	}
	q.asks.Take(q.fresh) // no wait of an earlier loss at this instant counts: not all hosts had it
	q.hushed, q.gap = q.asks.Suppressed(), 0
	q.asks.SetTiming(r.askTiming())
	return q
}

// dropRepairing puts r.repair, which has no groups, by for the next loss.
func (r *Receiver) dropRepairing() {
	r.stats.Suppressed += r.repair.asks.Suppressed() - r.repair.hushed
	r.peers.spare, r.repair = r.repair, nil
}

// forgetParity has everything asked for by number from now on.
func (r *Receiver) forgetParity(now mono.Time) {
	if r.repair == nil {
		return
	}
	q := r.repair
	for _, g := range q.groups {
		r.askByNumber(now, g)
		r.dropParity(g)
	}
	q.groups, q.open = q.groups[:0], 0
	r.dropRepairing()
}
