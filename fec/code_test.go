package fec

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"
)

// Rows of OpenPGM's pgm_rs_create, for groups of 2, 4, 8 and 16.
func TestCodeVectors(t *testing.T) {
	for k, rows := range map[int][2]string{
		2:  {"0302", "0504"},
		4:  {"7740380e", "c7a70d6c"},
		8:  {"8918d07d92a4f5fe", "36f8d0ce2519fb16"},
		16: {"c53b1f2d4faa83c2616977a6e25f373a", "7d17d71360a9a89dcda37db4ab286d1a"},
	} {
		c := NewCode(k)
		for i, want := range rows {
			var row []byte
			for j := range k {
				row = append(row, c.Coefficient(i, j))
			}
			if got := hex.EncodeToString(row); got != want {
				t.Errorf("group of %d: row %d is %s, want %s", k, i, got, want)
			}
		}
	}
}

// Parity packets of OpenPGM's pgm_rs_encode.
func TestCodePackets(t *testing.T) {
	c := NewCode(4)
	for i, want := range []string{"1b18191e1f1c1d121310111617141598", "9192939495969798999a9b9c9d9e9fda"} {
		parity := make([]byte, 16)
		for j := range 4 {
			data := make([]byte, 16)
			for b := range data {
				data[b] = byte(16*j + b + 1)
			}
			MulAdd(c.Coefficient(i, j), parity, data)
		}
		if got := hex.EncodeToString(parity); got != want {
			t.Errorf("parity packet %d is %s, want %s", i, got, want)
		}
	}
}

// naiveMul is the product by its definition, without tables.
func naiveMul(a, b byte) byte {
	product, x := 0, int(a)
	for ; b != 0; b >>= 1 {
		if b&1 != 0 {
			product ^= x
		}
		if x <<= 1; x > 255 {
			x ^= 0x11d
		}
	}
	return byte(product)
}

// products has naiveMul of everything, for tests that need many.
var products = func() (p [256][256]byte) {
	for a := range p {
		for b := range p[a] {
			p[a][b] = naiveMul(byte(a), byte(b))
		}
	}
	return p
}()

// Interpolation is exact for the polynomials 1, x, x^2, … x^(k-1), and only one row of k coefficients makes it so: it is that
// of the Vandermonde matrix times the inverse of its top.
func TestCodeInterpolates(t *testing.T) {
	places := []byte{0}
	for x := byte(1); len(places) < 255; x = naiveMul(x, 2) {
		places = append(places, x)
	}
	for k := 2; k <= MaxGroupSize; k++ {
		c := NewCode(k)
		if c.GroupSize() != k || c.Parities() != 255-k {
			t.Fatalf("group of %d: size %d, %d parities", k, c.GroupSize(), c.Parities())
		}
		step := 1
		if k&(k-1) != 0 {
			step = 7
		}
		for i := 0; i < c.Parities(); i += step {
			x := places[k+i]
			terms, power := make([]byte, k), byte(1)
			for j := range terms {
				terms[j] = c.Coefficient(i, j)
			}
			for e := range k {
				sum := byte(0)
				for j, v := range terms {
					sum ^= v
					terms[j] = products[v][places[j]]
				}
				if sum != power {
					t.Fatalf("group of %d, row %d: x^%d gives %#x, want %#x", k, i, e, sum, power)
				}
				power = products[power][x]
			}
		}
	}
}

func TestMulAdd(t *testing.T) {
	src, before := make([]byte, 600), make([]byte, 600)
	for b := range src {
		src[b], before[b] = byte(b*b>>3+b), byte(b*7)
	}
	for n := range len(src) {
		for _, coefficient := range []byte{0, 1, 2, 0x53, byte(n), 0xff} {
			dst := append([]byte(nil), before...)
			from := n % 5
			MulAdd(coefficient, dst, src[from:n:n])
			for b := range dst {
				want := before[b]
				if b < n-from {
					want ^= products[coefficient][src[from+b]]
				}
				if dst[b] != want {
					t.Fatalf("%d bytes times %#x: byte %d is %#x, want %#x", n-from, coefficient, b, dst[b], want)
				}
			}
		}
	}
}

func TestPanics(t *testing.T) {
	c := NewCode(4)
	for name, f := range map[string]func(){
		"group of 1":         func() { NewCode(1) },
		"group of 129":       func() { NewCode(129) },
		"parity 251":         func() { c.Coefficient(251, 0) },
		"parity -1":          func() { c.Coefficient(-1, 0) },
		"packet 4":           func() { c.Coefficient(0, 4) },
		"short dst":          func() { MulAdd(1, make([]byte, 3, 4), make([]byte, 4)) },
		"missing 4":          func() { new(Decoder).Solve(c, []uint8{4}, []Parity{{0, 4}}) },
		"missing descending": func() { new(Decoder).Solve(c, []uint8{2, 1}, []Parity{{0, 4}, {1, 4}}) },
		"missing twice":      func() { new(Decoder).Solve(c, []uint8{1, 1}, []Parity{{0, 4}, {1, 4}}) },
		"index 251":          func() { new(Decoder).Solve(c, []uint8{1}, []Parity{{251, 4}}) },
		"cover 0":            func() { new(Decoder).Solve(c, []uint8{1}, []Parity{{0, 0}}) },
		"cover 5":            func() { new(Decoder).Solve(c, []uint8{1}, []Parity{{0, 5}}) },
		"weight of nothing":  func() { new(Decoder).Weight(0, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if got := fmt.Sprint(recover()); len(got) < 9 || got[:9] != "BUG: fec:" {
					t.Errorf("panics with %q", got)
				}
			}()
			f()
		})
	}
}

// What lies behind src, in its capacity, takes no part, however much longer dst is, on any architecture.
func TestExactMulAdd(t *testing.T) {
	memory := bytes.Repeat([]byte{0xff}, 200)
	for coefficient := range 256 {
		for n := range 100 {
			dst := make([]byte, 200)
			MulAdd(byte(coefficient), dst, memory[:n])
			if tail := bytes.TrimLeft(dst[n:], "\x00"); len(tail) > 0 {
				t.Fatalf("%d times %d bytes: what is behind them became %x", coefficient, n, dst[n:])
			}
		}
	}
}
