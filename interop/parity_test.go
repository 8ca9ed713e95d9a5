//go:build interop && linux

package interop_test

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

// heavyLoss is of packets at each receiver in a group that repairs with parity.
const heavyLoss = 0.05

// paritySizes are lengths of messages whose parity fits the MTU, in groups with fragments too; of messageSizes some do not, and a group
// with one of those has no parity.
var paritySizes = []int{20, 100, 1384, 5000, 22144, 33, 1200, 3000}

// parityModes are how a source may repair with parity.
var parityModes = []struct {
	name  string
	cfg   fec.Config
	sizes []int
}{
	{"default", fec.Config{}, messageSizes},
	{"on demand", fec.Config{Goal: fec.LeastBytes}, paritySizes},
	{"proactive", fec.Config{Proactive: 4}, paritySizes},
}

// An OpenPGM receiver gets everything from our source in a group whose other receivers are ours and have their losses repaired with
// parity, and so do they.
func TestBesideParity(t *testing.T) {
	needPeers(t)
	const ours = 3
	for _, f := range families {
		for _, mode := range parityModes {
			t.Run(f.name+"/"+mode.name, func(t *testing.T) {
				l := newLab(t, netem.LabConfig{Receivers: 1 + ours, Loss: heavyLoss, SenderLoss: loss, Wire: true})
				p, file := startReceiver(t, l, 0, &f, size)
				var receivers [ours]*receiving
				for i := range receivers {
					receivers[i] = receive(t, listen(t, l, netem.Node(1+i), &f), size, i == 0)
				}
				cfg := config(t)
				cfg.FEC = mode.cfg
				s := dialWith(t, l, &f, cfg)
				data := payload(size)
				start := time.Now()
				messages := sendSizes(t, s, data, mode.sizes)
				wantReceived(t, p, file, data, messages)
				t.Logf("%d bytes in %v", size, time.Since(start))
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				wantLoss(t, l, 0)
				wantParity(t, s, receivers[:], data, mode.cfg.Proactive > 0)
				for i, r := range receivers {
					wantLoss(t, l, netem.Node(1+i))
					if i > 0 {
						wantSuffix(t, "our receiver", r.got.messages, messages)
					}
				}
			})
		}
	}
}

// wantParity checks that our receivers have all of the data, and that they had parity for it while others were served by replay.
func wantParity(t *testing.T, s *transport.Source, receivers []*receiving, data []byte, proactive bool) {
	t.Helper()
	logSource(t, s)
	restored := uint64(0)
	for _, r := range receivers {
		got := r.wait(t)
		logReceiver(t, &got.stats)
		wantBytes(t, "our receiver", got.data, data)
		restored += got.stats.Restored
	}
	st := s.Stats()
	t.Logf("%d packets restored at %d receivers, of %d parity packets", restored, len(receivers), st.Parity+st.Ahead)
	if st.Repairs == st.Parity || st.NAKsTooLate > 0 {
		t.Errorf("%d repairs are not parity, %d NAKs came too late, want some and none", st.Repairs-st.Parity, st.NAKsTooLate)
	}
	if st.ParityNAKs == 0 || st.Parity == 0 || restored == 0 {
		t.Errorf("parity was asked for %d times, %d were sent, %d packets restored: too little to prove anything", st.ParityNAKs, st.Parity, restored)
	}
	if proactive && st.Ahead == 0 {
		t.Error("no parity was sent unasked")
	}
}
