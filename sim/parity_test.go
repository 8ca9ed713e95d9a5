package sim

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
)

// Receivers that share engines repair by parity as those with engines of their own do.
func TestSharedParity(t *testing.T) {
	for name, c := range map[string]struct {
		parity fec.Config
		hollow bool
	}{
		"on demand":       {fec.Config{Goal: fec.LeastBytes, GroupSize: 16}, false},
		"least delay":     {fec.Config{Goal: fec.LeastDelay, GroupSize: 32}, true},
		"ahead of demand": {fec.Config{Proactive: 4, Interleave: 3}, true},
		"default":         {fec.Config{}, true},
		"least bytes":     {fec.Config{Goal: fec.LeastBytes}, true},
	} {
		t.Run(name, func(t *testing.T) {
			const count = 200
			st := wantAlike(t, 7, count, GroupConfig{
				Hollow: c.hollow, Down: netem.Impairment{Loss: 0.03, Delay: 5 * time.Millisecond}, Up: netem.Impairment{Delay: 5 * time.Millisecond, Loss: 0.01},
			}, SourceConfig{Engine: func(s *session.SourceConfig) {
				s.Parity, s.Rate, s.InitialGRTT, s.InitialGroup = c.parity.WithDefaults(), 20*flow.Mbps, 50*time.Millisecond, 100
				s.WindowAge = 10 * time.Second
			}}, func(n *Network, s *Source, g *Group) {
				s.Stream(1_500_000)
				n.At(300*time.Millisecond, func() { s.Stream(50_000) })
				n.At(900*time.Millisecond, func() { g.SetStalled(3, true); s.WriteMessage(make([]byte, 30_000)) })
				n.At(time.Second, func() { g.SetStalled(3, false); s.Finish() })
			})
			if st.Complete != count || st.Bytes != count*1_580_000 || st.Sessions.Total.Restored == 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}
