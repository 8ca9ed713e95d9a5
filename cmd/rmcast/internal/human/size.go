package human

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/rmcast/rmcast/flow"
)

var prefixes = [...]string{"", "k", "M", "G", "T", "P", "E"}

// three writes v with three digits and a prefix of powers of a thousand: 999, 1.23 k, 45.6 M, 789 G.
func three(v float64) (digits, prefix string) {
	i := 0
	for v >= 999.5 && i < len(prefixes)-1 {
		v /= 1000
		i++
	}
	switch {
	case i == 0 || v >= 99.95:
		digits = strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 9.995:
		digits = strconv.FormatFloat(v, 'f', 1, 64)
	default:
		digits = strconv.FormatFloat(v, 'f', 2, 64)
	}
	if strings.Contains(digits, ".") {
		digits = strings.TrimRight(strings.TrimRight(digits, "0"), ".")
	}
	return digits, prefixes[i]
}

// Bytes writes a number of bytes with three digits: 0 B, 999 B, 1.23 kB, 45.6 MB.
func Bytes(n int64) string {
	digits, prefix := three(float64(max(n, 0)))
	return digits + " " + prefix + "B"
}

// Rate writes a rate with three digits, rounded: 112 Mbit/s. (Its String is exact.)
func Rate(r flow.Rate) string {
	if r == flow.Unlimited {
		return r.String()
	}
	digits, prefix := three(float64(max(r, 0)))
	return digits + " " + prefix + "bit/s"
}

// Percent writes a share of 0 to 1: 0 %, 0.03 %, 1.2 %, 45 %. Only all is 100 %, and only nothing is 0 %.
func Percent(x float64) string {
	p := 100 * x
	switch {
	case !(p > 0):
		return "0 %"
	case p < 0.01:
		return "0.01 %"
	case p < 1:
		return strconv.FormatFloat(p, 'f', 2, 64) + " %"
	case p < 10:
		return strconv.FormatFloat(p, 'f', 1, 64) + " %"
	case p < 100:
		return strconv.Itoa(int(p)) + " %"
	}
	return "100 %"
}

// Duration writes a time with what a person needs of it: 0.4 ms, 1.2 s, 45 s, 3 min 20 s, 2 h 5 min.
func Duration(d time.Duration) string {
	switch d = max(d, 0); {
	case d == 0:
		return "0 s"
	case d < time.Millisecond:
		return strconv.FormatFloat(math.Max(float64(d)/1e6, 0.01), 'f', 2, 64) + " ms"
	case d < 9950*time.Microsecond:
		return strconv.FormatFloat(float64(d)/1e6, 'f', 1, 64) + " ms"
	case d < 995*time.Millisecond:
		return strconv.FormatFloat(float64(d)/1e6, 'f', 0, 64) + " ms"
	case d < 9950*time.Millisecond:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < 100*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 0, 64) + " s"
	case d < 100*time.Minute:
		s := int(d.Seconds() + 0.5)
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	}
	m := int(d.Minutes() + 0.5)
	return fmt.Sprintf("%d h %d min", m/60, m%60)
}

// Count writes a number of things: "1 file", "2 files". The plural is the singular and an s.
func Count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return Number(int64(n)) + " " + one + "s"
}

// Number writes a whole number with its thousands apart: 12,345.
func Number(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}
