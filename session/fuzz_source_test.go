package session

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/internal/testvec"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/window"
	"github.com/rmcast/rmcast/wire"
)

// FuzzSource has a source hear NAKs, SPMRs, ACKs and anything else that nobody should send, while its application writes. What
// it sends must be what was written, each number once and its repairs the same; nothing is repaired or confirmed that nobody
// asked for; the rate is kept; and after Finish it ends.
func FuzzSource(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<14 {
			return
		}
		runSource(t, b)
	})
}

// Steps of FuzzSource.
const (
	sourceWrite = iota
	sourceWriteMuch
	sourceMessage
	sourceFlush
	sourceNAK
	sourceNAKRange
	sourceSPMR
	sourceACK
	sourceCaptured
	sourceRaw
	sourceWaitShort
	sourceWaitLong
	sourceWaitDeadline
	sourceWaitSeconds
	sourceFinish
	sourceReset
	sourceSteps

	sourceParityNAK = sourceSteps // only when the program has parity
)

type sourceFuzz struct {
	t       testing.TB
	cfg     SourceConfig
	s       *Source
	now     mono.Time
	tr      Transmit
	written []byte            // all that was taken, in order
	ends    map[int]bool      // offsets of written at which a message begins or ends
	sent    []byte            // the payloads of ODATA
	at      map[seq.Num][]int // of each number: offset and length in sent
	next    seq.Num
	asked   map[seq.Num]bool // since it was last repaired
	everNAK map[seq.Num]bool
	ip      int64 // bytes sent
	control int64 // of these in SPMs and NCFs
	lead    seq.Num
	marks   []mark
	parity  *paritySource // nil: the program has none
}

// mark is a Flush: what was written before it.
type mark struct {
	at    seq.Num
	bytes int
}

func runSource(t testing.TB, b []byte) *sourceFuzz {
	p := &program{b}
	cfg := testSourceConfig(netip.MustParseAddr("10.77.0.1"))
	cfg.Group = netip.MustParseAddr("239.192.0.9")
	cfg.Slots = pick(p, 2, 16, 256, 4096)
	cfg.Rate = pick(p, 10*flow.Mbps, flow.Mbps/10, flow.Gbps, flow.Unlimited)
	cfg.First = seq.Num(0).Add(p.near())
	flags := p.u8()
	if flags&1 != 0 {
		cfg.WindowAge, cfg.WindowHold = 50*time.Millisecond, 5*time.Millisecond
	}
	if flags&2 != 0 {
		cfg.RepairShare = 1
	}
	if flags&4 != 0 {
		cfg.NAKPort, cfg.Linger = 7777, 0
	}
	if flags&8 != 0 {
		cfg.Room, _ = wire.NewRoom(576, false, true)
	}
	if flags&16 != 0 {
		cfg.Parity = fuzzParity(flags>>5 | byte(cfg.First)<<3)
	}
	f := &sourceFuzz{
		t: t, cfg: cfg, s: NewSource(0, cfg), tr: Transmit{B: make([]byte, 0, RunBytes)}, ends: map[int]bool{0: true},
		at: map[seq.Num][]int{}, next: cfg.First, lead: cfg.First.Add(-1), asked: map[seq.Num]bool{}, everNAK: map[seq.Num]bool{},
	}
	if k := cfg.Parity.GroupSize; k > 0 {
		f.parity = newParitySource(k)
	}
	for steps := 0; p.more() && steps < 2000 && len(f.written) < 1<<20; steps++ {
		f.step(p)
		f.rest()
	}
	f.end()
	return f
}

// fresh returns n bytes that continue what was written: each byte tells its place.
func (f *sourceFuzz) fresh(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		at := len(f.written) + i
		b[i] = byte(at ^ at>>8*31 ^ at>>16*7)
	}
	return b
}

func (f *sourceFuzz) write(n int) {
	b := f.fresh(n)
	took := f.s.Write(f.now, b)
	if took < 0 || took > n || f.s.Finished() && took > 0 || took < n && f.s.Writable(f.now) {
		f.t.Fatalf("Write of %d took %d, writable %v, finished %v", n, took, f.s.Writable(f.now), f.s.Finished())
	}
	f.written = append(f.written, b[:took]...)
}

func (f *sourceFuzz) packet(typ wire.Type) *wire.Packet {
	p := forged(typ, 0)
	p.GSI, p.SourcePort, p.DestinationPort = f.cfg.TSI.GSI, testPort, f.cfg.TSI.Port
	p.Source, p.Group = f.cfg.Path, f.cfg.Group
	return p
}

// hear has the source handle p from receiver who.
func (f *sourceFuzz) hear(p *wire.Packet, who byte) { f.hearBytes(p.Append(nil), who) }

func (f *sourceFuzz) hearBytes(b []byte, who byte) {
	var q wire.Packet
	if q.Decode(b) != nil {
		return
	}
	if q.Type == wire.TypeNAK && f.parity != nil && q.Flags&wire.FlagParity != 0 && q.SourcePort == testPort+1 {
		f.parity.heard(&f.cfg.Parity, &q)
	} else if q.Type == wire.TypeNAK {
		for _, n := range q.Numbers(nil) {
			f.asked[n], f.everNAK[n] = true, true
		}
	}
	f.s.Handle(f.now, Meta{From: netip.AddrFrom4([4]byte{10, 77, 1, who})}, &q)
}

func (f *sourceFuzz) echo(p *program, q *wire.Packet) {
	if p.bit() {
		q.Options.Set = q.Options.Set.With(wire.OptPeer)
		q.Options.Peer.Time = micros(f.now) - uint32(p.u16())*uint32(p.u8())
	}
}

func (f *sourceFuzz) step(p *program) {
	step := p.u8()
	if f.parity != nil {
		step %= sourceParityNAK + 1
	} else {
		step %= sourceSteps
	}
	switch step {
	case sourceParityNAK:
		f.parityNAK(p)
	case sourceWrite:
		f.write(p.u16() % 5000)
	case sourceWriteMuch:
		f.write(p.u16())
	case sourceMessage:
		n := 1 + p.u16()%min(f.s.MaxMessage(), 60000)
		before := f.s.window.End()
		if b := f.fresh(n); f.s.WriteMessage(f.now, b) {
			f.ends[len(f.written)] = true
			f.written = append(f.written, b...)
			f.ends[len(f.written)] = true
		} else if f.s.window.End() != before {
			f.t.Fatal("a message that was not taken left packets behind")
		}
	case sourceFlush:
		f.marks = append(f.marks, mark{f.s.Flush(f.now), len(f.written)})
	case sourceNAK:
		q := f.packet(wire.TypeNAK)
		setNumbers(q, numbersFrom(p, pick(p, f.s.window.Trail(), f.next, f.cfg.First).Add(p.near())))
		f.echo(p, q)
		f.hear(q, p.u8())
	case sourceNAKRange: // all that can be had, at once
		from := f.s.window.Trail()
		for from.Less(f.next) {
			var nums []seq.Num
			for ; from.Less(f.next) && len(nums) < wire.MaxNAKs; from++ {
				nums = append(nums, from)
			}
			q := f.packet(wire.TypeNAK)
			setNumbers(q, nums)
			f.hear(q, p.u8())
		}
	case sourceSPMR:
		f.hear(f.packet(pick(p, wire.TypeSPMR, wire.TypeNNAK, wire.TypePOLR, wire.TypeODATA, wire.TypeSPM)), p.u8())
	case sourceACK:
		q := f.packet(wire.TypeACK)
		q.Sqn, q.Bitmap = f.next.Add(p.near()), p.u32()
		f.echo(p, q)
		f.hear(q, p.u8())
	case sourceCaptured:
		b := spoiled(p, p.u16())
		if wire.Type(b[4]).Upstream() {
			copy(b[0:], u16(testPort))
			copy(b[2:], u16(int(f.cfg.TSI.Port)))
			copy(b[8:], f.cfg.TSI.GSI[:])
		}
		mend(b)
		f.hearBytes(b, p.u8())
	case sourceRaw:
		b := append([]byte(nil), p.bytes(int(p.u8()))...)
		if len(b) >= wire.HeadCommon {
			mend(b)
		}
		f.hearBytes(b, 0)
	case sourceWaitShort:
		f.now = f.now.Add(time.Duration(p.u8()) * 100 * time.Microsecond)
	case sourceWaitLong:
		f.now = f.now.Add(time.Duration(p.u8()) * 10 * time.Millisecond)
	case sourceWaitDeadline:
		f.now = elapse(f.now, f.s.Deadline(), -1)
	case sourceWaitSeconds:
		f.now = f.now.Add(time.Duration(p.u8()) * time.Second / 4)
	case sourceFinish:
		if p.u8()%8 == 0 {
			f.s.Finish(f.now)
		}
	case sourceReset:
		if p.u8()%16 == 0 {
			f.s.Reset(f.now, p.u8())
		}
	}
}

// rest lets the engine do all it has to do now.
func (f *sourceFuzz) rest() {
	for n := 0; ; n++ {
		f.s.Advance(f.now)
		if !f.s.Poll(f.now, &f.tr) {
			break
		}
		if n > 20000 {
			f.t.Fatalf("Poll without end at %v", f.now)
		}
		polled(f.t, &f.tr, f.look)
	}
	if d := f.s.Deadline(); d <= f.now {
		f.t.Fatalf("at rest at %v with the deadline %v", f.now, d)
	}
	if n := f.s.repairs.Pending(); n > f.cfg.Slots || f.s.window.End().Sub(f.s.window.Trail()) > f.cfg.Slots {
		f.t.Fatalf("%d repairs queued, %d packets held in %d slots", n, f.s.window.End().Sub(f.s.window.Trail()), f.cfg.Slots)
	}
	for _, m := range f.marks {
		if f.s.SentAll(m.at) && len(f.sent) < m.bytes {
			f.t.Fatalf("flushed %d bytes, and %d are sent", m.bytes, len(f.sent))
		}
	}
	f.keepsRate()
}

// keepsRate: rate x time, and what the buckets hold and may owe. Control packets are beside it below 20 Mbit/s.
func (f *sourceFuzz) keepsRate() {
	r := f.cfg.Rate
	if r == flow.Unlimited {
		return
	}
	const run = 65000
	most := r.Bytes(time.Duration(f.now)) + max(r.Bytes(flow.Depth), 2*run) + r.Bytes(flow.Slack) + 2*run
	if data := f.ip - f.control; data > most {
		f.t.Fatalf("%v: %d bytes by %v, at most %d", r, data, f.now, most)
	}
	controlRate := max(r/20, flow.Mbps)
	if most := controlRate.Bytes(time.Duration(f.now)) + max(6000, r.Bytes(flow.Depth)) + controlRate.Bytes(flow.Slack) + 2000; f.control > most {
		f.t.Fatalf("%v: %d bytes of SPMs and NCFs by %v, at most %d", r, f.control, f.now, most)
	}
}

// look checks one packet that the source sends.
func (f *sourceFuzz) look(p *wire.Packet, b []byte) {
	f.ip += int64(len(b) + f.cfg.Room.Overhead())
	port := f.cfg.DestinationPort
	parity := f.parity != nil && p.DestinationPort == port+1
	if parity {
		port++
	}
	if p.TSI() != f.cfg.TSI || p.DestinationPort != port || len(b) > f.cfg.Room.TPDU() || !parity && p.Flags&wire.FlagParity != 0 {
		f.t.Fatalf("%v of %d bytes: %v to %d", p.Type, len(b), p.TSI(), p.DestinationPort)
	}
	if parity {
		f.parity.look(f, p)
	}
	switch {
	case parity && (p.Type == wire.TypeODATA || p.Type == wire.TypeRDATA):
		return
	case parity && p.Type == wire.TypeNCF:
		f.control += int64(len(b) + f.cfg.Room.Overhead())
		return
	}
	switch p.Type {
	case wire.TypeODATA:
		f.data(p)
	case wire.TypeRDATA:
		was, ok := f.at[p.Sqn]
		if !ok || !bytes.Equal(p.Payload, f.sent[was[0]:was[0]+was[1]]) || p.Sqn.Less(p.Trail) || !f.asked[p.Sqn] {
			f.t.Fatalf("a repair of %d: sent before %v, asked for %v, trail %d", p.Sqn, ok, f.asked[p.Sqn], p.Trail)
		}
		delete(f.asked, p.Sqn)
	case wire.TypeNCF:
		f.control += int64(len(b) + f.cfg.Room.Overhead())
		for _, n := range ascending(f.t, p) {
			if !f.everNAK[n] || n.Less(f.s.window.Trail()) || !n.Less(f.next) {
				f.t.Fatalf("an NCF for %d, asked for %v", n, f.everNAK[n])
			}
		}
	case wire.TypeSPM:
		f.control += int64(len(b) + f.cfg.Room.Overhead())
		if p.Lead != f.lead || p.Lead.Add(1).Less(p.Trail) || p.Trail != f.s.window.Trail() || p.Path != f.cfg.Path {
			f.t.Fatalf("an SPM of [%d,%d], last sent %d, path %v", p.Trail, p.Lead, f.lead, p.Path)
		}
		if p.Options.Set.Has(wire.OptFIN) && len(f.sent) != len(f.written) {
			f.t.Fatalf("FIN after %d of %d bytes", len(f.sent), len(f.written))
		}
	default:
		f.t.Fatalf("a source sent %v", p.Type)
	}
}

// data checks ODATA: the next number, with the next bytes, in the fragment it says.
func (f *sourceFuzz) data(p *wire.Packet) {
	if p.Sqn != f.next || f.lead.Add(1) != p.Sqn || p.Sqn.Less(p.Trail) {
		f.t.Fatalf("packet %d with trail %d after %d", p.Sqn, p.Trail, f.lead)
	}
	from, to := len(f.sent), len(f.sent)+len(p.Payload)
	if to > len(f.written) || !bytes.Equal(p.Payload, f.written[from:to]) || to == from {
		f.t.Fatalf("packet %d has other bytes than those written at %d", p.Sqn, from)
	}
	if p.Options.Set.Has(wire.OptFragment) {
		o := p.Options.Fragment
		begin := from - int(o.Offset)
		if !f.ends[begin] || !f.ends[begin+int(o.Length)] || (o.Offset == 0) != (o.First == p.Sqn) || to > begin+int(o.Length) {
			f.t.Fatalf("packet %d at %d says it is %+v", p.Sqn, from, o)
		}
	}
	f.sent = append(f.sent, p.Payload...)
	f.at[p.Sqn] = []int{from, len(p.Payload)}
	if f.parity != nil {
		d := window.Packet{Payload: f.sent[from:]}
		if p.Options.Set.Has(wire.OptFragment) {
			d.Fragment = window.Fragment(p.Options.Fragment)
		}
		f.parity.sent[p.Sqn] = d
	}
	f.lead = p.Sqn
	f.next++
}

// end finishes the session: all that was written leaves, and the engine comes to its end.
func (f *sourceFuzz) end() {
	f.s.Finish(f.now)
	began := f.now
	for i := 0; !f.s.Finished(); i++ {
		next := max(f.now, f.s.Deadline())
		if next == mono.Never || i > 400000 {
			f.t.Fatalf("no end by %v: deadline %v, %d unsent", f.now, next, f.s.unsent())
		}
		f.now = next
		f.rest()
	}
	if !f.s.end.reset && len(f.sent) != len(f.written) {
		f.t.Fatalf("ended after %d of %d bytes", len(f.sent), len(f.written))
	}
	// Everything at the rate, and Linger at most five times.
	most := 4*f.cfg.Rate.Duration(int64(2*len(f.written))+1<<20) + lingerMost*f.cfg.Linger + 10*time.Second
	if f.cfg.Rate != flow.Unlimited && f.now.Sub(began) > most {
		f.t.Fatalf("the end took %v, at most %v", f.now.Sub(began), most)
	}
	if f.s.Deadline() != mono.Never || f.s.Poll(f.now.Add(time.Hour), &f.tr) || f.s.Write(f.now, []byte("x")) != 0 {
		f.t.Fatal("goes on after its end")
	}
}

// sourceReplay is a capture as a program: what the source in it heard, while it writes.
func sourceReplay(name string) []byte {
	wait := waiting(sourceWaitShort, sourceWaitLong)
	return replay(name, []byte{2, 0, 0, 0}, wait, func(i int, d testvec.Datagram) []byte {
		if !wire.Type(d.Payload[4]).Upstream() {
			return append([]byte{sourceWrite}, u16(len(d.Payload))...)
		}
		b := append(append([]byte{sourceCaptured}, u16(i)...), 0)
		return append(b, byte(i))
	})
}
