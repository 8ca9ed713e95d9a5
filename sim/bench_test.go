//go:build unix

package sim

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
)

// cpu returns the processor time this process has used.
func cpu() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkDeliveries measures packets handed to receivers for each second of processor time, collection of garbage included:
// run it with -cpu 1. Receivers are at ten distances; a stream of 100 Mbit/s.
func BenchmarkDeliveries(b *testing.B) {
	for _, bb := range []struct {
		count  int
		shared bool
		loss   float64
	}{
		{1_000, false, 0}, {100_000, false, 0}, {100_000, false, 0.001}, {100_000, false, 0.01},
		{1_000_000, true, 0}, {1_000_000, true, 1e-6}, {1_000_000, true, 1e-5}, {1_000_000, true, 1e-4},
	} {
		b.Run(fmt.Sprintf("receivers=%d/shared=%v/loss=%v", bb.count, bb.shared, bb.loss), func(b *testing.B) {
			const classes = 10
			n := New(Config{Seed: 1})
			src := n.Source(SourceConfig{Engine: rate(100 * flow.Mbps)})
			for i := range classes {
				d := time.Duration(10+i) * time.Millisecond
				n.Receivers(bb.count/classes, GroupConfig{
					Hollow: true, Shared: bb.shared, Down: netem.Impairment{Delay: d, Loss: bb.loss}, Up: netem.Impairment{Delay: d},
				})
			}
			run := func(bytes int64) {
				src.Stream(bytes)
				if err := n.Run(100 * time.Millisecond); err != nil {
					b.Fatal(err)
				}
			}
			run(20_000) // so that engines have taken their memory
			before, began := n.Stats().Deliveries, cpu()
			b.ResetTimer()
			for range b.N {
				run(200_000)
			}
			b.ReportMetric(float64(n.Stats().Deliveries-before)/(cpu()-began).Seconds()/1e6, "Mdeliveries/cpu-s")
			b.ReportMetric(float64(n.Stats().Engines), "engines")
		})
	}
}
