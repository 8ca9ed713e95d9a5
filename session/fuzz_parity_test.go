package session

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/window"
	"github.com/rmcast/rmcast/wire"
)

// parityOver is what a true source puts into a parity packet: made anew here, by the code alone.
func parityOver(code *fec.Code, index int, data []window.Packet) (payload []byte, t trailer, f shape) {
	for j, d := range data {
		f.add(d, j == 0)
	}
	payload = make([]byte, f.longest)
	for j, d := range data {
		c := code.Coefficient(index, j)
		fec.MulAdd(c, payload, d.Payload)
		one := trailerOf(d, wire.Sum(d.Payload))
		fec.MulAdd(c, t[:], one[:])
	}
	if f.varies {
		payload = append(payload, t.length()...)
	}
	return payload, t, f
}

// setParity makes p the parity packet of an index over data, the first packets of the group at base.
func setParity(p *wire.Packet, code *fec.Code, base seq.Num, index int, data []window.Packet) {
	k := code.GroupSize()
	payload, t, f := parityOver(code, index, data)
	p.Flags, p.Sqn, p.Payload = wire.FlagParity, base.Add(index%k), payload
	if f.varies {
		p.Flags |= wire.FlagVarPktLen
	}
	o := &p.Options
	o.Set = o.Set.With(wire.OptPeer)
	o.Peer = wire.Peer{Check: binary.BigEndian.Uint16(t.sum())}
	if f.fragments {
		o.Set = o.Set.With(wire.OptFragment)
		o.Encoded = wire.EncodedFragment(t.fragment())
	}
	if index >= k {
		o.Set = o.Set.With(wire.OptParityGroup)
		o.ParityGroup = uint32(index / k)
	}
	if len(data) < k {
		o.Set = o.Set.With(wire.OptCurrTGSize)
		o.CurrTGSize = uint32(len(data))
	}
}

// Steps of FuzzPeers when its program has parity.
const (
	peersParityAnnounced = peersSteps + iota
	peersParityTrue      // over what was sent, or would have been
	peersParityForged
	peersParityNCF
	peersParityHeard
	peersLost // data of which some is lost
	peersAndParity
)

// parityStep is one of these.
func (f *peersFuzz) parityStep(p *program, step byte) {
	base := &f.base[f.who]
	q := f.packet(wire.TypeNCF, 0)
	q.DestinationPort = testPort + 1
	q.Flags = wire.FlagParity
	switch step {
	case peersParityAnnounced:
		q = f.aSPM(p)
		q.DestinationPort = testPort + 1
		o := &q.Options
		o.Set = o.Set.With(wire.OptParityPRM).With(wire.OptPeer)
		what := p.u8()
		o.ParityPRM = wire.ParityPRM{OnDemand: true, GroupSize: 1 << (what % 8)}
		if what == 255 {
			o.ParityPRM.GroupSize = p.u32()
		}
		o.Peer = wire.Peer{Time: micros(f.now), GRTT: 100, GroupSize: p.u8(), Window: 4096, Hold: pick(p, byte(0), byte(60), p.u8()), Ahead: pick(p, byte(0), byte(2), p.u8()), Spread: pick(p, byte(1), p.u8())}
		if p.bit() {
			o.Set = o.Set.With(wire.OptCurrTGSize)
			o.CurrTGSize = uint32(p.u8())
		}
	case peersParityTrue, peersParityForged:
		k := 1 << (1 + p.u8()%7)
		if r := f.ps.lookUp(peerKey{q.TSI(), f.from(f.who)}); r != nil && r.parity.shift > 0 {
			k = r.parity.groupSize()
		}
		at := groupBase(base.Add(p.near()/8), k)
		index, cover := int(p.u8())%(fec.MaxPackets-k), k
		if c := int(p.u8()); c > 0 {
			cover = 1 + c%k
		}
		data := make([]window.Packet, cover)
		for j := range data {
			if data[j] = f.sent1(at.Add(j)); data[j].Payload == nil {
				data[j].Payload = pattern(uint64(at.Add(j)), 10)
			}
		}
		q.Type = pick(p, wire.TypeRDATA, wire.TypeODATA)
		setParity(q, f.code(k), at, index, data)
		if step == peersParityForged {
			f.spoilParity(p, q)
		}
	case peersParityNCF, peersParityHeard:
		setNumbers(q, numbersFrom(p, base.Add(p.near())))
		if step == peersParityHeard {
			q.Type = pick(p, wire.TypeNAK, wire.TypeNAK, wire.TypeACK, wire.TypeSPMR)
			q.SourcePort, q.DestinationPort = q.DestinationPort, q.SourcePort
		} else if p.u8()%4 == 0 {
			q.Options.Set = q.Options.Set.With(wire.OptCurrTGSize)
			q.Options.CurrTGSize = uint32(p.u8() % 2)
		}
	}
	f.hear(q)
}

// lose sends data of which a mask leaves some out.
func (f *peersFuzz) lose(p *program) {
	base, lost, size := &f.base[f.who], p.u8(), p.u8()
	for i := range 8 {
		q := f.packet(wire.TypeODATA, *base)
		q.Payload = pattern(uint64(*base), 1+int(size))
		if size&1 != 0 {
			q.Payload = q.Payload[:1+(int(size)+i)%len(q.Payload)]
		}
		*base++
		if f.books(q); lost&(1<<i) == 0 {
			f.hear(q)
		}
	}
}

// asksParity checks a number of a parity NAK.
func (f *peersFuzz) asksParity(r *Receiver, n seq.Num) {
	if r.parity.shift == 0 || f.ps.cfg.NoParity {
		f.t.Fatalf("parity is asked for of %d by one who has no parity", n)
	}
	k := r.parity.groupSize()
	g := r.groupAt(groupBase(n, k))
	if g == nil || g.mode != groupByCount || n.Sub(g.base)+1 > r.missingOf(g) {
		f.t.Fatalf("%d parity packets of %d are asked for, which is %+v", n.Sub(groupBase(n, k))+1, groupBase(n, k), g)
	}
}

// spoilParity changes something of a parity packet.
func (f *peersFuzz) spoilParity(p *program, q *wire.Packet) {
	o := &q.Options
	switch p.u8() % 10 {
	case 0:
		q.Payload = make([]byte, pick(p, 0, 1, 2, 3, 1408, 60000))
	case 1:
		q.Flags ^= wire.FlagVarPktLen
	case 2:
		o.Set ^= 1 << wire.OptFragment
		copy(o.Encoded[:], p.bytes(13))
	case 3:
		o.Set = o.Set.With(wire.OptCurrTGSize)
		o.CurrTGSize = uint32(p.near())
	case 4:
		o.Set = o.Set.With(wire.OptParityGroup)
		o.ParityGroup = p.u32()
	case 5:
		q.Sqn = q.Sqn.Add(p.near())
	case 6:
		o.Peer.Check = uint16(p.u16())
	case 7:
		q.Flags &^= wire.FlagParity
	case 8:
		q.Type, q.Payload = pick(p, wire.TypeNCF, wire.TypePOLL), nil
	case 9:
		if len(q.Payload) > 0 {
			q.Payload[p.u16()%len(q.Payload)] ^= p.u8()
		}
	}
}

// sent1 is what the present sender sent as number n.
func (f *peersFuzz) sent1(n seq.Num) window.Packet { return f.book[f.who][n] }

func (f *peersFuzz) code(k int) *fec.Code {
	if f.codes[k] == nil {
		f.codes[k] = fec.NewCode(k)
	}
	return f.codes[k]
}

// checkRepairing looks at what a receiver keeps for parity.
func checkRepairing(t testing.TB, r *Receiver) {
	whole := seq.Range{From: r.window.Next(), To: r.window.End()}
	q := r.repair
	if q == nil {
		if n := r.naks.Held(whole); n > 0 {
			t.Fatalf("%d numbers of %v wait for parity, and there is none", n, whole)
		}
		return
	}
	if len(q.groups) == 0 {
		t.Fatal("no group is repaired, and not forgotten")
	}
	k, held, open, counts, missing, waiting := r.parity.groupSize(), 0, 0, 0, 0, 0
	bytes, longest := int64(0), 0
	for i, g := range q.groups {
		span := groupSpan(g.base, k)
		if g.base != groupBase(g.base, k) || i > 0 && !q.groups[i-1].base.Less(g.base) {
			t.Fatalf("group %d after %d", g.base, q.groups[max(i-1, 0)].base)
		}
		n := 0
		for j := range k {
			if r.window.State(g.base.Add(j)) == window.Missing {
				n++
			}
		}
		if n == 0 {
			t.Fatalf("group %d misses nothing", g.base)
		}
		missing += n
		held += len(g.parity)
		for _, h := range g.parity {
			if first := r.firstMissing(g); int(h.Cover) <= first {
				t.Fatalf("group %d keeps parity over %d packets, and misses nothing before its %dth", g.base, h.Cover, first)
			}
			bytes += int64(h.longest)
			longest = max(longest, h.longest)
		}
		_, asked := q.asks.State(g.base)
		switch g.mode {
		case groupOpen:
			open++
		case groupByCount:
			counts++
			waiting += r.naks.Held(span)
		}
		if asked != (g.mode == groupByCount) {
			t.Fatalf("group %d has mode %d, and is asked for: %v", g.base, g.mode, asked)
		}
	}
	if held != q.held || bytes != q.bytes || held > max(minParityHeld, r.size()/heldShare) ||
		held > minParityHeld && bytes > r.peers.cfg.WindowBytes/heldShare+int64((minParityHeld+1)*longest) {
		t.Fatalf("%d parity packets of %d bytes, counted as %d of %d", held, bytes, q.held, q.bytes)
	}
	if open != q.open || counts != q.asks.Len() || missing > r.window.Missing() {
		t.Fatalf("%d open groups, counted as %d; %d by count, %d asked for; %d missing of %d", open, q.open, counts, q.asks.Len(), missing, r.window.Missing())
	}
	if n := r.naks.Held(whole); n != waiting {
		t.Fatalf("%d numbers wait for parity, %d of groups that are asked for", n, waiting)
	}
}

// paritySource is what FuzzSource knows of parity.
type paritySource struct {
	code *fec.Code
	sent map[seq.Num]window.Packet
	most map[seq.Num]int          // parity packets that were asked for of each group and have not come
	ever map[seq.Num]bool         // groups that parity was ever asked of
	used map[seq.Num]map[int]bool // indices
}

func newParitySource(k int) *paritySource {
	return &paritySource{fec.NewCode(k), map[seq.Num]window.Packet{}, map[seq.Num]int{}, map[seq.Num]bool{}, map[seq.Num]map[int]bool{}}
}

// heard books a parity NAK.
func (q *paritySource) heard(cfg *fec.Config, p *wire.Packet) {
	k := q.code.GroupSize()
	for _, n := range p.Numbers(nil) {
		base := groupBase(n, k)
		count := n.Sub(base) + 1
		if cfg.Goal == fec.LeastDelay { // answers more than is asked for: flow.Parity.Answer
			count = min(count+min(count, int(cfg.Within*float64(k))), k)
		}
		q.most[base] = max(q.most[base], count)
		q.ever[base] = true
	}
}

// look checks a packet under the port of parity.
func (q *paritySource) look(f *sourceFuzz, p *wire.Packet) {
	k := q.code.GroupSize()
	o := &p.Options
	switch p.Type {
	case wire.TypeSPM:
		next := f.lead.Add(1)
		if !o.Set.Has(wire.OptParityPRM) || int(o.ParityPRM.GroupSize) != k || !o.Set.Has(wire.OptPeer) {
			f.t.Fatalf("parity is announced by %+v", o)
		}
		if o.Set.Has(wire.OptCurrTGSize) && int(o.CurrTGSize) != next.Sub(groupBase(next, k)) {
			f.t.Fatalf("a group was closed at %d with %d packets", next, o.CurrTGSize)
		}
	case wire.TypeNCF:
		denied := o.Set.Has(wire.OptCurrTGSize)
		for _, n := range ascending(f.t, p) {
			base := groupBase(n, k)
			if p.Flags&wire.FlagParity == 0 || !q.ever[base] || !base.Less(f.next) || denied && (o.CurrTGSize != 0 || n != base) {
				f.t.Fatalf("a parity NCF for %d, asked for %v, denied %v", n, q.ever[base], denied)
			}
		}
	case wire.TypeODATA, wire.TypeRDATA:
		base := groupBase(p.Sqn, k)
		index, cover := p.Sqn.Sub(base), k
		if o.Set.Has(wire.OptParityGroup) {
			index += k * int(o.ParityGroup)
		}
		if o.Set.Has(wire.OptCurrTGSize) {
			cover = int(o.CurrTGSize)
		}
		if p.Type == wire.TypeRDATA {
			if q.most[base]--; q.most[base] < 0 {
				f.t.Fatalf("more parity of %d than the greatest count that was asked for", base)
			}
		} else if f.cfg.Parity.Proactive == 0 && f.cfg.Parity.Goal != fec.LeastDelay {
			f.t.Fatal("parity that nobody wanted")
		}
		if base.Less(f.s.window.Trail()) || f.next.Less(base.Add(cover)) {
			f.t.Fatalf("parity over %d packets at %d; the window is from %d to %d", cover, base, f.s.window.Trail(), f.next)
		}
		used := q.used[base]
		if used[index] && len(used) < min(k, fec.MaxPackets-k) {
			f.t.Fatalf("parity %d of %d was sent before, and only %d others", index, base, len(used)-1)
		}
		if used == nil || used[index] {
			used = map[int]bool{}
			q.used[base] = used
		}
		used[index] = true
		data := make([]window.Packet, cover)
		for j := range data {
			data[j] = q.sent[base.Add(j)]
		}
		var want wire.Packet
		setParity(&want, q.code, base, index, data)
		w := &want.Options
		if (p.Flags^want.Flags)&(wire.FlagParity|wire.FlagVarPktLen) != 0 || p.Sqn != want.Sqn || !bytes.Equal(p.Payload, want.Payload) || o.Set != w.Set || o.Peer.Check != w.Peer.Check ||
			o.Set.Has(wire.OptFragment) && o.Encoded != w.Encoded {
			f.t.Fatalf("parity %d over %d packets at %d is not what the code says: %+v, want %+v", index, cover, base, o, w)
		}
	}
}

// parityNAK is a step of FuzzSource: parity of some groups is asked for.
func (f *sourceFuzz) parityNAK(p *program) {
	q := f.packet(wire.TypeNAK)
	q.Flags, q.SourcePort = wire.FlagParity, testPort+1
	k := f.cfg.Parity.GroupSize
	base := groupBase(pick(p, f.next, f.next, f.s.window.Trail(), f.next.Add(p.near())).Add(-1-int(p.u8())/8), k)
	nums := []seq.Num{base.Add(int(p.u8()) % k)}
	for range p.u8() % 8 {
		base = base.Add(k * int(1+p.u8()%3))
		nums = append(nums, base.Add(int(p.u8())%k))
	}
	setNumbers(q, nums)
	f.echo(p, q)
	if p.u8()%8 == 0 {
		q.Options.Peer.SetLoss(float64(p.u8()) / 255)
	}
	f.hear(q, p.u8())
}

// fuzzParity is a configuration by five bits of a program.
func fuzzParity(b byte) fec.Config {
	c := fec.Config{GroupSize: []int{2, 8, 64, 128}[b&3]}
	switch b >> 2 & 7 {
	case 1:
		c.Goal = fec.LeastBytes
	case 2:
		c.Goal = fec.LeastDelay
	case 3:
		c.Proactive = 1
	case 4:
		c.Proactive = c.GroupSize
	case 5:
		c.Proactive, c.Interleave = 2, 2*c.GroupSize
	case 6:
		c.Proactive, c.Interleave = min(3, c.GroupSize), -1
	case 7:
		c.Goal, c.Within = fec.LeastDelay, 1
	}
	return c.WithDefaults()
}

// forgeParity has somebody say something about parity: a false NAK to the source from elsewhere, or, as if it were the source, what cannot
// make anything wrong.
func (f *deliveryFuzz) forgeParity(p *program, e *deliveryEnd) {
	k := f.s.cfg.Parity.GroupSize
	q := forged(wire.TypeNAK, 0)
	q.Flags, q.GSI = wire.FlagParity, f.s.TSI().GSI
	q.Path, q.Source, q.Group = f.s.cfg.Path, f.s.cfg.Path, f.s.cfg.Group
	base := groupBase(f.s.window.Next().Add(p.near()), k)
	q.SourcePort, q.DestinationPort = testPort+1, f.s.TSI().Port
	setNumbers(q, numbersFrom(p, base.Add(int(p.u8())%k)))
	switch p.u8() % 4 {
	case 0:
		f.s.Handle(f.now, Meta{From: testRoomAddr}, q)
		return
	case 1: // heard by a receiver
	case 2:
		q.Type, q.SourcePort, q.DestinationPort = wire.TypeNCF, q.DestinationPort, q.SourcePort
		if p.bit() {
			q.Options.Set = q.Options.Set.With(wire.OptCurrTGSize)
		}
	case 3: // no index
		q.Type, q.SourcePort, q.DestinationPort = wire.TypeRDATA, q.DestinationPort, q.SourcePort
		q.Options.Set = wire.OptionSet(0).With(wire.OptParityGroup).With(wire.OptPeer)
		q.Options.ParityGroup, q.Payload = 1<<20, make([]byte, 1408)
	}
	e.ps.Handle(f.now, forgedMeta, q)
}
