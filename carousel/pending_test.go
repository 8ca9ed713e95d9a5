package carousel

import (
	"testing"

	"pgregory.net/rapid"
)

// However symbols come, once all is written exactly they are on disk, each right; and never more than a bounded number waits.
func TestPending(t *testing.T) {
	o := object(t, "file", append(random(1, 20_000), make([]byte, 20_000)...), small)
	rapid.Check(t, func(r *rapid.T) {
		in := newInbox(t, t.TempDir(), InboxConfig{})
		defer in.Close()
		f := newFeed(t, SendConfig{Seed: 1}, o)
		for in.objects[o.root.ID()] == nil || in.objects[o.root.ID()].man == nil {
			in.Handle(f.next())
		}
		of := in.objects[o.root.ID()]
		s, size := of.stage, o.part.symbolBytes
		if rapid.Bool().Draw(r, "few batches") {
			s.pending.count = 2
		}
		have := make([]bitmap, o.part.blocks)
		for b := range have {
			var err error
			if have[b], _, err = s.held(b); err != nil {
				t.Fatal(err)
			}
			if have[b] == nil {
				have[b] = newBitmap(2 * o.part.k(b))
			}
		}
		clean := make([]bool, o.part.blocks)
		for b := range clean {
			clean[b] = rapid.Bool().Draw(r, "clean")
		}
		payload := make([]byte, size)
		block, symbol := 0, 0
		for range rapid.IntRange(1, 300).Draw(r, "puts") {
			switch rapid.IntRange(0, 9).Draw(r, "next") {
			case 0:
				block = rapid.IntRange(0, o.part.blocks-1).Draw(r, "block")
				symbol = rapid.IntRange(0, 2*o.part.k(block)-1).Draw(r, "symbol")
			case 1:
				symbol -= rapid.IntRange(0, 5).Draw(r, "back")
			case 2:
				symbol += rapid.IntRange(2, 5).Draw(r, "on")
			case 3:
				if err := s.flush(block); err != nil {
					t.Fatal(err)
				}
			default:
				symbol++
			}
			k := o.part.k(block)
			symbol = (symbol + 2*k) % (2 * k)
			if have[block].has(symbol) {
				continue
			}
			var err error
			if symbol < k {
				err = o.readData(block, symbol, 1, payload)
			} else {
				err = o.parity.read(block, symbol-k, 1, payload)
			}
			if err == nil {
				err = s.put(block, symbol, payload, mark(o.root.ID(), block, symbol, payload), clean[block], have[block])
			}
			if err != nil {
				t.Fatal(err)
			}
			have[block].set(symbol)
			if n := unwritten(in); n > uint64(s.pending.count*s.pending.rows) {
				r.Fatalf("%d symbols wait", n)
			}
		}
		if err := s.flushAll(); err != nil {
			t.Fatal(err)
		}
		if n := unwritten(in); n > 0 {
			r.Fatalf("%d symbols wait", n)
		}
		for b := range have {
			got, n, err := s.held(b)
			if err != nil {
				t.Fatal(err)
			}
			if want := have[b].count(); n != want {
				r.Fatalf("block %d: %d symbols are there, want %d", b, n, want)
			}
			for i := range 2 * o.part.k(b) {
				if n > 0 && got.has(i) != have[b].has(i) {
					r.Fatalf("block %d: symbol %d: %v", b, i, got.has(i))
				}
			}
		}
	})
}
