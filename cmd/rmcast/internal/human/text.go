package human

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes text that somebody else wrote safe to print: control characters, which could move a terminal's cursor or change its colours, characters that
// turn the direction of writing, and what is not UTF-8 become "?"; the rest stays.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs) {
			return '?'
		}
		return r
	}, s)
}

// Cut shortens s to at most width characters; what was cut shows as "…".
func Cut(s string, width int) string {
	if width <= 0 {
		return ""
	}
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	r := []rune(s)
	return string(r[:width-1]) + "…"
}

// Wrap breaks text at spaces so that lines have at most width characters, where words allow. Line breaks of the text stay. Each line but the first begins
// with indent, which is not counted.
func Wrap(s string, width int, indent string) string {
	var b strings.Builder
	for i, line := range strings.Split(s, "\n") {
		if i > 0 {
			b.WriteString("\n" + indent)
		}
		used := 0
		for j, word := range strings.Fields(line) {
			n := utf8.RuneCountInString(word)
			switch {
			case j == 0:
			case used+1+n > width:
				b.WriteString("\n" + indent)
				used = 0
			default:
				b.WriteByte(' ')
				used++
			}
			b.WriteString(word)
			used += n
		}
	}
	return b.String()
}
