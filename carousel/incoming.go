package carousel

import (
	"github.com/rmcast/rmcast/fec"
)

// incoming is an object that is being received. It is announced (only root), then open (man and stage), then done.
type incoming struct {
	id        ID
	root      Root
	conflicts int  // roots in a row that contradict root
	told      bool // the log was told of something wrong with it
	gather    gather

	man   *manifest
	part  partition
	stage *stage
	// blocks is nil once the object is done.
	blocks  []block
	left    int   // blocks that are not verified
	ready   int64 // symbols of verified blocks
	resumed int64

	offer  offer
	offers uint64 // that came
	seen   int64  // packets of data that came

	done bool
	err  error
}

// block is a block that is being received: open, then full, and then ready or open again.
type block struct {
	state blockState
	dirty bool   // its place on disk may hold something else than zeros where there is no symbol
	have  bitmap // of 2k symbols; nil: none, or the block is ready
	held  int    // symbols that count: k at most
	last  int64  // seen, when one of it came; 0: none did
}

type blockState uint8

const (
	blockOpen  blockState = iota // takes symbols
	blockFull                    // has k: the worker reads it
	blockReady                   // is verified, and whole on disk
)

// start opens the object with its manifest.
func (o *incoming) start(m *manifest) {
	o.man, o.part = m, m.partition()
	o.blocks, o.left = make([]block, o.part.blocks), o.part.blocks
}

// stalled reports whether a block of which something came gets no more: whatever the source sends by turns goes on elsewhere. What a former Inbox
// left of a block does not count: the source's turn may not have been there yet.
func (o *incoming) stalled(b *block) bool {
	return b.state == blockOpen && b.last > 0 && o.seen-b.last > int64(stallPackets+2*len(o.blocks))
}

// stallPackets are, with two of each block, the packets of others after which a block has stalled.
const stallPackets = 64

// hasStalled reports whether any block has.
func (o *incoming) hasStalled() bool {
	for i := range o.blocks {
		if o.stalled(&o.blocks[i]) {
			return true
		}
	}
	return false
}

func (o *incoming) status() ObjectStatus {
	s := ObjectStatus{Root: o.root, Known: o.man != nil, Resumed: o.resumed, Done: o.done, Err: o.err}
	if s.Known {
		s.Symbols, s.Held = o.part.symbols, o.ready
		s.Blocks, s.Ready = o.part.blocks, o.part.blocks-o.left
		for i := range o.blocks {
			if o.blocks[i].state != blockReady {
				s.Held += int64(o.blocks[i].held)
			}
		}
		if o.done && o.err == nil {
			s.Held, s.Ready = s.Symbols, s.Blocks
		}
	}
	return s
}

// gather collects the symbols of a manifest, in memory.
type gather struct {
	symbols map[int][]byte
}

// add keeps a copy of a symbol, and reports whether there are k.
func (g *gather) add(symbol int, payload []byte, k int) bool {
	if g.symbols == nil {
		g.symbols = map[int][]byte{}
	}
	if g.symbols[symbol] == nil {
		g.symbols[symbol] = append([]byte(nil), payload...)
	}
	return len(g.symbols) == k
}

// onePart is the partition of a manifest: one block.
func onePart(bytes, symbolBytes int) partition {
	return newPartition(int64(bytes), symbolBytes, fec.MaxBulk)
}

// decode returns the manifest of k symbols.
func (g *gather) decode(part partition) ([]byte, error) {
	k := part.k(0)
	b := make([]byte, k*part.symbolBytes)
	index := make([]int, k)
	parity := k
	for i := range index {
		s := g.symbols[i]
		index[i] = i
		for s == nil { // a parity symbol takes its place: there are as many as data symbols are missing
			if s = g.symbols[parity]; s != nil {
				index[i] = parity
			}
			parity++
		}
		copy(b[i*part.symbolBytes:], s)
	}
	if parity == k { // nothing is missing: the code's tables, of 72 MB, may never be needed
		return b[:part.bytes], nil
	}
	code, err := fec.NewBulk(k, part.symbolBytes)
	if err != nil {
		return nil, err
	}
	return b[:part.bytes], code.Reconstruct(b, index)
}
