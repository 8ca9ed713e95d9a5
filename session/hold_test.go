package session

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
)

// A message of many fragments waits for as many slots by WindowHold, even while a few are free, and not by WindowAge.
func TestLongMessageWaitsForHold(t *testing.T) {
	n := newNetwork(t, 1)
	_, s := n.source(func(c *SourceConfig) { c.Slots, c.WindowAge = 16, time.Minute })
	n.peers(nil)
	message := pattern(1, 11*1384)
	taken := 0
	for n.now < mono.Time(2*time.Second) {
		if s.WriteMessage(n.now, message) {
			taken++
		}
		n.run(n.now.Add(time.Millisecond), never)
	}
	if taken < 10 {
		t.Errorf("%d messages of 11 packets through 16 slots in 2 s", taken)
	}
}
