package session

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// FuzzDelivery joins a true source to receivers over a network that the fuzzer works by hand: it chooses what is written when,
// which packet arrives next, twice or never, and puts in forged ones from elsewhere. What is delivered must be what was sent, each
// number once or told lost; and when the network is whole again everybody comes to the end, with nothing lost if the source still
// had it all that time.
func FuzzDelivery(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x10\x00\x04\x04\x04\x00\x20\x00\x06\x05\x05\x01\x08\x00\x04\x04\x07\x01\x05\x03\x05\x01\x09\x05"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<13 {
			return
		}
		runDelivery(t, b)
	})
}

// Steps of FuzzDelivery.
const (
	deliveryWrite = iota
	deliveryMessage
	deliveryFlush
	deliveryRun // everything that is under way arrives, in order
	deliveryNext
	deliveryAny
	deliveryTwice
	deliveryDrop
	deliveryDropAll
	deliveryWaitShort
	deliveryWaitLong
	deliveryWaitDeadline
	deliveryForged
	deliveryStall
	deliverySteps
)

type deliveryFuzz struct {
	t       testing.TB
	now     mono.Time
	tr      Transmit
	s       *Source
	written []byte
	book    ledger
	ends    []*deliveryEnd
	toSrc   []letter
}

type letter struct {
	b    []byte
	meta Meta
}

// deliveryEnd is one receiving host.
type deliveryEnd struct {
	ps      *Peers
	a       *auditor
	queue   []letter // on their way to it
	stalled bool
	mayLose bool
}

const deliveryQueue = 512 // packets under way to one host; beyond it, the oldest arrives

func runDelivery(t testing.TB, b []byte) *deliveryFuzz {
	p := &program{b}
	path := forgedMeta.From
	cfg := testSourceConfig(path)
	cfg.Slots, cfg.WindowAge, cfg.Linger = 4096, 20*time.Second, 20*time.Second
	cfg.Rate = pick(p, 20*flow.Mbps, flow.Mbps, flow.Gbps)
	cfg.First = seq.Num(0).Add(p.near())
	ends := p.u8()
	if ends&0x80 != 0 {
		cfg.Parity = fuzzParity(ends >> 2)
	}
	f := &deliveryFuzz{t: t, s: NewSource(0, cfg), tr: Transmit{B: make([]byte, 0, RunBytes)}, book: ledger{}}
	for i := range 1 + int(ends)%3 {
		flags := p.u8()
		cfg := testPeersConfig()
		cfg.Join = Join(flags & 3 % 3)
		cfg.ReceiveOnly = flags&0x30 == 0x30
		if flags&4 != 0 {
			cfg.MaxWindow = 32
		}
		if flags&8 != 0 {
			cfg.MaxDelay = 20 * time.Millisecond
		}
		if flags&64 != 0 {
			cfg.WindowBytes = 1
		}
		cfg.NoParity = flags >= 0xe0
		e := &deliveryEnd{ps: NewPeers(0, cfg, rand.New(rand.NewPCG(uint64(flags), uint64(i)))), mayLose: cfg.ReceiveOnly || cfg.MaxDelay > 0}
		e.a = &auditor{ledger: f.book, ps: e.ps, buf: make([]byte, 1<<17), stalled: func() bool { return e.stalled }}
		f.ends = append(f.ends, e)
	}
	for range ends & 3 { // receivers wait for the end of groups from the beginning
		if f.s.parity != nil {
			f.s.parity.control.Loss(0.2)
		}
	}
	for steps := 0; p.more() && steps < 1000 && len(f.written) < 1<<18; steps++ {
		f.step(p)
		f.rest()
	}
	f.heal()
	return f
}

func (f *deliveryFuzz) step(p *program) {
	e := f.ends[0]
	if len(f.ends) > 1 {
		e = pick(p, f.ends...)
	}
	switch p.u8() % deliverySteps {
	case deliveryWrite:
		b := pattern(uint64(len(f.written)), p.u16()%6000)
		f.written = append(f.written, b[:f.s.Write(f.now, b)]...)
	case deliveryMessage:
		if b := pattern(uint64(len(f.written)), 1+p.u16()%20000); f.s.WriteMessage(f.now, b) {
			f.written = append(f.written, b...)
		}
	case deliveryFlush:
		f.s.Flush(f.now)
	case deliveryRun:
		f.all()
	case deliveryNext:
		f.arrive(e, 0)
	case deliveryAny:
		f.arrive(e, p.u16())
	case deliveryTwice:
		if n := len(e.queue); n > 0 {
			i := int(p.u8()) % n
			e.queue = append(e.queue, e.queue[i])
		}
	case deliveryDrop:
		if n := len(e.queue); n > 0 {
			i := p.u16() % n
			e.queue = append(e.queue[:i], e.queue[i+1:]...)
		}
	case deliveryDropAll:
		e.queue = nil
		f.toSrc = nil
	case deliveryWaitShort:
		f.now = f.now.Add(time.Duration(p.u8()) * 100 * time.Microsecond)
	case deliveryWaitLong:
		f.now = f.now.Add(time.Duration(p.u8()) * 5 * time.Millisecond)
	case deliveryWaitDeadline:
		f.now = elapse(f.now, min(f.s.Deadline(), e.ps.Deadline()), -1)
	case deliveryForged:
		f.forge(p, e)
	case deliveryStall:
		e.stalled = !e.stalled
	}
}

// forge has a host elsewhere send a captured packet as if it were this session's.
func (f *deliveryFuzz) forge(p *program, e *deliveryEnd) {
	b := spoiled(p, p.u16())
	if f.s.parity != nil && p.u8()%2 == 0 {
		f.forgeParity(p, e)
		return
	}
	up := wire.Type(b[4]).Upstream()
	ports := []int{int(f.s.TSI().Port), testPort}
	if up {
		ports[0], ports[1] = ports[1], ports[0]
	}
	copy(b[0:], append(u16(ports[0]), u16(ports[1])...))
	gsi := f.s.TSI().GSI
	copy(b[8:], gsi[:])
	mend(b)
	var q wire.Packet
	if q.Decode(b) != nil {
		return
	}
	m := Meta{From: testRoomAddr, Multicast: true}
	if q.Type != wire.TypeACK && !q.Options.Set.Has(wire.OptPeer) { // a false round trip time may cost time that repairs need
		f.s.Handle(f.now, m, &q)
	}
	e.ps.Handle(f.now, m, &q)
}

var testRoomAddr = newNetwork(nil, 0).addr(0x666)

// arrive hands packet i of those under way to e.
func (f *deliveryFuzz) arrive(e *deliveryEnd, i int) {
	if len(e.queue) == 0 {
		return
	}
	i %= len(e.queue)
	l := e.queue[i]
	e.queue = append(e.queue[:i], e.queue[i+1:]...)
	var q wire.Packet
	if err := q.Decode(l.b); err != nil {
		f.t.Fatal(err)
	}
	e.ps.Handle(f.now, l.meta, &q)
}

// all lets everything arrive.
func (f *deliveryFuzz) all() {
	for _, e := range f.ends {
		for len(e.queue) > 0 {
			f.arrive(e, 0)
		}
	}
	up := f.toSrc
	f.toSrc = nil
	for _, l := range up {
		var q wire.Packet
		if err := q.Decode(l.b); err != nil {
			f.t.Fatal(err)
		}
		f.s.Handle(f.now, l.meta, &q)
	}
}

// rest lets all engines do what they have to do now, and the applications read.
func (f *deliveryFuzz) rest() {
	for n := 0; ; n++ {
		if n > 20000 {
			f.t.Fatalf("Poll without end at %v", f.now)
		}
		f.s.Advance(f.now)
		if !f.s.Poll(f.now, &f.tr) {
			break
		}
		polled(f.t, &f.tr, func(p *wire.Packet, b []byte) {
			f.book.spy(p)
			for _, e := range f.ends {
				e.queue = append(e.queue, letter{bytes.Clone(b), forgedMeta})
				if len(e.queue) > deliveryQueue {
					f.arrive(e, 0)
				}
			}
		})
	}
	for i, e := range f.ends {
		from := Meta{From: newNetwork(nil, 0).addr(16 + i), Multicast: false}
		for n := 0; ; n++ {
			if n > 5000 {
				f.t.Fatalf("Poll without end at %v", f.now)
			}
			for r := e.ps.Accept(); r != nil; r = e.ps.Accept() {
				if r.Addr() == forgedMeta.From && e.a.r == nil {
					e.a.r = r
				} else {
					r.Close(f.now) // a forger's, or once more ours after the expiry time
				}
			}
			e.a.tick(f.now)
			e.ps.Advance(f.now)
			if !e.ps.Poll(f.now, &f.tr) {
				break
			}
			f.toSrc = append(f.toSrc, letter{bytes.Clone(f.tr.B), from})
		}
		if e.a.fault != "" {
			f.t.Fatalf("receiver %d: %s", i, e.a.fault)
		}
		for _, r := range e.ps.list {
			if r.accepted && !r.closed {
				checkRepairing(f.t, r)
			}
		}
	}
	if len(f.toSrc) > deliveryQueue {
		f.toSrc = f.toSrc[len(f.toSrc)-deliveryQueue:]
	}
}

// heal makes the network whole and the writer finish, and waits for the end of everybody who ever heard the source.
func (f *deliveryFuzz) heal() {
	bad := time.Duration(f.now)
	for _, e := range f.ends {
		e.stalled = false
	}
	f.s.Finish(f.now)
	for i := 0; !f.over(); i++ {
		if i > 200000 {
			f.t.Fatalf("no end by %v", f.now)
		}
		f.all()
		f.rest()
		next := f.s.Deadline()
		busy := len(f.toSrc) > 0
		for _, e := range f.ends {
			next = min(next, e.ps.Deadline())
			busy = busy || len(e.queue) > 0
		}
		if busy {
			next = min(next, f.now.Add(50*time.Microsecond)) // the way there
		}
		f.now = max(f.now+1, next)
	}
	if got := f.sent(); !bytes.Equal(got, f.written) {
		f.t.Fatalf("%d bytes were sent, and %d written", len(got), len(f.written))
	}
	for i, e := range f.ends {
		a := e.a
		switch {
		case a.r == nil:
		case errors.Is(a.end, io.EOF):
			if a.begun && a.next != f.s.window.Next() {
				f.t.Fatalf("receiver %d ends at %d of %d", i, a.next, f.s.window.Next())
			}
			if a.lost > 0 && !e.mayLose && bad < 5*time.Second {
				f.t.Fatalf("receiver %d: %d packets lost that the source held: %v", i, a.lost, a.why)
			}
		default:
			if !e.mayLose && bad < 5*time.Second {
				f.t.Fatalf("receiver %d ends with %v", i, a.end)
			}
		}
	}
}

// over reports whether all is sent, and everybody who ever heard the source has come to an end: perhaps before, for a receiver that
// heard nothing for the expiry time has.
func (f *deliveryFuzz) over() bool {
	if !f.s.SentAll(f.s.window.End()) {
		return false
	}
	for _, e := range f.ends {
		if e.a.r != nil && e.a.end == nil || e.a.r == nil && !f.s.Finished() {
			return false
		}
	}
	return true
}

// sent is what the packets on the wire carried, in the order of their numbers.
func (f *deliveryFuzz) sent() (b []byte) {
	for n := f.s.cfg.First; n != f.s.window.Next(); n++ {
		b = append(b, f.book[n].payload...)
	}
	return b
}
