package netem_test

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/netem"
)

// drain reads until it has n datagrams and then closes done.
func drain(t testing.TB, c dgram.Conn, n int, done chan<- struct{}) {
	d := make([]dgram.Datagrams, 4)
	for i := range d {
		d[i].B = make([]byte, 0, dgram.BufferSize)
	}
	for got := 0; got < n; {
		k, err := c.ReadBatch(d)
		if err != nil {
			t.Error(err)
			break
		}
		for _, x := range d[:k] {
			got += (len(x.B) + x.Segment - 1) / x.Segment
		}
	}
	done <- struct{}{}
}

// TestFabricAllocs moves a million datagrams to two receivers: over perfect links as runs, and
// fewer over delayed ones, of their own or shared. How deep the links and the receivers' buffers
// fill is the scheduler's, and a depth met for the first time allocates: all of them together hold
// 3 MiB, 55 runs.
func TestFabricAllocs(t *testing.T) {
	for _, c := range []struct {
		name    string
		packets int
		imp     netem.Impairment
		shared  bool
	}{
		{"perfect", 1_000_000, netem.Impairment{}, false},
		{"delayed", 200_000, netem.Impairment{Delay: time.Millisecond}, false},
		{"perfect branch", 1_000_000, netem.Impairment{}, true},
		{"delayed branch", 200_000, netem.Impairment{Delay: time.Millisecond}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			const run = 40
			p := newPair(t, netem.FabricConfig{InFlight: 1 << 20}, 2, dgram.Options{RecvBuffer: 1 << 20})
			defer p.close()
			branch := p.fabric.Branch(nil, c.imp, c.imp)
			for _, h := range p.hosts {
				if c.shared {
					h.Attach(branch)
				} else {
					h.SetIngress(c.imp)
				}
			}
			b := numbered(0, run, 1432)
			done := make(chan struct{})
			round := func(packets int) {
				for _, c := range p.conns {
					go drain(t, c, packets, done)
				}
				for range packets / run {
					if err := p.source.WriteRun(b, 1432, netip.AddrPort{}, 0); err != nil {
						t.Fatal(err)
					}
				}
				for range p.conns {
					<-done
				}
			}
			if raced {
				c.packets /= 50
			}
			round(min(50_000, c.packets)) // fills the pools
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			round(c.packets)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			allocs := after.Mallocs - before.Mallocs
			t.Logf("%d allocations for %d packets, %v a packet", allocs, c.packets, took/time.Duration(c.packets))
			if !raced && allocs*1000 >= uint64(c.packets) {
				t.Errorf("%d allocations for %d packets, want less than 1 per 1000", allocs, c.packets)
			}
		})
	}
}

func BenchmarkFabric(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
		run  int
		imp  netem.Impairment
		deep int // switches below the root
	}{
		{"run", 1432, 40, netem.Impairment{}, 0},
		{"single", 1432, 1, netem.Impairment{}, 0},
		{"loss", 1432, 40, netem.Impairment{Loss: 0.01}, 0},
		{"run/tree", 1432, 40, netem.Impairment{}, 4},
		{"loss/tree", 1432, 40, netem.Impairment{Loss: 0.01}, 4},
	} {
		b.Run(c.name, func(b *testing.B) {
			f := netem.NewFabric(netem.FabricConfig{})
			source := must(f.Host("10.0.0.1").OpenSource(b.Context(), "udp", group4, dgram.Options{}))
			h := f.Host("10.0.0.2")
			h.SetIngress(c.imp)
			var at *netem.Switch
			for range c.deep {
				at = f.Branch(at, c.imp, c.imp)
				h.Attach(at)
			}
			receiver := must(h.OpenReceiver(b.Context(), "udp", group4, dgram.Options{}))
			go func() {
				d := []dgram.Datagrams{{B: make([]byte, 0, dgram.BufferSize)}}
				for {
					if _, err := receiver.ReadBatch(d); err != nil {
						return
					}
				}
			}()
			run := make([]byte, c.run*c.size)
			b.SetBytes(int64(len(run)))
			b.ReportAllocs()
			for b.Loop() {
				if err := source.WriteRun(run, c.size, netip.AddrPort{}, 0); err != nil {
					b.Fatal(err)
				}
			}
			receiver.Close()
			source.Close()
		})
	}
}

func BenchmarkLink(b *testing.B) {
	l := netem.NewLink(netem.Impairment{Loss: 0.01, Delay: time.Millisecond, Jitter: time.Microsecond, Rate: 1e9}, 1, 2)
	now := time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		l.Send(now, 1500)
		now += 13 * time.Microsecond
	}
}
