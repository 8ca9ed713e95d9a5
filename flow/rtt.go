package flow

import "time"

const (
	clockGranularity = time.Millisecond // what a sleeping Go process can resolve
	maxRTT           = time.Hour        // keeps the sums far from overflow
)

// RTT is the smoothed round-trip time of RFC 6298, section 2. The zero value has no sample.
type RTT struct {
	smoothed, variance time.Duration
	valid              bool
}

// Sample takes one measurement. Less than zero counts as zero, more than an hour as an hour. By Karn's rule a caller does not
// measure what was asked for twice.
func (r *RTT) Sample(d time.Duration) {
	d = min(max(d, 0), maxRTT)
	if !r.valid {
		r.smoothed, r.variance, r.valid = d, d/2, true
		return
	}
	r.variance += ((d - r.smoothed).Abs() - r.variance) / 4
	r.smoothed += (d - r.smoothed) / 8
}

// Valid reports whether there was a sample.
func (r *RTT) Valid() bool { return r.valid }

// Smoothed returns SRTT, 0 before the first sample.
func (r *RTT) Smoothed() time.Duration { return r.smoothed }

// Var returns RTTVAR, 0 before the first sample.
func (r *RTT) Var() time.Duration { return r.variance }

// Timeout returns SRTT + 4 RTTVAR + 1 ms, at least floor. Before the first sample it returns floor: ask Valid where
// another start is wanted.
func (r *RTT) Timeout(floor time.Duration) time.Duration {
	if !r.valid {
		return floor
	}
	return max(floor, r.smoothed+4*r.variance+clockGranularity)
}
