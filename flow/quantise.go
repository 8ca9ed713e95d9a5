package flow

import (
	"math"
	"math/bits"
	"time"
)

// grttTable holds the 256 round-trip times a byte can stand for.
//
// RFC 5740, 4.2.1: 1 to 31 us in steps of 1 us, then 13 steps for each factor of e up to 1000 s. It is made of integers, so
// that it is the same on every architecture: math.Exp is not.
var grttTable = func() (t [256]time.Duration) {
	const (
		step = 0xed0bc906233bcc99 // e^(-1/13), of 2^64
		half = 1 << 23            // of a nanosecond in units of 2^-24 ns
	)
	d := uint64(1000*time.Second) << 24
	for q := len(t) - 1; q >= 31; q-- {
		t[q] = time.Duration((d + half) >> 24)
		d, _ = bits.Mul64(d, step)
	}
	for q := range 31 {
		t[q] = time.Duration(q+1) * time.Microsecond
	}
	return t
}()

// EncodeGRTT returns the byte for the least representable time that is not below d: at most 8 % (below 32 us: 1 us) more.
// Times over 1000 s become 1000 s.
func EncodeGRTT(d time.Duration) uint8 {
	lo, hi := 0, 255
	for lo < hi {
		if mid := (lo + hi) / 2; grttTable[mid] < d {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return uint8(lo)
}

// DecodeGRTT returns the time q stands for, 1 us to 1000 s. Every q is valid.
func DecodeGRTT(q uint8) time.Duration { return grttTable[q] }

var pow10 = [16]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// EncodeGroupSize returns the byte for a number of receivers: the high nibble is a digit 1 to 9, the low one a power of ten, as
// in NORM's field before it shrank to four bits. It rounds up, so 1 to 10 are exact and 11 becomes 20; the backoff law
// takes the logarithm of it. Less than 1 and NaN become 1, more than 9e15 becomes that.
func EncodeGroupSize(n float64) uint8 {
	if !(n > 1) {
		return 1 << 4
	}
	for exp, unit := range pow10 {
		if digit := math.Ceil(n / unit); digit <= 9 {
			return uint8(digit)<<4 | uint8(exp)
		}
	}
	return 9<<4 | 15
}

// DecodeGroupSize returns the number of receivers q stands for, 1 to 1.5e16, exactly. Every q is valid; a digit of 0 counts as 1.
func DecodeGroupSize(q uint8) float64 { return float64(max(q>>4, 1)) * pow10[q&15] }
