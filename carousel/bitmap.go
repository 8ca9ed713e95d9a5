package carousel

import "math/bits"

// bitmap is a set of small numbers, as many as it was made for.
type bitmap []uint64

func newBitmap(n int) bitmap { return make(bitmap, (n+63)/64) }

func (b bitmap) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

func (b bitmap) set(i int) { b[i/64] |= 1 << (i % 64) }

func (b bitmap) count() (n int) {
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// next returns the least number in the set from i on, and false if there is none.
func (b bitmap) next(i int) (int, bool) {
	for i < 64*len(b) {
		if w := b[i/64] >> (i % 64); w != 0 {
			return i + bits.TrailingZeros64(w), true
		}
		i = i/64*64 + 64
	}
	return 0, false
}

// run is how many numbers in a row are in the set, from one on and below end.
func (b bitmap) run(from, end int) int {
	i := from
	for i < end && b.has(i) {
		i++
	}
	return i - from
}
