package history

import "testing"

// BenchmarkHistory measures short histories: making, running and judging them.
func BenchmarkHistory(b *testing.B) {
	var r Runner
	var c Counts
	b.ReportAllocs()
	for seed := uint64(0); b.Loop(); seed++ {
		if v := r.Run(Generate(seed, Short), &c); v != nil {
			b.Fatal(v)
		}
	}
	b.ReportMetric(float64(c[Packets])/float64(b.N), "packets/op")
	b.ReportMetric(float64(c[Deliveries])/float64(b.N), "deliveries/op")
}
