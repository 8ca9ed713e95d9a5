package sim

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

// writer writes messages one after the other, each when a quorum has confirmed the one before.
type writer struct {
	src     *Source
	quorum  session.Quorum
	left    int
	total   time.Duration
	longest time.Duration
	acks    uint64 // heard when a fifth of the writes were made: until then receivers introduce themselves
	writes  int
}

func (w *writer) next() {
	if w.left == 0 {
		w.src.Finish()
		return
	}
	if w.left--; w.left == w.writes*4/5 {
		w.acks = w.src.Stats().ACKs
	}
	w.src.WriteMessage(make([]byte, 1000))
	w.src.Await(w.quorum, func(took time.Duration) {
		w.total += took
		w.longest = max(w.longest, took)
		w.next()
	})
}

// confirming is a source on a LAN, whose receivers have the ids from 1 on, and a writer.
func confirming(seed uint64, receivers, writes int, q session.Quorum, down, up netem.Impairment) (*Network, *writer, *Group) {
	n := New(Config{Seed: seed, Hash: true})
	src := n.Source(SourceConfig{Engine: func(c *session.SourceConfig) {
		c.Rate, c.InitialGRTT, c.InitialGroup = 100*flow.Mbps, 10*time.Millisecond, 10
	}})
	g := n.Receivers(receivers, GroupConfig{Down: down, Up: up, Hollow: true, Shared: true, Engine: func(c *session.PeersConfig) {
		c.HopLimit, c.ID, c.Confirm = 1, 1, true
	}})
	w := &writer{src: src, quorum: q, left: writes, writes: writes}
	everybody := session.Quorum{Count: receivers}
	src.Await(everybody, func(time.Duration) { w.next() })
	return n, w, g
}

// A tenth of all packets is lost, both ways: each write is confirmed all the same, most after a round trip, and by the same packets
// whenever the seed is the same.
func TestConfirmLoss(t *testing.T) {
	lossy := netem.Impairment{Delay: 500 * time.Microsecond, Loss: 0.1}
	for _, c := range []struct {
		what string
		q    session.Quorum
		mean time.Duration
	}{
		{"three of five", session.Quorum{Count: 3}, 2 * time.Millisecond},
		{"all of five", session.Quorum{Of: []wire.ReceiverID{1, 2, 3, 4, 5}}, 8 * time.Millisecond},
	} {
		const writes = 1000
		var sums []uint64
		for range 2 {
			n, w, g := confirming(1, 5, writes, c.q, lossy, lossy)
			if err := n.Run(30 * time.Second); err != nil {
				t.Fatal(err)
			}
			if st := g.Stats(); w.left > 0 || st.Complete != 5 || st.Messages != 5*writes {
				t.Fatalf("%s: %d writes left, %+v", c.what, w.left, st)
			}
			sums = append(sums, n.TraceHash())
			if mean := w.total / writes; mean > c.mean {
				t.Errorf("%s: confirmed after %v on average, want at most %v", c.what, mean, c.mean)
			} else if len(sums) == 1 {
				t.Logf("%s: confirmed after %v on average, %v at most; %d ACKs, %d SPMs", c.what, mean, w.longest, w.src.Stats().ACKs, w.src.Stats().SPMs)
			}
		}
		if sums[0] != sums[1] {
			t.Errorf("%s: another trace with the same seed", c.what)
		}
	}
}

// In groups of up to two thousand that all take part, a quorum of five is there soon and few others speak.
func TestConfirmGroups(t *testing.T) {
	for _, group := range []int{30, 300, 2000} {
		const writes = 50
		n, w, g := confirming(1, group, writes, session.Quorum{Count: 5}, netem.Impairment{Delay: 5 * time.Millisecond}, netem.Impairment{Delay: 5 * time.Millisecond})
		if err := n.Run(60 * time.Second); err != nil {
			t.Fatal(err)
		}
		st := w.src.Stats()
		if w.left > 0 || g.Stats().Complete != group {
			t.Fatalf("group of %d: %d writes left, %+v", group, w.left, g.Stats())
		}
		each := float64(st.ACKs-w.acks) / (writes * 4 / 5)
		t.Logf("group of %d: confirmed after %v on average, %v at most, %.1f ACKs for each write, %d SPMs", group, w.total/writes, w.longest, each, st.SPMs)
		if mean := w.total / writes; mean > 20*time.Millisecond {
			t.Errorf("group of %d: confirmed after %v on average", group, mean)
		}
		if each > 80 {
			t.Errorf("group of %d: %.1f ACKs for each write", group, each)
		}
	}
}
