package sim

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/session"
)

// A feed sends less than Floor. That is not its receivers' fault: nobody is called slow, nobody is sent away.
func TestPaceFeed(t *testing.T) {
	for _, mode := range []flow.SlowMode{flow.FollowSlowest, flow.Evict} {
		for _, start := range []flow.Rate{flow.Mbps, 100 * flow.Mbps} {
			n := New(Config{Seed: 1})
			var events []session.Event
			src := n.Source(SourceConfig{Engine: adaptive(true, func(c *session.SourceConfig) {
				c.Congestion.Start = start
				c.Congestion.Slow = flow.Slow{Mode: mode, Floor: 4 * flow.Mbps}
				c.Trace = func(e session.Event) {
					if e.Kind >= session.EventSlow && e.Kind != session.EventAcker {
						events = append(events, e)
					}
				}
			})})
			g := n.Receivers(3, GroupConfig{Down: bottleneck(100*flow.Mbps, 10*time.Millisecond), Up: bottleneck(100*flow.Mbps, 10*time.Millisecond), Hollow: true})
			for i := range 300 {
				n.At(time.Duration(i)*100*time.Millisecond, func() { src.WriteMessage(make([]byte, 1000)) })
			}
			if err := n.Run(30 * time.Second); err != nil {
				t.Fatal(err)
			}
			if len(events) > 0 || g.Stats().Broken > 0 {
				t.Errorf("%v, start %v: %+v, %v; %+v", mode, start, g.Stats(), events, src.Stats())
			}
			st := src.Stats()
			t.Logf("%v, start %v: rate %v, %v, %v", mode, start, st.Rate, st.Phase, st.Why)
		}
	}
}
