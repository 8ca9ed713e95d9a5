package carousel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

// Each symbol is on one layer, a layer has its share of any period, and on the first layers no symbol comes twice before all have come, from
// whatever place on.
func TestLayerOf(t *testing.T) {
	for layers := 1; layers <= 6; layers++ {
		period := 1 << (layers - 1)
		symbols := 5 * period
		for cycle := range 3 * period {
			counts := make([]int, layers)
			for s := range symbols {
				counts[layerOf(s, cycle, layers)]++
			}
			for l, n := range counts {
				if want := symbols / period << max(l-1, 0); n != want {
					t.Fatalf("%d layers, cycle %d: layer %d has %d symbols, want %d", layers, cycle, l, n, want)
				}
			}
		}
		for on := 1; on <= layers; on++ {
			cycles := period >> (on - 1)
			for start := 0; start < symbols; start += 7 {
				seen := make([]int, symbols)
				for i := range cycles * symbols {
					at := start + i
					if layerOf(at%symbols, at/symbols, layers) < on {
						seen[at%symbols]++
					}
				}
				for s, n := range seen {
					if n != 1 {
						t.Fatalf("%d of %d layers from %d on: symbol %d came %d times in %d cycles", on, layers, start, s, n, cycles)
					}
				}
			}
		}
	}
}

func layerGroup(layer int) string { return fmt.Sprintf("[ff15::8000:%x]:7500", layer+1) }

// dialLayers opens a source for each layer at host i: r, r, 2r, 4r and so on.
func (w *world) dialLayers(i byte, layers int, r flow.Rate) (all []*transport.Source) {
	w.t.Helper()
	for l := range layers {
		s, err := transport.Dial("udp", layerGroup(l), &transport.Config{
			Network: w.host(i), Rate: r << max(l-1, 0), Fixed: true, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// layers is how a silent host receives.
func (w *world) layers(i byte, layers int) LayersConfig {
	return LayersConfig{
		LayersConfig: flow.LayersConfig{Layers: layers, Deaf: 300 * time.Millisecond},
		Listen: func(l int) (*transport.Listener, error) {
			return transport.Listen("udp", layerGroup(l), w.silent(i))
		},
		Logger: slog.New(slog.DiscardHandler),
	}
}

// sendLayers sends until the context ends.
func sendLayers(ctx context.Context, t *testing.T, sources []*transport.Source, o *Object) {
	if err := SendLayers(ctx, sources, nil, o); !errors.Is(err, context.Canceled) {
		t.Errorf("SendLayers: %v", err)
	}
	for _, s := range sources {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Receivers behind links of one to a hundred, and behind none, get most of what theirs bears from one source, at the same time, and say nothing.
func TestLayersUnlikeLinks(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds of processor time")
	}
	bubble(t, func(t *testing.T, w *world) {
		const layers, r = 9, 600 * flow.Kbps
		w.watch()
		o := object(t, "file", random(1, 4<<20), ObjectConfig{BlockSymbols: 1000})
		ctx, cancel := context.WithCancel(context.Background())
		var sending, receiving sync.WaitGroup
		sources := w.dialLayers(1, layers, r)
		sending.Go(func() { sendLayers(ctx, t, sources, o) })
		for i, link := range []flow.Rate{flow.Mbps, 10 * flow.Mbps, 100 * flow.Mbps, 0} {
			host := byte(10 + i)
			if link > 0 {
				w.host(host).SetIngress(netem.Impairment{Rate: int64(link), Limit: int(max(link.Bytes(20*time.Millisecond)/1500, 32))})
			} else {
				link = r << (layers - 1)
			}
			in, err := NewInbox(t.TempDir(), quiet(InboxConfig{Count: -1}))
			if err != nil {
				t.Fatal(err)
			}
			receiving.Go(func() {
				if err := ReceiveLayers(ctx, in, w.layers(host, layers)); !errors.Is(err, context.Canceled) {
					t.Errorf("%v: %v", link, err)
				}
				if err := in.Close(); err != nil {
					t.Error(err)
				}
			})
			receiving.Go(func() {
				const settle, long = 12 * time.Second, 20 * time.Second
				time.Sleep(settle)
				before := in.Stats().Packets
				time.Sleep(long)
				share := float64(in.Stats().Packets-before) * 1500 / float64(link.Bytes(long))
				t.Logf("behind %v: %.1f %% of it came", link, 100*share)
				if share < 0.55 {
					t.Errorf("behind %v: %.1f %% of it came, want 55", link, 100*share)
				}
			})
		}
		time.Sleep(33 * time.Second)
		cancel()
		receiving.Wait()
		sending.Wait()
		w.wantSilence(1)
	})
}

// On any number of layers a receiver needs as many packets as there are symbols, with loss too.
func TestLayersComplete(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		const layers, r = 5, 500 * flow.Kbps
		b := random(2, 4<<20)
		o := object(t, "file", b, ObjectConfig{BlockSymbols: 1000})
		ctx, cancel := context.WithCancel(context.Background())
		var sending, receiving sync.WaitGroup
		sources := w.dialLayers(1, layers, r)
		sending.Go(func() { sendLayers(ctx, t, sources, o) })
		for i, loss := range []float64{0, 0.2} {
			for on := 1; on <= layers; on += 2 {
				host := byte(10 + 10*i + on)
				w.host(host).SetIngress(netem.Impairment{Loss: loss})
				receiving.Go(func() {
					time.Sleep(time.Duration(on) * 1234 * time.Millisecond)
					dir := t.TempDir()
					in, err := NewInbox(dir, quiet(InboxConfig{}))
					if err != nil {
						t.Error(err)
						return
					}
					cfg := w.layers(host, on)
					if err := ReceiveLayers(ctx, in, cfg); err != nil {
						t.Errorf("%d layers, loss %v: %v", on, loss, err)
					}
					if err := in.Close(); err != nil {
						t.Error(err)
					}
					wantFile(t, filepath.Join(dir, "file"), b)
					st := in.Stats()
					if packets, k := st.Stored+st.Duplicate+st.Unneeded, float64(o.Symbols()); float64(packets) > 1.1*k {
						t.Errorf("%d layers, loss %v: %d packets for %.0f symbols; %+v", on, loss, packets, k, st)
					}
				})
			}
		}
		receiving.Wait()
		cancel()
		sending.Wait()
	})
}

func TestLayersRefused(t *testing.T) {
	in, err := NewInbox(t.TempDir(), quiet(InboxConfig{}))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	no := errors.New("no")
	listen := func(int) (*transport.Listener, error) { return nil, no }
	for _, cfg := range []LayersConfig{{}, {Listen: listen}, {LayersConfig: flow.LayersConfig{Layers: 3}}, {LayersConfig: flow.LayersConfig{Layers: 99}, Listen: listen}} {
		if ReceiveLayers(t.Context(), in, cfg) == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
	if err := ReceiveLayers(t.Context(), in, LayersConfig{LayersConfig: flow.LayersConfig{Layers: 1}, Listen: listen}); !errors.Is(err, no) {
		t.Errorf("a layer that cannot be joined: %v", err)
	}
	o := object(t, "file", nil, ObjectConfig{})
	if SendLayers(t.Context(), nil, nil, o) == nil || SendLayers(t.Context(), make([]*transport.Source, flow.MaxLayers+1), nil, o) == nil {
		t.Error("no layers, or too many, are sent on")
	}
}
