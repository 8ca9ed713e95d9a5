package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
)

func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) != "" {
		enter()
		os.Exit(0)
	}
	netem.EnterUser()
	os.Exit(m.Run())
}

// All that is measured, in short and under loss: every byte is there, the dead are named, and nothing hangs.
func TestQuorum(t *testing.T) {
	netem.NeedLab(t)
	o := &options{writes: 60, size: 1000, receivers: 5, quorum: 3, rtt: time.Millisecond, loss: 1}
	for _, c := range []cell{{rmcast, false}, {tcp, false}, {rmcast, true}, {tcp, true}} {
		out, err := o.measure(t.Context(), c, 2)
		if err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		if out.p50 < o.rtt || out.took < time.Duration(o.writes)*o.rtt {
			t.Errorf("%v: confirmed in less than a round trip: %+v", c, out)
		}
	}
}

// A run with one scheme, from its flags to its table.
func TestRun(t *testing.T) {
	netem.NeedLab(t)
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-writes", "20", "-runs", "1", "-only", "rmcast", "-r", "3", "-quorum", "3", "-rtt", "0"}, &out, os.Stderr); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); !strings.Contains(s, "20 writes of 1000 bytes, each confirmed by 3 of 3 receivers") || !strings.Contains(s, "med.") {
		t.Error(s)
	}
	for _, bad := range []string{"-writes=1", "-quorum=6", "-only=udp", "-rtt=2s", "more"} {
		if _, err := parse([]string{bad}, &out); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
