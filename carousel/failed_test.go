package carousel

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/internal/breakable"
	"github.com/rmcast/rmcast/transport"
)

var errBroken = errors.New("no such device")

// When the source of a layer fails, sending on all ends with its error, also where much waits to be sent on it.
func TestLayerFails(t *testing.T) {
	for failing := range 3 {
		bubble(t, func(t *testing.T, w *world) {
			o := object(t, "file", random(1, 1<<20), ObjectConfig{BlockSymbols: 1000})
			network := breakable.New(w.host(1))
			sources := w.dialLayers(1, 3, flow.Mbps)
			bad, err := transport.Dial("udp", layerGroup(failing), &transport.Config{
				Network: network, Rate: sources[failing].Stats().Rate, Fixed: true, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			sources[failing].Close()
			sources[failing] = bad
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			time.AfterFunc(time.Second, func() { network.Break(errBroken) })
			if err := SendLayers(ctx, sources, nil, o); !errors.Is(err, errBroken) {
				t.Errorf("layer %d fails: %v", failing, err)
			}
			for _, s := range sources {
				s.Close()
			}
		})
	}
}

// What waits in a source that has failed, more than is written ahead of one whose rate has fallen, holds nobody up for long.
func TestLeadOfFailed(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		network := breakable.New(w.host(1))
		s, err := transport.Dial("udp", group, &transport.Config{Network: network, Rate: 100 * flow.Kbps, Fixed: true, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		for range 30 { // some four seconds
			if err := s.WriteMessage(make([]byte, 1400)); err != nil {
				t.Fatal(err)
			}
		}
		network.Break(errBroken)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		var l lead
		start := time.Now()
		l.wrote(ctx, s)
		if took := time.Since(start); took > 2*leadMost {
			t.Errorf("it waited for %v", took)
		}
		if err := s.WriteMessage([]byte("x")); !errors.Is(err, errBroken) {
			t.Errorf("the next write: %v", err)
		}
		s.Close()
	})
}

// Requests whose socket has failed say so, and can be closed.
func TestRequestsFail(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		network := breakable.New(w.host(1))
		r, err := ListenRequests("udp", group, &transport.Config{Network: network, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Stats().Err; err != nil {
			t.Error(err)
		}
		network.Break(errBroken)
		synctest.Wait()
		if err := r.Stats().Err; !errors.Is(err, errBroken) {
			t.Errorf("it says %v", err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}
