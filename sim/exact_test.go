package sim

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
)

// A tree with every impairment, three groups, people who come and go, and a source of messages and streams that ends: every event is the
// same on every architecture and system, and again in the same process. The hash is that of amd64; a change of behaviour changes it, and
// the failure prints the new one.
func TestExact(t *testing.T) {
	for _, c := range []struct {
		name   string
		v4     bool
		parity fec.Config
		seed   uint64
		want   uint64
	}{
		{"IPv6", false, fec.Config{}, 1, 0x2bba9e0bcdf214ef},
		{"IPv4", true, fec.Config{}, 2, 0x69d2ea3d370b15ea},
		{"parity", false, fec.Config{GroupSize: 16, Goal: fec.LeastBytes}, 3, 0x9ae3f8ef7f5db449},
		{"parity ahead of demand", true, fec.Config{GroupSize: 32, Goal: fec.LeastDelay, Proactive: 1}, 4, 0xfe4fde253816d1e8},
	} {
		t.Run(c.name, func(t *testing.T) {
			sum, stats := exact(t, c.seed, c.v4, false, c.parity)
			if sum != c.want {
				t.Errorf("the events sum up to %#x, want %#x; %+v", sum, c.want, stats)
			}
			if again, _ := exact(t, c.seed, c.v4, false, c.parity); again != sum {
				t.Errorf("the second time they sum up to %#x, the first time to %#x", again, sum)
			}
			if shared, _ := exact(t, c.seed, c.v4, true, c.parity); shared != sum {
				t.Errorf("shared, they sum up to %#x, else to %#x", shared, sum)
			}
			if other, _ := exact(t, c.seed+100, c.v4, false, c.parity); other == sum {
				t.Errorf("seeds %d and %d do the same", c.seed, c.seed+100)
			}
		})
	}
}

// impairment reads one in tc's words.
func impairment(t *testing.T, text string) netem.Impairment {
	t.Helper()
	i, err := netem.ParseImpairment(text)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// exact runs the network and returns its hash.
func exact(t *testing.T, seed uint64, v4, shared bool, parity fec.Config) (uint64, Stats) {
	t.Helper()
	i := func(text string) netem.Impairment { return impairment(t, text) }
	n := New(Config{Seed: seed, V4: v4, Hash: true})
	src := n.Source(SourceConfig{
		Up: i("rate 30mbit limit 100 delay 100us 30us 20%"), Down: i("loss 2%"),
		Engine: func(c *session.SourceConfig) {
			c.Rate, c.Slots, c.First = 12345678, 2048, 1<<32-50
			if parity.GroupSize > 0 {
				c.Parity = parity.WithDefaults()
				c.InitialGroup, c.InitialGRTT = 100, 50*time.Millisecond
			}
		},
	})
	near := n.Branch(nil, i("loss gemodel 1% 20% delay 5ms 1ms 25% distribution normal"), i("loss state 1% 30% delay 5ms"))
	far := n.Branch(near, i("delay 3ms 1ms distribution pareto reorder 3% 20% duplicate 2% 10%"), i("delay 3ms 500us distribution paretonormal loss every 40"))
	groups := []*Group{
		n.Receivers(60, GroupConfig{Shared: shared, Hollow: true, Down: i("delay 2ms loss 1%"), Up: i("delay 2ms")}),
		n.Receivers(25, GroupConfig{Switch: near, Shared: shared, Down: i("delay 1ms corrupt 0.5% loss 1% 20%"), Up: i("loss 3% corrupt 2% duplicate 5%")}),
		n.Receivers(15, GroupConfig{
			Switch: far, Down: i("rate 20mbit limitbytes 60kb delay 7ms 2ms"), Up: i("rate 1mbit delay 7ms"),
			Engine: func(c *session.PeersConfig) { c.Unordered, c.MaxDelay = true, 200*time.Millisecond },
		}),
		n.Receivers(5, GroupConfig{Switch: far, Shared: shared, Absent: true, Down: i("delay 1ms")}),
	}
	src.Stream(150_000)
	for size := range 60 {
		src.WriteMessage(make([]byte, size*size*3+1))
	}
	src.Stream(50_000)
	src.Flush()
	src.WriteMessage(make([]byte, 40_000))
	n.At(30*time.Millisecond, groups[3].Join)
	n.At(60*time.Millisecond, func() { groups[0].Leave(7); groups[1].SetStalled(3, true) })
	n.At(150*time.Millisecond, func() { groups[1].Restart(5); near.SetLinks(i("loss 5% delay 4ms"), i("down 100ms 30ms every 200ms")) })
	n.At(250*time.Millisecond, func() {
		groups[1].SetStalled(3, false)
		groups[0].SetLinks(i("loss 2% delay 3ms mtu 1500"), i("mtu 1500"))
	})
	n.At(400*time.Millisecond, func() { groups[0].Join(); src.SetLinks(i(""), i("rate 50mbit")) })
	if v4 {
		second := n.Source(SourceConfig{Switch: far, Up: i("delay 1ms"), Engine: rate(3 * flow.Mbps)})
		n.At(100*time.Millisecond, func() { second.Stream(60_000) })
		n.At(time.Second, func() { second.Reset(9) })
	}
	src.Finish()
	if err := n.Run(12 * time.Second); err != nil {
		t.Fatal(err)
	}
	if !src.Finished() {
		t.Error("the source is not at its end")
	}
	for k, g := range groups {
		if st := g.Stats(); st.Complete < g.Len() || st.Sessions.Total.NAKs == 0 {
			t.Errorf("group %d: %+v", k, st)
		}
	}
	if st := src.Stats(); (st.Parity > 0) != (parity.GroupSize > 0) || (st.Ahead > 0) != (parity.Proactive > 0) {
		t.Errorf("the source: %+v", st)
	}
	return n.TraceHash(), n.Stats()
}
