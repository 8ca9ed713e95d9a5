package fec

import (
	"fmt"

	"github.com/rmcast/rmcast/internal/invariant"
)

// Parity names a parity packet of a group: the sum of the group's first Cover data packets, each times its Coefficient in row
// Index.
type Parity struct {
	Index uint8 // 0 to Parities()-1
	Cover uint8 // 1 to k; less than k if the group had no more packets when the parity packet was made (CURR_TGSIZE)
}

// Decoder finds how the missing data packets of one group follow from parity packets. It sees no bytes of packets: for each
// parity packet that takes part the caller makes the syndrome
//
//	S_i = parity packet i + sum over the data packets j < Cover that are there of Coefficient(Index, j) * packet j
//
// and then
//
//	missing[x] = sum over i of Weight(x, i) * S_i
//
// all of it with [MulAdd], packets padded with zeros to one length. The zero Decoder is ready. It is to be used again and again:
// after the first Solve with parity of full cover, and after the first with mixed covers, it allocates no more for any group
// of that size with at most 256 parity packets.
type Decoder struct {
	// slots has for each parity packet of the last Solve the row of the system that it is, or unused.
	slots []uint8
	m     int // missing packets, and rows; 0 after a Solve that said false

	// If every row covers every missing packet, the system is that of a Cauchy matrix 1 / (x_r - y_c), whose rows and columns
	// are scaled. The inverse is one too: the numbers below are the logarithms of its factors.
	points      [MaxGroupSize]byte // x_r, of parity packets, by row
	rows        [MaxGroupSize]uint8
	unknowns    [MaxGroupSize]byte // y_c, of missing packets
	columns     [MaxGroupSize]uint8
	mixed       bool
	elimination elimination // holds the inverse otherwise
}

const unused = 0xff

// Solve takes the positions of missing data packets, ascending, and parity packets, and reports whether these determine
// those: it is false only if they do not. It chooses as many parity packets as packets are missing, independent ones, by order
// as far as it can; which, Used tells. Parity packets may be more than are needed, and one may come twice.
//
// Every position below the greatest Cover that is not in missing counts as there. Positions that no parity packet covers are
// not determined, so leave them out to restore the others. With parity of full cover any choice of different indices does; with
// mixed covers it can happen, rarely, that as many parity packets as missing ones are not enough.
//
// The cost without bytes is of the order of m^2 for m missing packets, or m^3 with mixed covers.
func (d *Decoder) Solve(c *Code, missing []uint8, parity []Parity) bool {
	for x, j := range missing {
		if int(j) >= c.k || x > 0 && j <= missing[x-1] {
			panic(fmt.Sprintf("BUG: fec: missing %v of %d packets", missing, c.k))
		}
	}
	for _, p := range parity {
		if int(p.Index) >= c.parities || p.Cover == 0 || int(p.Cover) > c.k {
			panic(fmt.Sprintf("BUG: fec: parity packet %+v of a group of %d", p, c.k))
		}
	}
	d.prepare(len(parity))
	m := len(missing)
	if m == 0 {
		return true
	}
	if m > len(parity) {
		return false
	}
	d.mixed = !d.choose(missing, parity)
	if !d.mixed {
		d.cauchy(c, missing, parity)
	} else if !d.elimination.solve(c, missing, parity, d.slots) {
		d.prepare(len(parity))
		return false
	}
	d.m = m
	if invariant.Enabled {
		d.check(c, missing, parity)
	}
	return true
}

// prepare makes slots say that none of n parity packets takes part.
func (d *Decoder) prepare(n int) {
	if cap(d.slots) < n {
		d.slots = make([]uint8, max(n, 256))
	}
	d.slots = d.slots[:n]
	for i := range d.slots {
		d.slots[i] = unused
	}
	d.m = 0
}

// choose picks the first parity packets of different indices that cover all that is missing, and reports whether they are as
// many as that.
func (d *Decoder) choose(missing []uint8, parity []Parity) bool {
	var seen [4]uint64
	m, last := 0, missing[len(missing)-1]
	for i, p := range parity {
		word, bit := p.Index>>6, uint64(1)<<(p.Index&63)
		if p.Cover > last && seen[word]&bit == 0 {
			seen[word] |= bit
			d.slots[i] = uint8(m)
			if m++; m == len(missing) {
				return true
			}
		}
	}
	for i := range d.slots {
		d.slots[i] = unused
	}
	return false
}

// cauchy finds the inverse of the chosen rows. That of the matrix 1 / (x_r - y_c) has at (c, r) the product of all
// (x_r - y_t) and all (x_t - y_c), divided by (x_r - y_c), by all other (x_r - x_t) and by all other (y_c - y_t).
func (d *Decoder) cauchy(c *Code, missing []uint8, parity []Parity) {
	m := len(missing)
	var rows, columns [MaxGroupSize]int
	for i, p := range parity {
		if s := d.slots[i]; s != unused {
			d.points[s] = point(c.k + int(p.Index))
			rows[s] = -int(c.row[p.Index])
		}
	}
	for x, j := range missing {
		d.unknowns[x] = point(int(j))
		columns[x] = -int(c.column[j])
	}
	for r, x := range d.points[:m] {
		for t, y := range d.unknowns[:m] {
			e := int(logs[x^y])
			rows[r] += e
			columns[t] += e
		}
		for t := range r {
			e := int(logs[x^d.points[t]])
			rows[r] -= e
			rows[t] -= e
			e = int(logs[d.unknowns[r]^d.unknowns[t]])
			columns[r] -= e
			columns[t] -= e
		}
	}
	for r := range m {
		d.rows[r], d.columns[r] = reduce(rows[r]), reduce(columns[r])
	}
}

// Used reports whether parity[i] of the last Solve takes part, so that its syndrome is needed. If that Solve was false, none does.
func (d *Decoder) Used(i int) bool { return d.slots[i] != unused }

// Weight is the factor of the syndrome of parity[i] in missing[x], both of the last Solve, which was true. It is 0 if parity[i]
// does not take part.
func (d *Decoder) Weight(x, i int) byte {
	if uint(x) >= uint(d.m) {
		panic(fmt.Sprintf("BUG: fec: weight in missing packet %d of %d", x, d.m))
	}
	s := d.slots[i]
	switch {
	case s == unused:
		return 0
	case d.mixed:
		return d.elimination.weight(x, int(s))
	}
	return ratio(d.rows[s], d.columns[x], logs[d.points[s]^d.unknowns[x]])
}

// check panics unless the weights restore an example: packets of one byte, the powers of a.
func (d *Decoder) check(c *Code, missing []uint8, parity []Parity) {
	var row, restored [MaxGroupSize]byte
	for i, p := range parity {
		if !d.Used(i) {
			continue
		}
		system(row[:], c, missing, p)
		syndrome := byte(0)
		for x := range missing {
			syndrome ^= product(row[x], powers[x])
		}
		for x := range missing {
			restored[x] ^= product(d.Weight(x, i), syndrome)
		}
	}
	for x := range missing {
		if restored[x] != powers[x] {
			panic(fmt.Sprintf("BUG: fec: missing %v of %d packets, parity %v: packet %d is not restored", missing, c.k, parity, missing[x]))
		}
	}
}

// system writes the coefficients that the missing packets have in a parity packet.
func system(row []byte, c *Code, missing []uint8, p Parity) {
	for x, j := range missing {
		row[x] = 0
		if j < p.Cover {
			row[x] = c.Coefficient(int(p.Index), int(j))
		}
	}
}
