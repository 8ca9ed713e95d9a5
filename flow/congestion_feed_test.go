package flow

import (
	"testing"

	"github.com/rmcast/rmcast/mono"
)

// What a feed writes says nothing of the capacity: Start stands until more is known.
func TestCongestionFeedKeepsStart(t *testing.T) {
	b := newBottleneck(100*Mbps, ms, 100, 1)
	s := newSource(b, CongestionConfig{Start: 100 * Mbps}, 0)
	s.writes = func(now mono.Time) mono.Time { // a packet each 100 ms
		if at := mono.Time(int64(s.sent) * int64(100*ms)); at > now {
			return at
		}
		return now
	}
	b.run(seconds(5))
	if r := s.c.Rate(); r < 50*Mbps {
		t.Errorf("after 50 packets in 5 s the rate is %v: %+v", r, s.c.State())
	}
}
