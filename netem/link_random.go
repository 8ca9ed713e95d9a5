package netem

import "math/rand/v2"

// chance is a probability as a threshold for a number that is uniform over 64 bits.
type chance uint64

const always chance = 1<<64 - 1

func newChance(p float64) chance {
	if p >= 1 {
		return always
	}
	return chance(p * (1 << 63) * 2)
}

// hit reports whether u falls below the threshold.
func (c chance) hit(u uint64) bool { return u < uint64(c) || c == always }

// use names what a Link draws random numbers for. Each use has a generator of its own, so that no setting reshuffles what another does.
type use uint64

const (
	useLoss use = iota
	useChain
	useEvery
	useDuplicate
	useCopy // all draws for the second copies
	useReorder
	useCorrupt
	useDelay
)

// seedFor returns the generator for one use by the link with a seed and a stream. Neighbouring seeds and streams start far apart.
func seedFor(seed, stream uint64, u use) (p rand.PCG) {
	const odd = 0x9e3779b97f4a7c15
	a := scatter(seed + odd*(uint64(u)+1))
	hi := scatter(a ^ stream)
	p.Seed(hi, scatter(hi+a))
	return p
}

// scatter is a bijection of 64 bits in which each bit of x decides about half of the result's.
func scatter(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// source yields uniform numbers of which each repeats the one before with a probability, tc's correlation.
type source struct {
	pcg  rand.PCG
	last uint64
}

func newSource(seed, stream uint64, u use) (s source) {
	s.pcg = seedFor(seed, stream, u)
	s.last = s.pcg.Uint64()
	return s
}

func (s *source) next(repeat chance) uint64 {
	if repeat == 0 {
		return s.pcg.Uint64()
	}
	s.last = repeated(&s.pcg, repeat, s.last)
	return s.last
}

// repeated returns last or a fresh number. It draws twice.
func repeated(pcg *rand.PCG, repeat chance, last uint64) uint64 {
	again, fresh := repeat.hit(pcg.Uint64()), pcg.Uint64()
	if again {
		return last
	}
	return fresh
}
