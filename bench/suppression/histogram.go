package main

import (
	"math/bits"
	"time"
)

// histogram counts durations by buckets that are at most 1/128 of their value wide, so that a hundred million of them take no memory.
type histogram struct {
	counts   [64 * perOctave]uint64
	n        uint64
	greatest time.Duration
}

const (
	octaveBits = 7
	perOctave  = 1 << octaveBits
)

// bucket returns the index for d; what is less than zero counts as zero.
func bucket(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < perOctave {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - octaveBits
	return (shift+1)*perOctave + int(v>>shift) - perOctave
}

// top returns the greatest duration in bucket i.
func top(i int) time.Duration {
	if i < perOctave {
		return time.Duration(i)
	}
	shift := i/perOctave - 1
	return time.Duration((uint64(i%perOctave+perOctave)+1)<<shift - 1)
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucket(d)]++
	h.n++
	h.greatest = max(h.greatest, d)
}

// quantile returns a duration that a part p of all, from 0 to 1, does not exceed; it is at most 1 % too large. Without any it is zero.
func (h *histogram) quantile(p float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	want := uint64(p * float64(h.n))
	if float64(want) < p*float64(h.n) || want == 0 {
		want++
	}
	sum := uint64(0)
	for i, c := range h.counts {
		if sum += c; sum >= want {
			return min(top(i), h.greatest)
		}
	}
	return h.greatest
}

// Spread is what a histogram comes to.
type Spread struct {
	Count         uint64
	P50, P99, Max time.Duration
}

func (h *histogram) spread() Spread {
	return Spread{h.n, h.quantile(0.5), h.quantile(0.99), h.greatest}
}
