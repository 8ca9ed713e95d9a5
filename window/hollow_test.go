package window

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/rmcast/rmcast/seq"
)

// A hollow window does what one with payloads does, but for the bytes; a clone goes on as the original would have, and neither
// sees what becomes of the other.
func TestHollowAndClone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const slots = 64
		first := seq.Num(rapid.Uint32().Draw(t, "first"))
		full, hollow := NewReceive(slots, 1<<20), NewHollow(slots)
		full.Start(first)
		hollow.Start(first)
		keep := rapid.SampledFrom(groupSizes).Draw(t, "keep")
		full.Keep(keep)
		hollow.Keep(keep)
		payload := func(n seq.Num) []byte { return bytes.Repeat([]byte{byte(n) | 1}, int(uint32(n)%50)) }
		same := func(a, b *Receive, bytesToo bool) {
			if a.Next() != b.Next() || a.Run() != b.Run() || a.End() != b.End() || a.Missing() != b.Missing() || a.Held() != b.Held() ||
				a.Bytes() != b.Bytes() {
				t.Fatalf("windows differ: [%d %d %d] and [%d %d %d]", a.Next(), a.Run(), a.End(), b.Next(), b.Run(), b.End())
			}
			for n := a.Next() - MaxKeep; n != a.End(); n++ {
				p, ok := a.Kept(n)
				q, also := b.Kept(n)
				if a.State(n) != b.State(n) || ok != also || len(p.Payload) != len(q.Payload) || p.Fragment != q.Fragment {
					t.Fatalf("%d: %v with %d bytes and %v with %d", n, a.State(n), len(p.Payload), b.State(n), len(q.Payload))
				}
				if ok && bytesToo && !bytes.Equal(p.Payload, payload(n)) {
					t.Fatalf("%d has other bytes than were inserted", n)
				}
			}
		}
		step := func(w ...*Receive) {
			at := w[0].Next().Add(rapid.IntRange(-2, slots+2).Draw(t, "at"))
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1:
				want, gap := w[0].Insert(at, payload(at), Fragment{})
				for _, x := range w[1:] {
					if got, g := x.Insert(at, payload(at), Fragment{}); got != want || g != gap {
						t.Fatalf("%d: %v %v, want %v %v", at, got, g, want, gap)
					}
				}
			case 2:
				for i := range w {
					w[i].Extend(at)
				}
			case 3:
				for i := range w {
					w[i].Lose(seq.Range{From: w[0].Next(), To: at})
				}
			case 4:
				if rapid.Bool().Draw(t, "in order") {
					at = w[0].Next()
				}
				for i := range w {
					if s := w[i].State(at); s == Have || s == Lost {
						w[i].Release(at)
						w[i].check()
					}
				}
			}
		}
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			step(full, hollow)
			same(full, hollow, false)
			same(full, full, true)
		}
		copied, twin := full.Clone(), full.Clone()
		for range rapid.IntRange(0, 100).Draw(t, "steps of the clone") {
			step(copied)
		}
		same(full, twin, true) // whatever the other did
		same(hollow, hollow.Clone(), false)
		if alike := hollow.EmptyAlike(hollow.Clone()); alike != (hollow.Held() == 0 && hollow.Next() == hollow.End()) {
			t.Fatalf("a window and its clone are empty alike: %v", alike)
		}
		if hollow.Memory() != 0 {
			t.Fatalf("a hollow window holds %d bytes", hollow.Memory())
		}
	})
}
