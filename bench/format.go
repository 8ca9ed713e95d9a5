package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// percent prints a share of one: 0.1 is "10 %".
func percent(share float64) string {
	return strconv.FormatFloat(math.Round(share*1000)/10, 'f', -1, 64) + " %"
}

// megabits prints a speed in Mbit/s with three digits of sense.
func megabits(bitsPerSecond float64) string {
	switch m := bitsPerSecond / 1e6; {
	case m < 0.995:
		return fmt.Sprintf("%.2f", m)
	case m < 99.5:
		return fmt.Sprintf("%.1f", m)
	default:
		return fmt.Sprintf("%.0f", m)
	}
}

// size prints a number of bytes: "32 MiB".
func size(bytes int64) string {
	switch {
	case bytes >= 1<<30:
		return trim(float64(bytes)/(1<<30)) + " GiB"
	case bytes >= 1<<20:
		return trim(float64(bytes)/(1<<20)) + " MiB"
	case bytes >= 1<<10:
		return trim(float64(bytes)/(1<<10)) + " KiB"
	default:
		return fmt.Sprintf("%d B", bytes)
	}
}

func trim(x float64) string { return strconv.FormatFloat(math.Round(x*10)/10, 'f', -1, 64) }

// parseSize reads what size prints, and plain numbers and one-letter units: "64M", "1.5 GiB", "4096".
func parseSize(s string) (int64, error) {
	digits := 0
	for digits < len(s) && (s[digits] >= '0' && s[digits] <= '9' || s[digits] == '.') {
		digits++
	}
	n, err := strconv.ParseFloat(s[:digits], 64)
	if err != nil {
		return 0, fmt.Errorf("size %q does not begin with a number", s)
	}
	unit, ok := units[strings.ToUpper(strings.TrimSpace(s[digits:]))]
	if !ok {
		return 0, fmt.Errorf("size %q: unit is none of K, M, G, KB, MB, GB, KiB, MiB, GiB", s)
	}
	if n *= unit; n < 1 || n > 1<<40 {
		return 0, fmt.Errorf("size %q is not between a byte and a TiB", s)
	}
	return int64(n), nil
}

var units = map[string]float64{
	"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30,
	"KB": 1e3, "MB": 1e6, "GB": 1e9,
}

// millis prints a duration in ms: "1.4".
func millis(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/1e6) }
