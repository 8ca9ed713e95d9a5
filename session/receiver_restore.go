package session

import (
	"encoding/binary"
	"slices"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/window"
	"github.com/rmcast/rmcast/wire"
)

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
	room := func() bool {
		return q.held < minParityHeld || q.held < r.size()/heldShare && q.bytes < r.peers.cfg.WindowBytes/heldShare
	}
	for i := len(q.groups) - 1; i >= 0 && !room() && g.base.Less(q.groups[i].base); i-- {
		for x := q.groups[i]; len(x.parity) > 0 && !room(); {
			q.cut(x, len(x.parity)-1)
		}
	}
	return room()
}

// cut keeps only the first n parity packets of g.
func (q *repairing) cut(g *receiverGroup, n int) {
	q.empty(g, n)
	clear(g.parity[n:cap(g.parity)])
}

// empty does so, and leaves the memory of the others for the next ones.
func (q *repairing) empty(g *receiverGroup, n int) {
	for _, h := range g.parity[n:] {
		q.held--
		q.bytes -= int64(h.longest)
	}
	g.parity = g.parity[:n]
}

// memory returns how much g has for payloads, used or not.
func (g *receiverGroup) memory() (bytes int) {
	for _, h := range g.parity[:cap(g.parity)] {
		bytes += cap(h.payload)
	}
	return bytes
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
	r.repair.bytes += int64(h.longest)
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
		g.parity[i], g.parity[last] = g.parity[last], g.parity[i]
		r.repair.cut(g, last)
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
		if r.fillRestored(now, g); r.missingOf(g) > 0 {
			r.dropParity(g) // its payloads are syndromes now
		}
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
	plain := &q.plain // of the packets of a group that are all as long, and whole messages
	*plain = trailer{}
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
		q.one = trailerOf(p, sum)
		fec.MulAdd(c, h.trailer[:], q.one[:])
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
		t := &q.one
		*t = trailer{}
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
	if full {
		r.askByNumber(now, g)
	}
}

func (r *Receiver) dropParity(g *receiverGroup) { r.repair.cut(g, 0) }
