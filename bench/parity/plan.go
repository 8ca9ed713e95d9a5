package main

import (
	"time"

	"github.com/rmcast/rmcast/flow"
)

const (
	limit = 100 * flow.Mbps
	pace  = 10 * flow.Mbps
)

var (
	gridLosses = []float64{0, 0.01, 0.05, 0.1, 0.2, 0.3}
	gridRTTs   = []time.Duration{100 * time.Microsecond, time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond}
	gridSizes  = []int{1, 8, 100, 1000}
)

// cells returns all combinations.
func cells(sizes []int, rtts []time.Duration, losses []float64, data flow.Rate, seed uint64) (all []Cell) {
	for _, n := range sizes {
		for _, loss := range losses {
			for _, rtt := range rtts {
				all = append(all, Cell{Receivers: n, RTT: rtt, Loss: loss, Rate: limit, Data: data, Seed: seed}.sized())
			}
		}
	}
	return all
}

// grid is where the source's choice is compared with what is fixed.
func grid(seed uint64) []Cell { return cells(gridSizes, gridRTTs, gridLosses, pace, seed) }

// standard is what the documentation shows: round trips, numbers of receivers, bulk, and the cells that have bounds of their own.
func standard(seed uint64) []Cell {
	ms := time.Millisecond
	all := cells([]int{8, 1000}, []time.Duration{ms, 20 * ms, 100 * ms}, []float64{0.01, 0.1}, pace, seed)
	all = append(all, cells([]int{1, 100}, []time.Duration{20 * ms}, []float64{0.01, 0.1}, pace, seed)...)
	all = append(all, cells([]int{16}, []time.Duration{20 * ms}, []float64{0.2}, pace, seed)...)
	all = append(all, cells([]int{1000}, []time.Duration{20 * ms}, []float64{0.05}, pace, seed)...)
	return append(all, cells([]int{8, 100}, []time.Duration{ms}, []float64{0.01, 0.1}, 0, seed)...)
}

// quick is a few cells that take seconds.
func quick(seed uint64) []Cell {
	all := cells([]int{1, 8, 100}, []time.Duration{20 * time.Millisecond}, []float64{0.1}, pace, seed)
	for i := range all {
		all[i].Groups = min(all[i].Groups, 60)
	}
	return all
}
