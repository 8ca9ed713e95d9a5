package sim

import "math"

// sampler draws who loses a packet, independently with one probability, for many receivers at a time: each random number decides
// for eight receivers by their byte of it, and only where a byte is just at the threshold another number decides. A million receivers
// take a quarter of a millisecond. It is netem's law of independent loss in another form.
type sampler struct {
	rng  stream
	high uint64 // a byte below this is a loss; equal to it: perhaps
	low  uint64 // then a 56-bit number below this is one
	all  bool
}

// everyone loses everything.
var everyone = sampler{all: true}

func newSampler(p float64, key uint64) sampler {
	if p >= 1 {
		return sampler{all: true}
	}
	t := uint64(math.Ldexp(p, 64)) // exact, as a power of two
	return sampler{rng: stream{key: key}, high: t >> 56, low: t & (1<<56 - 1)}
}

// losers appends to dst which of count receivers lose a packet, ascending.
func (s *sampler) losers(count int, dst []int32) []int32 {
	if s.all {
		for i := range count {
			dst = append(dst, int32(i))
		}
		return dst
	}
	for base := 0; base < count; base += 8 {
		x := s.rng.Uint64()
		if !anyUpTo(x, s.high) {
			continue
		}
		for i := base; i < min(base+8, count); i++ {
			if b := x & 0xff; b < s.high || b == s.high && s.rng.Uint64()>>8 < s.low {
				dst = append(dst, int32(i))
			}
			x >>= 8
		}
	}
	return dst
}

// anyUpTo reports whether some byte of x may be at most limit; it may err by saying yes.
func anyUpTo(x, limit uint64) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	if limit >= 127 {
		return true
	}
	return (x-ones*(limit+1))&^x&tops != 0
}

// lost draws for one receiver.
func (s *sampler) lost() bool {
	if s.all {
		return true
	}
	x := s.rng.Uint64()
	return x>>56 < s.high || x>>56 == s.high && x&(1<<56-1) < s.low
}
