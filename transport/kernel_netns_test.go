//go:build netns

package transport

import (
	"math"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
)

// TestKernelRecovery: under the kernel's own netem, in both directions, four receivers get every byte.
func TestKernelRecovery(t *testing.T) {
	netem.NeedQdisc(t)
	const size = 20 << 20
	i, err := netem.ParseImpairment("loss 10% delay 20ms 5ms reorder 2% duplicate 1%")
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, netem.LabConfig{Receivers: 4, Wire: true})
	for n := range netem.Node(l.lab.Receivers()) {
		if err := l.lab.SetQdisc(n, i, i); err != nil {
			t.Fatal(err)
		}
	}
	l.cfg.Rate = 10 * flow.Mbps // what a guest without KVM can carry to four
	// A receiver that hears nothing repeats its NAK each half second in the end. Four in a row are lost now and then, and after
	// the 2 s of the default nobody keeps what they ask for.
	l.cfg.WindowAge = 10 * time.Second
	s, took, missing := l.stream(size)
	st := s.Stats()
	t.Logf("%v: %.2f Mbit/s; %.3f IP bytes a byte; %d packets, %d repairs, %d NCFs, %d NAKs for %d numbers",
		took, size*8/took.Seconds()/1e6, float64(st.IPBytes)/size, st.Packets, st.Repairs, st.NCFs, st.NAKs, st.NAKNumbers)
	if st.Repairs == 0 || missing == 0 {
		t.Errorf("%d packets missed and %d repairs: the link lost nothing", missing, st.Repairs)
	}
	for n := range netem.Node(l.lab.Receivers()) {
		in, out, err := l.lab.QdiscStats(n)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%v: the kernel passed on %d packets and lost %d on the way in, %d and %d on the way out", n, in.Packets, in.Dropped, out.Packets, out.Dropped)
		for _, way := range []netem.QdiscStats{in, out} {
			// What is duplicated, is not lost in the kernel.
			all := float64(way.Packets + way.Dropped)
			if share := float64(way.Dropped) / all; math.Abs(share-0.1) > 0.004+6*0.3/math.Sqrt(all) {
				t.Errorf("%v: %.3f of the packets were lost one way: %+v", n, share, way)
			}
		}
	}
}
