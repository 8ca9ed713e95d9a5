package main

import (
	"testing"

	"github.com/rmcast/rmcast/flow"
)

// Without namespaces the endpoints run in this process; the bytes are the right ones all the same.
func TestMemory(t *testing.T) {
	r := testRunner(t, nil, 2<<20)
	r.world = memory{payload: r.payload, seed: 5}
	for _, loss := range []float64{0, 0.1} {
		cell := testCell(2, 2<<20)
		cell.Link, cell.Rate, cell.Loss = 100*flow.Mbps, 97*flow.Mbps, loss
		run, err := r.measure(t.Context(), cell, Rmcast)
		if err != nil {
			t.Fatal(err)
		}
		row := summarise(run)
		if !row.Complete || row.Goodput > 100e6 || row.Sent < 0.9*row.Minimum || row.Sent > 1.5*row.Minimum {
			t.Errorf("loss %v: %+v", loss, row)
		}
		if loss > 0 && (run.Losses.Dropped == 0 || row.NAKs == 0) {
			t.Errorf("losses %+v, %d NAKs", run.Losses, row.NAKs)
		}
	}
}
