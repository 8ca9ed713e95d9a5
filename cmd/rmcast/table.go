package main

import (
	"strings"
	"unicode/utf8"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
)

// column is one of a table.
type column struct {
	title string
	rank  int  // what matters most has 0
	right bool // its cells end below each other
	width int  // it has at least, so that it stays where it is while its cells grow
	least int  // to which it may be cut; 0: it is not cut
}

const columnGap = 2

// layout makes lines of at most width characters of rows that have a cell for each column; the first line has the titles, if there are any. Columns are as
// wide as their cells. Where there is no room, those that may be are cut, and those that matter least are left out; that of rank 0, which is one, never.
func layout(width int, columns []column, rows [][]string) (lines []string) {
	titles, some := make([]string, len(columns)), false
	widths, floors, shown := make([]int, len(columns)), make([]int, len(columns)), make([]bool, len(columns))
	for i, c := range columns {
		titles[i], shown[i] = c.title, true
		some = some || c.title != ""
		widths[i] = max(c.width, utf8.RuneCountInString(c.title))
		for _, r := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(r[i]))
		}
		if floors[i] = widths[i]; c.least > 0 {
			floors[i] = min(widths[i], c.least)
		}
	}
	for excess(width, floors, shown) > 0 {
		last := pick(shown, func(i int) int { return columns[i].rank })
		if columns[last].rank == 0 {
			widths[last], floors[last] = width, width
			break
		}
		shown[last] = false
	}
	for over := excess(width, widths, shown); over > 0; over = excess(width, widths, shown) {
		cut := pick(shown, func(i int) int { return widths[i] - floors[i] })
		if widths[cut] == floors[cut] {
			break
		}
		widths[cut] = max(floors[cut], widths[cut]-over)
	}
	if some {
		rows = append([][]string{titles}, rows...)
	}
	for _, r := range rows {
		lines = append(lines, line(columns, widths, shown, r))
	}
	return lines
}

// pick returns which of the columns shown has the most of something.
func pick(shown []bool, of func(i int) int) int {
	most := -1
	for i, ok := range shown {
		if ok && (most < 0 || of(i) > of(most)) {
			most = i
		}
	}
	return most
}

// excess is by how much the columns shown are wider than there is room.
func excess(width int, widths []int, shown []bool) int {
	used := -columnGap
	for i, w := range widths {
		if shown[i] {
			used += w + columnGap
		}
	}
	return used - width
}

// line writes the cells of a row that are shown.
func line(columns []column, widths []int, shown []bool, cells []string) string {
	var b strings.Builder
	for i, c := range columns {
		if !shown[i] {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(strings.Repeat(" ", columnGap))
		}
		cell := human.Cut(cells[i], widths[i])
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if c.right {
			b.WriteString(pad + cell)
		} else {
			b.WriteString(cell + pad)
		}
	}
	return strings.TrimRight(b.String(), " ")
}
