package session

import (
	"encoding/binary"
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
	held    int              // parity packets, in all groups
	gap     time.Duration    // between the latest two parity packets of a group
	code    *fec.Code
	decoder fec.Decoder
	missing []uint8
	parity  []fec.Parity
	memory  []byte // of restored payloads
	lengths []int  // of them
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
	heldShare     = 4                // and a quarter of what its window holds
	maxFreeGroups = 32
	mostDecay     = 16
	mostDenials   = 4 // in a row: 15 groups after one that has no parity are asked for by number then
)

// usesParity reports whether losses are asked for by count where that pays: not where nobody else is there to whom the answer
// is of use, unless parity comes unasked.
func (r *Receiver) usesParity() bool {
	cfg := &r.peers.cfg
	return r.parity.shift > 0 && !cfg.NoParity && (r.group >= 2 && !cfg.ReceiveOnly || r.parity.ahead > 0)
}

// handleParity takes one packet of the source that came under the port of parity.
func (r *Receiver) handleParity(now mono.Time, p *wire.Packet) {
	r.clock = now
	switch {
	case r.closed:
		r.heard = now
		r.stats.Refused.Closed++
		return
	case r.reset != nil && r.noNAKs:
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
			r.handleParityData(now, p)
		}
	case wire.TypeSPM:
		r.packets++
		r.handleParitySPM(now, p)
	default:
		r.stats.Refused.WrongType++
		return
	}
	r.heard = now
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
	if o.Set.Has(wire.OptCurrTGSize) && r.repair != nil {
		r.endGroups(now, r.lead, true)
	}
}

// keep has the window keep what parity may need.
func (r *Receiver) keep() {
	k := 0
	if r.usesParity() {
		k = r.parity.groupSize()
	}
	r.window.Keep(k)
}

// handleParityNCF takes the source's word that parity is coming, or that there is none (RFC 3208, 11.8; see Source.sendParityNCF).
func (r *Receiver) handleParityNCF(now mono.Time, p *wire.Packet) {
	r.stats.NCFs++
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
	if base.Less(r.avoid) && r.avoid.Sub(base) <= r.avoidance() {
		g.mode = groupByNumber
	}
	q.groups = slices.Insert(q.groups, i, g)
	return g
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
// beside it, or not all that was received of it is still there.
func (r *Receiver) endGroup(now mono.Time, g *receiverGroup, lead seq.Num) {
	k := r.parity.groupSize()
	span := groupSpan(g.base, k)
	missing, last, whole := r.survey(g)
	if r.peers.cfg.ReceiveOnly || !whole || missing > k/2 || g.base.Less(r.trail) {
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

// handleParityData takes a parity packet: kept until there are as many of its group as numbers are missing.
func (r *Receiver) handleParityData(now mono.Time, p *wire.Packet) {
	h, base, ok := r.readParity(p)
	if !ok {
		r.stats.Refused.Parity++
		return
	}
	if !r.window.Started() || !r.plausible(now, p, base.Add(int(h.Cover)-1)) {
		return
	}
	r.extend(now, base.Add(int(h.Cover)))
	if r.trail.Less(p.Trail) {
		r.moveTrail(now, p.Trail)
	}
	g := r.groupAt(base)
	if g == nil || int(h.Cover) <= r.firstMissing(g) {
		return // nothing of it is missing, or what came after an early end
	}
	if slices.ContainsFunc(g.parity, func(x heldParity) bool { return x.Index == h.Index && x.Cover == h.Cover }) {
		r.stats.Refused.Duplicate++
		return
	}
	if !r.roomForParity(g) {
		r.stats.Refused.WindowFull++
		return
	}
	r.keepParity(g, h, p.Payload)
	r.stats.Parity++
	r.expectMore(now, g, int(h.Index))
	unasked := int(r.parity.ahead)
	if r.settle(now, g); r.groupAt(base) == g && g.mode == groupOpen && (p.Type == wire.TypeRDATA || int(h.Index)+1 >= unasked) {
		r.endGroup(now, g, r.lead)
		r.countOpen()
	}
}

// expectMore sets how long to wait for the rest of what the source has promised of g: parity of one group comes in one go, so that what is lost
// of it shows when the last index has come, or when no other follows.
func (r *Receiver) expectMore(now mono.Time, g *receiverGroup, index int) {
	q := r.repair
	if g.at != mono.Never {
		q.gap = now.Sub(g.at)
	}
	g.at, g.top = now, max(g.top, index+1)
	if g.mode != groupByCount {
		return
	}
	wait := max(4*q.gap, ownFloor)
	if g.expect > 0 && g.top >= g.expect {
		wait = reorderWait
	}
	q.asks.Hasten(g.base, now.Add(wait))
}

// readParity checks what a parity packet says of itself.
func (r *Receiver) readParity(p *wire.Packet) (h heldParity, base seq.Num, ok bool) {
	k := r.parity.groupSize()
	o := &p.Options
	base = groupBase(p.Sqn, k)
	index, cover := uint64(p.Sqn.Sub(base)), uint64(k)
	if o.Set.Has(wire.OptParityGroup) {
		index += uint64(o.ParityGroup) * uint64(k)
	}
	if o.Set.Has(wire.OptCurrTGSize) {
		cover = uint64(o.CurrTGSize)
	}
	h.longest, h.varies, h.fragments = len(p.Payload), p.Flags&wire.FlagVarPktLen != 0, o.Set.Has(wire.OptFragment)
	if h.varies {
		h.longest -= 2
	}
	if cover < 1 || cover > uint64(k) || index >= uint64(fec.MaxPackets-k) || h.longest < 1 || !o.Set.Has(wire.OptPeer) {
		return h, base, false
	}
	h.Index, h.Cover = uint8(index), uint8(cover)
	binary.BigEndian.PutUint16(h.trailer.sum(), o.Peer.Check)
	if h.varies {
		copy(h.trailer.length(), p.Payload[h.longest:])
	}
	if h.fragments {
		copy(h.trailer.fragment(), o.Encoded[:])
	}
	return h, base, true
}

// roomForParity makes room for a parity packet more of g: the lower groups have it first.
func (r *Receiver) roomForParity(g *receiverGroup) bool {
	q := r.repair
	if q.held < max(minParityHeld, int(r.size()/heldShare)) {
		return true
	}
	for i := len(q.groups) - 1; i >= 0 && g.base.Less(q.groups[i].base); i-- {
		if x := q.groups[i]; len(x.parity) > 0 {
			x.parity = x.parity[:len(x.parity)-1]
			q.held--
			return true
		}
	}
	return false
}

// keepParity keeps one parity packet, with its payload in memory that a group before used.
func (r *Receiver) keepParity(g *receiverGroup, h heldParity, payload []byte) {
	n := len(g.parity)
	if n < cap(g.parity) {
		h.payload = g.parity[: n+1 : cap(g.parity)][n].payload
	}
	if h.payload = h.payload[:0]; !r.peers.cfg.Hollow {
		h.payload = append(h.payload, payload[:h.longest]...)
	}
	g.parity = append(g.parity, h)
	r.repair.held++
}

// firstMissing is the place in g of its first missing number.
func (r *Receiver) firstMissing(g *receiverGroup) int {
	k := r.parity.groupSize()
	for j := range k {
		if r.window.State(g.base.Add(j)) == window.Missing {
			return j
		}
	}
	return k
}

// shed drops parity that covers nothing any more that is missing: it would count among what g has.
func (r *Receiver) shed(g *receiverGroup) {
	first := r.firstMissing(g)
	for i := 0; i < len(g.parity); {
		if int(g.parity[i].Cover) > first {
			i++
			continue
		}
		last := len(g.parity) - 1
		g.parity[i], g.parity[last] = g.parity[last], g.parity[i] // its memory stays
		g.parity = g.parity[:last]
		r.repair.held--
	}
}

// settle restores what is missing of g if that can be done, and forgets g when nothing is missing any more.
func (r *Receiver) settle(now mono.Time, g *receiverGroup) {
	r.shed(g)
	switch r.restore(g) {
	case restoreBad:
		r.stats.Refused.Parity += uint64(len(g.parity))
		r.dropParity(g)
		r.askByNumber(now, g)
	case restoreNever:
		r.dropParity(g)
		r.askByNumber(now, g)
	case restoreDone:
		r.fillRestored(now, g)
	}
	if r.missingOf(g) == 0 {
		r.leave(now, g)
	}
}

func (r *Receiver) missingOf(g *receiverGroup) (n int) {
	for j := range r.parity.groupSize() {
		if r.window.State(g.base.Add(j)) == window.Missing {
			n++
		}
	}
	return n
}

type restoreResult uint8

const (
	restoreShort restoreResult = iota // more parity is needed
	restoreDone                       // memory, lengths and marks hold the packets of missing
	restoreNever                      // not all that was received of the group is still there
	restoreBad                        // the parity contradicts the data, or itself
)

// restore solves for what is missing of g, if there is enough parity (RFC 3208, 11).
func (r *Receiver) restore(g *receiverGroup) restoreResult {
	q, code := r.repair, r.repair.code
	cover := 0
	q.parity = q.parity[:0]
	for i := range g.parity {
		q.parity = append(q.parity, g.parity[i].Parity)
		cover = max(cover, int(g.parity[i].Cover))
	}
	q.missing = q.missing[:0]
	for j := range cover {
		switch n := g.base.Add(j); r.window.State(n) {
		case window.Missing:
			if q.missing = append(q.missing, uint8(j)); len(q.missing) > len(g.parity) {
				return restoreShort
			}
		case window.Unknown: // no room yet
			return restoreShort
		default:
			if _, ok := r.window.Kept(n); !ok {
				return restoreNever
			}
		}
	}
	if len(q.missing) == 0 || !q.decoder.Solve(code, q.missing, q.parity) {
		return restoreShort
	}
	longest := 0
	for i := range g.parity {
		if q.decoder.Used(i) {
			longest = max(longest, g.parity[i].longest)
		}
	}
	for i := range g.parity {
		if q.decoder.Used(i) && !r.syndrome(g, &g.parity[i], code, longest) {
			return restoreBad
		}
	}
	return r.solve(g, longest)
}

// syndrome takes what the received packets put into a parity packet out of it; what is left is of the missing ones. It reports whether
// the packets are such as the parity says.
func (r *Receiver) syndrome(g *receiverGroup, h *heldParity, code *fec.Code, longest int) bool {
	q := r.repair
	lost := q.missing
	if !r.peers.cfg.Hollow {
		n := len(h.payload)
		h.payload = slices.Grow(h.payload, longest-n)[:longest]
		clear(h.payload[n:])
	}
	var plain trailer // of the packets of a group that are all as long, and whole messages
	binary.BigEndian.PutUint16(plain.length(), uint16(h.longest))
	copy(plain.fragment(), wire.NullFragment[:])
	for j := range int(h.Cover) {
		c := code.Coefficient(int(h.Index), j)
		if !h.varies {
			fec.MulAdd(c, h.trailer.length(), plain.length())
		}
		if !h.fragments {
			fec.MulAdd(c, h.trailer.fragment(), plain.fragment())
		}
		if len(lost) > 0 && int(lost[0]) == j {
			lost = lost[1:]
			continue
		}
		p, _ := r.window.Kept(g.base.Add(j))
		if len(p.Payload) > h.longest || !h.varies && len(p.Payload) != h.longest || !h.fragments && p.Fragment.Length > 0 {
			return false
		}
		var sum uint16
		if !r.peers.cfg.Hollow {
			sum = wire.Sum(p.Payload)
			fec.MulAdd(c, h.payload, p.Payload)
		}
		t := trailerOf(p, sum)
		fec.MulAdd(c, h.trailer[:], t[:])
	}
	return true
}

// solve makes the missing packets of the syndromes.
func (r *Receiver) solve(g *receiverGroup, longest int) restoreResult {
	q := r.repair
	q.memory = slices.Grow(q.memory[:0], len(q.missing)*longest)[:len(q.missing)*longest]
	clear(q.memory)
	q.lengths, q.marks = q.lengths[:0], q.marks[:0]
	for x, j := range q.missing {
		b := q.memory[x*longest:][:longest]
		var t trailer
		for i := range g.parity {
			if !q.decoder.Used(i) {
				continue
			}
			w := q.decoder.Weight(x, i)
			fec.MulAdd(w, t[:], g.parity[i].trailer[:])
			if !r.peers.cfg.Hollow {
				fec.MulAdd(w, b, g.parity[i].payload)
			}
		}
		size := int(binary.BigEndian.Uint16(t.length()))
		if size < 1 || size > longest || slices.ContainsFunc(b[size:], func(c byte) bool { return c != 0 }) {
			return restoreBad
		}
		if !r.peers.cfg.Hollow && t.check(wire.Sum(b[:size])) != binary.BigEndian.Uint16(t.sum()) {
			return restoreBad
		}
		e := wire.EncodedFragment(t.fragment())
		if f, ok := e.Decode(); ok && (e[0] != 0 || !r.saneFragment(g.base.Add(int(j)), window.Fragment(f), size)) || !ok && e != wire.NullFragment {
			return restoreBad
		}
		q.lengths, q.marks = append(q.lengths, size), append(q.marks, e)
	}
	return restoreDone
}

// fillRestored puts what restore made into the window.
func (r *Receiver) fillRestored(now mono.Time, g *receiverGroup) {
	q := r.repair
	stride := len(q.memory) / len(q.missing)
	full := false
	for x, j := range q.missing {
		n := g.base.Add(int(j))
		var f window.Fragment
		if w, ok := q.marks[x].Decode(); ok {
			f = window.Fragment(w)
		}
		payload := q.memory[x*stride:][:q.lengths[x]]
		if res, _ := r.window.Insert(n, payload, f); res != window.Filled {
			r.stats.Refused.WindowFull++
			full = true
			continue
		}
		r.stats.Repairs++
		r.stats.RepairBytes += uint64(len(payload))
		r.stats.Restored++
		r.repaired(now, n)
		if r.peers.cfg.Unordered {
			r.arrived(n, f, len(payload))
		}
	}
	r.dropParity(g) // its payloads are syndromes now
	if full {
		r.askByNumber(now, g)
	}
}

func (r *Receiver) dropParity(g *receiverGroup) {
	r.repair.held -= len(g.parity)
	g.parity = g.parity[:0]
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
	r.dropParity(g)
	i, _ := r.search(g.base)
	q.groups = slices.Delete(q.groups, i, i+1)
	if len(q.free) < maxFreeGroups {
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
