package carousel

// order is the sequence in which an object's symbols are sent: turns of one packet for each data symbol, by turns the data and the parity. The
// first packet may be anywhere in its turn, and the turn then goes on to there.
type order struct {
	part   partition
	start  int64 // of each turn, 0 to symbols-1
	next   int64 // packets of this turn that were sent
	turn   int   // that are over
	parity bool  // what this turn sends
}

// newOrder begins at packet start of a turn of data, or of parity.
func newOrder(p partition, start int64, parity bool) order {
	return order{part: p, start: start, parity: parity}
}

// take returns the next packet's block and the number of its symbol in it, data from 0 and parity from k. The object must not be empty.
func (o *order) take() (block, symbol int) {
	i := o.start + o.next
	if i >= o.part.symbols {
		i -= o.part.symbols
	}
	block, symbol = o.part.at(i)
	if o.parity {
		symbol += o.part.k(block)
	}
	if o.next++; o.next == o.part.symbols {
		o.next, o.parity = 0, !o.parity
		o.turn++
	}
	return block, symbol
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
