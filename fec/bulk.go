package fec

import (
	"errors"
	"fmt"

	"github.com/klauspost/reedsolomon"
)

// MaxBulk is the most data symbols that a block of the bulk code has.
const MaxBulk = 32768

// BulkMultiple divides the size of every symbol of the bulk code, in bytes.
const BulkMultiple = 64

// bulkWork bounds the working memory of Bulk, in bytes, beside the 24 bytes for each symbol and what the caller gives. It holds two columns
// of the widest stripe for each data symbol, the number of which is rounded up to a power of two.
const bulkWork = 16 << 20

// ErrBulkIndex is returned by Bulk.Reconstruct for symbols that do not determine their block.
var ErrBulkIndex = errors.New("fec: symbols do not determine the block")

// Bulk is the code for large blocks: k data symbols, 1 to MaxBulk, have k parity symbols, and any k of the 2k determine the others. Symbols are
// numbered: 0 to k-1 are the data, k to 2k-1 the parity. It is Leopard's code over GF(2^16) (Lin, Al-Naffouri, Han, Novakovic, 2016), as
// github.com/klauspost/reedsolomon has it, with as many parity symbols as data symbols: another number would be another code.
//
// It suits objects and not streams: a block costs the same whether one symbol is missing or half of them. To and fro it works on all symbols at
// once, but on a stripe of each at a time, as the code does not mix columns of 64 bytes; so the memory beside the caller's is bounded.
//
// A Bulk is not for use by several goroutines at once; NewBulks makes several that divide the work. The tables of the code, 72 MB on amd64 and 64 MB elsewhere, are made with the first one and stay.
type Bulk struct {
	k      int
	size   int // of a symbol, bytes
	from   int // the columns that are its own, bytes
	to     int
	stripe int // width, bytes
	code   reedsolomon.Encoder
	shards [][]byte // the 2k symbols' part of one stripe
	found  []byte   // by missing symbol, one stripe of it
}

// NewBulk returns the code for blocks of k symbols of symbolBytes each, a multiple of BulkMultiple.
func NewBulk(k, symbolBytes int) (*Bulk, error) {
	all, err := NewBulks(k, symbolBytes, 1)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// NewBulks returns what NewBulk does, in up to n parts, at least one, each of which works on its own columns of the symbols: several goroutines may each call
// the same method of another part with the same arguments at once, and when all have returned it is done. All together take as
// much memory as one. More than four parts of the largest block are not worth while: stripes get too narrow.
func NewBulks(k, symbolBytes, n int) ([]*Bulk, error) {
	if k < 1 || k > MaxBulk {
		return nil, fmt.Errorf("fec: a block of %d symbols, want 1 to %d", k, MaxBulk)
	}
	if symbolBytes < BulkMultiple || symbolBytes%BulkMultiple != 0 {
		return nil, fmt.Errorf("fec: symbols of %d bytes, want a multiple of %d", symbolBytes, BulkMultiple)
	}
	columns := 1
	for columns < 2*k {
		columns *= 2
	}
	units := symbolBytes / BulkMultiple
	n = max(1, min(n, units, bulkWork/BulkMultiple/columns))
	// All share the code's pool of working memory: it keeps some for each processor, and what one part leaves at a processor another finds there.
	code, err := reedsolomon.New(k, k, reedsolomon.WithLeopardGF16(true))
	if err != nil {
		return nil, fmt.Errorf("fec: %w", err)
	}
	var all []*Bulk
	for i := range n {
		b := &Bulk{k: k, size: symbolBytes, from: i * units / n * BulkMultiple, to: (i + 1) * units / n * BulkMultiple, code: code, shards: make([][]byte, 2*k)}
		b.stripe = min(b.to-b.from, max(BulkMultiple, bulkWork/n/columns&^(BulkMultiple-1)))
		all = append(all, b)
	}
	return all, nil
}

// Symbols is k, the number of data symbols of a block.
func (b *Bulk) Symbols() int { return b.k }

// Encode fills parity with the k parity symbols of the k symbols in data. Both are k times symbolBytes long and must not overlap.
func (b *Bulk) Encode(data, parity []byte) {
	b.check(data)
	b.check(parity)
	for from := b.from; from < b.to; from += b.stripe {
		to := min(from+b.stripe, b.to)
		for i := range b.k {
			b.shards[i] = b.part(data, i, from, to)
			b.shards[b.k+i] = b.part(parity, i, from, to)
		}
		if err := b.code.Encode(b.shards); err != nil {
			panic(fmt.Sprintf("BUG: fec: encoding %d symbols: %v", b.k, err))
		}
	}
}

// Reconstruct makes data symbols of any k different symbols of a block. symbols holds them behind one another, and index says which ones they
// are: a data symbol stands at its own place, index[i] = i, and the places of missing ones hold parity symbols, in any order. When it returns
// symbols holds the data in order, and index is as it was. If index is not like that it returns ErrBulkIndex and changes nothing.
func (b *Bulk) Reconstruct(symbols []byte, index []int) error {
	b.check(symbols)
	missing, err := b.missing(index)
	if err != nil || missing == 0 {
		return err
	}
	if len(b.found) < missing*b.stripe {
		b.found = make([]byte, missing*b.stripe)
	}
	for from := b.from; from < b.to; from += b.stripe {
		to := min(from+b.stripe, b.to)
		clear(b.shards)
		found := 0
		for i, n := range index {
			b.shards[n] = b.part(symbols, i, from, to)
			if n != i { // room for the missing one
				b.shards[i] = b.found[found : found : found+b.stripe]
				found += b.stripe
			}
		}
		if err := b.code.ReconstructData(b.shards); err != nil {
			panic(fmt.Sprintf("BUG: fec: %d of %d symbols missing: %v", missing, b.k, err))
		}
		for i, n := range index {
			if n != i {
				copy(b.part(symbols, i, from, to), b.shards[i])
			}
		}
	}
	return nil
}

// missing returns how many data symbols index lacks.
func (b *Bulk) missing(index []int) (missing int, err error) {
	if len(index) != b.k {
		return 0, ErrBulkIndex
	}
	var seen [MaxBulk / 64]uint64
	for i, n := range index {
		if n == i {
			continue
		}
		p := n - b.k
		if p < 0 || p >= b.k || seen[p/64]&(1<<(p%64)) != 0 {
			return 0, ErrBulkIndex
		}
		seen[p/64] |= 1 << (p % 64)
		missing++
	}
	return missing, nil
}

// part returns the columns from..to of symbol i of s.
func (b *Bulk) part(s []byte, i, from, to int) []byte {
	at := i * b.size
	return s[at+from : at+to : at+to]
}

func (b *Bulk) check(s []byte) {
	if len(s) != b.k*b.size {
		panic(fmt.Sprintf("BUG: fec: %d bytes for %d symbols of %d", len(s), b.k, b.size))
	}
}
