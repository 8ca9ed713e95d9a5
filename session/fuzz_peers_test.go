package session

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/internal/testvec"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/window"
	"github.com/rmcast/rmcast/wire"
)

// FuzzPeers has a receiving end handle packets that nobody should send, in any order and at any time, while the application
// reads, closes and stays away. After each step the engine must be at rest within its bounds (see peersFuzz.check), and when the
// network has fallen silent every session ends.
func FuzzPeers(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<14 {
			return
		}
		runPeers(t, b)
	})
}

// Steps of FuzzPeers. Each reads what it needs from the program.
const (
	peersData = iota // the next number, whole
	peersDataAt
	peersFragments // a message in fragments, of which some are left out
	peersFragment  // one fragment that claims what it likes
	peersSPM
	peersNCF
	peersHeardNAK
	peersHeardSPMR
	peersCaptured
	peersRaw
	peersWaitShort
	peersWaitLong
	peersWaitDeadline
	peersWaitMinutes
	peersAccept
	peersRead
	peersReadMessage
	peersClose
	peersDiscard
	peersClone
	peersReady
	peersStop
	peersWho
	peersBase
	peersSteps
)

type peersFuzz struct {
	t   testing.TB
	ps  *Peers
	now mono.Time
	tr  Transmit

	who      int                  // of senders
	base     [fuzzSenders]seq.Num // each one's next number
	spm      [fuzzSenders]seq.Num // and SPM_SQN
	open     []*Receiver
	opened   map[*Receiver]mono.Time
	said     map[*Receiver]int64 // IP bytes of NAKs
	messages int
	losses   int
	clones   int
	parity   bool // the program has its steps
	book     [fuzzSenders]map[seq.Num]window.Packet
	codes    map[int]*fec.Code
	buf      []byte
}

const fuzzSenders = 6 // of 3 TSIs, each from 2 addresses

func runPeers(t testing.TB, b []byte) *peersFuzz {
	p := &program{b}
	cfg := testPeersConfig()
	cfg.MaxWindow = pick(p, 16, 64, 2048)
	cfg.WindowBytes = pick(p, int64(1), 256<<10, 4<<20)
	cfg.MaxMessage = pick(p, 20000, 300, 1<<20)
	join := p.u8()
	cfg.Join = Join(join % 3)
	cfg.NoParity = join >= 0xf0
	flags := p.u8()
	if flags&1 != 0 {
		cfg.Group = netip.MustParseAddr("239.192.0.9")
	}
	cfg.Unordered, cfg.ReceiveOnly, cfg.UniformBackoff = flags&2 != 0, flags&4 != 0, flags&8 != 0
	if flags&16 != 0 {
		cfg.MaxDelay = 20 * time.Millisecond
	}
	if flags&32 != 0 {
		cfg.MaxSources, cfg.Backlog = 2, 1
	}
	if flags&64 != 0 {
		cfg.HopLimit = 8
	}
	cfg.Hollow = flags&128 != 0
	f := &peersFuzz{
		t: t, ps: NewPeers(0, cfg, rand.New(rand.NewPCG(uint64(flags), 1))), tr: Transmit{B: make([]byte, 0, RunBytes)},
		opened: map[*Receiver]mono.Time{}, said: map[*Receiver]int64{}, buf: make([]byte, 4096),
		parity: join >= 0x80, codes: map[int]*fec.Code{},
	}
	for i := range f.base {
		f.base[i] = seq.Num(0).Add(-40 * i)
		f.book[i] = map[seq.Num]window.Packet{}
	}
	for steps := 0; p.more() && steps < 2000; steps++ {
		f.step(p)
		f.rest()
		f.check()
	}
	f.silence()
	return f
}

func (f *peersFuzz) from(who int) netip.Addr {
	if f.ps.cfg.Group.Is4() {
		return netip.AddrFrom4([4]byte{10, 77, 0, byte(1 + who%2)})
	}
	return netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(1 + who%2)})
}

// packet begins a packet of the present sender.
func (f *peersFuzz) packet(typ wire.Type, sqn seq.Num) *wire.Packet {
	p := forged(typ, sqn)
	p.SourcePort = 1000 + uint16(f.who/2)
	p.Path, p.Source, p.Group = f.from(f.who), f.from(f.who), f.ps.cfg.Group
	p.Trail = f.base[f.who].Add(-30)
	return p
}

// hear has the engine handle p, through its bytes as the network carries them.
func (f *peersFuzz) hear(p *wire.Packet) {
	if f.parity && (p.Type == wire.TypeODATA || p.Type == wire.TypeRDATA) && p.DestinationPort == testPort {
		f.books(p)
	}
	f.hearBytes(p.Append(nil), f.who)
}

// books notes what data the present sender sent; the first packet of a number is its true one.
func (f *peersFuzz) books(p *wire.Packet) {
	if _, ok := f.book[f.who][p.Sqn]; ok || len(p.Payload) == 0 {
		return
	}
	d := window.Packet{Payload: p.Payload}
	if p.Options.Set.Has(wire.OptFragment) {
		d.Fragment = window.Fragment(p.Options.Fragment)
	}
	f.book[f.who][p.Sqn] = d
}

func (f *peersFuzz) hearBytes(b []byte, who int) {
	var q wire.Packet
	if q.Decode(b) == nil {
		f.ps.Handle(f.now, Meta{From: f.from(who), Multicast: true}, &q)
	}
}

func (f *peersFuzz) step(p *program) {
	base := &f.base[f.who]
	step := p.u8()
	if f.parity {
		step %= peersAndParity
	} else {
		step %= peersSteps
	}
	switch step {
	default:
		f.parityStep(p, step)
	case peersLost:
		f.lose(p)
	case peersData:
		q := f.packet(wire.TypeODATA, *base)
		q.Payload = pattern(uint64(*base), int(p.u8()))
		*base++
		f.hear(q)
	case peersDataAt:
		q := f.packet(pick(p, wire.TypeODATA, wire.TypeRDATA), base.Add(p.near()))
		q.Trail = base.Add(p.near())
		q.Payload = make([]byte, pick(p, 10, 0, 1408, 9000, 60000))
		if p.u8()%16 == 0 {
			q.Flags = wire.FlagParity
		}
		f.hear(q)
	case peersFragments:
		f.fragments(p)
	case peersFragment:
		q := f.packet(pick(p, wire.TypeODATA, wire.TypeRDATA), base.Add(p.near()))
		q.Payload = make([]byte, p.u8())
		q.Options.Set = q.Options.Set.With(wire.OptFragment)
		q.Options.Fragment = wire.Fragment{First: q.Sqn.Add(p.near()), Offset: uint32(p.u16()), Length: uint32(p.u16())}
		f.hear(q)
	case peersSPM:
		f.hear(f.aSPM(p))
	case peersNCF:
		q := f.packet(wire.TypeNCF, 0)
		setNumbers(q, numbersFrom(p, base.Add(p.near())))
		f.hear(q)
	case peersHeardNAK, peersHeardSPMR:
		q := f.packet(pick(p, wire.TypeNAK, wire.TypeSPMR, wire.TypeNNAK, wire.TypeACK, wire.TypePOLR), 0)
		q.SourcePort, q.DestinationPort = q.DestinationPort, q.SourcePort
		setNumbers(q, numbersFrom(p, base.Add(p.near())))
		f.hear(q)
	case peersCaptured:
		b := spoiled(p, p.u16())
		at := 2 // the port that must be the listener's
		if wire.Type(b[4]).Upstream() {
			at = 0
		}
		copy(b[at:], u16(testPort))
		mend(b)
		f.hearBytes(b, f.who)
	case peersRaw:
		b := append([]byte(nil), p.bytes(int(p.u8()))...)
		f.hearBytes(b, f.who)
		if len(b) >= wire.HeadCommon {
			mend(b)
			f.hearBytes(b, f.who)
		}
	case peersWaitShort:
		f.now = f.now.Add(time.Duration(p.u8()) * 100 * time.Microsecond)
	case peersWaitLong:
		f.now = f.now.Add(time.Duration(p.u8()) * 10 * time.Millisecond)
	case peersWaitDeadline:
		f.now = elapse(f.now, f.ps.Deadline(), -1)
	case peersWaitMinutes:
		f.now = f.now.Add(time.Duration(p.u8()) * 2 * time.Second)
	case peersAccept:
		if r := f.ps.Accept(); r != nil {
			f.open = append(f.open, r)
		}
	case peersRead:
		f.read(p, func(r *Receiver, n int) (int, error) { return r.Read(f.now, f.buf[:n]) })
	case peersReadMessage:
		f.read(p, func(r *Receiver, n int) (int, error) { return r.ReadMessage(f.now, f.buf[:n]) })
	case peersClose:
		if len(f.open) > 0 {
			i := int(p.u8()) % len(f.open)
			f.open[i].Close(f.now)
			if n, err := f.open[i].Read(f.now, f.buf); n != 0 || err == nil {
				f.t.Fatalf("a closed session reads %d bytes, %v", n, err)
			}
			f.open = append(f.open[:i], f.open[i+1:]...)
		}
	case peersDiscard:
		f.read(p, func(r *Receiver, n int) (int, error) {
			size, span, err := r.Discard(f.now)
			if (err == nil) == span.Empty() {
				f.t.Fatalf("discarded %v, %v", span, err)
			}
			return min(size, n), err
		})
	case peersClone:
		f.clone()
	case peersReady:
		for f.ps.Ready() != nil {
		}
	case peersStop:
		if p.u8() == 0 {
			f.ps.StopAccepting()
		}
	case peersWho:
		f.who = int(p.u8()) % fuzzSenders
	case peersBase:
		switch p.u8() % 4 {
		case 0:
			*base = seq.Num(p.u32())
		case 1:
			*base += 1 << 31
		default:
			*base = base.Add(p.u16())
		}
	}
}

// clone goes on with a clone, which must be like its original.
func (f *peersFuzz) clone() {
	if f.clones++; f.clones > 4 {
		return // they copy all memory
	}
	drawn := false // a wait that the clone draws anew
	for _, r := range f.ps.list {
		if r.naks.Len() > 0 {
			return
		}
		drawn = drawn || r.spmrFrom != mono.Never || r.answer.at != mono.Never
	}
	old := f.ps
	f.ps = old.Clone(rand.New(rand.NewPCG(7, 7)))
	if f.ps.Stats() != old.Stats() || !drawn && f.ps.Deadline() != old.Deadline() {
		f.t.Fatalf("the clone has %+v, deadline %v; the original %+v, %v", f.ps.Stats(), f.ps.Deadline(), old.Stats(), old.Deadline())
	}
	open := f.open[:0]
	for i, r := range old.list {
		x := f.ps.list[i]
		if r == x || r.window == x.window || x.peers != f.ps {
			f.t.Fatal("the clone shares a receiver")
		}
		f.opened[x], f.said[x] = f.opened[r], f.said[r]
		if slices.Contains(f.open, r) {
			open = append(open, x)
		}
	}
	f.open = open
}

// fragments sends a message in up to eight fragments, of which a mask leaves some out.
func (f *peersFuzz) fragments(p *program) {
	first, count, size, sent := f.base[f.who], 1+int(p.u8())%8, 1+int(p.u8()), p.u8()
	for i := range count {
		if sent&(1<<i) == 0 {
			continue
		}
		q := f.packet(wire.TypeODATA, first.Add(i))
		q.Payload = make([]byte, size)
		q.Options.Set = q.Options.Set.With(wire.OptFragment)
		q.Options.Fragment = wire.Fragment{First: first, Offset: uint32(i * size), Length: uint32(count * size)}
		f.hear(q)
	}
	f.base[f.who] = first.Add(count)
}

func (f *peersFuzz) aSPM(p *program) *wire.Packet {
	base := f.base[f.who]
	q := f.packet(wire.TypeSPM, f.spm[f.who])
	q.Trail, q.Lead = base.Add(-int(p.u8())), base.Add(-1)
	f.spm[f.who]++
	what := p.u8()
	if what&1 != 0 {
		q.Lead = base.Add(p.near())
	}
	if what&2 != 0 {
		f.spm[f.who] = f.spm[f.who].Add(p.near())
	}
	with := func(bit byte, o wire.Option) bool {
		if what&bit != 0 {
			q.Options.Set = q.Options.Set.With(o)
		}
		return what&bit != 0
	}
	if with(4, wire.OptJoin) {
		q.Options.Join = q.Trail
	}
	if with(8, wire.OptPeer) {
		q.Options.Peer = wire.Peer{Flags: p.u8() & 1, Time: micros(f.now), GRTT: p.u8(), GroupSize: p.u8(), Window: 1 << (p.u8() % 32)}
	}
	with(16, wire.OptFIN)
	if with(32, wire.OptRST) {
		q.Options.Reset = wire.Reset{NoNAKs: p.bit(), Code: p.u8() & 63}
	}
	if what&64 != 0 {
		q.Path = netip.AddrFrom4([4]byte{})
	}
	return q
}

// read has the application read once, or until nothing is left; what it is told must go forward.
func (f *peersFuzz) read(p *program, read func(*Receiver, int) (int, error)) {
	if len(f.open) == 0 {
		return
	}
	r := f.open[int(p.u8())%len(f.open)]
	times, size := int(p.u8()), p.u16()%len(f.buf)
	for range 1 + times {
		next := r.window.Next()
		n, err := read(r, size)
		if n < 0 || n > size || err != nil && n > 0 {
			f.t.Fatalf("a read of %d bytes gave %d, %v", size, n, err)
		}
		var loss *LossError
		switch {
		case err == nil:
			f.messages++
		case errors.As(err, &loss):
			if loss.Lost.Empty() || loss.Lost.From.Less(next) || r.window.Next().Less(loss.Lost.To) || loss.TSI != r.TSI() || r.peers.cfg.Unordered {
				f.t.Fatalf("a loss of %v with %d next, then %d", loss.Lost, next, r.window.Next())
			}
			f.losses++
		case errors.Is(err, ErrWouldBlock):
			if r.readable() {
				f.t.Fatal("readable, and nothing to read")
			}
			return
		case errors.Is(err, io.ErrShortBuffer), isEnd(err):
			return
		default:
			f.t.Fatalf("read: %v", err)
		}
	}
}

// rest lets the engine do all it has to do now, and looks at what it sends.
func (f *peersFuzz) rest() {
	for n := 0; ; n++ {
		f.ps.Advance(f.now)
		if !f.ps.Poll(f.now, &f.tr) {
			break
		}
		if n > 5000 {
			f.t.Fatalf("Poll without end at %v", f.now)
		}
		f.sent(f.ps.list[f.ps.turn-1])
	}
	if d := f.ps.Deadline(); d <= f.now {
		f.t.Fatalf("at rest at %v with the deadline %v", f.now, d)
	}
}

// sent checks a packet that r has just given: nothing is asked for but what is missing, and not too often.
func (f *peersFuzz) sent(r *Receiver) {
	if f.ps.cfg.ReceiveOnly || r.closed {
		f.t.Fatal("a packet of one who keeps silent")
	}
	polled(f.t, &f.tr, func(p *wire.Packet, b []byte) {
		port := f.ps.cfg.DestinationPort
		if p.Type == wire.TypeNAK && p.Flags&wire.FlagParity != 0 {
			port++
		}
		if p.TSI() != r.key.tsi || p.SourcePort != port {
			f.t.Fatalf("%v for %v from port %d to %v", p.Type, r.key.tsi, p.SourcePort, p.TSI())
		}
		switch p.Type {
		case wire.TypeNAK:
			for _, n := range ascending(f.t, p) {
				if p.Flags&wire.FlagParity != 0 {
					f.asksParity(r, n)
					continue
				}
				if st := r.window.State(n); st != window.Missing || r.lead.Less(n) {
					f.t.Fatalf("a NAK for %d, which is %v; lead %d", n, st, r.lead)
				}
			}
			f.said[r] += int64(len(b) + headerBytes)
			if most := nakRate.Bytes(f.now.Sub(f.opened[r])) + 2*nakBurst; f.said[r] > most {
				f.t.Fatalf("%d bytes of NAKs since %v, at %v", f.said[r], f.opened[r], f.now)
			}
		case wire.TypeSPMR, wire.TypeACK:
		default:
			f.t.Fatalf("a receiver sent %v", p.Type)
		}
	})
	if r.stats.SPMRs > 2*spmrTries || r.stats.ACKs > r.stats.SPMs {
		f.t.Fatalf("%d SPMRs, %d ACKs for %d SPMs", r.stats.SPMRs, r.stats.ACKs, r.stats.SPMs)
	}
}

// check looks at the engine's books and bounds.
func (f *peersFuzz) check() {
	ps := f.ps
	if len(ps.list) > ps.cfg.MaxSources || ps.table != nil && len(ps.table) != len(ps.list) || len(ps.accept) > ps.cfg.Backlog {
		f.t.Fatalf("%d sources, %d in the table, %d wait, of %d and %d", len(ps.list), len(ps.table), len(ps.accept), ps.cfg.MaxSources, ps.cfg.Backlog)
	}
	for _, r := range ps.list {
		if _, ok := f.opened[r]; r.accepted && !ok {
			f.opened[r] = f.now
		}
		f.checkReceiver(r)
	}
}

func (f *peersFuzz) checkReceiver(r *Receiver) {
	cfg, w := &f.ps.cfg, r.window
	most := cfg.WindowBytes
	if !r.accepted {
		most = min(most, candidateBytes)
	}
	if most = max(most, 64<<10); cfg.Hollow {
		most = 0
	}
	if w.Memory() > most || w.End().Sub(w.Next()) > cfg.MaxWindow {
		f.t.Fatalf("%d bytes and %d numbers held, of %d and %d", w.Memory(), w.End().Sub(w.Next()), most, cfg.MaxWindow)
	}
	begun, whole := 0, 0
	if l := r.read.loose; l != nil {
		begun, whole = len(l.partial), len(l.whole.nums)-l.whole.head
	}
	if len(r.losses) > maxReasons || begun > w.Held() || whole > w.Held() {
		f.t.Fatalf("%d reasons, %d messages begun, %d whole, %d packets", len(r.losses), begun, whole, w.Held())
	}
	if r.closed || !r.accepted {
		if r.naks.Len() != 0 {
			f.t.Fatalf("%d numbers are asked for by one who may not", r.naks.Len())
		}
		return
	}
	// Invariant 1 of Receiver: what is missing is asked for, and nothing else.
	found := 0
	for gap, ok := w.NextMissing(w.Next()); ok; gap, ok = w.NextMissing(gap.To) {
		for n := gap.From; n != gap.To; n++ {
			if _, ok := r.naks.State(n); !ok {
				f.t.Fatalf("%d is missing and forgotten", n)
			}
			found++
		}
	}
	if found != r.naks.Len() || found != w.Missing() {
		f.t.Fatalf("%d missing, counted as %d, %d asked for", found, w.Missing(), r.naks.Len())
	}
	checkRepairing(f.t, r)
	if !f.ps.cfg.Unordered && r.readable() && w.Held() == 0 && w.End() != w.Next() && w.State(w.Next()) != window.Lost {
		f.t.Fatal("readable with nothing there")
	}
}

// silence lets time pass without a packet: what was accepted ends, and its reader comes to the end.
func (f *peersFuzz) silence() {
	for range 200 {
		f.now = elapse(f.now, f.ps.Deadline(), -1)
		f.rest()
	}
	f.now = f.now.Add(2 * expiryForeign)
	f.rest()
	f.check()
	for r := f.ps.Accept(); r != nil; r = f.ps.Accept() {
		f.open = append(f.open, r)
	}
	if n := len(f.ps.list); n > 0 {
		f.t.Fatalf("%d sources are known long after their last packet", n)
	}
	for _, r := range f.open {
		f.drain(r)
	}
}

func (f *peersFuzz) drain(r *Receiver) {
	b := make([]byte, f.ps.cfg.MaxMessage+1<<16)
	if r.lead.Sub(r.window.Next()) > 1<<14 {
		return // a jump far ahead was believed: its losses are told a window at a time
	}
	for range 1 << 16 {
		_, err := r.ReadMessage(f.now, b)
		var loss *LossError
		if err == nil || errors.As(err, &loss) {
			continue
		}
		if !isEnd(err) {
			f.t.Fatalf("%v at the end: lead %d, next %d, run %d, end %d, held %d", err, r.lead, r.window.Next(), r.window.Run(), r.window.End(), r.window.Held())
		}
		return
	}
	f.t.Fatalf("reads without end: lead %d, next %d", r.lead, r.window.Next())
}

// peersReplay is a capture as a program: what the group heard, with an application that reads.
func peersReplay(name string) []byte {
	group := byte(1)
	if name == "11-ipv6" {
		group = 0
	}
	wait := waiting(peersWaitShort, peersWaitLong)
	return replay(name, []byte{2, 2, 0, 0, group}, wait, func(i int, d testvec.Datagram) []byte {
		b := append(append([]byte{peersCaptured}, u16(i)...), 0)
		return append(b, peersAccept, peersReadMessage, 0, 3, 0x0f, 0xff)
	})
}
