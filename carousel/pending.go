package carousel

import (
	"encoding/binary"
)

// pending is the symbols of a stage that are not on disk yet: of each of some blocks a batch that is written at once, so that a packet does not
// cost a write of its own and another of its mark. What is pending when the process is killed is taken again.
type pending struct {
	list  []batch
	of    []uint8 // by block: its batch's place in list and one more, or 0
	next  int     // the batch that makes room when there are no more
	rows  int     // most symbols of a batch
	size  int     // of a symbol
	count int     // most batches
}

// batch is symbols of a block, data or parity, that come one after another on disk. Where one is not there its mark is 0, and whatever is written means nothing.
type batch struct {
	block, from, n int
	clean          bool
	b, marks       []byte
}

const (
	pendingBytes = 3 << 19 // most memory of the symbols of an object that are not on disk
	pendingRuns  = 64
	pendingRows  = 16
)

func newPending(p *partition) *pending {
	w := &pending{of: make([]uint8, p.blocks), size: p.symbolBytes}
	w.rows = max(1, min(pendingRows, pendingBytes/pendingRuns/p.symbolBytes))
	w.count = max(1, min(pendingRuns, pendingBytes/(w.rows*p.symbolBytes)))
	return w
}

// put takes a symbol that is not in have, and writes what there is no room for. Symbols of zeros leave holes if the block is clean: nothing else was
// ever written to it.
func (s *stage) put(block, symbol int, payload []byte, mark uint32, clean bool, have bitmap) error {
	w := s.pending
	var r *batch
	if i := w.of[block]; i > 0 {
		r = &w.list[i-1]
	}
	if r == nil || !w.fits(r, s.part.k(block), symbol, have) {
		var err error
		if r, err = s.begin(r, block, symbol); err != nil {
			return err
		}
	}
	if r.n == 0 {
		r.clean = clean
	}
	i := symbol - r.from
	for ; r.n <= i; r.n++ {
		clear(r.b[r.n*w.size : (r.n+1)*w.size])
		binary.BigEndian.PutUint32(r.marks[4*r.n:], 0)
	}
	copy(r.b[i*w.size:(i+1)*w.size], payload)
	binary.BigEndian.PutUint32(r.marks[4*i:], mark)
	if r.n == w.rows {
		return s.flush(block)
	}
	return nil
}

// fits reports whether a symbol can be added to a batch: what lies between is not on disk, and on the same side of k.
func (w *pending) fits(r *batch, k, symbol int, have bitmap) bool {
	if symbol < r.from || symbol >= r.from+w.rows || r.from < k && symbol >= k {
		return false
	}
	held, ok := have.next(r.from + r.n)
	return !ok || held > symbol
}

// begin makes a batch for a symbol, in place of r or, if that is nil, of one that is not in use or is written now.
func (s *stage) begin(r *batch, block, symbol int) (*batch, error) {
	w := s.pending
	switch {
	case r != nil:
		if err := s.flush(block); err != nil {
			return nil, err
		}
	case len(w.list) < w.count:
		w.list = append(w.list, batch{b: make([]byte, w.rows*w.size), marks: make([]byte, 4*w.rows)})
		r = &w.list[len(w.list)-1]
		w.of[block] = uint8(len(w.list))
	default:
		r = &w.list[w.next]
		if err := s.flush(r.block); err != nil {
			return nil, err
		}
		w.of[r.block] = 0
		w.next = (w.next + 1) % w.count
		w.of[block] = uint8(r.index(w) + 1)
	}
	r.block, r.from, r.n = block, symbol, 0
	return r, nil
}

func (r *batch) index(w *pending) int {
	for i := range w.list {
		if r == &w.list[i] {
			return i
		}
	}
	panic("BUG: carousel: a batch of nobody")
}

// flush writes what is pending of a block: symbols, and then their marks.
func (s *stage) flush(block int) error {
	i := s.pending.of[block]
	if i == 0 {
		return nil
	}
	r := &s.pending.list[i-1]
	from, n, b := r.from, r.n, r.b[:r.n*s.pending.size]
	r.from, r.n = r.from+r.n, 0
	if n == 0 {
		return nil
	}
	if err := s.write(block, from, n, b, r.clean); err != nil {
		return err
	}
	_, err := s.marks.WriteAt(r.marks[:4*n], s.marksAt(block)+4*int64(from))
	return err
}

// flushAll writes all that is pending.
func (s *stage) flushAll() error {
	for i := range s.pending.list {
		if err := s.flush(s.pending.list[i].block); err != nil {
			return err
		}
	}
	return nil
}

// write writes n symbols, from one on, all data or all parity. Of a clean block it leaves out the zeros at both ends.
func (s *stage) write(block, symbol, n int, b []byte, clean bool) error {
	size := s.part.symbolBytes
	for clean && n > 0 && zero(b[:size]) {
		symbol, n, b = symbol+1, n-1, b[size:]
	}
	for clean && n > 0 && zero(b[(n-1)*size:]) {
		n, b = n-1, b[:(n-1)*size]
	}
	if n == 0 {
		return nil
	}
	if symbol >= s.part.k(block) {
		_, err := s.parity.WriteAt(b, s.parityAt(block, symbol))
		return err
	}
	return s.writeData(block, symbol, n, b)
}
