package fec

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/klauspost/reedsolomon"
	"pgregory.net/rapid"
)

// bulkBlock returns a block's code, data and parity.
func bulkBlock(t testing.TB, k, size int, seed uint64) (b *Bulk, data, parity []byte) {
	t.Helper()
	b, err := NewBulk(k, size)
	if err != nil {
		t.Fatal(err)
	}
	data, parity = make([]byte, k*size), make([]byte, k*size)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(data)
	b.Encode(data, parity)
	return b, data, parity
}

// erased returns k symbols of a block, laid out as Reconstruct wants them, of which missing are parity.
func erased(rng *rand.Rand, data, parity []byte, k, missing int) (symbols []byte, index []int) {
	size := len(data) / k
	symbols, index = bytes.Clone(data), make([]int, k)
	for i := range index {
		index[i] = i
	}
	sent := rng.Perm(k)
	for n, i := range rng.Perm(k)[:missing] {
		index[i] = k + sent[n]
		copy(symbols[i*size:(i+1)*size], parity[sent[n]*size:])
	}
	return symbols, index
}

// Any k of 2k symbols restore a block, whatever is missing, for each k from the least on and for sizes of one stripe and several.
func TestBulkAnyK(t *testing.T) {
	ks := []int{31, 32, 33, 100, 127, 128, 129, 255, 256, 257, 1000}
	for k := range 18 {
		ks = append(ks, k+1)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, k := range ks {
		b, data, parity := bulkBlock(t, k, 128, uint64(k))
		for range 40 {
			missing := rng.IntN(k + 1)
			symbols, index := erased(rng, data, parity, k, missing)
			if err := b.Reconstruct(symbols, index); err != nil || !bytes.Equal(symbols, data) {
				t.Fatalf("k %d, %d missing, index %v: %v, restored %v", k, missing, index, err, bytes.Equal(symbols, data))
			}
		}
	}
}

// The largest block at the packet's size, in stripes: with one symbol missing, with half, and from parity alone.
func TestBulkLargest(t *testing.T) {
	if testing.Short() {
		t.Skip("150 MB")
	}
	const k, size = MaxBulk, 1408
	b, data, parity := bulkBlock(t, k, size, 3)
	if b.stripe >= size {
		t.Fatalf("one stripe of %d bytes: this tests nothing", b.stripe)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for _, missing := range []int{1, k / 10, k / 2, k} {
		symbols, index := erased(rng, data, parity, k, missing)
		if err := b.Reconstruct(symbols, index); err != nil || !bytes.Equal(symbols, data) {
			t.Errorf("%d missing: %v, restored %v", missing, err, bytes.Equal(symbols, data))
		}
	}
}

// Stripes are the code's own: the same bytes come out as from all of a symbol at once.
func TestBulkStripes(t *testing.T) {
	const k, size = 300, 64 * 7
	b, data, parity := bulkBlock(t, k, size, 5)
	b.stripe = 64 * 3
	again := make([]byte, len(parity))
	b.Encode(data, again)
	if !bytes.Equal(again, parity) {
		t.Error("parity depends on the stripes")
	}
	oracle, err := reedsolomon.New(k, k, reedsolomon.WithLeopardGF16(true))
	if err != nil {
		t.Fatal(err)
	}
	shards := make([][]byte, 2*k)
	for i := range k {
		shards[i], shards[k+i] = data[i*size:(i+1)*size], make([]byte, size)
	}
	if err := oracle.Encode(shards); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.Join(shards[k:], nil), parity) {
		t.Error("parity is not that of the whole symbols")
	}
	rng := rand.New(rand.NewPCG(5, 6))
	symbols, index := erased(rng, data, parity, k, 77)
	if err := b.Reconstruct(symbols, index); err != nil || !bytes.Equal(symbols, data) {
		t.Errorf("%v, restored %v", err, bytes.Equal(symbols, data))
	}
}

func TestBulkRefuses(t *testing.T) {
	for _, c := range []struct{ k, size int }{{0, 64}, {-1, 64}, {MaxBulk + 1, 64}, {1, 0}, {1, 63}, {1, 1400}, {1, -64}} {
		if _, err := NewBulk(c.k, c.size); err == nil {
			t.Errorf("NewBulk(%d, %d): no error", c.k, c.size)
		}
	}
	b, data, _ := bulkBlock(t, 3, 64, 1)
	for _, index := range [][]int{nil, {0, 1}, {0, 1, 2, 3}, {1, 0, 2}, {0, 0, 2}, {3, 3, 2}, {0, 6, 2}, {0, -1, 2}, {0, 1, 1}} {
		symbols := bytes.Clone(data)
		if err := b.Reconstruct(symbols, index); !errors.Is(err, ErrBulkIndex) || !bytes.Equal(symbols, data) {
			t.Errorf("index %v: %v", index, err)
		}
	}
}

// Reconstruct takes exactly the indices that are k different symbols with the data at their places, and then restores.
func TestBulkProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(1, 40).Draw(t, "k")
		index := rapid.SliceOfN(rapid.IntRange(0, 2*k), k, k).Draw(t, "index")
		for i := range index { // most at their places, or else nearly nothing is taken
			if index[i] < k {
				index[i] = i
			}
		}
		b, err := NewBulk(k, 64)
		if err != nil {
			t.Fatal(err)
		}
		all := make([]byte, 2*k*64)
		rand.NewChaCha8([32]byte{byte(k)}).Read(all[:k*64])
		b.Encode(all[:k*64], all[k*64:])
		good := true
		seen := map[int]bool{}
		symbols := make([]byte, k*64)
		for i, n := range index {
			good = good && n < 2*k && !seen[n]
			seen[n] = true
			if n < 2*k {
				copy(symbols[i*64:(i+1)*64], all[n*64:])
			}
		}
		if err := b.Reconstruct(symbols, index); (err == nil) != good {
			t.Fatalf("%v, want success %v", err, good)
		}
		if good && !bytes.Equal(symbols, all[:k*64]) {
			t.Fatal("not restored")
		}
	})
}

// Parts do together what one does alone, each on its own columns, at the same time.
func TestBulkParts(t *testing.T) {
	for _, k := range []int{1, 100, 5000} {
		for n := 1; n < 7; n++ {
			const size = 5 * BulkMultiple
			_, data, want := bulkBlock(t, k, size, 3)
			parts, err := NewBulks(k, size, n)
			if err != nil || len(parts) != min(n, 5) {
				t.Fatalf("%d parts, %v, want %d", len(parts), err, min(n, 5))
			}
			parity := make([]byte, len(data))
			together(parts, func(p *Bulk) { p.Encode(data, parity) })
			if !bytes.Equal(parity, want) {
				t.Fatalf("k %d, %d parts: other parity", k, n)
			}
			symbols, index := erased(rand.New(rand.NewPCG(1, 2)), data, parity, k, (k+1)/2)
			together(parts, func(p *Bulk) {
				if err := p.Reconstruct(symbols, index); err != nil {
					t.Error(err)
				}
			})
			if !bytes.Equal(symbols, data) {
				t.Fatalf("k %d, %d parts: not restored", k, n)
			}
		}
	}
	for _, want := range []int{1, 2, 4} { // the stripes of all are no wider than one's
		parts, err := NewBulks(MaxBulk, 1408, want)
		if err != nil {
			t.Fatal(err)
		}
		work := 0
		for _, p := range parts {
			work += p.stripe * 2 * MaxBulk
		}
		if len(parts) != want || work > bulkWork {
			t.Errorf("%d parts with %d bytes to work with, want %d and %d", len(parts), work, want, bulkWork)
		}
	}
}

func together(parts []*Bulk, f func(*Bulk)) {
	var all sync.WaitGroup
	for _, p := range parts {
		all.Go(func() { f(p) })
	}
	all.Wait()
}

func BenchmarkBulk(b *testing.B) {
	const size = 1408
	for _, k := range []int{1000, 8000, MaxBulk} {
		code, data, parity := bulkBlock(b, k, size, 1)
		b.Run(fmt.Sprintf("encode/%d", k), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				code.Encode(data, parity)
			}
		})
		for _, percent := range []int{1, 40} {
			symbols, index := erased(rand.New(rand.NewPCG(1, 2)), data, parity, k, k*percent/100)
			work := make([]byte, len(symbols))
			b.Run(fmt.Sprintf("decode/%d/%d%%", k, percent), func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					copy(work, symbols)
					if err := code.Reconstruct(work, index); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("decode/%d/%d%%/2 parts", k, percent), func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				parts, err := NewBulks(k, size, 2)
				if err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					copy(work, symbols)
					together(parts, func(p *Bulk) {
						if err := p.Reconstruct(work, index); err != nil {
							b.Error(err)
						}
					})
				}
			})
		}
	}
}
