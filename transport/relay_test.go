//go:build netns

package transport

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/internal/invariant"
	"github.com/rmcast/rmcast/netem"
)

func newRelay(t *testing.T, cfg netem.RelayConfig) (*lab, *netem.Relay) {
	t.Helper()
	netem.NeedLab(t)
	n, err := netem.NewRelay(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c := n.Totals()
		t.Logf("the relay counted %+v", c)
		if c.TooLate+c.InFlight+c.Malformed+c.Refused+c.Unroutable > 0 {
			t.Error("packets were lost that no link lost")
		}
		n.Close()
	})
	return labOf(t, n), n
}

// Bad links both ways, each receiver's own or shared on the way, and all get every byte.
func TestRelayBadLinks(t *testing.T) {
	bad := netem.Impairment{
		Loss: 0.1, Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Reorder: 0.02, Duplicate: 0.01, Corrupt: 0.001,
	}
	var tree netem.Topology
	left, right := tree.Branch(0, bad, bad), tree.Branch(0, netem.Impairment{}, bad)
	tree.Receivers = []netem.Port{{Switch: left}, {Switch: left}, {Switch: right, Down: bad, Up: bad}, {Switch: right, Down: bad}}
	size := int64(8 << 20)
	if invariant.Enabled { // the checks cost more than the network
		size = 1 << 20
	}
	for _, c := range []struct {
		name, network, group string
		top                  netem.Topology
	}{
		{"star", "udp6", "[ff15::8000:1%eth0]:7500", netem.Star(bad, bad)},
		{"tree", "udp4", "239.192.77.9:7500", tree},
		{"raw IP", "ip6:pgm", "ff15::8000:1%eth0", netem.Star(bad, bad)}, // no checksum but PGM's
	} {
		t.Run(c.name, func(t *testing.T) {
			l, n := newRelay(t, netem.RelayConfig{Receivers: 4, Topology: c.top, Seed: 1})
			l.network, l.group = c.network, c.group
			l.cfg.Interface, l.cfg.Rate = netem.LabInterface, 50*flow.Mbps
			s, took, missing := l.stream(size)
			st := s.Stats()
			t.Logf("%v: %d packets, %d repairs, %d NAKs; the receivers missed %d", took, st.Packets, st.Repairs, st.NAKs, missing)
			for i := range netem.Node(n.Receivers()) {
				t.Logf("%v: down %+v", i, n.Counters(i).Ingress)
			}
			if st.Repairs == 0 || missing == 0 {
				t.Error("nothing was lost or repaired")
			}
		})
	}
}
