package fuzz

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/internal/testvec"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

var writeCorpus = flag.Bool("corpus", false, "write the seeds that TestCorpus checks to testdata/fuzz")

var (
	group4 = netip.MustParseAddr("239.192.0.9")
	group6 = netip.MustParseAddr("ff08::9")
)

// A recording is the fuzzer's input of FuzzDatagrams: runs of datagrams, each preceded by ten bytes.
//
//	wait16 (100 µs) | from8 | reads5 of 8, 0x20: mend the checksums | segment16 | bytes16 | application16
const runHead = 10

func appendRun(b []byte, wait time.Duration, from, reads byte, segment int, run []byte) []byte {
	ticks := min(wait/(100*time.Microsecond), 0xffff)
	b = append(b, byte(ticks>>8), byte(ticks), from, reads, byte(segment>>8), byte(segment), byte(len(run)>>8), byte(len(run)), 5, 0xab)
	return append(b, run...)
}

// recordings are the captures as inputs, but for the long ones.
func recordings() map[string][]byte {
	found := map[string][]byte{}
	for _, c := range testvec.Captures() {
		b := []byte{0}
		if c.Datagrams[0].From.Addr().Is6() {
			b[0] = 1
		}
		at := time.Duration(0)
		for i := 0; i < len(c.Datagrams); {
			d := c.Datagrams[i]
			run := bytes.Clone(d.Payload)
			n := 1
			for i+n < len(c.Datagrams) && c.Datagrams[i+n].From == d.From && len(c.Datagrams[i+n].Payload) == len(d.Payload) && c.Datagrams[i+n].At-d.At < time.Millisecond {
				run = append(run, c.Datagrams[i+n].Payload...)
				n++
			}
			from := d.From.Addr().AsSlice()
			b = appendRun(b, d.At-at, from[len(from)-1], 0x20|byte(i%3), len(d.Payload), run)
			at = d.At
			i += n
		}
		if len(b) < 4500 && c.Name != "14-zeromq-epgm" { // which has another port
			found[c.Name] = b
		}
	}
	return found
}

// The seeds are the captures, and every one but that of a source that dies delivers something.
func TestCorpus(t *testing.T) {
	entries, pcaps := map[string][]byte{}, map[string][]byte{}
	for name, b := range recordings() {
		entries[name] = testvec.CorpusEntry(b)
		if got := play(t, b); len(got) == 0 && name != "07-fec-proactive-source-dies" {
			t.Errorf("%s delivers nothing", name)
		}
	}
	pcaps["short"] = testvec.CorpusEntry(aPcap())
	for target, entries := range map[string]map[string][]byte{"FuzzDatagrams": entries, "FuzzPcap": pcaps} {
		if err := testvec.Corpus(target, entries, *writeCorpus); err != nil {
			t.Error(err)
		}
	}
}

// FuzzDatagrams takes bytes all the way from the socket to the application, twice: as transport does it, with Packets that are
// decoded into again and again and a whole batch handled at once; and with one new Packet each, after every one of which the engine
// may work. Both must deliver the same.
func FuzzDatagrams(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<15 {
			return
		}
		play(t, b)
	})
}

// end is a receiving end with its application.
type end struct {
	ps      *session.Peers
	open    []*session.Receiver
	heard   bytes.Buffer // what the application was told
	tr      session.Transmit
	packets [32]wire.Packet
	buf     []byte
}

func newEnd(config byte) *end {
	room, err := wire.NewRoom(1500, true, false)
	if err != nil {
		panic(err)
	}
	cfg := session.PeersConfig{
		DestinationPort: 7501, Group: group4, UDPPort: 7500, HopLimit: 1, MaxWindow: 256, WindowBytes: 1 << 20, MaxMessage: 1 << 16,
		MaxSources: 4, Backlog: 4, RepairTimeout: 10 * time.Second,
	}
	if config&1 != 0 {
		cfg.Group = group6
	}
	cfg.Join = session.Join(config >> 1 & 3 % 3)
	cfg.Unordered = config&8 != 0
	if config&16 != 0 {
		cfg.MaxDelay = 5 * time.Millisecond
	}
	return &end{ps: session.NewPeers(0, cfg, rand.New(rand.NewPCG(1, 1))), tr: session.Transmit{B: make([]byte, 0, session.RunBytes)}, buf: make([]byte, room.TPDU())}
}

// handleBatch handles the datagrams of d as transport does.
func (e *end) handleBatch(now mono.Time, d *dgram.Datagrams) {
	n := 0
	for b := d.B; len(b) > 0; {
		one := b[:min(len(b), d.Segment)]
		b = b[len(one):]
		if e.packets[n].Decode(one) == nil {
			n++
		}
		if n == len(e.packets) || len(b) == 0 {
			for i := range n {
				e.ps.Handle(now, session.Meta{From: d.From.Addr(), Multicast: d.Multicast}, &e.packets[i])
			}
			n = 0
		}
	}
}

// handleSingly handles them one after the other.
func (e *end) handleSingly(t *testing.T, now mono.Time, d *dgram.Datagrams) {
	for b := d.B; len(b) > 0; {
		one := b[:min(len(b), d.Segment)]
		b = b[len(one):]
		var p wire.Packet
		if p.Decode(bytes.Clone(one)) == nil {
			e.ps.Handle(now, session.Meta{From: d.From.Addr(), Multicast: d.Multicast}, &p)
			e.work(t, now)
		}
	}
}

// work lets the engine do what is due; what it sends must decode.
func (e *end) work(t *testing.T, now mono.Time) {
	for n := 0; ; n++ {
		e.ps.Advance(now)
		if !e.ps.Poll(now, &e.tr) {
			break
		}
		var p wire.Packet
		if err := p.Decode(e.tr.B); err != nil || n > 5000 {
			t.Fatalf("packet %d at %v: %x: %v", n, now, e.tr.B, err)
		}
	}
	if e.ps.Deadline() <= now {
		t.Fatalf("at rest at %v with the deadline %v", now, e.ps.Deadline())
	}
}

// read has the application accept what there is and read up to n times of each.
func (e *end) read(now mono.Time, n, size int) {
	for r := e.ps.Accept(); r != nil; r = e.ps.Accept() {
		e.open = append(e.open, r)
		fmt.Fprintln(&e.heard, "accepted", r.TSI(), r.Addr())
	}
	for i, r := range e.open {
		for range n {
			k, err := r.Read(now, e.buf[:size])
			fmt.Fprintf(&e.heard, "%d: %x %v\n", i, e.buf[:k], err)
			if err != nil && !errors.As(err, new(*session.LossError)) {
				break
			}
		}
	}
}

// mend makes the checksums of all datagrams right.
func mend(d *dgram.Datagrams) {
	for b := d.B; len(b) >= wire.HeadCommon; {
		one := b[:min(len(b), d.Segment)]
		b = b[len(one):]
		if len(one) < wire.HeadCommon {
			return
		}
		one[6], one[7] = 0, 0
		sum := ^wire.Sum(one)
		if sum == 0 {
			sum = 0xffff
		}
		one[6], one[7] = byte(sum>>8), byte(sum)
	}
}

// play runs a recording at both ends and returns what the application heard.
func play(t *testing.T, b []byte) string {
	if len(b) == 0 {
		return ""
	}
	one, other := newEnd(b[0]), newEnd(b[0])
	now := mono.Time(0)
	for b = b[1:]; len(b) >= runHead; {
		word := func(i int) int { return int(b[i])<<8 | int(b[i+1]) }
		wait, from, how, reads, segment, size, read := word(0), b[2], b[3], int(b[3]%32), word(4), word(6), word(8)
		b = b[runHead:]
		size = min(size, len(b))
		d := &dgram.Datagrams{B: bytes.Clone(b[:size]), Segment: max(segment, 1), Multicast: from&0x80 == 0}
		b = b[size:]
		if d.Segment < wire.HeadCommon {
			d.Segment = max(size, 1)
		}
		if how&0x20 != 0 {
			mend(d)
		}
		ip := netip.AddrFrom4([4]byte{10, 77, 0, from & 7})
		if from&0x40 != 0 {
			ip = netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: from & 7}).WithZone("eth0")
		}
		d.From = netip.AddrPortFrom(ip, 7500)
		now = now.Add(time.Duration(wait) * 100 * time.Microsecond)
		one.work(t, now)
		other.work(t, now)
		one.handleBatch(now, d)
		one.work(t, now)
		other.handleSingly(t, now, d)
		one.read(now, reads, 1+read%len(one.buf))
		other.read(now, reads, 1+read%len(one.buf))
		if one.heard.String() != other.heard.String() {
			t.Fatalf("at %v, with %d datagrams of %d bytes from %v:\nin a batch\n%s\none by one\n%s", now, (size+d.Segment-1)/d.Segment, d.Segment, d.From, one.heard.String(), other.heard.String())
		}
	}
	now = now.Add(time.Hour)
	for _, e := range []*end{one, other} {
		e.work(t, now)
		e.read(now, 500, len(e.buf)) // a source that claimed to be far on is told lost a window at a time
	}
	if one.heard.String() != other.heard.String() {
		t.Fatalf("at the end\nin batches\n%s\none by one\n%s", one.heard.String(), other.heard.String())
	}
	return one.heard.String()
}
