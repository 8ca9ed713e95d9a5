package carousel

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/transport"
)

// Of sources that come and go nothing is kept but what came from them in all.
func TestLayerSourcesGo(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		l, err := transport.Listen("udp", layerGroup(0), w.silent(10))
		if err != nil {
			t.Fatal(err)
		}
		in := newInbox(t, t.TempDir(), InboxConfig{})
		y := newLayer(l, func() {})
		ctx, cancel := context.WithCancel(context.Background())
		var accepting sync.WaitGroup
		accepting.Go(func() {
			if err := y.accept(ctx, in); err != nil {
				t.Error(err)
			}
		})
		const sources, packets = 5, 20
		for range sources {
			s, err := transport.Dial("udp", layerGroup(0), &transport.Config{Network: w.host(1), Rate: flow.Mbps, Fixed: true, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			for range packets {
				if err := s.WriteMessage(make([]byte, 1000)); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if got, lost := y.count(); got != packets || lost != 0 {
				t.Errorf("%d packets came of a source and %d were lost, want %d and 0", got, lost, packets)
			}
			if n := len(y.receivers); n > 0 {
				t.Errorf("%d receivers are kept of sources that have ended", n)
			}
		}
		cancel()
		l.Close()
		accepting.Wait()
	})
}

// What came on layers is on disk when ReceiveLayers returns, as when Receive does.
func TestLayersFlush(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		o := object(t, "file", random(1, 1<<20), ObjectConfig{BlockSymbols: 1000})
		ctx, cancel := context.WithCancel(context.Background())
		var all sync.WaitGroup
		sources := w.dialLayers(1, 1, 5*flow.Mbps)
		all.Go(func() { sendLayers(ctx, t, sources, o) })
		dir := t.TempDir()
		in := newInbox(t, dir, InboxConfig{})
		all.Go(func() {
			if err := ReceiveLayers(ctx, in, w.layers(10, 1)); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		for in.Stats().Stored < 100 {
			time.Sleep(time.Millisecond)
		}
		cancel()
		all.Wait()
		marked := 0
		b, err := os.ReadFile(filepath.Join(dir, stageName(o.root.ID()), stageMarks))
		if err != nil {
			t.Fatal(err)
		}
		for ; len(b) >= 4; b = b[4:] {
			if !zero(b[:4]) {
				marked++
			}
		}
		if stored := in.Stats().Stored; marked != int(stored) {
			t.Errorf("%d symbols are marked on disk of %d that came", marked, stored)
		}
	})
}
