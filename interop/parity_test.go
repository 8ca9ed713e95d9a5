//go:build interop && linux

package interop_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/internal/testvec"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
	"github.com/rmcast/rmcast/wire"
)

// heavyLoss is of packets at each receiver in a group that repairs with parity.
const heavyLoss = 0.05

// paritySizes are lengths of messages whose parity fits the MTU, in groups with fragments too; of messageSizes some do not, and a
// group with one of those has no parity.
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
				wantParity(t, s, receivers[:], data, mode.cfg)
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

// wantParity checks that our receivers have all of the data, that they had parity for it, by default for some and with LeastBytes
// for most of what they missed, and that others were served by replay.
func wantParity(t *testing.T, s *transport.Source, receivers []*receiving, data []byte, cfg fec.Config) {
	t.Helper()
	logSource(t, s)
	var repairs, restored uint64
	for _, r := range receivers {
		got := r.wait(t)
		logReceiver(t, &got.stats)
		wantBytes(t, "our receiver", got.data, data)
		repairs += got.stats.Repairs
		restored += got.stats.Restored
	}
	st := s.Stats()
	t.Logf("%d packets restored at %d receivers, of %d parity packets", restored, len(receivers), st.Parity+st.Ahead)
	if st.Repairs == st.Parity || st.NAKsTooLate > 0 {
		t.Errorf("%d repairs are not parity, %d NAKs came too late, want some and none", st.Repairs-st.Parity, st.NAKsTooLate)
	}
	if st.ParityNAKs == 0 || st.Parity == 0 || restored == 0 {
		t.Errorf("parity was asked for %d times, %d were sent, %d packets restored: too little to prove anything",
			st.ParityNAKs, st.Parity, restored)
	}
	if cfg.Proactive > 0 && st.Ahead == 0 {
		t.Error("no parity was sent unasked")
	}
	if cfg.Goal == fec.LeastBytes && 2*restored < repairs {
		t.Errorf("%d of %d repairs were restored, want the greater part", restored, repairs)
	}
}

// An OpenPGM source that announces parity is served as one that does not: our receivers ask for packets by number, and for no
// parity, which it cannot make: it would end with the first NAK for it.
func TestOpenPGMSourceOffersParity(t *testing.T) {
	needPeers(t)
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			l := newLab(t, netem.LabConfig{Receivers: 2, Loss: heavyLoss, SenderLoss: loss, Wire: true})
			data := payload(size)
			sizes := []int{1400, 20000, 1, 1424, 5000}
			announced := startCapture(t, l, netem.Sender, f.addr(netem.Sender))
			var receivers [2]*receiving
			var asked [2]*capture
			for i := range receivers {
				n := netem.Node(i)
				asked[i] = startCapture(t, l, n, f.addr(n))
				receivers[i] = receive(t, listen(t, l, n, &f), size, i == 0)
			}
			p := startSource(t, l, &f, data, sizes, "-k", "8")
			fmt.Fprintln(p.stdin)
			p.expect("sent", patience)
			for _, r := range receivers {
				<-r.whole
			}
			p.end() // only now: nobody repairs after OpenPGM's FIN
			for i, r := range receivers {
				got := r.wait(t)
				logReceiver(t, &got.stats)
				wantBytes(t, "our receiver", got.data, data)
				if st := &got.stats; st.Repairs == 0 || st.Restored+st.Parity+st.Refused.Parity > 0 {
					t.Errorf("our receiver had %d repairs, %d restored, %d parity packets and %d refused, want some of the first only",
						st.Repairs, st.Restored, st.Parity, st.Refused.Parity)
				}
				wantLoss(t, l, netem.Node(i))
				if d := wantDissected(t, asked[i].end(t), "NAK"); d.types["parity NAK"] > 0 {
					t.Errorf("our receiver asked for parity %d times", d.types["parity NAK"])
				}
			}
			if n := count(t, announced.end(t), func(p *wire.Packet) bool {
				return p.Type == wire.TypeSPM && p.Options.Set.Has(wire.OptParityPRM)
			}); n == 0 {
				t.Error("OpenPGM's source announced no parity")
			} else {
				t.Logf("OpenPGM's source announced parity %d times", n)
			}
		})
	}
}

// count says how many packets of a capture, of those that can be decoded, are of some kind.
func count(t *testing.T, file string, kind func(*wire.Packet) bool) (n int) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	datagrams, err := testvec.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range datagrams {
		var p wire.Packet
		if p.Decode(d.Payload) == nil && kind(&p) {
			n++
		}
	}
	return n
}
