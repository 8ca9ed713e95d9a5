package main

import (
	"net/netip"
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
)

// A loop in layers serves a slow and a fast receiver at once, each at its own pace.
func TestLoopLayers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		file := w.file("film", 1_500_000)
		w.host(2).SetIngress(netem.Impairment{Rate: 1e6, Limit: 50})
		w.host(3).SetIngress(netem.Impairment{Rate: 10e6, Limit: 50})
		loop := w.start(1, "loop", file, "demo", "-layers", "6", "-rate", "19M", "-for", "50s", "-json")
		slow := w.start(2, "recv", "demo", w.path("slow"), "-layers", "6")
		fast := w.start(3, "recv", "demo", w.path("fast"), "-layers", "6", "-silent")
		start := time.Now()
		w.wait(fast, exitOK)
		quick := time.Since(start)
		w.wait(slow, exitOK)
		if long := time.Since(start); quick > 15*time.Second || long < 2*quick {
			t.Errorf("the fast one took %v, the slow one %v", quick, long)
		}
		for _, dir := range []string{"slow", "fast"} {
			if got, want := tree(t, w.path(dir))["film"], tree(t, file)["."]; got != want {
				t.Errorf("%s has %d bytes that differ from the %d sent", dir, len(got), len(want))
			}
		}
		w.wait(loop, exitOK)
		done := event(t, events(t, loop.out.String()), "done")
		if all := 19e6 / 8 * done["seconds"].(float64); done["ip_bytes"].(float64) < all/2 || done["ip_bytes"].(float64) > all {
			t.Errorf("the loop says %v, which is not what all layers together send, %.0f bytes", done, all)
		}
	})
}

// A loop on demand sends when the first receiver comes, and is still when it has left.
func TestLoopDemand(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		file := w.file("film", 1_500_000)
		loop := w.start(1, "loop", file, "demo", "-demand", "-rate", "10M", "-fixed", "-for", "60s")
		time.Sleep(20 * time.Second)
		recv := w.start(2, "recv", "demo", w.path("one"))
		w.wait(recv, exitOK)
		time.Sleep(10 * time.Second)
		w.says(loop, "somebody wants it: sending", "nobody wants it any more: waiting")
		if got, want := tree(t, w.path("one"))["film"], tree(t, file)["."]; got != want {
			t.Errorf("%d bytes came that differ from the %d sent", len(got), len(want))
		}
		w.wait(loop, exitOK)
	})
}

func TestLayersMisused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		file := w.file("film", 1000)
		for _, args := range [][]string{
			{"loop", file, "demo", "-layers", "0", "-rate", "1M"},
			{"loop", file, "demo", "-layers", "99", "-rate", "1M"},
			{"loop", file, "demo", "-layers", "3"},
			{"loop", file, "demo", "-layers", "9", "-rate", "1M"},
			{"loop", file, "239.255.255.255:7500", "-layers", "3", "-rate", "10M"},
			{"recv", "demo", w.path("in"), "-layers", "-1"},
		} {
			w.wait(w.start(1, args...), exitUsage)
		}
	})
}

func TestLayerGroup(t *testing.T) {
	for _, c := range []struct {
		group string
		layer int
		want  string
	}{
		{"239.192.0.9:7500", 0, "239.192.0.9:7500"},
		{"239.192.0.255:7500", 2, "239.192.1.1:7500"},
		{"[ff15::8000:1]:7500", 9, "[ff15::8000:a]:7500"},
		{"[ff12::1%eth0]:7500", 1, "[ff12::2%eth0]:7500"},
	} {
		if got := layerGroup(netip.MustParseAddrPort(c.group), c.layer); got.String() != c.want {
			t.Errorf("layer %d of %s is %s, want %s", c.layer, c.group, got, c.want)
		}
	}
}
