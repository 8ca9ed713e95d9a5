package carousel

import (
	"encoding/binary"
	"fmt"

	"github.com/rmcast/rmcast/fec"
)

// need is a block and how many more symbols of it are wanted, or will be sent. A request is a list of them, and so is an offer. Any symbols of the block
// do, which is why one answer serves all who asked.
//
//	request: a receiver's, under the request port      | block | symbols | block | symbols | …    4 bytes each, by block
//	offer:   the source's, between the symbols  | flags | block | symbols | …                    flags: 1 over, 2 full, 4…128 requests so far
type need struct {
	block   int
	symbols int // 1 to the block's data symbols
}

const (
	needBytes = 8
	maxNeeds  = 175 // of a packet
)

// mostNeeds is how many needs fit where a symbol does, with the byte of an offer.
func mostNeeds(symbolBytes int) int { return min(maxNeeds, (symbolBytes-1)/needBytes) }

func appendNeeds(b []byte, list []need) []byte {
	for _, n := range list {
		b = binary.BigEndian.AppendUint32(b, uint32(n.block))
		b = binary.BigEndian.AppendUint32(b, uint32(n.symbols))
	}
	return b
}

// parseNeeds appends the needs in b to list. It does not know the object: what it returns is within a packet's bounds, in order, and no block is twice.
func parseNeeds(list []need, b []byte) ([]need, error) {
	if len(b)%needBytes != 0 || len(b) > maxNeeds*needBytes {
		return list, fmt.Errorf("%w: needs of %d bytes", ErrInvalid, len(b))
	}
	last := -1
	for ; len(b) > 0; b = b[needBytes:] {
		block, symbols := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
		if block >= maxBlocks || int(block) <= last || symbols < 1 || symbols > fec.MaxBulk {
			return list, fmt.Errorf("%w: %d symbols of block %d", ErrInvalid, symbols, block)
		}
		last = int(block)
		list = append(list, need{block: last, symbols: int(symbols)})
	}
	return list, nil
}

// checkNeeds reports whether an object has what the needs name.
func checkNeeds(list []need, part *partition) error {
	for _, n := range list {
		if n.block >= part.blocks || n.symbols > part.k(n.block) {
			return fmt.Errorf("%w: %d symbols of block %d", ErrInvalid, n.symbols, n.block)
		}
	}
	return nil
}

// offer is what a source says that answers requests: what it is about to send beside its turns.
type offer struct {
	over bool // the turns are over
	full bool // there is more than is listed, or no room for more: who asks now asks in vain
	// heard counts the object's requests, modulo heardMost: an answer may have come and gone between two offers.
	heard uint8
	list  []need
}

const heardMost = 64

func (f *offer) append(b []byte) []byte {
	flags := f.heard << 2
	if f.over {
		flags |= 1
	}
	if f.full {
		flags |= 2
	}
	return appendNeeds(append(b, flags), f.list)
}

// parse reads an offer for an object, in the memory of the former one. If it is invalid f is empty.
func (f *offer) parse(b []byte, part *partition) (err error) {
	f.list = f.list[:0]
	if f.over, f.full = false, false; len(b) == 0 {
		return fmt.Errorf("%w: an empty offer", ErrInvalid)
	}
	if f.list, err = parseNeeds(f.list, b[1:]); err == nil {
		err = checkNeeds(f.list, part)
	}
	if err != nil {
		f.list = f.list[:0]
		return err
	}
	f.over, f.full, f.heard = b[0]&1 != 0, b[0]&2 != 0, b[0]>>2
	return nil
}

// of returns how many symbols of a block are offered. It looks on from place *at, for blocks in order.
func (f *offer) of(block int, at *int) int {
	for *at < len(f.list) && f.list[*at].block < block {
		*at++
	}
	if *at < len(f.list) && f.list[*at].block == block {
		return f.list[*at].symbols
	}
	return 0
}
