package session

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// asked lets ps work until an instant and returns the numbers its NAKs named by then, ascending, each as often as it was named.
func asked(t *testing.T, ps *Peers, until mono.Time) (nums []seq.Num) {
	t.Helper()
	tr := Transmit{B: make([]byte, 0, RunBytes)}
	for range 10000 {
		now := ps.Deadline()
		if now > until {
			slices.SortFunc(nums, func(a, b seq.Num) int { return a.Sub(b) })
			return nums
		}
		for ps.Advance(now); ps.Poll(now, &tr); ps.Advance(now) {
			var p wire.Packet
			if err := p.Decode(tr.B); err != nil {
				t.Fatal(err)
			}
			if p.Type == wire.TypeNAK {
				nums = p.Numbers(nums)
			}
		}
	}
	t.Fatalf("receivers are still busy at %v", ps.Deadline())
	return nil
}

// TXW_TRAIL itself is in the source's window: a number is lost when the trail has passed it, not when it has come to it.
func TestNumberAtTheTrail(t *testing.T) {
	for _, first := range []seq.Num{0, 1000, seq.Num(0).Add(-4), seq.Num(0).Add(-3)} {
		n := func(i int) seq.Num { return first.Add(i) }
		ps := forgedPeers(func(c *PeersConfig) { c.NAKBackoff, c.NAKRepeat = time.Millisecond, 20*time.Millisecond })
		ps.Handle(0, forgedMeta, forgedSPM(0, first, n(-1)))
		for i := range 3 {
			ps.Handle(0, forgedMeta, forgedData(n(i), first, []byte{byte(i)}))
		}
		r := ps.Accept()
		for i := 4; i < 8; i++ { // 3 is missing, and the lowest that the source holds
			ps.Handle(1, forgedMeta, forgedData(n(i), n(3), []byte{byte(i)}))
		}
		ps.Handle(1, forgedMeta, forgedSPM(1, n(3), n(7)))
		if got, want := asked(t, ps, mono.Time(10*time.Millisecond)), []seq.Num{n(3)}; !slices.Equal(got, want) {
			t.Errorf("first %d: asked for %d, want %d", first, got, want)
		}
		now := mono.Time(10 * time.Millisecond)
		repair := forgedData(n(3), n(3), []byte{3})
		repair.Type = wire.TypeRDATA
		ps.Handle(now, forgedMeta, repair)
		b := make([]byte, 20)
		if got, err := r.Read(now, b); err != nil || string(b[:got]) != "\x00\x01\x02\x03\x04\x05\x06\x07" {
			t.Errorf("first %d: read %x, %v, want 0 to 7", first, b[:got], err)
		}

		// 8 and 9 are missing; the trail passes one of them.
		ps.Handle(now, forgedMeta, forgedData(n(10), n(9), []byte{10}))
		var loss *LossError
		if got, err := r.Read(now, b); !errors.As(err, &loss) || loss.Lost != (seq.Range{From: n(8), To: n(9)}) || loss.Reason != LossTrail {
			t.Errorf("first %d: read %x, %v, want the loss of %d alone", first, b[:got], err, n(8))
		}
		if got, want := asked(t, ps, now.Add(10*time.Millisecond)), []seq.Num{n(9)}; !slices.Equal(got, want) {
			t.Errorf("first %d: asked for %d, want %d", first, got, want)
		}
	}
}
