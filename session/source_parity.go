package session

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// sourceParity is what a source keeps about parity. A source that nobody asks encodes nothing on demand.
type sourceParity struct {
	cfg     fec.Config
	code    *fec.Code
	control *flow.Parity
	plan    flow.ParityPlan
	groups  []sourceGroup // by base/k modulo their number, which is more than the window touches
	ahead   []aheadGroup  // whose unasked parity is not all sent, the oldest first
	closeAt mono.Time     // when the group in the making is closed unless more data comes; Never when all that was sent is closed
	spmDue  bool
	spmAt   mono.Time // when the latest SPM of parity left
	planAt  mono.Time // when replan last asked for a plan
	spms    int       // that left, up to firstSPMs
	answers answerCount
	denied  []seq.Num // bases of groups that parity was asked for and cannot be made of
	symbol  []byte    // scratch, as are
	sum     trailer
	one     trailer
}

// sourceGroup is what is remembered of a group while the window holds it.
type sourceGroup struct {
	base  seq.Num
	next  uint8 // index of the next parity packet: none is used twice before all were
	ahead uint8 // parity packets sent or about to be sent unasked
}

// aheadGroup is a group whose unasked parity waits for its turn.
type aheadGroup struct {
	base  seq.Num
	cover int
	left  int
	at    seq.Num // the next one goes when the data before this number is sent
}

const (
	closeDelay    = 10 * time.Millisecond  // a group that gets no more data is closed after this
	replanSpacing = 10 * time.Millisecond  // between SPMs of parity that only tell of another plan, and between looking for one
	paritySpacing = 250 * time.Millisecond // between SPMs of parity that tell of no plan,
	parityIdle    = 8 * time.Second        // or of an idle source at all,
	firstSPMs     = 3                      // but for the first ones, and those after another plan began
)

func newSourceParity(cfg SourceConfig) *sourceParity {
	c := cfg.Parity
	if c.GroupSize == 0 {
		return nil
	}
	goal := map[fec.Goal]flow.ParityGoal{
		fec.Balanced: flow.ParityBalanced, fec.LeastBytes: flow.ParityLeastBytes, fec.LeastDelay: flow.ParityLeastDelay,
	}[c.Goal]
	groups := 1 << bits.Len(uint(cfg.Slots/c.GroupSize+1))
	return &sourceParity{
		cfg:  c,
		code: fec.NewCode(c.GroupSize),
		control: flow.NewParity(flow.ParityConfig{
			GroupSize: c.GroupSize, Goal: goal, Within: c.Within, Proactive: c.Proactive, Interleave: c.Interleave,
		}),
		plan:    flow.ParityPlan{Proactive: c.Proactive},
		groups:  make([]sourceGroup, groups),
		closeAt: mono.Never,
		symbol:  make([]byte, 0, cfg.Room.TPDU()),
	}
}

// group returns what is remembered of the group at base.
func (q *sourceParity) group(base seq.Num) *sourceGroup {
	g := &q.groups[uint32(base)/uint32(q.cfg.GroupSize)&uint32(len(q.groups)-1)]
	if g.base != base {
		*g = sourceGroup{base: base}
	}
	return g
}

// dataGone books n data packets that just went out: full groups get their unasked parity, the last one is closed if nothing follows.
func (s *Source) dataGone(now mono.Time, n int) {
	q := s.parity
	if q == nil {
		return
	}
	q.control.Sent(now, n)
	k, next := q.cfg.GroupSize, s.window.Next()
	base := groupBase(next.Add(-n), k)
	for ; base.Add(k).LessEq(next); base = base.Add(k) {
		s.queueAhead(base, k)
	}
	switch {
	case base == next:
		q.closeAt = mono.Never
	case s.ended():
		q.closeAt = now
	default:
		q.closeAt = now.Add(closeDelay)
	}
}

// closeGroup ends the group in the making early: what was sent of it gets its share of unasked parity, and receivers are told.
func (s *Source) closeGroup() {
	q := s.parity
	q.closeAt = mono.Never
	base := groupBase(s.window.Next(), q.cfg.GroupSize)
	s.queueAhead(base, s.window.Next().Sub(base))
	q.spmDue = q.spmDue || q.plan.Hold > 0 || q.plan.Proactive > 0 // else nobody waits for the end
}

// queueAhead makes the unasked parity of a group due, as far as it is not sent already for a smaller cover.
func (s *Source) queueAhead(base seq.Num, cover int) {
	q := s.parity
	k := q.cfg.GroupSize
	g := q.group(base)
	more := (q.plan.Proactive*cover+k-1)/k - int(g.ahead)
	if more <= 0 || !s.fits(base, cover) {
		return
	}
	g.ahead += uint8(more)
	for i := range q.ahead { // of the same group: made over all that is there now
		if q.ahead[i].base == base {
			q.ahead[i].cover, q.ahead[i].left = cover, q.ahead[i].left+more
			return
		}
	}
	q.ahead = append(q.ahead, aheadGroup{base: base, cover: cover, left: more, at: base.Add(cover)})
}

// aheadDue returns which entry of ahead may send now, -1 for none. When no data waits, nothing is left to interleave with.
func (s *Source) aheadDue() int {
	if s.parity == nil {
		return -1
	}
	idle := s.unsent() == 0
	for i := range s.parity.ahead {
		if idle || s.parity.ahead[i].at.LessEq(s.window.Next()) {
			return i
		}
	}
	return -1
}

// dropAhead forgets the unasked parity of groups that the trail has passed: it was held up for longer than the window lasts.
func (s *Source) dropAhead() {
	q := s.parity
	for q != nil && len(q.ahead) > 0 && q.ahead[0].base.Less(s.window.Trail()) {
		q.ahead = slices.Delete(q.ahead, 0, 1)
	}
}

// dropParity forgets all that is to be sent of parity.
func (s *Source) dropParity() {
	if q := s.parity; q != nil {
		q.ahead, q.denied, q.spmDue, q.closeAt = q.ahead[:0], q.denied[:0], false, mono.Never
	}
}

// sendAhead fills t with parity that nobody asked for: ODATA with the parity flag (RFC 3208, 11.7).
func (s *Source) sendAhead(now mono.Time, t *Transmit) bool {
	q := s.parity
	sent, most := 0, s.limiter.RunPackets(s.packetBytes)
	for sent < most {
		i := s.aheadDue()
		if i < 0 {
			break
		}
		a := &q.ahead[i]
		size, fits := s.appendParity(wire.TypeODATA, a.base, a.cover, t)
		if !fits {
			break
		}
		s.stats.Ahead++
		s.stats.AheadBytes += uint64(len(q.symbol))
		sent++
		a.at = a.at.Add(q.cfg.Interleave)
		if a.left--; a.left == 0 {
			q.ahead = slices.Delete(q.ahead, i, i+1)
		}
		if size < t.Segment {
			break
		}
	}
	if sent > 0 {
		bytes := s.count(t, sent)
		s.limiter.TookData(now, bytes)
		s.gone(now, 0, bytes)
	}
	return sent > 0
}

// shapeOf looks at the data packets under a parity packet; ok is false unless all are in the window, sent, and a parity packet
// over them fits the MTU.
func (s *Source) shapeOf(base seq.Num, cover int) (f shape, ok bool) {
	if cover < 1 || base.Less(s.window.Trail()) || s.window.Next().Less(base.Add(cover)) {
		return f, false
	}
	for j := range cover {
		p, _ := s.window.Get(base.Add(j))
		f.add(p, j == 0)
	}
	return f, s.paritySize(f, cover, 0) <= s.cfg.Room.TPDU()
}

func (s *Source) fits(base seq.Num, cover int) bool {
	_, ok := s.shapeOf(base, cover)
	return ok
}

// paritySize is the length on the wire of a parity packet.
func (s *Source) paritySize(f shape, cover, index int) int {
	s.parityHead(wire.TypeRDATA, 0, cover, index, f)
	return s.packet.HeadLen() + f.bytes()
}

// bytes is how long the payload of a parity packet over such packets is.
func (f shape) bytes() int {
	if f.varies {
		return f.longest + 2
	}
	return f.longest
}

// parityHead prepares the scratch packet for the parity packet of an index (RFC 3208, 11.4): what does not fit the low bits of its
// number goes into OPT_PARITY_GRP.
func (s *Source) parityHead(typ wire.Type, base seq.Num, cover, index int, f shape) {
	p := s.dataHeader(typ)
	k := s.parity.cfg.GroupSize
	p.DestinationPort = parityPort(s.cfg.DestinationPort)
	p.Flags = wire.FlagParity
	p.Sqn = base.Add(index % k)
	if f.varies {
		p.Flags |= wire.FlagVarPktLen
	}
	o := &p.Options
	o.Set = o.Set.With(wire.OptPeer)
	if f.fragments {
		o.Set = o.Set.With(wire.OptFragment)
	}
	if index >= k {
		o.Set = o.Set.With(wire.OptParityGroup)
		o.ParityGroup = uint32(index / k)
	}
	if cover < k {
		o.Set = o.Set.With(wire.OptCurrTGSize)
		o.CurrTGSize = uint32(cover)
	}
}

// appendParity makes the next parity packet over the first packets of a group, which must fit, and appends it to the run if it may be
// a part of it. It returns its length on the wire.
func (s *Source) appendParity(typ wire.Type, base seq.Num, cover int, t *Transmit) (size int, fits bool) {
	q := s.parity
	f, ok := s.shapeOf(base, cover)
	if !ok {
		panic(fmt.Sprintf("BUG: session: parity over %d packets at %d, which cannot be made", cover, base))
	}
	g := q.group(base)
	indices := q.code.Parities()
	if k := q.cfg.GroupSize; s.paritySize(f, cover, indices-1) > s.cfg.Room.TPDU() {
		indices = min(indices, k)
	}
	index := int(g.next) % indices
	if size = s.paritySize(f, cover, index); t.Segment > 0 && (size > t.Segment || len(t.B)+size > RunBytes) {
		return size, false
	}
	if t.Segment == 0 {
		t.Segment = size
	}
	sum := s.encode(f, base, cover, index)
	s.parityHead(typ, base, cover, index, f)
	s.packet.Options.Peer = wire.Peer{Check: binary.BigEndian.Uint16(sum.sum())}
	s.packet.Options.Encoded = wire.EncodedFragment(sum.fragment())
	t.B = s.packet.AppendHead(t.B, len(q.symbol), wire.Sum(q.symbol))
	t.B = append(t.B, q.symbol...)
	g.next = uint8((index + 1) % indices)
	return size, true
}

// encode fills symbol with the payload of a parity packet and returns its trailer.
func (s *Source) encode(f shape, base seq.Num, cover, index int) trailer {
	q := s.parity
	q.symbol = q.symbol[:f.longest]
	clear(q.symbol)
	q.sum = trailer{}
	for j := range cover {
		p, _ := s.window.Get(base.Add(j))
		c := q.code.Coefficient(index, j)
		fec.MulAdd(c, q.symbol, p.Payload)
		q.one = trailerOf(p, p.Sum)
		fec.MulAdd(c, q.sum[:], q.one[:])
	}
	if f.varies {
		q.symbol = append(q.symbol, q.sum.length()...)
	}
	return q.sum
}

// parityAt is when Advance or Poll has something to do about parity.
func (s *Source) parityAt() mono.Time {
	q := s.parity
	if q == nil {
		return mono.Never
	}
	d := q.closeAt
	if s.paritySPMDue() || s.parityNCFDue() {
		d = min(d, s.limiter.ControlAt(s.clock))
	}
	if s.aheadDue() >= 0 {
		d = min(d, s.limiter.DataAt(s.clock))
	}
	return d
}
