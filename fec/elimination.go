package fec

// elimination inverts the system of a group whose parity packets differ in cover, by Gauss and Jordan. Its memory is made at the
// first use.
type elimination struct {
	// cells are m rows, each of m coefficients of the missing packets and of m factors: how much of each chosen parity packet is
	// in the row. pivots has the column in which a row is 1 and all later rows are 0; at the end it is the only one left.
	cells  []byte
	m      int
	pivots [MaxGroupSize]uint8
	where  [MaxGroupSize]uint8 // the row that has its pivot in a column
}

func (e *elimination) row(s int) []byte { return e.cells[s*2*e.m:][: 2*e.m : 2*e.m] }

// solve chooses rows that are independent of those before them until there are m, sets their slots, and reports whether
// it found so many.
func (e *elimination) solve(c *Code, missing []uint8, parity []Parity, slots []uint8) bool {
	if cells := 2 * c.k * c.k; len(e.cells) < cells {
		e.cells = make([]byte, cells)
	}
	e.m = len(missing)
	s := 0
	for i, p := range parity {
		if row := e.row(s); e.reduce(row, s, c, missing, p) {
			slots[i] = uint8(s)
			if s++; s == e.m {
				e.back()
				return true
			}
		}
	}
	return false
}

// reduce makes row number s of a parity packet, and reports false if it is a sum of the rows before it.
func (e *elimination) reduce(row []byte, s int, c *Code, missing []uint8, p Parity) bool {
	system(row, c, missing, p)
	clear(row[e.m:])
	row[e.m+s] = 1
	for t := range s {
		MulAdd(row[e.pivots[t]], row, e.row(t)[:e.m+t+1])
	}
	for x, v := range row[:e.m] {
		if v != 0 {
			e.pivots[s], e.where[x] = uint8(x), uint8(s)
			scale(row[:e.m+s+1], inverse(v))
			return true
		}
	}
	return false
}

// back clears each row at the pivots of later rows, so that of its coefficients only the pivot is left. These later rows
// are then so already: only their factors need to be added.
func (e *elimination) back() {
	for s := e.m - 2; s >= 0; s-- {
		row := e.row(s)
		for t := s + 1; t < e.m; t++ {
			MulAdd(row[e.pivots[t]], row[e.m:], e.row(t)[e.m:])
		}
	}
}

func (e *elimination) weight(x, s int) byte { return e.row(int(e.where[x]))[e.m+s] }

func scale(row []byte, factor byte) {
	for x, v := range row {
		row[x] = product(v, factor)
	}
}
