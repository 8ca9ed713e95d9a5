package main

import (
	"os"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
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

// Processes between namespaces share a bottleneck, and all that they read is what was sent.
func TestContest(t *testing.T) {
	netem.NeedLab(t)
	o := &options{seed: 1}
	out, err := o.run(t.Context(), contest{sources: 1, flows: 2, length: 500 * time.Millisecond, loss: 0.01})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.ours) != 1 || len(out.tcp) != 2 || out.ours[0] <= 0 || len(out.series.Tracks) != 3 {
		t.Errorf("%+v, %+v", out, out.series)
	}
}

// A transfer, and what is wrong with one.
func TestBulk(t *testing.T) {
	netem.NeedLab(t)
	o := &options{seed: 1}
	b := bulk{receivers: 2, loss: 0.05, link: 100 * flow.Mbps, bytes: 1 << 20}
	if v, err := o.transfer(t.Context(), b, 50*flow.Mbps); err != nil || v <= 0 || v > 50 {
		t.Errorf("%v Mbit/s, %v", v, err)
	}
}

// An endpoint says why it cannot be what it is to be.
func TestProcessFails(t *testing.T) {
	netem.NeedLab(t)
	lab, err := netem.NewLab(netem.LabConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer lab.Close()
	for _, job := range []Job{{Role: "nothing"}, {Role: sendRmcast, Group: "nowhere"}, {Role: sendTCP, Flows: 1, Address: "[fd77::100]:1"}} {
		if p, err := startProcess(t.Context(), lab, netem.Sender, job); err == nil {
			t.Errorf("%+v: it runs", job)
			p.end()
		} else {
			t.Log(err)
		}
	}
}

// Between two ticks time is divided evenly.
func TestProcessAt(t *testing.T) {
	p := &process{ticks: []Tick{{At: 100, Bytes: []int64{0}}, {At: 200, Bytes: []int64{1000}}, {At: 300, Bytes: []int64{1000}}}}
	for at, want := range map[int64]float64{0: 0, 100: 0, 150: 500, 200: 1000, 250: 1000, 400: 1000} {
		if got := p.at(0, at); got != want {
			t.Errorf("at %d: %v, want %v", at, got, want)
		}
	}
	if sent, rate := p.full(100, 1e9, 1); sent != seconds(never) || rate != seconds(never) {
		t.Errorf("full after %v and %v ms", sent, rate)
	}
}
