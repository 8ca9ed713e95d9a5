package fec

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/klauspost/reedsolomon"
	"pgregory.net/rapid"
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

// restore makes the missing packets after a Solve that was true: from packets, which are the parity packets, and the other data.
func (g group) restore(d *Decoder, missing []uint8, parity []Parity, packets [][]byte) [][]byte {
	restored := make([][]byte, len(missing))
	for x := range restored {
		restored[x] = make([]byte, len(packets[0]))
	}
	for i, p := range parity {
		if !d.Used(i) {
			continue
		}
		syndrome := slices.Clone(packets[i])
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
	if _, ok := t.(*testing.T); ok {
		t.Logf("seed %#x", seed)
	}
	return rand.New(rand.NewPCG(seed, 0))
}

// oracle returns reedsolomon's own encoder with our matrix, as fast as it gets on packets.
func oracle(t testing.TB, c *Code, parities int) reedsolomon.Encoder {
	rows := make([][]byte, parities)
	for i := range rows {
		for j := range c.GroupSize() {
			rows[i] = append(rows[i], c.Coefficient(i, j))
		}
	}
	enc, err := reedsolomon.New(c.GroupSize(), parities, reedsolomon.WithCustomMatrix(rows), reedsolomon.WithInversionCache(false),
		reedsolomon.WithMaxGoroutines(1))
	if err != nil {
		t.Fatal(err)
	}
	return enc
}

// Every group size, with parity packets from the oracle (all of them where the size is a power of two) and random ones of them
// received: both restore the same.
func TestDecoderOracle(t *testing.T) {
	rng := seeded(t)
	var d Decoder
	for k := 2; k <= MaxGroupSize; k++ {
		c := NewCode(k)
		g := newGroup(c, 1+rng.IntN(100), rng)
		h := c.Parities()
		if k&(k-1) != 0 {
			h = min(h, 2+rng.IntN(k+8))
		}
		enc := oracle(t, c, h)
		shards := slices.Clone(g.data)
		for range h {
			shards = append(shards, make([]byte, len(g.data[0])))
		}
		if err := enc.Encode(shards); err != nil {
			t.Fatal(err)
		}
		for i, want := range shards[k:] {
			if got := g.parity(Parity{uint8(i), uint8(k)}); !bytes.Equal(got, want) {
				t.Fatalf("group of %d: parity packet %d is %x, reedsolomon's %x", k, i, got, want)
			}
		}
		for _, most := range []int{2, 8, k, k} {
			m := 1 + rng.IntN(min(most, k, h))
			missing := erasures(rng, k, m)
			arrived := rng.Perm(h)[:min(m+rng.IntN(3), h)]
			received := make([][]byte, len(shards))
			for j, b := range g.data {
				if !slices.Contains(missing, uint8(j)) {
					received[j] = b
				}
			}
			parity, packets := make([]Parity, len(arrived)), make([][]byte, len(arrived))
			for x, i := range arrived {
				parity[x], packets[x] = Parity{uint8(i), uint8(k)}, shards[k+i]
				received[k+i] = shards[k+i]
			}
			if !d.Solve(c, missing, parity) {
				t.Fatalf("group of %d: %v does not restore %v", k, parity, missing)
			}
			if err := enc.ReconstructData(received); err != nil {
				t.Fatal(err)
			}
			for x, got := range g.restore(&d, missing, parity, packets) {
				j := missing[x]
				if !bytes.Equal(got, g.data[j]) || !bytes.Equal(got, received[j]) {
					t.Fatalf("group of %d, missing %v, parity %v: packet %d is %x, reedsolomon's %x, sent was %x",
						k, missing, parity, j, got, received[j], g.data[j])
				}
			}
		}
	}
}

// naiveRank is the rank of the system that missing packets and parity packets make, by school algebra.
func naiveRank(c *Code, missing []uint8, parity []Parity) int {
	var rows [][]byte
	for _, p := range parity {
		row := make([]byte, len(missing))
		for x, j := range missing {
			if j < p.Cover {
				row[x] = c.Coefficient(int(p.Index), int(j))
			}
		}
		rows = append(rows, row)
	}
	rank := 0
	for x := range missing {
		at := slices.IndexFunc(rows[rank:], func(row []byte) bool { return row[x] != 0 })
		if at < 0 {
			continue
		}
		rows[rank], rows[rank+at] = rows[rank+at], rows[rank]
		top := rows[rank]
		rank++
		for _, row := range rows[rank:] {
			// row * top[x] + top * row[x] is 0 at x
			a, b := top[x], row[x]
			for y := range row {
				row[y] = products[row[y]][a] ^ products[top[y]][b]
			}
		}
	}
	return rank
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkSolve checks a Solve and all that can be asked after it, and returns what it said.
func checkSolve(t fataler, d *Decoder, g group, missing []uint8, parity []Parity) bool {
	t.Helper()
	k, m := g.code.GroupSize(), len(missing)
	solved := d.Solve(g.code, missing, parity)
	if rank := naiveRank(g.code, missing, parity); solved != (rank == m) {
		t.Fatalf("group of %d, missing %v, parity %v: solved %t, but the rank is %d of %d", k, missing, parity, solved, rank, m)
	}
	packets, used := make([][]byte, len(parity)), 0
	for i, p := range parity {
		if d.Used(i) {
			packets[i] = g.parity(p)
			used++
			continue
		}
		packets[i] = []byte{0xbd} // not to be looked at
		for x := range missing {
			if solved && d.Weight(x, i) != 0 {
				t.Fatalf("group of %d, missing %v, parity %v: weight of %d, which is not used", k, missing, parity, i)
			}
		}
	}
	if want := map[bool]int{true: m}[solved]; used != want {
		t.Fatalf("group of %d, missing %v, parity %v: %d used, want %d", k, missing, parity, used, want)
	}
	if solved && m > 0 {
		for i := range packets {
			if !d.Used(i) {
				packets[i] = make([]byte, len(g.data[0]))
			}
		}
		for x, got := range g.restore(d, missing, parity, packets) {
			if want := g.data[missing[x]]; !bytes.Equal(got, want) {
				t.Fatalf("group of %d, missing %v, parity %v: packet %d is %x, want %x", k, missing, parity, missing[x], got, want)
			}
		}
	}
	return solved
}

// Parity of any covers, with repeated indices, and fewer or more than are needed. One Decoder does all.
func TestDecoderMixed(t *testing.T) {
	var d Decoder
	solved, mixed, not := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.OneOf(rapid.IntRange(2, 12), rapid.IntRange(2, MaxGroupSize), rapid.SampledFrom([]int{2, 4, 8, 16, 32, 64, 128})).Draw(t, "k")
		g := newGroup(NewCode(k), rapid.IntRange(1, 40).Draw(t, "length"), rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "data"), 0)))
		m := rapid.OneOf(rapid.IntRange(0, min(k, 4)), rapid.IntRange(1, min(k, 20))).Draw(t, "lost")
		missing := rapid.SliceOfNDistinct(rapid.Uint8Range(0, uint8(k-1)), m, m, rapid.ID).Draw(t, "missing")
		slices.Sort(missing)
		covers := rapid.SliceOfN(rapid.Uint8Range(1, uint8(k)), 1, 3).Draw(t, "covers")
		for range rapid.IntRange(0, 6).Draw(t, "whole") { // most packets, often
			covers = append(covers, uint8(k))
		}
		indices := rapid.OneOf(rapid.Uint8Range(0, uint8(g.code.Parities()-1)), rapid.Uint8Range(0, uint8(m+2)))
		least := rapid.SampledFrom([]int{0, m, m, m}).Draw(t, "least")
		parity := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Parity {
			return Parity{indices.Draw(t, "index"), rapid.SampledFrom(covers).Draw(t, "cover")}
		}), least, m+4).Draw(t, "parity")
		ok := checkSolve(t, &d, g, missing, parity)
		switch {
		case !ok:
			not++
		case m > 0 && d.mixed:
			mixed++
		default:
			solved++
		}
	})
	t.Logf("%d solved, %d more with mixed covers, %d not", solved, mixed, not)
	if !testing.Short() && (solved == 0 || mixed == 0 || not == 0) { // with -short there are only 20
		t.Error("this says little")
	}
}

// The ways in which covers mix, by hand: a group of 8 that had 3 packets when its first parity was made, and then all 8.
func TestDecoderGrownGroup(t *testing.T) {
	var d Decoder
	g := newGroup(NewCode(8), 50, seeded(t))
	for name, test := range map[string]struct {
		missing []uint8
		parity  []Parity
		want    bool
	}{
		"early parity restores early packets":          {[]uint8{1, 2}, []Parity{{0, 3}, {1, 3}}, true},
		"early and late parity restore early packets":  {[]uint8{0, 2}, []Parity{{0, 3}, {1, 8}}, true},
		"early and late packets, each its parity":      {[]uint8{1, 5}, []Parity{{0, 3}, {1, 8}}, true},
		"late packets, early parity is of no use":      {[]uint8{5, 6}, []Parity{{0, 3}, {1, 8}}, false},
		"late packets, enough without it":              {[]uint8{5, 6}, []Parity{{0, 3}, {1, 8}, {2, 8}}, true},
		"one index with two covers is two packets":     {[]uint8{1, 5}, []Parity{{0, 3}, {0, 8}}, true},
		"one index with two covers is one":             {[]uint8{1, 2}, []Parity{{0, 3}, {0, 8}}, false},
		"the same packet twice":                        {[]uint8{1, 2}, []Parity{{4, 8}, {4, 8}}, false},
		"the same packet twice and another":            {[]uint8{1, 2}, []Parity{{4, 8}, {4, 8}, {250 - 8, 8}}, true},
		"a position that no parity covers":             {[]uint8{1, 7}, []Parity{{0, 3}, {1, 7}}, false},
		"left out, the other one is restored":          {[]uint8{1}, []Parity{{0, 3}}, true},
		"too few":                                      {[]uint8{1, 2, 3}, []Parity{{0, 8}, {1, 8}}, false},
		"none are missing":                             {nil, []Parity{{0, 8}}, true},
		"none are missing and there is nothing":        {nil, nil, true},
		"all are missing":                              {[]uint8{0, 1, 2, 3, 4, 5, 6, 7}, firstParity(8, 8), true},
		"all are missing, of early ones there is much": {[]uint8{0, 1, 2, 3, 4, 5, 6, 7}, append([]Parity{{8, 3}, {9, 3}, {10, 3}, {11, 3}}, firstParity(8, 5)...), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := checkSolve(t, &d, g, test.missing, test.parity); got != test.want {
				t.Errorf("solved %t, want %t", got, test.want)
			}
		})
	}
}

// A singular choice that no bookkeeping of counts would notice: as many parity packets as missing ones, of different indices, each
// position covered. The decoder says false, and true as soon as any other parity packet comes.
func TestDecoderSingular(t *testing.T) {
	// Of a 3 x 3 system with a zero in a corner the determinant vanishes for one ratio in 255: some group has it.
	var d Decoder
	g := newGroup(NewCode(16), 20, seeded(t))
	found := 0
	for i := range uint8(40) {
		for j := range i {
			for l := range j {
				missing, parity := []uint8{2, 5, 11}, []Parity{{i, 16}, {j, 16}, {l, 8}}
				if d.Solve(g.code, missing, parity) {
					continue
				}
				found++
				checkSolve(t, &d, g, missing, parity)
				if more := append(parity, Parity{100, 16}); !checkSolve(t, &d, g, missing, more) {
					t.Errorf("%v does not restore %v", more, missing)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no singular choice found")
	}
}

func TestAllocs(t *testing.T) {
	var d Decoder
	c := NewCode(64)
	rng := seeded(t)
	whole, mixed := firstParity(64, 20), firstParity(64, 70)
	for i := range 50 {
		mixed[i].Cover = 40
	}
	few, many := erasures(rng, 64, 16), erasures(rng, 64, 50)
	dst, src := make([]byte, 1439), make([]byte, 1439)
	run := func() {
		sum := byte(0)
		for _, s := range []struct {
			missing []uint8
			parity  []Parity
		}{{few, whole}, {few, mixed}, {many, mixed}} {
			if d.Solve(c, s.missing, s.parity) {
				for i := range s.parity {
					if d.Used(i) {
						sum ^= d.Weight(len(s.missing)-1, i)
					}
				}
			}
		}
		MulAdd(sum|1, dst, src)
		MulAdd(c.Coefficient(3, 4), dst, src)
	}
	run()
	if n := testing.AllocsPerRun(50, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// firstParity returns the first m parity packets of a whole group of k.
func firstParity(k, m int) []Parity {
	parity := make([]Parity, m)
	for i := range parity {
		parity[i] = Parity{uint8(i), uint8(k)}
	}
	return parity
}
