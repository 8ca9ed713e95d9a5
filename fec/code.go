package fec

import (
	"fmt"

	"github.com/klauspost/reedsolomon"
)

// MaxGroupSize is the greatest group size, TGSIZE, as it is OpenPGM's.
const MaxGroupSize = 128

// MaxPackets is the most packets, data and parity, that a group has. There is a point for one more; OpenPGM does not use it.
const MaxPackets = 255

// Code is the systematic Reed-Solomon code that OpenPGM uses, for one group size. Byte by byte, the k data packets of a group
// are the values of a polynomial of degree below k at the points p_0 … p_(k-1), and parity packet i is its value at p_(k+i),
// with p_0 = 0 and p_n = a^(n-1). So the coefficient of data packet j in parity packet i is the Lagrange basis polynomial of
// p_j, evaluated at p_(k+i), and any k packets of a group determine all. A row does not depend on how many parity packets there
// are. (Rizzo's description, which gives the same bytes: an n x k Vandermonde matrix times the inverse of its top k x k.)
//
// A Code is 400 bytes, never changes, and may be shared.
type Code struct {
	// The basis polynomial is M(x) / (x - p_j) * w_j with M(x) = (x - p_0) … (x - p_(k-1)), w_j = 1 / product over t != j of
	// (p_j - p_t). Both factors are kept as logarithms.
	k        int
	column   [MaxGroupSize]uint8 // of w_j
	row      [MaxPackets]uint8   // of M(p_(k+i)), by i
	parities int
}

// NewCode returns the code of groups of k data packets, 2 to 128. Groups in packets are powers of two; the code does not mind.
func NewCode(k int) *Code {
	if k < 2 || k > MaxGroupSize {
		panic(fmt.Sprintf("BUG: fec: a group of %d packets", k))
	}
	c := &Code{k: k, parities: MaxPackets - k}
	for n := range MaxPackets {
		e := 0
		for t := range k {
			if t != n {
				e += int(logs[point(n)^point(t)])
			}
		}
		if n < k {
			c.column[n] = reduce(-e)
		} else {
			c.row[n-k] = reduce(e)
		}
	}
	return c
}

// GroupSize is k, the number of data packets in a group.
func (c *Code) GroupSize() int { return c.k }

// Parities is how many different parity packets a group has: their indices are 0 to Parities()-1.
func (c *Code) Parities() int { return c.parities }

// Coefficient is the factor, never 0, of data packet j (0 to k-1) in parity packet i (0 to Parities()-1) of a whole group. Where
// the parity packet covers fewer packets, those from its cover on have the factor 0 instead.
func (c *Code) Coefficient(i, j int) byte {
	if uint(i) >= uint(c.parities) || uint(j) >= uint(c.k) {
		panic(fmt.Sprintf("BUG: fec: data packet %d in parity packet %d, groups of %d", j, i, c.k))
	}
	return ratio(c.row[i], c.column[j], logs[point(c.k+i)^point(j)])
}

// MulAdd adds coefficient times src to the first len(src) bytes of dst, in the field. A shorter src so counts as one that is
// padded with zeros. len(src) may be anything up to len(dst). On amd64 it costs about 20 ps a byte (AVX2), 0.4 ns for each of the
// last len(src) modulo 32 (modulo 16 if coefficient is 1). The two slices must not overlap.
func MulAdd(coefficient byte, dst, src []byte) {
	if len(src) > len(dst) {
		panic(fmt.Sprintf("BUG: fec: %d bytes are added to %d", len(src), len(dst)))
	}
	if coefficient != 0 {
		// Not all of dst: on ppc64le version 1.12.5 goes by its length if coefficient is 1, and reads behind src.
		reedsolomon.LowLevel{}.GalMulSliceXor(coefficient, src, dst[:len(src)])
	}
}
