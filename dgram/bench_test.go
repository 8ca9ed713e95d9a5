package dgram

import (
	"fmt"
	"testing"
)

// BenchmarkWriteRun sends to a group on the loopback interface with one member that never reads: what the sending side costs.
func BenchmarkWriteRun(b *testing.B) {
	for _, size := range []int{64, 1400, 8900} {
		for _, count := range []int{1, 8, 46} {
			if size*count > 65000 {
				continue
			}
			for _, gso := range []bool{true, false} {
				if count == 1 && !gso {
					continue
				}
				name := fmt.Sprintf("%dx%d", count, size)
				if !gso {
					name += "/withoutGSO"
				}
				b.Run(name, func(b *testing.B) {
					withheld.gso = !gso
					defer func() { withheld.gso = false }()
					p := loopback4(b)
					o := p.options()
					o.RecvBuffer = 1
					p.receiver(b, o)
					s := p.source(b, p.options())
					run := make([]byte, count*size)
					b.SetBytes(int64(len(run)))
					b.ReportAllocs()
					for b.Loop() {
						if err := s.WriteRun(run, size, toGroup, 0); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/datagram")
				})
			}
		}
	}
}

// BenchmarkReadBatch drains a queue filled beforehand: what the receiving side costs, by how many datagrams a call may take
// and whether they come in runs.
func BenchmarkReadBatch(b *testing.B) {
	for _, bb := range []struct {
		name           string
		count, buffers int
		fill           int // datagrams queued before each drain
		plain          bool
	}{
		{"runs/buffers=1", 46, 1, 16 * 46, false},
		{"runs/buffers=4", 46, 4, 16 * 46, false},
		{"runs/buffers=16", 46, 16, 16 * 46, false},
		{"runs/plain", 46, 1, 16 * 46, true},
		{"onerun/buffers=1", 46, 1, 46, false},
		{"onerun/buffers=16", 46, 16, 46, false},
		{"single/buffers=1", 1, 1, 16 * 46, false},
		{"single/buffers=4", 1, 4, 16 * 46, false},
		{"single/buffers=16", 1, 16, 16 * 46, false},
		{"single/buffers=64", 1, 64, 16 * 46, false},
		{"single/plain", 1, 1, 16 * 46, true},
	} {
		b.Run(bb.name, func(b *testing.B) {
			p := loopback4(b)
			withheld.batch = bb.plain
			r := p.receiver(b, p.options())
			withheld.batch = false
			s := p.source(b, p.options())
			const size = 1400
			fill := bb.fill
			run := make([]byte, bb.count*size)
			d := buffersFor(bb.buffers)
			b.SetBytes(int64(fill * size))
			b.ReportAllocs()
			calls := 0
			for b.Loop() {
				b.StopTimer()
				for range fill / bb.count {
					if err := s.WriteRun(run, size, toGroup, 0); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				for got := 0; got < fill*size; calls++ {
					n, err := r.ReadBatch(d)
					if err != nil {
						b.Fatal(err)
					}
					for _, d := range d[:n] {
						got += len(d.B)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*fill), "ns/datagram")
			b.ReportMetric(float64(calls)/float64(b.N), "calls/op")
		})
	}
}
