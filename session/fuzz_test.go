package session

import (
	"encoding/binary"
	"errors"
	"flag"
	"slices"
	"testing"
	"time"

	"github.com/rmcast/rmcast/internal/testvec"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

var writeCorpus = flag.Bool("corpus", false, "write the seeds that TestCorpus checks to testdata/fuzz")

// program is the fuzzer's input read as a list of steps: every byte string is one, and at its end there are zeros.
type program struct{ b []byte }

func (p *program) more() bool { return len(p.b) > 0 }

func (p *program) u8() byte {
	if len(p.b) == 0 {
		return 0
	}
	x := p.b[0]
	p.b = p.b[1:]
	return x
}

func (p *program) u16() int    { return int(p.u8())<<8 | int(p.u8()) }
func (p *program) u32() uint32 { return uint32(p.u16())<<16 | uint32(p.u16()) }
func (p *program) bit() bool   { return p.u8()&1 != 0 }

// near is -128 to 127.
func (p *program) near() int { return int(int8(p.u8())) }

func (p *program) bytes(n int) []byte {
	n = min(n, len(p.b))
	x := p.b[:n]
	p.b = p.b[n:]
	return x
}

// pick returns one of the values.
func pick[T any](p *program, of ...T) T { return of[int(p.u8())%len(of)] }

// captured are the different packets of the captures, in order.
var captured = func() (packets [][]byte) {
	seen := map[string]bool{}
	for _, c := range testvec.Captures() {
		for _, d := range c.Datagrams {
			if !seen[string(d.Payload)] {
				seen[string(d.Payload)] = true
				packets = append(packets, d.Payload)
			}
		}
	}
	return packets
}()

// replay is the program that has the packets of a capture handled one after the other, each by the step that step gives for its
// index in captured, with the time between them.
func replay(name string, start []byte, wait func(time.Duration) []byte, step func(index int, d testvec.Datagram) []byte) []byte {
	b := slices.Clone(start)
	at := time.Duration(0)
	for _, d := range testvec.Load(name) {
		i := slices.IndexFunc(captured, func(p []byte) bool { return string(p) == string(d.Payload) })
		b = append(b, wait(d.At-at)...)
		b = append(b, step(i, d)...)
		at = d.At
	}
	return b
}

// The seeds of the corpora are the captures as programs. Each of those for Peers leads to what the receiver in it had: the test
// would say if a change of the steps made them meaningless.
func TestCorpus(t *testing.T) {
	peers, source := map[string][]byte{}, map[string][]byte{}
	delivered := 0
	for _, c := range testvec.Captures() {
		b := peersReplay(c.Name)
		f := runPeers(t, b)
		delivered += f.messages
		if f.ps.accepted == 0 && c.Name != "07-fec-proactive-source-dies" {
			t.Errorf("%s: no source was accepted", c.Name)
		}
		peers[c.Name] = testvec.CorpusEntry(b)
		b = sourceReplay(c.Name)
		runSource(t, b)
		source[c.Name] = testvec.CorpusEntry(b)
	}
	if delivered < 100 {
		t.Errorf("the captures deliver %d messages", delivered)
	}
	for target, entries := range map[string]map[string][]byte{"FuzzPeers": peers, "FuzzSource": source} {
		if err := testvec.Corpus(target, entries, *writeCorpus); err != nil {
			t.Error(err)
		}
	}
}

// waiting encodes d as the steps small (100 µs each) and large (10 ms each), up to 255 of either.
func waiting(small, large byte) func(time.Duration) []byte {
	return func(d time.Duration) (b []byte) {
		if n := min(d/(10*time.Millisecond), 255); n > 0 {
			b = append(b, large, byte(n))
		}
		if n := d % (10 * time.Millisecond) / (100 * time.Microsecond); n > 0 {
			b = append(b, small, byte(n))
		}
		return b
	}
}

// polled splits what an engine gave into packets, each of which must decode.
func polled(t testing.TB, tr *Transmit, each func(*wire.Packet, []byte)) {
	t.Helper()
	if tr.Segment <= 0 || len(tr.B) == 0 || len(tr.B) > RunBytes {
		t.Fatalf("a run of %d bytes in segments of %d", len(tr.B), tr.Segment)
	}
	for b := tr.B; len(b) > 0; {
		one := b[:min(tr.Segment, len(b))]
		b = b[len(one):]
		var p wire.Packet
		if err := p.Decode(one); err != nil {
			t.Fatalf("polled %x: %v", one, err)
		}
		each(&p, one)
	}
}

// ascending fails unless a NAK or NCF has ascending numbers, each once, and returns them.
func ascending(t testing.TB, p *wire.Packet) []seq.Num {
	t.Helper()
	nums := p.Numbers(nil)
	for i := 1; i < len(nums); i++ {
		if !nums[i-1].Less(nums[i]) {
			t.Fatalf("%v with numbers %v", p.Type, nums)
		}
	}
	return nums
}

// spoiled returns captured packet i with some bytes changed by the program, its checksum right.
func spoiled(p *program, i int) []byte {
	b := slices.Clone(captured[i%len(captured)])
	for range p.u8() % 4 {
		b[p.u16()%len(b)] ^= p.u8()
	}
	mend(b)
	return b
}

// isEnd reports whether err is an end of a session.
func isEnd(err error) bool {
	var reset *ResetError
	return errors.Is(err, errEOF) || errors.Is(err, ErrSourceLost) || errors.As(err, &reset)
}

// elapse returns the instant after a step of waiting; a step to the deadline goes at least 1 ns on.
func elapse(now, deadline mono.Time, d time.Duration) mono.Time {
	if d < 0 {
		return max(now+1, min(deadline, now.Add(time.Minute)))
	}
	return now.Add(d)
}

func u16(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

// numbersFrom draws up to 63 numbers from at on, as a NAK or NCF has them; a forged one need not be ascending.
func numbersFrom(p *program, at seq.Num) []seq.Num {
	nums := []seq.Num{at}
	step := 1 + int(p.u8())%4
	if p.u8()%32 == 0 {
		step = p.near()
	}
	for range int(p.u8()) % 63 {
		at = at.Add(step)
		nums = append(nums, at)
	}
	return nums
}
