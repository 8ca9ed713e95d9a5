package flow

import (
	"testing"
	"time"
)

// The acker's process waits for its turn now and then, as on a machine with more processes than processors: what comes late then is no queue of
// the path, and a source on a short one is as fast as ever soon after it began.
func TestCongestionStalls(t *testing.T) {
	for seed := range uint64(8) {
		b := newBottleneck(2*Gbps, 200*time.Microsecond, 4000, seed)
		s := newSource(b, CongestionConfig{Start: 100 * Mbps, RTT: 10 * ms}, 0)
		s.stalls = 5 * ms
		b.run(seconds(2))
		t.Logf("seed %d: %.0f, then %.0f Mbit/s; %.2f %% lost", seed, b.mean(0, 0, 500*ms)/1e6, b.mean(0, 500*ms, 2*time.Second)/1e6, 100*b.lossShare())
		if got := b.mean(0, 0, 500*ms); got < 0.6*2e9 {
			t.Errorf("seed %d: %.0f Mbit/s of 2000 in the first half second", seed, got/1e6)
		}
		if got := b.mean(0, 500*ms, 2*time.Second); got < 0.85*2e9 {
			t.Errorf("seed %d: %.0f Mbit/s of 2000 after it", seed, got/1e6)
		}
	}
}
