package wire

import (
	"encoding/binary"
	"math/bits"
)

// Sum returns the 16-bit one's complement sum of b, an odd byte at the end being padded with a zero (RFC 1071). It is the
// partial sum that AppendHead takes: keep it with the payload, and a packet sent again costs only its header.
//
// The sum does not depend on the order of bytes within words, except that the result is swapped; so b is added in
// little-endian words of eight bytes, in two chains of carries that the processor works on at once.
func Sum(b []byte) uint16 {
	var s, t, c, d uint64
	for len(b) >= 64 {
		w := b[:64:64]
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[0:]), 0)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[8:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[16:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[24:]), c)
		d += c
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(w[32:]), 0)
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(w[40:]), c)
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(w[48:]), c)
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(w[56:]), c)
		d += c
		b = b[64:]
	}
	s, c = bits.Add64(s, t, 0)
	for len(b) >= 8 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b), c)
		b = b[8:]
	}
	s, c = bits.Add64(s, d, c)
	if len(b) > 0 {
		var last [8]byte
		copy(last[:], b)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(last[:]), c)
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
