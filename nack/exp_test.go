package nack

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// The logarithm agrees with that of package math to 1e-14, which is 1e-5 of what a wait in nanoseconds can show.
func TestLn(t *testing.T) {
	check := func(t interface{ Fatalf(string, ...any) }, x float64) {
		if got, want := ln(x), math.Log(x); math.Abs(got-want) > 1e-14*want {
			t.Fatalf("ln(%v) = %v, off by %v, %v of it", x, got, got-want, (got-want)/want)
		}
	}
	for _, x := range []float64{1, 2, math.E, 4, 1e6, math.E * 1e6, math.Nextafter(1, 2), math.Nextafter(2, 1), math.Nextafter(2, 3), math.MaxFloat64} {
		check(t, x)
	}
	for i := range 64 * 100 { // every interval, and its ends
		x := 1 + float64(i)/(64*100)
		check(t, x)
		check(t, math.Nextafter(x, 0)+1)
	}
	last := 0.
	for x := 1.; x < 3; x += 1. / (1 << 16) {
		got := ln(x)
		if got < last {
			t.Fatalf("ln falls at %v", x)
		}
		last = got
	}
	rapid.Check(t, func(t *rapid.T) { check(t, rapid.Float64Min(1).Draw(t, "x")) })
}

func TestExp(t *testing.T) {
	check := func(t interface{ Fatalf(string, ...any) }, x float64) {
		limit := 4e-16 * max(1, math.Abs(x))
		if got, want := exp(x), math.Exp(x); math.Abs(got-want) > limit*want {
			t.Fatalf("exp(%v) = %v, off by %v of it", x, got, (got-want)/want)
		}
	}
	for _, x := range []float64{0, 1, -1, 0.05, -0.05, math.Ln2, -math.Ln2, math.Ln2 / 2, -math.Ln2 / 2, 708.9, -700, 1e-300, -1e-300} {
		check(t, x)
	}
	rapid.Check(t, func(t *rapid.T) {
		check(t, rapid.Float64Range(-700, 708.9).Draw(t, "x"))
		check(t, rapid.Float64Range(-1, 1).Draw(t, "small x"))
	})
	for _, x := range []float64{709, 710, 1e300, math.Inf(1)} {
		if got := exp(x); got != math.MaxFloat64 {
			t.Errorf("exp(%v) = %v", x, got)
		}
	}
}

func BenchmarkLn(b *testing.B) {
	x := 1.
	for b.Loop() {
		if x += ln(x) + 1; x > 1e9 {
			x = 1
		}
	}
}

func BenchmarkExp(b *testing.B) {
	x := 1.
	for b.Loop() {
		x = exp(x) / 8
	}
}
