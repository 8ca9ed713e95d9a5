package seq

import (
	"testing"

	"pgregory.net/rapid"
)

func TestNumOrder(t *testing.T) {
	for _, c := range []struct {
		a, b Num
		less bool
		sub  int
	}{
		{0, 0, false, 0},
		{0, 1, true, -1},
		{1, 0, false, 1},
		{0xffffffff, 0, true, -1},
		{0, 0xffffffff, false, 1},
		{0, 0x7fffffff, true, -0x7fffffff},
		{0x80000001, 0, true, -0x7fffffff},
	} {
		if got := c.a.Less(c.b); got != c.less {
			t.Errorf("%d.Less(%d) = %v, want %v", c.a, c.b, got, c.less)
		}
		if got := c.a.Sub(c.b); got != c.sub {
			t.Errorf("%d.Sub(%d) = %d, want %d", c.a, c.b, got, c.sub)
		}
	}
}

// Within half the number space, serial order is the order of distances from any base, wherever the base stands.
func TestNumOrderProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := Num(rapid.Uint32().Draw(t, "base"))
		i := rapid.IntRange(0, 1<<31-1).Draw(t, "i")
		j := rapid.IntRange(0, 1<<31-1).Draw(t, "j")
		a, b := base.Add(i), base.Add(j)
		if a.Less(b) != (i < j) || a.LessEq(b) != (i <= j) || a.Sub(b) != i-j || b.Add(a.Sub(b)) != a {
			t.Fatalf("base %d: %d places on and %d places on compare wrongly", base, i, j)
		}
		if Max(a, b) != base.Add(max(i, j)) || Min(a, b) != base.Add(min(i, j)) {
			t.Fatalf("Max or Min of %d and %d is wrong", a, b)
		}
	})
}

func TestRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := Num(rapid.Uint32().Draw(t, "base"))
		draw := func(name string) Range {
			return Range{base.Add(rapid.IntRange(0, 20).Draw(t, name+".from")), base.Add(rapid.IntRange(0, 20).Draw(t, name+".to"))}
		}
		r, s := draw("r"), draw("s")
		both := r.Intersect(s)
		n := 0
		for i := range 21 {
			x := base.Add(i)
			if both.Has(x) != (r.Has(x) && s.Has(x)) {
				t.Fatalf("%v.Intersect(%v) = %v: wrong about %d", r, s, both, x)
			}
			if r.Has(x) {
				n++
			}
		}
		if r.Len() != n || r.Empty() != (n == 0) {
			t.Fatalf("%v: Len %d, Empty %v, holds %d", r, r.Len(), r.Empty(), n)
		}
	})
}
