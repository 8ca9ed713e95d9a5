package flow

import (
	"time"

	"github.com/rmcast/rmcast/mono"
)

const (
	// MinGRTT and MaxGRTT bound what a source believes and advertises.
	MinGRTT = 100 * time.Microsecond
	MaxGRTT = 15 * time.Second // NORM's bound

	minGRTTInterval = 100 * time.Millisecond
	maxGRTTInterval = 5 * time.Second
	maxGRTTRise     = 4
)

// GRTT is a source's estimate of the greatest round-trip time of its group: a maximum that decays (in the manner of RFC 5401,
// 3.4). It rises at once with a greater sample, but at most fourfold a sample, so that one absurd or forged measurement
// does not stop the group. It falls by at most a quarter for each interval of 8 GRTT (0.1 to 5 s) that had samples, never
// below the greatest of them, and stays where there are none: silence says nothing about distance. The first guess is no
// measurement: the first sample replaces it by twice itself, if that is less.
//
// Of a large group few speak, and seldom the farthest: there it falls by a thirty-second (SetLarge), but from the first guess.
//
// The zero value starts at MinGRTT; Init sets the first guess.
type GRTT struct {
	value time.Duration
	peak  time.Duration // greatest sample of the interval, 0: none
	end   mono.Time     // of the interval, while peak is set
	known bool          // value rests on samples
	guess bool          // or on twice the first one
	large bool
}

// Init starts over from a first guess, clamped to MinGRTT and MaxGRTT.
func (g *GRTT) Init(d time.Duration) { *g = GRTT{value: clampGRTT(d)} }

// SetLarge tells whether the group is so large that a sample from its farthest is rare.
func (g *GRTT) SetLarge(large bool) { g.large = large }

// Sample takes a measured round-trip time; it is clamped to MinGRTT and MaxGRTT.
func (g *GRTT) Sample(now mono.Time, rtt time.Duration) {
	g.roll(now)
	rtt = clampGRTT(rtt)
	if !g.known {
		g.known, g.guess = true, true
		g.value = min(g.value, clampGRTT(2*rtt))
	}
	if g.peak == 0 {
		g.end = now.Add(min(max(8*g.value, minGRTTInterval), maxGRTTInterval))
	}
	rtt = min(rtt, maxGRTTRise*g.value)
	g.peak = max(g.peak, rtt)
	g.value = max(g.value, rtt)
}

// Value returns the estimate at now.
func (g *GRTT) Value(now mono.Time) time.Duration {
	g.roll(now)
	return g.value
}

// roll ends an interval that is over.
func (g *GRTT) roll(now mono.Time) {
	g.value = max(g.value, MinGRTT)
	if g.peak == 0 || now.Before(g.end) {
		return
	}
	fall := g.value / 4
	if g.large && !g.guess {
		fall = g.value / 32
	}
	g.value = max(g.peak, g.value-fall)
	g.guess = g.guess && g.value > g.peak
	g.peak = 0
}

func clampGRTT(d time.Duration) time.Duration { return min(max(d, MinGRTT), MaxGRTT) }
