package flow

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// FuzzLimiter lets the fuzzer choose the calls of TestLimiterProperty.
func FuzzLimiter(f *testing.F) { f.Fuzz(rapid.MakeFuzz(limiterKeepsItsWord)) }

// FuzzQuantised: what a source tells in a byte is not below what it means, and means itself.
func FuzzQuantised(f *testing.F) {
	f.Add(int64(10*time.Millisecond), 1000.0)
	f.Add(int64(math.MaxInt64), math.Inf(1))
	f.Add(int64(-1), math.NaN())
	f.Fuzz(func(t *testing.T, d int64, size float64) {
		q := EncodeGRTT(time.Duration(d))
		got := DecodeGRTT(q)
		if EncodeGRTT(got) != q || int64(got) < d && q != 255 || q > 0 && int64(DecodeGRTT(q-1)) >= d {
			t.Fatalf("%v becomes %d, which is %v", time.Duration(d), q, got)
		}
		g := EncodeGroupSize(size)
		n := DecodeGroupSize(g)
		if EncodeGroupSize(n) != g || n < size && g != 0x9f || n < 1 || size >= 1 && n > max(2*size, 1) {
			t.Fatalf("%v becomes %#x, which is %v", size, g, n)
		}
	})
}
