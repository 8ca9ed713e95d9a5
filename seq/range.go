package seq

import "fmt"

// Range is the half-open run of numbers From, From+1, … To-1. It is empty when To does not come after From.
type Range struct{ From, To Num }

// Len returns how many numbers the range holds.
func (r Range) Len() int { return max(r.To.Sub(r.From), 0) }

// Empty reports whether the range holds no number.
func (r Range) Empty() bool { return r.To.LessEq(r.From) }

// Has reports whether n is in the range.
func (r Range) Has(n Num) bool { return r.From.LessEq(n) && n.Less(r.To) }

// Intersect returns what r and s have in common; it is empty when that is nothing.
func (r Range) Intersect(s Range) Range { return Range{Max(r.From, s.From), Min(r.To, s.To)} }

// String gives the range as people write intervals: [3,7).
func (r Range) String() string { return fmt.Sprintf("[%d,%d)", r.From, r.To) }
