//go:build netns && linux

package main

import (
	"testing"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
)

// Both schemes bring all bytes under the kernel's netem, which makes the loss and the delay.
func TestKernelBench(t *testing.T) {
	netem.NeedQdisc(t)
	const bytes = 300 << 10
	r := labRunner(t, bytes)
	for _, s := range []Scheme{Rmcast, FanOut} {
		cell := testCell(2, bytes)
		cell.Link, cell.Rate, cell.Loss, cell.Netem = 10*flow.Mbps, 9*flow.Mbps, 0.05, "delay 20ms"
		run, err := r.measure(t.Context(), cell, s)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		row := summarise(run)
		if !row.Complete {
			t.Errorf("%s: %s", s, row.remark())
		}
		all := float64(run.Losses.Passed + run.Losses.Dropped)
		share := float64(run.Losses.Dropped) / all
		t.Logf("%s: %.2f Mbit/s, %v, %.4f of %.0f packets lost", s, row.Goodput/1e6, row.Time, share, all)
		if share < 0.01 || share > 0.12 {
			t.Errorf("%s: %+v", s, run.Losses)
		}
		if row.Time.Milliseconds() < 20 {
			t.Errorf("%s: took %v under a delay of 20 ms", s, row.Time)
		}
	}
}
