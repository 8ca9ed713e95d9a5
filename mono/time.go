package mono

import (
	"math"
	"time"
)

// Time is an instant: nanoseconds since the owner's epoch.
type Time int64

// Never is later than every instant; a deadline of Never does not come.
const Never Time = math.MaxInt64

// Add returns t+d. Never stays Never, and a sum that would overflow is Never.
func (t Time) Add(d time.Duration) Time {
	if t == Never || (d > 0 && t > Never-Time(d)) {
		return Never
	}
	return t + Time(d)
}

// Sub returns the time from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Before reports whether t is earlier than u.
func (t Time) Before(u Time) bool { return t < u }

// After reports whether t is later than u.
func (t Time) After(u Time) bool { return t > u }

// String gives t as a duration since the epoch.
func (t Time) String() string {
	if t == Never {
		return "never"
	}
	return time.Duration(t).String()
}
