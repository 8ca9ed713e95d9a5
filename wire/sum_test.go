package wire

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// naiveSum adds 16 bits at a time, as RFC 1071 says it.
func naiveSum(b []byte) uint16 {
	var s uint32
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
		s = s>>16 + s&0xffff
	}
	if len(b)%2 == 1 {
		s += uint32(b[len(b)-1]) << 8
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func TestSumEveryLength(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 400)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	for from := range 9 { // every alignment
		for n := range len(b) - from {
			if got, want := Sum(b[from:from+n]), naiveSum(b[from:from+n]); got != want {
				t.Fatalf("Sum of bytes %d to %d = %#04x, want %#04x", from, from+n, got, want)
			}
		}
	}
}

// Runs of 0xff make every addition carry.
func TestSumCarries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := make([]byte, rapid.IntRange(0, 2000).Draw(t, "bytes"))
		for i := range b {
			b[i] = 0xff
		}
		for range rapid.IntRange(0, 8).Draw(t, "changes") {
			if len(b) > 0 {
				b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
			}
		}
		if got, want := Sum(b), naiveSum(b); got != want {
			t.Fatalf("Sum = %#04x, want %#04x", got, want)
		}
		cut := rapid.IntRange(0, len(b)/2).Draw(t, "cut") * 2
		if got, want := addSum(Sum(b[:cut]), Sum(b[cut:])), naiveSum(b); got != want {
			t.Fatalf("sum of the two parts at %d = %#04x, want %#04x", cut, got, want)
		}
	})
}

var sinkSum uint16

func BenchmarkSum(b *testing.B) {
	for _, n := range []int{24, 64, 1408, 8900} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			buf := make([]byte, n)
			for i := range buf {
				buf[i] = byte(i * 7)
			}
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				sinkSum = Sum(buf)
			}
		})
	}
}
