package carousel

import (
	"testing"

	"github.com/rmcast/rmcast/fec"
	"pgregory.net/rapid"
)

// Blocks follow one another without a gap, their sizes differ by one symbol at most, none is larger than allowed, there are as few as can
// be, and a turn has each symbol once.
func TestPartition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := 64 * rapid.IntRange(1, 4).Draw(t, "symbolBytes/64")
		most := rapid.IntRange(1, 50).Draw(t, "blockSymbols")
		bytes := rapid.Int64Range(0, 20000).Draw(t, "bytes")
		p := newPartition(bytes, size, most)
		if want := (bytes + int64(size) - 1) / int64(size); p.symbols != want || (want+int64(most)-1)/int64(most) != int64(p.blocks) {
			t.Fatalf("%d symbols in %d blocks, want %d symbols", p.symbols, p.blocks, want)
		}
		at, first := int64(0), int64(0)
		for b := range p.blocks {
			k := p.k(b)
			if k < 1 || k > most || k > p.k(0) || k < p.k(0)-1 || p.first(b) != first {
				t.Fatalf("block %d has %d symbols from %d on, want those from %d on", b, k, p.first(b), first)
			}
			off, n := p.span(b, 0, k)
			if off != at || n != p.blockBytes(b) || n <= int64(k-1)*int64(size) || n > int64(k)*int64(size) {
				t.Fatalf("block %d: %d bytes from %d on, want from %d on", b, n, off, at)
			}
			at, first = at+n, first+int64(k)
		}
		if at != bytes || first != p.symbols {
			t.Fatalf("the blocks have %d bytes, %d symbols", at, first)
		}
		seen := map[[2]int]bool{}
		last := -1
		for i := range p.symbols {
			b, row := p.at(i)
			if b < 0 || b >= p.blocks || row < 0 || row >= p.k(b) || seen[[2]int{b, row}] || row < last {
				t.Fatalf("packet %d of the turn is symbol %d of block %d", i, row, b)
			}
			seen[[2]int{b, row}] = true
			last = row
		}
	})
}

// Sizes that nobody has, but that somebody may claim within the limits of a careless user, do not overflow.
func TestPartitionLarge(t *testing.T) {
	p := newPartition(1<<62+1, 65472, fec.MaxBulk)
	off, n := p.span(p.blocks-1, p.k(p.blocks-1)-1, 1)
	if off+n != 1<<62+1 || n < 1 || n > 65472 {
		t.Errorf("the last symbol has %d bytes at %d", n, off)
	}
}

// A turn sends each data symbol once wherever it begins, the next one each parity symbol once, then the data again.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPartition(rapid.Int64Range(1, 5000).Draw(t, "bytes"), 64, rapid.IntRange(1, 30).Draw(t, "blockSymbols"))
		parity := rapid.Bool().Draw(t, "parity first")
		whole := rapid.Bool().Draw(t, "block by block")
		o := newOrder(p, rapid.Int64Range(0, p.symbols-1).Draw(t, "start"), parity, whole)
		for turn := range 4 {
			seen := map[[2]int]bool{}
			before, changes := -1, 0
			for range p.symbols {
				if o.turn != turn {
					t.Fatalf("turn %d, want %d", o.turn, turn)
				}
				b, s := o.take()
				if k := p.k(b); s < 0 || s >= 2*k || (s >= k) != (parity != (turn%2 == 1)) || seen[[2]int{b, s}] {
					t.Fatalf("turn %d: symbol %d of block %d", turn, s, b)
				}
				seen[[2]int{b, s}] = true
				if b != before {
					before = b
					changes++
				}
			}
			if whole && changes != p.blocks {
				t.Fatalf("turn %d: %d changes from block to block, of %d", turn, changes, p.blocks)
			}
		}
	})
}

// Over any run each gets its part, to within one packet for each object, and who has left gets nothing.
func TestShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(1, 20), 1, 6).Draw(t, "weights")
		var s shares
		total := 0
		for _, w := range weights {
			s.add(w)
			total += w
		}
		got := make([]int, len(weights))
		for n := 1; n <= 400; n++ {
			got[s.take()]++
			for i, w := range weights {
				if want := float64(n*w) / float64(total); float64(got[i]) < want-float64(len(weights)) || float64(got[i]) > want+float64(len(weights)) {
					t.Fatalf("after %d packets object %d of weight %d of %d has %d", n, i, w, total, got[i])
				}
			}
		}
		for i := range weights {
			s.leave(i)
			for range 50 {
				if who := s.take(); who <= i && who >= 0 || (who < 0) != (i == len(weights)-1) {
					t.Fatalf("object %d sends after %d left", who, i)
				}
			}
		}
	})
}

func TestBitmap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(t, "n")
		in := rapid.SliceOf(rapid.IntRange(0, n-1)).Draw(t, "in")
		b, model := newBitmap(n), map[int]bool{}
		for _, i := range in {
			b.set(i)
			model[i] = true
		}
		if b.count() != len(model) {
			t.Fatalf("count %d, want %d", b.count(), len(model))
		}
		next, ok := b.next(0)
		for i := range n {
			if b.has(i) != model[i] || model[i] != (ok && next == i) {
				t.Fatalf("has(%d) = %v, next %d, want %v", i, b.has(i), next, model[i])
			}
			if model[i] {
				next, ok = b.next(i + 1)
			}
		}
		if ok {
			t.Fatalf("next %d after the last", next)
		}
	})
}

// The two ways to number an object's symbols are each a bijection.
func TestPartitionPlaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPartition(rapid.Int64Range(1, 5000).Draw(t, "bytes"), 64, rapid.IntRange(1, 30).Draw(t, "blockSymbols"))
		for i := range p.symbols {
			if b, s := p.in(i); b < 0 || b >= p.blocks || s < 0 || s >= p.k(b) || p.first(b)+int64(s) != i {
				t.Fatalf("symbol %d is %d of block %d", i, s, b)
			}
		}
	})
}
