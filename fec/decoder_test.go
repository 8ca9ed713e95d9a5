package fec

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// group is the packets of one group and what a receiver does with them.
type group struct {
	code *Code
	data [][]byte
}

func newGroup(code *Code, length int, rng *rand.Rand) group {
	g := group{code, make([][]byte, code.GroupSize())}
	for j := range g.data {
		g.data[j] = make([]byte, length)
		for b := range g.data[j] {
			g.data[j][b] = byte(rng.Uint32())
		}
	}
	return g
}

// parity makes a parity packet from all the data it covers.
func (g group) parity(p Parity) []byte {
	b := make([]byte, len(g.data[0]))
	for j := range int(p.Cover) {
		MulAdd(g.code.Coefficient(int(p.Index), j), b, g.data[j])
	}
	return b
}

// restore makes the missing packets after a Solve that was true, without looking at them.
func (g group) restore(d *Decoder, missing []uint8, parity []Parity) [][]byte {
	restored := make([][]byte, len(missing))
	for x := range restored {
		restored[x] = make([]byte, len(g.data[0]))
	}
	for i, p := range parity {
		if !d.Used(i) {
			continue
		}
		syndrome := g.parity(p)
		for j := range int(p.Cover) {
			if !slices.Contains(missing, uint8(j)) {
				MulAdd(g.code.Coefficient(int(p.Index), j), syndrome, g.data[j])
			}
		}
		for x := range restored {
			MulAdd(d.Weight(x, i), restored[x], syndrome)
		}
	}
	return restored
}

// erasures returns m of n numbers, ascending.
func erasures(rng *rand.Rand, n, m int) []uint8 {
	missing := make([]uint8, m)
	for x, j := range rng.Perm(n)[:m] {
		missing[x] = uint8(j)
	}
	slices.Sort(missing)
	return missing
}

func seeded(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %#x", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestDecoderRestores(t *testing.T) {
	rng := seeded(t)
	var d Decoder
	for k := 2; k <= MaxGroupSize; k++ {
		c := NewCode(k)
		g := newGroup(c, 33, rng)
		for range 4 {
			missing := erasures(rng, k, rng.IntN(k)+1)
			var parity []Parity
			for _, index := range rng.Perm(c.Parities())[:min(len(missing)+rng.IntN(3), c.Parities())] {
				parity = append(parity, Parity{uint8(index), uint8(k)})
			}
			if !d.Solve(c, missing, parity) {
				t.Fatalf("group of %d: %d parity packets do not restore %v", k, len(parity), missing)
			}
			for x, b := range g.restore(&d, missing, parity) {
				if !bytes.Equal(b, g.data[missing[x]]) {
					t.Fatalf("group of %d, missing %v, parity %v: packet %d is wrong", k, missing, parity, missing[x])
				}
			}
		}
	}
}
