package carousel

// order is the sequence in which an object's symbols are sent: turns of one packet for each data symbol, block by block by turns. Each block has its
// own cycle through its symbols, the data and then the parity, so that what is sent of it between two turns, because receivers asked, is what was
// longest not sent. Without such a turn is all data or all parity. The first packet may be anywhere in its turn, and the turn then goes on to there.
//
// With whole a turn has all packets of a block before it has one of the next, and begins with a block's first.
type order struct {
	part  partition
	whole bool
	start int64   // of each turn, 0 to symbols-1
	next  int64   // packets of this turn that were sent
	turn  int     // that are over
	cycle int     // length of a block's cycle: 2 times its symbols, or 1 without parity
	sent  []int32 // by block: packets of its cycle that were sent
}

// newOrder begins at packet start of a turn of data, or of parity.
func newOrder(p partition, start int64, parity, whole bool) order {
	if whole && p.blocks > 0 {
		block, _ := p.in(start)
		start = p.first(block)
	}
	o := order{part: p, whole: whole, start: start, cycle: 2, sent: make([]int32, p.blocks)}
	if parity {
		for b := range o.sent {
			o.sent[b] = int32(p.k(b))
		}
	}
	return o
}

// take returns the next packet's block and the number of its symbol in it, data from 0 and parity from k. The object must not be empty.
func (o *order) take() (block, symbol int) {
	i := o.start + o.next
	if i >= o.part.symbols {
		i -= o.part.symbols
	}
	if o.whole {
		block, _ = o.part.in(i)
	} else {
		block, _ = o.part.at(i)
	}
	if o.next++; o.next == o.part.symbols {
		o.next = 0
		o.turn++
	}
	return block, o.of(block)
}

// of returns the next symbol of a block's cycle.
func (o *order) of(block int) (symbol int) {
	k := o.part.k(block)
	n := int(o.sent[block])
	o.sent[block] = int32((n + 1) % (o.cycle * k))
	symbol = o.row(block) + n%k
	if symbol >= k {
		symbol -= k
	}
	return symbol + n/k*k
}

// row is the first symbol of a block's cycle: that of the first packet of the block in a turn.
func (o *order) row(block int) int {
	if o.whole {
		return 0
	}
	first, row := o.part.at(o.start)
	if block < first {
		row++
	}
	if row >= o.part.k(block) {
		return 0
	}
	return row
}

// shares divides packets among objects by weight: each gets its part of any long run, and none waits longer than it must.
type shares struct {
	weight []int
	credit []int64
	total  int64
}

// add enters an object with a weight of at least 1; objects are numbered from 0.
func (s *shares) add(weight int) {
	s.weight = append(s.weight, weight)
	s.credit = append(s.credit, 0)
	s.total += int64(weight)
}

// leave takes an object out for good.
func (s *shares) leave(i int) {
	s.total -= int64(s.weight[i])
	s.weight[i], s.credit[i] = 0, 0
}

// take returns whose turn it is, or -1 if all have left. Each gains its weight; who has most pays for all.
func (s *shares) take() int {
	best := -1
	for i, w := range s.weight {
		if w == 0 {
			continue
		}
		s.credit[i] += int64(w)
		if best < 0 || s.credit[i] > s.credit[best] {
			best = i
		}
	}
	if best >= 0 {
		s.credit[best] -= s.total
	}
	return best
}
