package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

// Two devices that lose 20 % get the image for them, though the server that they hear first does not have it, and send not one packet.
func TestUpdate(t *testing.T) { synctest.Test(t, testUpdate) }

func testUpdate(t *testing.T) {
	dir := t.TempDir()
	image := make([]byte, 300_000)
	rand.NewChaCha8([32]byte{1}).Read(image)
	var paths []string
	for _, name := range []string{"camera-7.bin", "router-2.0.bin", "router-2.1.bin"} {
		image[0]++
		paths = append(paths, filepath.Join(dir, name))
		if err := os.WriteFile(paths[len(paths)-1], image, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fabric := netem.NewFabric(netem.FabricConfig{Seed: 1})
	config := func(h *netem.Host) *transport.Config {
		return &transport.Config{Network: h, Logger: slog.New(slog.DiscardHandler)}
	}
	const group = "239.192.0.9:7503"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var servers, devices sync.WaitGroup
	begin := func(address string, images []string) {
		servers.Go(func() {
			if err := serve(ctx, group, config(fabric.Host(address)), 50*flow.Mbps, images); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	begin("10.0.0.1", paths[:2]) // nothing for a router that has 2.0
	for _, address := range []string{"10.0.0.2", "10.0.0.3"} {
		device := fabric.Host(address)
		device.SetIngress(netem.Impairment{Loss: 0.2})
		slot := t.TempDir()
		devices.Go(func() {
			path, err := update(ctx, group, config(device), "router", "router-2.0.bin", slot)
			if err != nil || path != filepath.Join(slot, "router-2.1.bin") {
				t.Errorf("%q, %v", path, err)
				return
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, image) {
				t.Errorf("%d bytes that differ, %v", len(got), err)
			}
			if n := device.Counters().SentPackets; n != 0 {
				t.Errorf("a silent device sent %d packets", n)
			}
		})
	}
	time.Sleep(time.Second)
	begin("10.0.0.4", paths)
	devices.Wait()
	cancel()
	servers.Wait()
}
