package main

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// Lines fit any width, begin with what matters most, and have their columns below each other.
func TestLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-zö]{0,30}`)
		var columns []column
		for i := range rapid.IntRange(1, 8).Draw(t, "columns") {
			columns = append(columns, column{title: strings.Repeat("T", rapid.IntRange(0, 9).Draw(t, "title")), rank: i, right: rapid.Bool().Draw(t, "right"),
				width: rapid.IntRange(0, 12).Draw(t, "width"), least: rapid.IntRange(0, 20).Draw(t, "least")})
		}
		var rows [][]string
		for range rapid.IntRange(0, 5).Draw(t, "rows") {
			rows = append(rows, rapid.SliceOfN(text, len(columns), len(columns)).Draw(t, "row"))
		}
		width := rapid.IntRange(1, 400).Draw(t, "columns of the screen")
		lines := layout(width, columns, rows)
		for i, l := range lines {
			if n := utf8.RuneCountInString(l); n > width {
				t.Fatalf("line %d has %d characters for %d: %q", i, n, width, l)
			}
		}
		if width >= 260 {
			for i, r := range rows {
				for _, cell := range r {
					if !strings.Contains(lines[len(lines)-len(rows)+i], cell) {
						t.Fatalf("%q is missing in %q", cell, lines)
					}
				}
			}
		}
	})
}

func TestLayoutOrder(t *testing.T) {
	columns := []column{{title: "WHO", least: 4}, {title: "WHERE", rank: 2}, {title: "HOW", rank: 1, right: true}}
	rows := [][]string{{"somebody", "somewhere", "so"}, {"me", "here", "1234"}}
	for _, c := range []struct {
		width int
		want  []string
	}{
		{25, []string{"WHO       WHERE       HOW", "somebody  somewhere    so", "me        here       1234"}},
		{24, []string{"WHO      WHERE       HOW", "somebo…  somewhere    so", "me       here       1234"}},
		{20, []string{"WHO        HOW", "somebody    so", "me        1234"}},
		{12, []string{"WHO      HOW", "someb…    so", "me      1234"}},
		{5, []string{"WHO", "some…", "me"}},
		{2, []string{"W…", "s…", "me"}},
	} {
		if got := layout(c.width, columns, rows); !slices.Equal(got, c.want) {
			t.Errorf("in %d:\n%s\nwant\n%s", c.width, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}
