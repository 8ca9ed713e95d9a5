package sim

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
)

// adaptive lets a source find its rate, at first guesses of a group of hop limit 1 or beyond.
func adaptive(near bool, edit func(*session.SourceConfig)) func(*session.SourceConfig) {
	return func(c *session.SourceConfig) {
		c.Rate = flow.Unlimited
		c.Congestion = &session.CongestionConfig{Start: 10 * flow.Mbps}
		if near {
			c.Congestion.Start = 100 * flow.Mbps
			c.InitialGRTT, c.InitialGroup = 10*time.Millisecond, 10
		}
		if edit != nil {
			edit(c)
		}
	}
}

// bottleneck is a link with a queue of max(1 BDP, 32 packets).
func bottleneck(rate flow.Rate, rtt time.Duration) netem.Impairment {
	return netem.Impairment{Rate: int64(rate), Delay: rtt / 2, Limit: int(max(rate.Bytes(rtt)/1480, 32))}
}

// One receiver behind one bottleneck: the source fills it, and loses little.
func TestPaceAlone(t *testing.T) {
	for _, tt := range []struct {
		rate flow.Rate
		rtt  time.Duration
		near bool
	}{
		{flow.Mbps, 100 * time.Millisecond, false}, {10 * flow.Mbps, 20 * time.Millisecond, false}, {100 * flow.Mbps, 20 * time.Millisecond, false},
		{100 * flow.Mbps, time.Millisecond, true}, {1000 * flow.Mbps, time.Millisecond, true},
	} {
		n := New(Config{Seed: 1})
		src := n.Source(SourceConfig{Engine: adaptive(tt.near, nil)})
		g := n.Receivers(1, GroupConfig{Down: bottleneck(tt.rate, tt.rtt), Up: netem.Impairment{Delay: tt.rtt / 2}, Hollow: true})
		src.Stream(1 << 40)
		const settle, long = 6 * time.Second, 6 * time.Second
		if err := n.Run(settle); err != nil {
			t.Fatal(err)
		}
		read, before := g.Stats().Bytes, src.Stats()
		if err := n.Run(long); err != nil {
			t.Fatal(err)
		}
		st := src.Stats()
		used := float64(g.Stats().Bytes-read) * 1480 / 1408 / float64(tt.rate.Bytes(long))
		if used < 0.85 || g.Stats().Lost > 0 {
			t.Errorf("%v, %v: %.1f %% of the link, %d lost: %+v", tt.rate, tt.rtt, 100*used, g.Stats().Lost, st)
		}
		if acks := st.ACKs - before.ACKs; acks < 100 || acks > uint64(long/time.Millisecond)*11/10 {
			t.Errorf("%v, %v: %d ACKs in %v", tt.rate, tt.rtt, acks, long)
		}
		t.Logf("%v, %v: %.1f %% of the link, rate %v (%v, %v), %d packets, %d repairs, %d ACKs, %d SPMs in %v", tt.rate, tt.rtt, 100*used, st.Rate, st.Phase,
			st.Why, st.Packets-before.Packets, st.Repairs-before.Repairs, st.ACKs-before.ACKs, st.SPMs-before.SPMs, long)
	}
}
