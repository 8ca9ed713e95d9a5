package sim

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
)

// wantAlike runs a network of one source and one group, plain and shared, and wants the same of both. build may change the group, do
// is told when all is there.
func wantAlike(t *testing.T, seed uint64, count int, cfg GroupConfig, src SourceConfig, do func(n *Network, s *Source, g *Group)) GroupStats {
	t.Helper()
	var sums [2]uint64
	var stats [2]GroupStats
	for k, shared := range []bool{false, true} {
		n := New(Config{Seed: seed, Hash: true})
		s := n.Source(src)
		c := cfg
		c.Shared = shared
		g := n.Receivers(count, c)
		do(n, s, g)
		if err := n.Run(20 * time.Second); err != nil {
			t.Fatal(err)
		}
		sums[k], stats[k] = n.TraceHash(), g.Stats()
	}
	if sums[0] != sums[1] || stats[0] != stats[1] {
		t.Errorf("trace %#x plain, %#x shared\n%+v\n%+v", sums[0], sums[1], stats[0], stats[1])
	}
	return stats[1]
}

// Join is for those who are absent: nobody else begins anew.
func TestSharedJoinTwice(t *testing.T) {
	st := wantAlike(t, 1, 10, GroupConfig{}, SourceConfig{}, func(n *Network, s *Source, g *Group) {
		s.Stream(100_000)
		s.Finish()
		n.At(5*time.Millisecond, g.Join)
	})
	if st.Bytes != 10*100_000 || st.Complete != 10 {
		t.Errorf("%+v", st)
	}
}

// When the engine that receivers share forgets its source, what some of them had for themselves stays counted.
func TestSharedForgets(t *testing.T) {
	for seed := range uint64(20) {
		wantAlike(t, seed, 3, GroupConfig{
			Hollow: true, Down: netem.Impairment{Loss: 0.2}, Engine: func(c *session.PeersConfig) { c.Expiry = 700 * time.Millisecond },
		}, SourceConfig{}, func(n *Network, s *Source, _ *Group) {
			n.At(3*time.Second, s.Finish) // until then SPMs are a second apart
		})
	}
}

// The receiver that would answer a probe first loses the packet by which it would have accepted the source, and never answers: the next
// one does so at its instant all the same.
func TestSharedScoutIsMute(t *testing.T) {
	for seed := range uint64(60) {
		wantAlike(t, seed, 2, GroupConfig{Down: netem.Impairment{Loss: 0.4}}, SourceConfig{Engine: func(c *session.SourceConfig) {
			c.InitialGRTT = 50 * time.Millisecond
		}}, func(*Network, *Source, *Group) {})
	}
}

// One receiver asks for an SPM and all the others hear it; none comes, and all of them ask at the same instant.
func TestSharedAskTogether(t *testing.T) {
	var sums [2]uint64
	for k, shared := range []bool{false, true} {
		n := New(Config{Seed: 1, Hash: true})
		cut := netem.Impairment{Loss: 1}
		src := n.Source(SourceConfig{Engine: rate(flow.Mbps)})
		b := n.Branch(nil, netem.Impairment{}, cut)
		g := n.Receivers(20, GroupConfig{Switch: b, Absent: true, Shared: shared, Down: netem.Impairment{Delay: time.Millisecond}})
		src.Stream(30_000)
		n.At(46500*time.Microsecond, g.Join)                       // after an SPM,
		n.At(50*time.Millisecond, func() { b.SetLinks(cut, cut) }) // before the next, with data in between
		if err := n.Run(20 * time.Second); err != nil {
			t.Fatal(err)
		}
		sums[k] = n.TraceHash()
		if st := g.Stats(); st.Sessions.Total.SPMRs < 20 {
			t.Errorf("%+v", st)
		}
	}
	if sums[0] != sums[1] {
		t.Errorf("trace %#x plain, %#x shared", sums[0], sums[1])
	}
}

// Messages that the receivers' windows cannot hold are lost to all of them alike, and what comes after is not.
func TestSharedTooLong(t *testing.T) {
	for _, c := range []struct {
		hollow, unordered bool
		window            int
		bytes             int64
	}{{false, false, 8, 1 << 20}, {true, false, 8, 1 << 20}, {false, true, 8, 1 << 20}, {true, true, 8, 1 << 20}, {false, false, 1024, 1 << 16}, {false, true, 1024, 1 << 16}} {
		st := wantAlike(t, 1, 20, GroupConfig{
			Hollow: c.hollow, Engine: func(p *session.PeersConfig) { p.MaxWindow, p.WindowBytes, p.Unordered = c.window, c.bytes, c.unordered },
			Down: netem.Impairment{Delay: 5 * time.Millisecond}, Up: netem.Impairment{Delay: 5 * time.Millisecond},
		}, SourceConfig{}, func(_ *Network, s *Source, _ *Group) {
			for range 3 {
				s.WriteMessage(make([]byte, 1000))
				s.WriteMessage(make([]byte, 65535))
			}
			s.WriteMessage(make([]byte, 1000))
			s.Finish()
		})
		if st.Complete != 20 || st.Bytes < 4*20*1000 {
			t.Errorf("%+v: %+v", c, st)
		}
	}
}
