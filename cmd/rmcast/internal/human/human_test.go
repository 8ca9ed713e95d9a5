package human_test

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
	"github.com/rmcast/rmcast/flow"
)

func TestWritten(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{human.Bytes(0), "0 B"}, {human.Bytes(999), "999 B"}, {human.Bytes(1000), "1 kB"}, {human.Bytes(1234), "1.23 kB"}, {human.Bytes(99_960), "100 kB"},
		{human.Bytes(45_600_000), "45.6 MB"}, {human.Bytes(300e6), "300 MB"}, {human.Bytes(999_600), "1 MB"}, {human.Bytes(math.MaxInt64), "9.22 EB"}, {human.Bytes(-1), "0 B"},
		{human.Rate(112_345_678), "112 Mbit/s"}, {human.Rate(1_500_000_000), "1.5 Gbit/s"}, {human.Rate(0), "0 bit/s"}, {human.Rate(flow.Unlimited), "unlimited"},
		{human.Percent(0), "0 %"}, {human.Percent(1e-9), "0.01 %"}, {human.Percent(0.0123), "1.2 %"}, {human.Percent(0.43), "43 %"}, {human.Percent(0.9999), "99 %"},
		{human.Percent(1), "100 %"}, {human.Percent(math.NaN()), "0 %"},
		{human.Duration(0), "0 s"}, {human.Duration(140 * time.Microsecond), "0.14 ms"}, {human.Duration(1500 * time.Microsecond), "1.5 ms"}, {human.Duration(1), "0.01 ms"},
		{human.Duration(340 * time.Millisecond), "340 ms"}, {human.Duration(1230 * time.Millisecond), "1.2 s"}, {human.Duration(45 * time.Second), "45 s"},
		{human.Duration(200 * time.Second), "3 min 20 s"}, {human.Duration(125 * time.Minute), "2 h 5 min"}, {human.Duration(-1), "0 s"},
		{human.Count(1, "file"), "1 file"}, {human.Count(0, "file"), "0 files"}, {human.Count(12345, "file"), "12,345 files"},
		{human.Number(-1234567), "-1,234,567"}, {human.Number(100), "100"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"plain größe 日本": "plain größe 日本", "a\x1b[31mb": "a?[31mb", "a\nb\tc": "a?b?c", "a\u202eb": "a?b", "\xff": "?", "": "",
	} {
		if got := human.Clean(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	for _, c := range []struct {
		s     string
		width int
		want  string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"größe", 4, "grö…"}, {"a", 0, ""}, {"ab", 1, "…"}} {
		if got := human.Cut(c.s, c.width); got != c.want {
			t.Errorf("%q in %d is %q, want %q", c.s, c.width, got, c.want)
		}
	}
	if got, want := human.Wrap("one two three four", 7, "  "), "one two\n  three\n  four"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.StringMatching(`[a-z]{1,10}`)).Draw(t, "words")
		width := rapid.IntRange(14, 80).Draw(t, "width")
		s := human.Wrap(strings.Join(words, " "), width, "    ")
		for line := range strings.Lines(s) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > width+4 {
				t.Fatalf("a line of %d characters: %q", n, line)
			}
		}
		if got := strings.Join(strings.Fields(s), " "); got != strings.Join(words, " ") {
			t.Fatalf("%q became %q", words, got)
		}
	})
}
