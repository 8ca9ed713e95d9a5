//go:build netns

package carriers

import (
	"os"
	"testing"

	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/sim"
)

func TestMain(m *testing.M) {
	netem.EnterUser()
	os.Exit(m.Run())
}

// Package transport on real sockets in network namespaces.
func TestNamespaces(t *testing.T) {
	netem.NeedLab(t)
	scenarios(t, func(t *testing.T, s *sim.Scenario) string {
		n, err := netem.NewRelay(netem.RelayConfig{Seed: s.Seed, Topology: topology(s)})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		r := newRunner(t, s, n.Do)
		r.group = r.zoned()
		n.SetDrop(r.drop)
		return r.run()
	})
}

// zoned is the group with the interface of the nodes.
func (r *runner) zoned() string {
	if r.s.V4 {
		return r.group
	}
	return "[ff15::8000:1%eth0]:7500"
}
