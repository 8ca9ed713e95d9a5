package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
)

// BenchmarkDeliveries measures packets handed to receivers a second. Lossless and with little loss; plain, and with engines shared.
func BenchmarkDeliveries(b *testing.B) {
	for _, bb := range []struct {
		count  int
		shared bool
		loss   float64
	}{{1_000, false, 0}, {100_000, false, 0}, {100_000, false, 0.001}, {100_000, true, 0.001}, {1_000_000, true, 0}, {1_000_000, true, 0.0001}} {
		b.Run(fmt.Sprintf("receivers=%d/shared=%v/loss=%v", bb.count, bb.shared, bb.loss), func(b *testing.B) {
			var deliveries uint64
			var spent time.Duration
			for range b.N {
				n := New(Config{Seed: 1})
				src := n.Source(SourceConfig{Engine: rate(100 * flow.Mbps)})
				classes := 10
				for i := range classes {
					d := time.Duration(10+i) * time.Millisecond
					n.Receivers(bb.count/classes, GroupConfig{Hollow: true, Shared: bb.shared,
						Down: netem.Impairment{Delay: d, Loss: bb.loss}, Up: netem.Impairment{Delay: d}})
				}
				// What is sent before the engines have taken their memory is not measured.
				src.Stream(100_000)
				if err := n.Run(200 * time.Millisecond); err != nil {
					b.Fatal(err)
				}
				before, began := n.Stats().Deliveries, time.Now()
				src.Stream(400_000)
				if err := n.Run(200 * time.Millisecond); err != nil {
					b.Fatal(err)
				}
				spent += time.Since(began)
				deliveries += n.Stats().Deliveries - before
			}
			b.ReportMetric(float64(deliveries)/spent.Seconds()/1e6, "M/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
