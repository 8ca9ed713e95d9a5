package carousel

// partition cuts an object into symbols, and those into blocks whose sizes differ by one symbol at most (RFC 5052, 9.1). The zero partition is that of
// an empty object: it has no block.
//
//	block 0 … larger-1     small+1 symbols each
//	block larger … blocks-1  small symbols each
//
// The last symbol of the last block may be short; it is coded and sent as if zeros followed.
type partition struct {
	bytes       int64
	symbolBytes int
	symbols     int64 // of all blocks
	blocks      int
	small       int // symbols of a smaller block
	larger      int // how many blocks have one more
}

// newPartition makes blocks of at most blockSymbols. The caller has checked that both are at least 1, bytes is not negative, and the number of
// blocks fits an int.
func newPartition(bytes int64, symbolBytes, blockSymbols int) partition {
	p := partition{bytes: bytes, symbolBytes: symbolBytes, symbols: ceilDiv(bytes, int64(symbolBytes))}
	if p.symbols == 0 {
		return p
	}
	p.blocks = int(ceilDiv(p.symbols, int64(blockSymbols)))
	p.small = int(p.symbols / int64(p.blocks))
	p.larger = int(p.symbols % int64(p.blocks))
	return p
}

// ceilDiv is a/b, rounded up, without overflow for any a that is not negative.
func ceilDiv(a, b int64) int64 {
	n := a / b
	if a%b != 0 {
		n++
	}
	return n
}

// k is the number of data symbols of a block.
func (p *partition) k(block int) int {
	if block < p.larger {
		return p.small + 1
	}
	return p.small
}

// first is the number, in the object, of a block's first symbol.
func (p *partition) first(block int) int64 {
	return int64(block)*int64(p.small) + int64(min(block, p.larger))
}

// span is where n data symbols from a given one of a block are in the object: n times symbolBytes, or less at the object's end.
func (p *partition) span(block, symbol, n int) (offset, length int64) {
	offset = (p.first(block) + int64(symbol)) * int64(p.symbolBytes)
	return offset, min(int64(n)*int64(p.symbolBytes), p.bytes-offset)
}

// blockBytes is the length of a block.
func (p *partition) blockBytes(block int) int64 {
	_, n := p.span(block, 0, p.k(block))
	return n
}

// at is the place of the i-th packet of a turn, 0 to symbols-1: one symbol of each block, then the next of each.
func (p *partition) at(i int64) (block, row int) {
	if whole := int64(p.blocks) * int64(p.small); i >= whole {
		return int(i - whole), p.small
	}
	return int(i % int64(p.blocks)), int(i / int64(p.blocks))
}

// in is the block, and the symbol in it, that the i-th symbol of the object is.
func (p *partition) in(i int64) (block, symbol int) {
	if whole := int64(p.larger) * int64(p.small+1); i >= whole {
		return p.larger + int((i-whole)/int64(p.small)), int((i - whole) % int64(p.small))
	}
	return int(i / int64(p.small+1)), int(i % int64(p.small+1))
}
