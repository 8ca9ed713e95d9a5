package measuring

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Finding is one figure beside its bound.
type Finding struct {
	what       string
	got, bound float64
	unit       string
	least      bool // bound is, else the most
}

// AtMost is the finding that holds if got is not above bound. The unit stands right behind both: " ms".
func AtMost(what string, got, bound float64, unit string) Finding {
	return Finding{what, got, bound, unit, false}
}

// AtLeast is the finding that holds if got is not below bound.
func AtLeast(what string, got, bound float64, unit string) Finding {
	return Finding{what, got, bound, unit, true}
}

// Holds reports whether the figure is within its bound.
func (f Finding) Holds() bool {
	if f.least {
		return f.got >= f.bound
	}
	return f.got <= f.bound
}

func (f Finding) String() string {
	verdict, side := "ok", "most"
	if !f.Holds() {
		verdict = "FAILS"
	}
	if f.least {
		side = "least"
	}
	return fmt.Sprintf("%-5s %s %.4g%s, at %s %.4g%s", verdict, f.what, f.got, f.unit, side, f.bound, f.unit)
}

// Short prints a value with about three digits.
func Short(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
	}
	s := strconv.FormatFloat(v, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// Milliseconds is d as a figure.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
