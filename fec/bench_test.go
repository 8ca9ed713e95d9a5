package fec

import (
	"fmt"
	"testing"
)

const (
	benchGroup  = 64
	benchLength = 1408
)

func BenchmarkMulAdd(b *testing.B) {
	for _, n := range []int{64, 1400, 1408, 1439, 8900} {
		b.Run(fmt.Sprintf("bytes=%d", n), func(b *testing.B) {
			dst, src := make([]byte, n), make([]byte, n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				MulAdd(0x53, dst, src)
			}
		})
	}
}

func BenchmarkNewCode(b *testing.B) {
	for _, k := range []int{16, 64, 128} {
		b.Run(fmt.Sprintf("group=%d", k), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				NewCode(k)
			}
		})
	}
}

// BenchmarkEncode makes one parity packet of a whole group.
func BenchmarkEncode(b *testing.B) {
	g := newGroup(NewCode(benchGroup), benchLength, seeded(b))
	b.Run("ours", func(b *testing.B) {
		parity := make([]byte, benchLength)
		b.SetBytes(benchGroup * benchLength)
		b.ReportAllocs()
		for b.Loop() {
			clear(parity)
			for j, data := range g.data {
				MulAdd(g.code.Coefficient(3, j), parity, data)
			}
		}
	})
	b.Run("reedsolomon", func(b *testing.B) {
		shards := append(append([][]byte(nil), g.data...), make([]byte, benchLength))
		enc := oracle(b, g.code, 1)
		b.SetBytes(benchGroup * benchLength)
		b.ReportAllocs()
		for b.Loop() {
			if err := enc.Encode(shards); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSolve is the decoder without any bytes.
func BenchmarkSolve(b *testing.B) {
	for _, k := range []int{64, 128} {
		for _, m := range []int{1, 4, 16, 64} {
			for _, mixed := range []bool{false, true} {
				if mixed && m == 1 {
					continue // nothing to mix
				}
				b.Run(fmt.Sprintf("group=%d/lost=%d/mixed=%t", k, m, mixed), func(b *testing.B) {
					c, rng := NewCode(k), seeded(b)
					missing := erasures(rng, k, m)
					parity := firstParity(k, m)
					if mixed {
						parity[0].Cover = missing[m-1]/2 + 1
						missing[0] = 0
					}
					var d Decoder
					b.ReportAllocs()
					for b.Loop() {
						if !d.Solve(c, missing, parity) {
							b.Fatal("not solved")
						}
					}
				})
			}
		}
	}
}

// BenchmarkRepair restores lost packets from as many parity packets, syndromes and Solve included. A syndrome needs the bytes
// of a parity packet, which is overwritten: the copy of it is in the measure.
func BenchmarkRepair(b *testing.B) {
	for _, m := range []int{1, 4, 16} {
		g := newGroup(NewCode(benchGroup), benchLength, seeded(b))
		missing := erasures(seeded(b), benchGroup, m)
		parity := firstParity(benchGroup, m)
		packets, syndrome := make([][]byte, m), make([]byte, benchLength)
		restored := make([][]byte, m)
		for i, p := range parity {
			packets[i], restored[i] = g.parity(p), make([]byte, benchLength)
		}
		b.Run(fmt.Sprintf("lost=%d/ours", m), func(b *testing.B) {
			var d Decoder
			b.ReportAllocs()
			for b.Loop() {
				if !d.Solve(g.code, missing, parity) {
					b.Fatal("not solved")
				}
				for _, r := range restored {
					clear(r)
				}
				for i, p := range parity {
					copy(syndrome, packets[i])
					next := 0
					for j, data := range g.data {
						if next < m && int(missing[next]) == j {
							next++
							continue
						}
						MulAdd(g.code.Coefficient(int(p.Index), j), syndrome, data)
					}
					for x, r := range restored {
						MulAdd(d.Weight(x, i), r, syndrome)
					}
				}
			}
		})
		b.Run(fmt.Sprintf("lost=%d/reedsolomon", m), func(b *testing.B) {
			enc := oracle(b, g.code, m)
			whole := append(append([][]byte(nil), g.data...), packets...)
			shards, wanted := make([][]byte, len(whole)), make([]bool, len(whole))
			for _, j := range missing {
				wanted[j] = true
			}
			b.ReportAllocs()
			for b.Loop() {
				copy(shards, whole)
				for x, j := range missing {
					shards[j] = restored[x][:0]
				}
				if err := enc.ReconstructSome(shards, wanted); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
