package sim

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
)

// Receivers that lost something and have it again share an engine again, and keep what is their own: every event and every counter
// is as if they never had.
func TestApartIsPlain(t *testing.T) {
	for _, tt := range []struct {
		count        int
		loss, common float64
		delay        time.Duration
	}{
		{1, 0.3, 0, time.Millisecond},
		{8, 0.1, 0, 0},
		{40, 0.05, 0.2, 50 * time.Microsecond},
		{600, 0.05, 0, 20 * time.Millisecond},
		{600, 0, 0.3, 20 * time.Millisecond},
		{3000, 0.01, 0.1, 5 * time.Millisecond},
	} {
		var sums [2]uint64
		var stats [2][2]GroupStats
		least := tt.count
		for k, shared := range []bool{false, true} {
			n := New(Config{Seed: 3, Hash: true})
			src := n.Source(SourceConfig{})
			b := n.Branch(nil, netem.Impairment{Loss: tt.common}, netem.Impairment{})
			var groups [2]*Group
			for i, at := range []*Switch{n.Root(), b} {
				d := tt.delay * time.Duration(i+1)
				groups[i] = n.Receivers(tt.count/2+i*tt.count%2, GroupConfig{
					Switch: at, Hollow: true, Shared: shared,
					Down: netem.Impairment{Loss: tt.loss, Delay: d}, Up: netem.Impairment{Loss: tt.loss, Delay: d},
				})
			}
			for range 30 {
				src.Stream(3000)
				if err := n.Run(100 * time.Millisecond); err != nil {
					t.Fatal(err)
				}
				src.Stream(1000)
				if err := n.Run(400 * time.Millisecond); err != nil {
					t.Fatal(err)
				}
				least = min(least, n.Stats().Engines)
			}
			src.Finish()
			if err := n.Run(5 * time.Second); err != nil {
				t.Fatal(err)
			}
			sums[k] = n.TraceHash()
			for i, g := range groups {
				stats[k][i] = g.Stats()
				for r := range g.Len() {
					if st, ok := g.Receiver(r); !ok || st.Complete != 1 {
						t.Fatalf("receiver %d: %+v", r, st)
					}
				}
			}
		}
		if sums[0] != sums[1] || stats[0] != stats[1] {
			t.Errorf("%d receivers: trace %#x plain, %#x shared\n%+v\n%+v", tt.count, sums[0], sums[1], stats[0], stats[1])
		}
		if tt.count > 100 && least > tt.count/2 {
			t.Errorf("%d receivers never had less than %d engines", tt.count, least)
		}
		t.Logf("%d receivers: %d engines at the least, %d NAKs", tt.count, least, stats[1][0].Sessions.Total.NAKs+stats[1][1].Sessions.Total.NAKs)
	}
}
