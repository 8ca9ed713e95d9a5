package sim

import (
	"runtime"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
)

// rate sets a source's rate.
func rate(r flow.Rate) func(*session.SourceConfig) {
	return func(c *session.SourceConfig) { c.Rate = r }
}

// A stream comes to every receiver whole, whatever the links do.
func TestStream(t *testing.T) {
	for _, v4 := range []bool{false, true} {
		n := New(Config{Seed: 1, V4: v4})
		src := n.Source(SourceConfig{})
		b := n.Branch(nil, netem.Impairment{Loss: 0.02, Delay: time.Millisecond}, netem.Impairment{Delay: time.Millisecond, Loss: 0.1})
		read := map[int]int64{}
		verify := func(e *Event) {
			if e.Kind == Delivered {
				if !src.Verify(read[e.Host], e.Data) {
					t.Fatalf("host %d reads other bytes at %d", e.Host, read[e.Host])
				}
				read[e.Host] += int64(e.Bytes)
			}
		}
		rough := netem.Impairment{Loss: 0.05, Delay: 10 * time.Millisecond, Jitter: time.Millisecond, Duplicate: 0.02, Corrupt: 0.01, Rate: 200e6}
		groups := []*Group{
			n.Receivers(3, GroupConfig{Deliver: verify}),
			n.Receivers(5, GroupConfig{Switch: b, Down: rough, Up: rough, Deliver: verify}),
			n.Receivers(4, GroupConfig{Switch: b, Down: netem.Impairment{Loss: 0.1, Delay: time.Millisecond}, Deliver: verify}),
		}
		const size = 3 << 20
		src.Stream(size)
		src.Finish()
		if err := n.Run(20 * time.Second); err != nil {
			t.Fatal(err)
		}
		for i, g := range groups {
			if st := g.Stats(); st.Complete != g.Len() || st.Lost > 0 || st.Bytes != uint64(g.Len())*size {
				t.Errorf("group %d: %+v", i, st)
			}
		}
		if !src.Finished() {
			t.Error("the source is not at its end")
		}
		t.Logf("%+v, %+v", n.Stats(), src.Stats())
	}
}

// shape is one network in two ways of simulating it.
func shape(seed uint64, count int, shared bool, loss float64) (*Network, *Source, []*Group) {
	n := New(Config{Seed: seed, Hash: true})
	src := n.Source(SourceConfig{Engine: rate(20 * flow.Mbps)})
	b := n.Branch(nil, netem.Impairment{Loss: loss, Delay: 5 * time.Millisecond}, netem.Impairment{Delay: 5 * time.Millisecond})
	var groups []*Group
	for i := range 5 {
		at := b
		if i%2 == 0 {
			at = n.Root()
		}
		groups = append(groups, n.Receivers(count/5, GroupConfig{
			Switch: at, Hollow: true, Shared: shared,
			Down: netem.Impairment{Loss: loss, Delay: time.Duration(10+8*i) * time.Millisecond},
			Up:   netem.Impairment{Delay: time.Duration(10+8*i) * time.Millisecond},
		}))
	}
	return n, src, groups
}

// Sharing engines changes nothing: every event at 10,000 receivers is the same.
func TestSharedIsPlain(t *testing.T) {
	for _, tt := range []struct {
		count int
		loss  float64
		bytes int64
	}{{10, 0.05, 200_000}, {1000, 0.001, 300_000}, {10_000, 0.0002, 300_000}} {
		var sums [2]uint64
		for k, shared := range []bool{false, true} {
			n, src, groups := shape(7, tt.count, shared, tt.loss)
			src.Stream(tt.bytes)
			src.Finish()
			if err := n.Run(15 * time.Second); err != nil {
				t.Fatal(err)
			}
			sums[k] = n.TraceHash()
			complete := 0
			for _, g := range groups {
				complete += g.Stats().Complete
			}
			if complete != tt.count {
				t.Errorf("%d receivers, shared %v: %d complete", tt.count, shared, complete)
			}
			t.Logf("%d receivers, shared %v: %+v, %d NAKs, %d ACKs", tt.count, shared, n.Stats(), src.Stats().NAKs, src.Stats().ACKs)
		}
		if sums[0] != sums[1] {
			t.Errorf("%d receivers: trace %#x plain, %#x shared", tt.count, sums[0], sums[1])
		}
	}
}

// A receiver without loss, with all that the simulator keeps for it, takes at most 2 KB.
func TestReceiverSize(t *testing.T) {
	const count, most = 20_000, 2048
	n := New(Config{Seed: 1})
	src := n.Source(SourceConfig{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC() // what was in pools needs a second one
	runtime.ReadMemStats(&before)
	g := n.Receivers(count, GroupConfig{Hollow: true, Down: netem.Impairment{Delay: 20 * time.Millisecond}, Up: netem.Impairment{Delay: 20 * time.Millisecond}})
	src.Stream(200_000)
	if err := n.Run(time.Second); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / count; got > most {
		t.Errorf("a receiver takes %d bytes, want at most %d", got, most)
	} else {
		t.Logf("%d bytes", got)
	}
	if st := g.Stats(); st.Bytes != count*200_000 {
		t.Errorf("%+v", st)
	}
}
