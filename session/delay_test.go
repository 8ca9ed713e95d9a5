package session

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
)

// Delay of paced messages under loss, in virtual time: from the write to the reading, over all receivers.
func TestMessageDelay(t *testing.T) {
	for _, c := range []struct {
		loss float64
		p99  time.Duration
	}{{0.01, 15 * time.Millisecond}, {0.05, 30 * time.Millisecond}} {
		t.Run(fmt.Sprintf("loss %v", c.loss), func(t *testing.T) {
			n := newNetwork(t, 5)
			n.lose(c.loss)
			_, s := n.source(func(c *SourceConfig) { c.Rate = 100 * flow.Mbps })
			var sent []mono.Time
			var delays []time.Duration
			for range 4 {
				rn, ps := n.peers(nil)
				var r *Receiver
				got := 0
				buf := make([]byte, 2000)
				rn.tick = func(now mono.Time) {
					if r == nil {
						if r = ps.Accept(); r == nil {
							return
						}
					}
					for {
						_, err := r.ReadMessage(now, buf)
						if errors.Is(err, ErrWouldBlock) {
							return
						}
						if err != nil {
							t.Fatal(err)
						}
						delays = append(delays, now.Sub(sent[got]))
						got++
					}
				}
			}
			interval := (40 * flow.Mbps).Duration(1400)
			for range 10000 {
				sent = append(sent, n.now)
				if !s.WriteMessage(n.now, pattern(1, 1400)) {
					t.Fatal("a paced message does not fit")
				}
				n.run(n.now.Add(interval), never)
			}
			n.run(n.now.Add(time.Second), never)
			slices.Sort(delays)
			at := func(q float64) time.Duration { return delays[int(q*float64(len(delays)-1))] }
			t.Logf("%d messages: p50 %v p90 %v p99 %v max %v; source %+v", len(delays), at(0.5), at(0.9), at(0.99), at(1), s.Stats())
			if len(delays) != 4*10000 || at(0.99) > c.p99 {
				t.Errorf("%d of %d messages, p99 %v, want at most %v", len(delays), 4*10000, at(0.99), c.p99)
			}
		})
	}
}
