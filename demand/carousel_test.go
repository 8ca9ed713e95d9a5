package demand

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/carousel"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

// A carousel costs next to nothing while nobody listens, is there within a round trip and 200 ms when somebody does, and stops when the last has left.
func TestCarouselOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rtt = 20 * time.Millisecond
		f := netem.NewFabric(netem.FabricConfig{Seed: 3})
		var sent atomic.Int64 // by the source, as one host's link sees it
		receiver := f.Host(address6(2).String())
		receiver.SetIngress(netem.Impairment{Delay: rtt / 2})
		receiver.SetEgress(netem.Impairment{Delay: rtt / 2})
		f.SetDrop(func(from, to netip.Addr, b []byte) bool {
			if from == address6(1) && to == address6(9) {
				sent.Add(int64(len(b)) + 48)
			}
			return false
		})
		// Somebody is on the group all the time, so that what the source sends crosses a link; nobody wants it.
		idle, err := transport.Listen("udp", group, &transport.Config{Network: f.Host(address6(9).String()), ReceiveOnly: true, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		w, err := Watch("udp", group, config(f, 1))
		if err != nil {
			t.Fatal(err)
		}
		b := bytes.Repeat([]byte("what many want "), 200_000)
		o, err := carousel.NewObject(t.Context(), "file", bytes.NewReader(b), int64(len(b)), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		c := config(f, 1).Transport
		c.Rate, c.Fixed = 20*flow.Mbps, true
		s, err := transport.Dial("udp", group, c)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var sending sync.WaitGroup
		sending.Go(func() {
			if err := carousel.Send(ctx, s, &carousel.SendConfig{Demand: w}, o); !errors.Is(err, context.Canceled) {
				t.Errorf("Send: %v", err)
			}
			s.Close()
		})
		minute := func() int64 {
			before := sent.Load()
			pass(time.Minute)
			return sent.Load() - before
		}
		minute()
		n := minute()
		t.Logf("%d bytes in a minute with nobody", n)
		if n > 60*150 || n == 0 {
			t.Errorf("%d bytes in a minute with nobody, want at most 150 a second", n)
		}
		dir := t.TempDir()
		in, err := carousel.NewInbox(dir, &carousel.InboxConfig{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		l, err := transport.Listen("udp", group, config(f, 2).Transport)
		if err != nil {
			t.Fatal(err)
		}
		wants, enough := context.WithCancel(context.Background())
		start := time.Now()
		sending.Go(func() { _ = Want(wants, "udp", group, config(f, 2)) })
		r, err := l.AcceptReceiver()
		if err != nil {
			t.Fatal(err)
		}
		first := make(chan time.Duration, 1)
		sending.Go(func() {
			for in.Stats().Packets == 0 {
				time.Sleep(time.Millisecond)
			}
			first <- time.Since(start)
		})
		if err := carousel.Receive(context.Background(), r, in); err != nil {
			t.Fatal(err)
		}
		if took := <-first; took > rtt+200*time.Millisecond {
			t.Errorf("the first packet came %v after it was wanted", took)
		}
		enough()
		in.Close()
		r.Close()
		l.Close()
		if got, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || !bytes.Equal(got, b) {
			t.Errorf("what came is not what was sent: %d bytes, %v", len(got), err)
		}
		pass(5 * time.Second)
		if n := minute(); n > 60*150 {
			t.Errorf("%d bytes in a minute after the last has left", n)
		}
		cancel()
		sending.Wait()
		w.Close()
		idle.Close()
	})
}
