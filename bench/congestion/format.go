package main

import (
	"math"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/internal/measuring"
)

// short prints a value with about three digits; what never happened is the largest there is.
func short(v float64) string {
	switch {
	case v >= math.MaxFloat64/1e6:
		return "never"
	case v < 0:
		return "-" + measuring.Short(-v)
	}
	return measuring.Short(v)
}

// compact prints a rate for a name: 100M.
func compact(r flow.Rate) string {
	switch {
	case r >= flow.Gbps:
		return short(float64(r)/1e9) + "G"
	case r >= flow.Mbps:
		return short(float64(r)/1e6) + "M"
	}
	return short(float64(r)/1e3) + "k"
}
