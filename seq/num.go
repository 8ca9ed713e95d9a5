package seq

// Num is a 32-bit serial number. Use Less, never the operator <: numbers wrap.
type Num uint32

// Less reports whether a comes before b in serial order (RFC 1982).
func (a Num) Less(b Num) bool { return int32(a-b) < 0 }

// LessEq reports whether a is b or comes before it.
func (a Num) LessEq(b Num) bool { return int32(a-b) <= 0 }

// Sub returns the signed distance from b to a, so that b.Add(a.Sub(b)) == a.
func (a Num) Sub(b Num) int { return int(int32(a - b)) }

// Add returns the number n places after a; n may be negative.
func (a Num) Add(n int) Num { return a + Num(uint32(n)) }

// Max returns the later of a and b.
func Max(a, b Num) Num {
	if a.Less(b) {
		return b
	}
	return a
}

// Min returns the earlier of a and b.
func Min(a, b Num) Num {
	if b.Less(a) {
		return b
	}
	return a
}
