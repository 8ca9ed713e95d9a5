package flow

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestGRTTByte(t *testing.T) {
	for q := range 256 {
		d := DecodeGRTT(uint8(q))
		if got := EncodeGRTT(d); int(got) != q {
			t.Errorf("%d stands for %v, which becomes %d", q, d, got)
		}
		if q > 0 && d <= DecodeGRTT(uint8(q-1)) {
			t.Errorf("%d stands for %v, %d for %v", q, d, q-1, DecodeGRTT(uint8(q-1)))
		}
	}
	for q := 31; q < 256; q++ {
		want := math.Round(1e12 / math.Exp(float64(255-q)/13))
		if got := DecodeGRTT(uint8(q)); got != time.Duration(want) {
			t.Errorf("%d stands for %d ns, want %v", q, got, want)
		}
	}
	// RFC 5740, 4.2.1: RTT_MAX/exp((255-q)/13), (q+1) us below 31.
	for q, want := range map[uint8]time.Duration{0: 1e3, 30: 31e3, 255: 1000e9, 242: 367879441171, 105: 9747872} {
		if got := DecodeGRTT(q); got != want {
			t.Errorf("%d stands for %d ns, want %d", q, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(1, 1000e9).Draw(t, "rtt"))
		got := DecodeGRTT(EncodeGRTT(d))
		if got < d || float64(got) > 1.0802*float64(d)+1000 {
			t.Fatalf("%v becomes %v", d, got)
		}
	})
	if EncodeGRTT(-1) != 0 || EncodeGRTT(0) != 0 || EncodeGRTT(math.MaxInt64) != 255 {
		t.Error("out of range is not clamped")
	}
}

func TestGroupSizeByte(t *testing.T) {
	for _, c := range []struct {
		n    float64
		want float64
	}{
		{math.NaN(), 1}, {math.Inf(-1), 1}, {0, 1}, {1, 1}, {1.1, 2}, {7, 7}, {9, 9}, {9.5, 10}, {10, 10}, {11, 20}, {99, 100}, {1000, 1000},
		{1e6, 1e6}, {1234567, 2e6}, {9e15, 9e15}, {9.1e15, 9e15}, {math.Inf(1), 9e15},
	} {
		if got := DecodeGroupSize(EncodeGroupSize(c.n)); got != c.want {
			t.Errorf("%v becomes %v, want %v", c.n, got, c.want)
		}
	}
	for q := range 256 {
		n := DecodeGroupSize(uint8(q))
		if n < 1 || n > 1.5e16 {
			t.Errorf("%#x stands for %v", q, n)
		}
		if digit := q >> 4; digit >= 1 && digit <= 9 && int(EncodeGroupSize(n)) != q {
			t.Errorf("%#x stands for %v, which becomes %#x", q, n, EncodeGroupSize(n))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Float64Range(1, 9e15).Draw(t, "receivers")
		if got := DecodeGroupSize(EncodeGroupSize(n)); got < n || got > 2*n {
			t.Fatalf("%v becomes %v", n, got)
		}
	})
}
