package fec

import (
	"math/rand/v2"
	"testing"
)

// FuzzSolve takes a group size, a bitmap of what is missing and pairs of an index and a cover, brought into range; what Solve says is
// checked against school algebra, and the bytes against those that were there.
func FuzzSolve(f *testing.F) {
	f.Add(uint8(62), []byte{0, 0x10}, []byte{0, 63})
	f.Add(uint8(6), []byte{0x22}, []byte{0, 2, 1, 7})
	f.Add(uint8(6), []byte{0x22}, []byte{0, 2, 0, 7})
	f.Add(uint8(14), []byte{0x24, 0x08}, []byte{2, 15, 1, 15, 0, 7})
	f.Add(uint8(126), []byte{0, 0, 0xff, 0, 0xff}, []byte{9, 127, 1, 20, 2, 127, 3, 127, 4, 127, 5, 40, 6, 127, 7, 127, 8, 127, 99, 127})
	f.Fuzz(func(t *testing.T, size uint8, bitmap, pairs []byte) {
		k := 2 + int(size)%(MaxGroupSize-1)
		g := newGroup(NewCode(k), 3, rand.New(rand.NewPCG(uint64(size), uint64(len(pairs)))))
		var missing []uint8
		for j := range min(k, 8*len(bitmap)) {
			if bitmap[j/8]>>(j%8)&1 != 0 {
				missing = append(missing, uint8(j))
			}
		}
		var parity []Parity
		for ; len(pairs) >= 2 && len(parity) < 300; pairs = pairs[2:] {
			parity = append(parity, Parity{uint8(int(pairs[0]) % g.code.Parities()), uint8(1 + int(pairs[1])%k)})
		}
		var d Decoder
		checkSolve(t, &d, g, missing, parity)
		checkSolve(t, &d, g, missing, parity) // the same again: nothing is left of the first
	})
}
