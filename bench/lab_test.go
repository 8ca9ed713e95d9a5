//go:build linux

package main

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
)

// TestMain makes the test binary an endpoint when it is started as one.
func TestMain(m *testing.M) {
	if code, done := enter(); done {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func labRunner(t *testing.T, bytes int64) *runner {
	t.Helper()
	netem.NeedLab(t)
	r := testRunner(t, nil, bytes)
	r.world = namespaces{payload: r.payload}
	return r
}

// Both schemes bring 2 MB to two receivers in namespaces at 10 % loss.
func TestNamespaces(t *testing.T) {
	r := labRunner(t, 2<<20)
	for _, s := range []Scheme{Rmcast, FanOut} {
		cell := testCell(2, 2<<20)
		cell.Link, cell.Loss = 60*flow.Mbps, 0.1
		run, err := r.measure(t.Context(), cell, s)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		row := summarise(run)
		switch {
		case !row.Complete:
			t.Errorf("%s: %s", s, row.remark())
		case row.SentSource != "interface" || row.Sent < 0.9*row.Minimum || row.Sent > 1.5*row.Minimum:
			t.Errorf("%s: %.3f IP bytes sent for a byte of use, by the %s; the least is %.3f", s, row.Sent, row.SentSource, row.Minimum)
		case row.Goodput > 60e6:
			t.Errorf("%s: %.0f bit/s over a link of 60 Mbit/s", s, row.Goodput)
		case run.Losses.Dropped == 0 || row.SenderCPU.Total() <= 0 || row.ReceiverCPU.Total() <= 0:
			t.Errorf("%s: losses %+v, CPU %+v %+v", s, run.Losses, row.SenderCPU, row.ReceiverCPU)
		}
	}
}

// An endpoint in a namespace ends when nobody is left who could tell it to.
func TestInterruptEndsProcesses(t *testing.T) {
	r := labRunner(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := r.measure(ctx, streamCell(1, &Stream{Count: 1e6, Bytes: 1400, Rate: 10 * flow.Mbps}), FanOut)
	if err == nil {
		t.Error("an interrupted run returned no error")
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("took %v to end", took)
	}
	if children, err := os.ReadFile("/proc/thread-self/children"); err == nil && len(children) > 0 {
		t.Errorf("children are left: %s", children)
	}
}
