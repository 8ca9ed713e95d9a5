package session

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// TestFragments: messages of any length, in packets of any network, that arrive in any order, twice or never: those of which every
// packet came are delivered as they were written, each once; all numbers of the others, and no more, are told lost.
func TestFragments(t *testing.T) { rapid.Check(t, fragments) }

// FuzzFragments lets the fuzzer choose the lengths and the order.
func FuzzFragments(f *testing.F) { f.Fuzz(rapid.MakeFuzz(fragments)) }

func fragments(t *rapid.T) {
	ipv6 := rapid.Bool().Draw(t, "IPv6")
	room, err := wire.NewRoom(rapid.SampledFrom([]int{1280, 1500, 9000}).Draw(t, "MTU"), ipv6, rapid.Bool().Draw(t, "raw"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := testSourceConfig(forgedMeta.From)
	cfg.Room, cfg.Rate, cfg.Slots = room, flow.Unlimited, 1024
	cfg.First = seq.Num(0).Add(rapid.IntRange(-30, 3).Draw(t, "first"))
	s := NewSource(0, cfg)
	part := rapid.SampledFrom([]int{1, room.Fragment(), room.Message(), room.Stream(), room.Message() - wire.FragmentBytes})
	size := rapid.Custom(func(t *rapid.T) int {
		n := rapid.SampledFrom([]int{1, 1, 2, 3, 15, 16, 17}).Draw(t, "parts")*part.Draw(t, "part") + rapid.IntRange(-2, 2).Draw(t, "and")
		return max(n, 1)
	})
	var messages [][]byte
	longest := 0
	var spans []seq.Range // of each message's packets
	for i, n := range rapid.SliceOfN(size, 1, 8).Draw(t, "sizes") {
		m := pattern(uint64(i), n)
		m[0] = byte(i) // short ones differ, too
		longest = max(longest, n)
		from := s.window.End()
		if !s.WriteMessage(0, m) {
			t.Fatalf("a message of %d bytes was not taken", n)
		}
		messages, spans = append(messages, m), append(spans, seq.Range{From: from, To: s.window.End()})
	}
	first, packets := poll(t, s, 0)
	last, _ := poll(t, s, mono.Time(2*time.Second)) // tells the lead

	unordered := rapid.Bool().Draw(t, "unordered")
	ps := forgedPeers(func(c *PeersConfig) {
		c.Unordered, c.RepairTimeout = unordered, 100*time.Millisecond
		c.MaxMessage = longest
	})
	ps.Handle(0, forgedMeta, first)
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 1))
	loss := rapid.SampledFrom([]float64{0, 0, 0.1, 0.5}).Draw(t, "loss")
	came := map[seq.Num]bool{}
	if rapid.Bool().Draw(t, "shuffled") {
		rng.Shuffle(len(packets), func(i, j int) { packets[i], packets[j] = packets[j], packets[i] })
	}
	for _, p := range packets {
		for range rng.IntN(3) { // none, one, two
			ps.Handle(0, forgedMeta, p)
			came[p.Sqn] = true
		}
		if !came[p.Sqn] && rng.Float64() >= loss {
			ps.Handle(0, forgedMeta, p)
			came[p.Sqn] = true
		}
	}
	ps.Handle(0, forgedMeta, last)
	r := ps.Accept()
	if r == nil {
		t.Fatal("not accepted")
	}
	now := mono.Time(time.Second)
	ps.Advance(now) // everything that is missing is given up
	var want []int
	for i, span := range spans {
		whole := true
		for n := span.From; n != span.To; n++ {
			whole = whole && came[n]
		}
		if whole {
			want = append(want, i)
		}
	}
	got, lost := deliver(t, r, now, messages)
	if unordered {
		slices.Sort(got)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("messages %v were delivered, %v came whole, of %v", got, want, spans)
	}
	for i, span := range spans {
		for n := span.From; n != span.To; n++ {
			if told := lost[n]; !unordered && told == slices.Contains(want, i) {
				t.Fatalf("%d of message %d, %v: told lost %v; delivered are %v", n, i, span, told, want)
			}
		}
	}
}

// poll takes what the source sends at now: the first SPM, and all ODATA.
func poll(t *rapid.T, s *Source, now mono.Time) (spm *wire.Packet, data []*wire.Packet) {
	tr := Transmit{B: make([]byte, 0, RunBytes)}
	for s.Advance(now); s.Poll(now, &tr); {
		for b := bytes.Clone(tr.B); len(b) > 0; b = b[min(tr.Segment, len(b)):] {
			p := new(wire.Packet)
			if err := p.Decode(b[:min(tr.Segment, len(b))]); err != nil {
				t.Fatal(err)
			}
			if p.Type == wire.TypeODATA {
				data = append(data, p)
			} else if spm == nil {
				spm = p
			}
		}
	}
	return spm, data
}

// deliver reads all there is: which messages, and which numbers are told lost.
func deliver(t *rapid.T, r *Receiver, now mono.Time, messages [][]byte) (got []int, lost map[seq.Num]bool) {
	lost = map[seq.Num]bool{}
	b := make([]byte, 1<<18)
	for {
		n, err := r.ReadMessage(now, b)
		var loss *LossError
		switch {
		case err == nil:
			i := slices.IndexFunc(messages, func(m []byte) bool { return bytes.Equal(m, b[:n]) })
			if i < 0 || slices.Contains(got, i) {
				t.Fatalf("a message of %d bytes that was not written, or twice: %d after %v", n, i, got)
			}
			got = append(got, i)
		case errors.As(err, &loss):
			for n := loss.Lost.From; n != loss.Lost.To; n++ {
				if lost[n] {
					t.Fatalf("%d is told lost twice", n)
				}
				lost[n] = true
			}
		case errors.Is(err, ErrWouldBlock):
			return got, lost
		default:
			t.Fatal(err)
		}
	}
}
