package flow

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
)

// Round trips are measured by how long a receiver says that it held a lead. Neither a forged report nor a clock that runs differently, nor
// an hour without data (the field wraps around) may make more or less of that than can be.
func TestGroupHeld(t *testing.T) {
	const rtt = 20 * time.Millisecond
	base := Report{ID: 1, From: groupAddr(1), Lead: 1000, Clock: 1e6, Bytes: 10000, Heard: 500, Held: time.Millisecond, Loss: -1}
	came := mono.Time(time.Second)
	first := func() *Group { // a lead that was sent at came-rtt/2, and reported a millisecond after it came
		g := NewGroup(GroupConfig{})
		g.Report(came.Add(time.Millisecond+rtt/2), base)
		return g
	}
	for _, after := range []time.Duration{time.Millisecond, time.Second, 30 * time.Minute, 61 * time.Minute, 3 * time.Hour} {
		for _, drift := range []float64{-500e-6, 0, 500e-6, 1e6} { // the last is a forger's
			g := first()
			now := came.Add(rtt / 2).Add(after)
			r := base
			r.Held = time.Duration(uint32(float64(after/time.Microsecond)*(1+drift))) * time.Microsecond
			d, acker := g.Report(now, r)
			if sample := now.Sub(came.Add(-rtt/2)) - d.Held; !acker || sample != rtt {
				t.Errorf("%v after it came, told again by a clock off by %v: a round trip of %v, want %v", after, drift, sample, rtt)
			}
		}
	}
	g := first()
	r := base
	r.Lead, r.Clock, r.Bytes, r.Heard, r.Held = r.Lead+10, r.Clock+5000, r.Bytes+200, r.Heard+10, time.Hour
	now := came.Add(6*time.Millisecond + rtt/2)
	if d, acker := g.Report(now, r); !acker || d.Held != 5*time.Millisecond {
		t.Errorf("a lead that was new 5 ms after the report before was held for %v", d.Held)
	}
}
