package seq

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// reach is how far apart the members of one window are at most: TXW_SQNS is at most 2^31-1 (RFC 3208, 5.1.1).
const reach = 1<<31 - 1

// TestNumModel walks a number about beside a counter that never wraps, as a window's edges go on for years, and compares whatever
// lies within reach of it.
func TestNumModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.Int64Range(0, 1<<40).Draw(t, "at")
		num := Num(uint32(at))
		edge := rapid.SampledFrom([]int64{0, 1, 2, 1 << 16, reach - 1, reach})
		steps := rapid.OneOf(rapid.Int64Range(0, reach), edge)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if num != Num(uint32(at)) {
					t.Fatalf("the number is %d, the counter %d", num, at)
				}
			},
			"on": func(t *rapid.T) {
				n := steps.Draw(t, "n")
				num, at = num.Add(int(n)), at+n
			},
			"back": func(t *rapid.T) {
				n := min(steps.Draw(t, "n"), at)
				num, at = num.Add(int(-n)), at-n
			},
			"compare": func(t *rapid.T) {
				other := at + steps.Draw(t, "distance")*rapid.SampledFrom([]int64{1, -1}).Draw(t, "way")
				x := Num(uint32(other))
				if num.Less(x) != (at < other) || num.LessEq(x) != (at <= other) || x.Less(num) != (other < at) || int64(num.Sub(x)) != at-other {
					t.Fatalf("%d and %d, %d apart: less %v, %v, distance %d", num, x, at-other, num.Less(x), x.Less(num), num.Sub(x))
				}
				if Max(num, x) != Num(uint32(max(at, other))) || Min(num, x) != Num(uint32(min(at, other))) {
					t.Fatalf("of %d and %d the greater is %d, the less %d", num, x, Max(num, x), Min(num, x))
				}
			},
		})
	})
}

// Numbers of one window sort as their counters do, wherever the window stands: the order is one.
func TestNumSorts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := Num(rapid.Uint32().Draw(t, "base"))
		places := rapid.SliceOf(rapid.OneOf(rapid.IntRange(0, reach), rapid.SampledFrom([]int{0, 1, reach - 1, reach}))).Draw(t, "places")
		nums := make([]Num, len(places))
		for i, p := range places {
			nums[i] = base.Add(p)
		}
		slices.Sort(places)
		slices.SortFunc(nums, func(a, b Num) int {
			switch {
			case a.Less(b):
				return -1
			case b.Less(a):
				return 1
			}
			return 0
		})
		for i, p := range places {
			if nums[i] != base.Add(p) {
				t.Fatalf("from %d on, %v sorts as %v", base, places, nums)
			}
		}
	})
}

// Ranges of any size within one window are what they are as intervals of the counter.
func TestRangeModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := Num(rapid.Uint32().Draw(t, "base"))
		place := rapid.OneOf(rapid.IntRange(0, reach), rapid.IntRange(0, 5), rapid.IntRange(reach-5, reach))
		draw := func(name string) (r Range, from, to int) {
			from, to = place.Draw(t, name+".from"), place.Draw(t, name+".to")
			return Range{base.Add(from), base.Add(to)}, from, to
		}
		r, from, to := draw("r")
		s, from2, to2 := draw("s")
		if r.Len() != max(to-from, 0) || r.Empty() != (to <= from) {
			t.Fatalf("%v: %d numbers, empty %v", r, r.Len(), r.Empty())
		}
		both := r.Intersect(s)
		if both.Len() != max(min(to, to2)-max(from, from2), 0) {
			t.Fatalf("%v and %v have %v in common, %d numbers", r, s, both, both.Len())
		}
		p := place.Draw(t, "place")
		if r.Has(base.Add(p)) != (from <= p && p < to) || both.Has(base.Add(p)) != (r.Has(base.Add(p)) && s.Has(base.Add(p))) {
			t.Fatalf("%v has %d: %v; %v: %v", r, base.Add(p), r.Has(base.Add(p)), both, both.Has(base.Add(p)))
		}
	})
}
