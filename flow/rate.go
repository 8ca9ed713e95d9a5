package flow

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Rate is a speed in bits per second of IP packets: payload with PGM, UDP and IP headers, without the link's framing.
// Useful values are 1 to Unlimited; zero stands for a default where a Config has one.
type Rate int64

// Units of Rate, in bits per second as networks count them (powers of ten), and the two special values.
const (
	Kbps Rate = 1e3
	Mbps Rate = 1e6
	Gbps Rate = 1e9

	Unlimited   Rate = math.MaxInt64 // no pacing at all; every bucket is always open
	DefaultRate      = 100 * Mbps    // what zero means
)

// Bytes returns how many whole bytes pass in d, rounded down. It is 0 for d or r of zero or less, and math.MaxInt64 where
// the product does not fit or r is Unlimited.
func (r Rate) Bytes(d time.Duration) int64 {
	if d <= 0 || r <= 0 {
		return 0
	}
	if r == Unlimited {
		return math.MaxInt64
	}
	return mulDiv(uint64(r), uint64(d), 8e9, 0)
}

// Duration returns the time that so many bytes take, rounded up to a nanosecond. It is 0 for Unlimited or no bytes, and
// math.MaxInt64 where the time does not fit or r is zero or less.
func (r Rate) Duration(bytes int64) time.Duration {
	if bytes <= 0 || r == Unlimited {
		return 0
	}
	if r <= 0 {
		return math.MaxInt64
	}
	return time.Duration(mulDiv(uint64(bytes), 8e9, uint64(r), uint64(r)-1))
}

// mulDiv returns (a*b+add)/c, or MaxInt64 when that does not fit.
func mulDiv(a, b, c, add uint64) int64 {
	hi, lo := bits.Mul64(a, b)
	lo, carry := bits.Add64(lo, add, 0)
	hi += carry
	if hi >= c {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, c)
	return int64(min(q, math.MaxInt64))
}

// scale returns x*r for a share x of a rate: at least 1 bit/s, and Unlimited for Unlimited.
func (r Rate) scale(x float64) Rate {
	f := x * float64(r)
	if r == Unlimited || f >= math.MaxInt64 {
		return Unlimited
	}
	return max(Rate(f), 1)
}

var rateUnits = [...]struct {
	rate   Rate
	digits int // decimals that reach down to one bit
	name   string
}{{Gbps, 9, "Gbit/s"}, {Mbps, 6, "Mbit/s"}, {Kbps, 3, "kbit/s"}, {1, 0, "bit/s"}}

// String gives r exactly, in the largest unit that leaves a whole part: "500 Mbit/s", "1.5 Gbit/s", "unlimited".
func (r Rate) String() string {
	if r == Unlimited {
		return "unlimited"
	}
	sign, v := "", uint64(r)
	if r < 0 {
		sign, v = "-", -v
	}
	for _, u := range rateUnits {
		if v < uint64(u.rate) && u.rate != 1 {
			continue
		}
		s := sign + strconv.FormatUint(v/uint64(u.rate), 10)
		if rest := v % uint64(u.rate); rest != 0 {
			s += "." + strings.TrimRight(fmt.Sprintf("%0*d", u.digits, rest), "0")
		}
		return s + " " + u.name
	}
	panic("BUG: flow: no unit for a rate")
}

var (
	errRateSyntax = errors.New(`want a number and a unit, like "500 Mbit/s", "1.5Gbit", "200M" or "unlimited"`)
	errRateBytes  = errors.New("a capital B means bytes; rates are in bits per second")
	errRateRange  = errors.New("out of range (1 bit/s to 9 Ebit/s)")
)

// ParseRate reads a rate as people write it: a decimal number, then optionally k, M, G or T in either case, then optionally
// bit, bits, bps, b or one of them with /s. A bare number is bit/s. It also takes "unlimited". Fractions of a bit are
// dropped. Bytes per second (a capital B alone), negative numbers, and what does not fit are errors.
func ParseRate(s string) (Rate, error) {
	r, err := parseRate(strings.TrimSpace(s))
	if err != nil {
		return 0, fmt.Errorf("flow: rate %q: %w", s, err)
	}
	return r, nil
}

func parseRate(s string) (Rate, error) {
	if strings.EqualFold(s, "unlimited") {
		return Unlimited, nil
	}
	end := 0
	for end < len(s) && (s[end] == '.' || '0' <= s[end] && s[end] <= '9') {
		end++
	}
	digits, err := rateUnit(strings.TrimSpace(s[end:]))
	if err != nil {
		return 0, err
	}
	whole, frac, _ := strings.Cut(s[:end], ".")
	if whole+frac == "" || strings.Contains(frac, ".") {
		return 0, errRateSyntax
	}
	shown := frac
	frac = (frac + "000000000000")[:digits]
	v, err := strconv.ParseUint("0"+whole+frac, 10, 63)
	if err != nil {
		return 0, errRateRange
	}
	if v == 0 && strings.Trim(whole+shown, "0") != "" {
		return 0, errRateRange // 0.1 bit/s is not the zero that means a default
	}
	return Rate(v), nil
}

// rateUnit returns the power of ten a unit stands for.
func rateUnit(u string) (digits int, err error) {
	if u == "" {
		return 0, nil
	}
	if i := strings.IndexByte("kmgt", u[0]|0x20); i >= 0 {
		digits, u = 3*(i+1), u[1:]
	}
	if u == "B" || u == "B/s" || u == "Bps" {
		return 0, errRateBytes
	}
	switch strings.ToLower(u) {
	case "", "b", "b/s", "bps", "bit", "bits", "bit/s", "bits/s":
		return digits, nil
	}
	return 0, errRateSyntax
}

// MarshalText gives String's form, for flag.TextVar, JSON and configuration files. A negative rate is an error.
func (r Rate) MarshalText() ([]byte, error) {
	if r < 0 {
		return nil, fmt.Errorf("flow: rate %d: %w", int64(r), errRateRange)
	}
	return []byte(r.String()), nil
}

// UnmarshalText reads what ParseRate reads. On an error r is unchanged.
func (r *Rate) UnmarshalText(b []byte) error {
	v, err := ParseRate(string(b))
	if err == nil {
		*r = v
	}
	return err
}
