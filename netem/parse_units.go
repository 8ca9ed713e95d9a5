package netem

import (
	"errors"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// unit is a name after a number, in lower case, and what it stands for in the smallest unit.
type unit struct {
	name string
	size uint64
}

// The tables are tc's: the empty name is a bare number.
var (
	timeUnits = []unit{
		{"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, // those that are printed
		{"", 1e3}, {"sec", 1e9}, {"secs", 1e9}, {"msec", 1e6}, {"msecs", 1e6}, {"usec", 1e3}, {"usecs", 1e3},
		{"ns", 1}, {"nsec", 1}, {"nsecs", 1},
	}
	rateUnits = []unit{
		{"tbit", 1e12}, {"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}, {"", 1},
		{"kibit", 1 << 10}, {"mibit", 1 << 20}, {"gibit", 1 << 30}, {"tibit", 1 << 40},
		{"bps", 8}, {"kbps", 8e3}, {"mbps", 8e6}, {"gbps", 8e9}, {"tbps", 8e12},
		{"kibps", 8 << 10}, {"mibps", 8 << 20}, {"gibps", 8 << 30}, {"tibps", 8 << 40},
	}
	sizeUnits = []unit{
		{"gb", 1 << 30}, {"mb", 1 << 20}, {"kb", 1 << 10}, {"", 1},
		{"b", 1}, {"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {"kbit", 1 << 7}, {"mbit", 1 << 17}, {"gbit", 1 << 27},
	}
)

var (
	errNumber = errors.New("it is not a number")
	errUnit   = errors.New("its unit is not known")
	errRange  = errors.New("it is too large")
	errWhole  = errors.New("it is not a whole number of the smallest unit")
)

// parseUnit reads a decimal with a unit, exactly. Fractions of the smallest unit are rounded if round is set, and else refused.
func parseUnit(s string, units []unit, most uint64, round bool) (uint64, error) {
	end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		end = len(s)
	}
	whole, fraction, point := strings.Cut(s[:end], ".")
	if whole == "" || point && fraction == "" || strings.Contains(fraction, ".") {
		return 0, errNumber
	}
	size := uint64(0)
	for _, u := range units {
		if len(u.name) == len(s)-end && strings.EqualFold(u.name, s[end:]) { // no sign of degrees Kelvin
			size = u.size
			break
		}
	}
	if size == 0 {
		return 0, errUnit
	}
	fraction = strings.TrimRight(fraction, "0")
	digits, err := strconv.ParseUint(whole+fraction, 10, 64)
	if err != nil || len(fraction) > 19 {
		return 0, errRange // or finer than anything that has a meaning
	}
	divisor := pow10(len(fraction))
	hi, lo := bits.Mul64(digits, size)
	if hi >= divisor {
		return 0, errRange
	}
	n, rest := bits.Div64(hi, lo, divisor)
	if rest > 0 && !round {
		return 0, errWhole
	}
	if n <= most && rest >= divisor-rest {
		n++
	}
	switch {
	case n > most:
		return 0, errRange
	case n == 0 && digits > 0:
		return 0, errWhole
	}
	return n, nil
}

func pow10(n int) uint64 {
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}

// formatUnit writes n with the largest of the first units of which there is at least one, exactly; without decimals if whole is set.
func formatUnit(n uint64, units []unit, whole bool) string {
	for _, u := range units {
		switch {
		case n < u.size && u.size > 1 && u.name != "us", whole && n%u.size > 0:
			continue
		}
		s := strconv.FormatUint(n/u.size, 10)
		if rest := n % u.size; rest > 0 {
			fraction := strconv.FormatUint(rest+u.size, 10) // a power of ten, so this is 1 and the digits
			s += "." + strings.TrimRight(fraction[1:], "0")
		}
		return s + u.name
	}
	panic("BUG: netem: no unit is small enough")
}

func formatTime(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	return formatUnit(uint64(d), timeUnits, false)
}

// parsePercent reads a percentage, with or without the sign. Decimals are shifted, not divided, so that what formatPercent wrote comes
// back as it was.
func parsePercent(s string) (float64, error) {
	digits, exponent, scientific := strings.Cut(strings.ToLower(strings.TrimSuffix(s, "%")), "e")
	whole, fraction, point := strings.Cut(digits, ".")
	shift := 0
	if scientific {
		n, err := strconv.ParseInt(exponent, 10, 16)
		if err != nil {
			return 0, errNumber
		}
		shift = int(n)
	}
	if !decimal(whole) || point && !decimal(fraction) {
		return 0, errNumber
	}
	p, err := strconv.ParseFloat(digits+"e"+strconv.Itoa(shift-2), 64)
	if err != nil || p > 1 {
		return 0, errors.New("it is more than 100%")
	}
	return p, nil
}

func decimal(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// formatPercent writes a probability with as few digits as bring it back.
func formatPercent(p float64) string {
	if p == 0 {
		return "0%"
	}
	b := strconv.AppendFloat(nil, p, 'e', -1, 64) // d.ddde-dd
	mantissa, e, _ := strings.Cut(string(b), "e")
	exponent, _ := strconv.Atoi(e)
	exponent += 2
	digits := strings.Replace(mantissa, ".", "", 1)
	switch point := exponent + 1; {
	case exponent < -4:
		return mantissa + "e" + strconv.Itoa(exponent) + "%"
	case point <= 0:
		return "0." + strings.Repeat("0", -point) + digits + "%"
	case point >= len(digits):
		return digits + strings.Repeat("0", point-len(digits)) + "%"
	default:
		return digits[:point] + "." + digits[point:] + "%"
	}
}
