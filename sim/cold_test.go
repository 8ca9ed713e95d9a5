package sim

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
)

// A fast writer with a small window does not outrun a far receiver, though a near one is heard first and says that round trips are short.
func TestColdStartNearAndFar(t *testing.T) {
	for seed := range uint64(100) {
		n := New(Config{Seed: seed})
		src := n.Source(SourceConfig{Engine: func(c *session.SourceConfig) {
			c.Rate, c.Slots, c.InitialGRTT, c.InitialGroup = flow.Gbps, 512, 10*time.Millisecond, 10
		}})
		near := func(c *session.PeersConfig) { c.HopLimit = 1 }
		n.Receivers(1, GroupConfig{Engine: near, Hollow: true})
		g := n.Receivers(1, GroupConfig{Engine: near, Hollow: true, Down: netem.Impairment{Delay: 19 * time.Millisecond, Loss: 0.02}})
		src.Stream(3 << 20)
		src.Finish()
		if err := n.Run(20 * time.Second); err != nil {
			t.Fatal(err)
		}
		if st := g.Stats(); st.Lost > 0 || st.Complete != 1 {
			t.Fatalf("seed %d: %+v", seed, st)
		}
	}
}
