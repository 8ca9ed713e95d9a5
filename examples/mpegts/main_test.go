package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

// stream is n packets that begin with syncByte and their number.
func stream(n int) []byte {
	b := make([]byte, n*packetBytes)
	for i := range n {
		b[i*packetBytes] = syncByte
		binary.BigEndian.PutUint32(b[i*packetBytes+1:], uint32(i))
	}
	return b
}

// A camera that begins in the middle of a packet, two players that lose 5 %, and a third that comes late: each has the stream from where
// it joined, without a gap.
func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fabric := netem.NewFabric(netem.FabricConfig{Seed: 1})
		config := func(i int) *transport.Config {
			h := fabric.Host(fmt.Sprintf("10.0.0.%d", i))
			h.SetIngress(netem.Impairment{Loss: 0.05})
			return &transport.Config{Network: h, Logger: slog.New(slog.DiscardHandler)}
		}
		const group, messages = "239.192.0.9:7504", 1000
		want := stream(7 * messages)
		var all sync.WaitGroup
		var seen [3]bytes.Buffer
		player := func(i int) {
			lost, err := play(t.Context(), group, config(2+i), 200*time.Millisecond, &seen[i])
			if lost != 0 || err != nil {
				t.Errorf("player %d lost %d packets, %v", i, lost, err)
			}
		}
		all.Go(func() { player(0) })
		all.Go(func() { player(1) })
		all.Go(func() {
			time.Sleep(5 * time.Second)
			player(2)
		})
		in, camera := io.Pipe()
		all.Go(func() {
			if late, err := send(t.Context(), group, config(1), 200*time.Millisecond, in); late != 0 || err != nil {
				t.Errorf("%d were late, %v", late, err)
			}
		})
		camera.Write(make([]byte, 100))
		for b := want; len(b) > 0; b = b[messageBytes:] {
			camera.Write(b[:messageBytes])
			time.Sleep(10 * time.Millisecond)
		}
		camera.Close()
		all.Wait()
		for i, least := range []float64{0.8, 0.8, 0.35} {
			got := seen[i].Bytes()
			if !bytes.HasSuffix(want, got) || float64(len(got)) < least*float64(len(want)) {
				t.Errorf("player %d has %d bytes of %d, the end of them: %v", i, len(got), len(want), bytes.HasSuffix(want, got))
			}
		}
	})
}

// A sender whose network is too slow leaves out what is late, and goes on.
func TestLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fabric := netem.NewFabric(netem.FabricConfig{Seed: 1})
		cfg := &transport.Config{Network: fabric.Host("10.0.0.1"), Logger: slog.New(slog.DiscardHandler), Rate: 1e6}
		late, err := send(t.Context(), "239.192.0.9:7504", cfg, 50*time.Millisecond, bytes.NewReader(stream(7*600)))
		if late == 0 || late > 550 || err != nil {
			t.Errorf("%d late, %v", late, err)
		}
	})
}
