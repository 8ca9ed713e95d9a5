package transport

import (
	"errors"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/internal/invariant"
	"github.com/rmcast/rmcast/netem"
)

// A million packets from Write over the wire to Read: less than one allocation per thousand.
func TestAllocs(t *testing.T) {
	packets, warm := 1_000_000, 100_000
	if invariant.Enabled { // which costs time, and allocations of its own
		packets, warm = 20_000, 5_000
	}
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{Rate: 2 * flow.Gbps}, Config{})
		piece := random(1, 16*1408)
		buf := make([]byte, len(piece))
		var wg sync.WaitGroup
		transfer := func(packets int) {
			wg.Go(func() {
				for range packets / 16 {
					if _, err := s.Write(piece); err != nil {
						t.Error(err)
						return
					}
				}
			})
			for range packets / 16 {
				if _, err := io.ReadFull(r, buf); err != nil {
					t.Fatal(err)
				}
			}
			wg.Wait()
		}
		transfer(warm) // windows, pools and queues find their size
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		transfer(packets)
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		n := after.Mallocs - before.Mallocs
		t.Logf("%d allocations for %d packets in %v of virtual time", n, packets, took)
		if n*1000 >= uint64(packets) && !invariant.Enabled {
			t.Errorf("%d allocations for %d packets", n, packets)
		}
		if st := r.Stats(); st.Missing != 0 {
			t.Errorf("%d packets were missing on a perfect network", st.Missing)
		}
		w.closing(s, r, l)
	})
}

// BenchmarkCopy moves data from Write to Read in memory, as fast as the machine can. A reader that is late for longer than
// WindowHold loses data; lost/op says how many packets.
func BenchmarkCopy(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"packet", 1408}, {"64KiB", 64 << 10}} {
		b.Run(c.name, func(b *testing.B) {
			fabric := netem.NewFabric(netem.FabricConfig{})
			quiet := slog.New(slog.DiscardHandler)
			l, err := Listen("udp6", group6, &Config{Network: fabric.Host("fd00::2"), Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			s, err := Dial("udp6", group6, &Config{
				Network: fabric.Host("fd00::1"), Logger: quiet, Rate: flow.Unlimited, WindowHold: 20 * time.Millisecond,
			})
			if err != nil {
				b.Fatal(err)
			}
			lost := make(chan int, 1)
			go func() {
				n := 0
				defer func() { lost <- n }()
				r, err := l.AcceptReceiver()
				if err != nil {
					b.Error(err)
					return
				}
				defer r.Close()
				for {
					_, err := io.Copy(io.Discard, r)
					var loss *LossError
					if !errors.As(err, &loss) {
						break
					}
					n += loss.Lost.Len()
				}
			}()
			piece := random(1, c.size)
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Write(piece); err != nil {
					b.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(<-lost)/float64(b.N), "lost/op")
			l.Close()
		})
	}
}
