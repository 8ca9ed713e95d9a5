package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

// Three people on a network that loses a tenth: each reads what the two others say, in their order, and that they leave.
func TestChat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fabric := netem.NewFabric(netem.FabricConfig{Seed: 1})
		names := []string{"ada", "bob", "eve"}
		var typed [3]*io.PipeWriter
		var seen [3]bytes.Buffer
		var all sync.WaitGroup
		for i, name := range names {
			host := fabric.Host(fmt.Sprintf("10.0.0.%d", i+1))
			host.SetIngress(netem.Impairment{Loss: 0.1})
			cfg := &transport.Config{Network: host, Logger: slog.New(slog.DiscardHandler)}
			in, out := io.Pipe()
			typed[i] = out
			all.Go(func() {
				if err := chat(t.Context(), "239.192.0.9:7501", cfg, name, in, &seen[i]); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		typed[0].Write([]byte("\x1b[2J\n")) // would wipe the screens of the others
		time.Sleep(time.Second)
		const lines = 20
		for n := range lines {
			for i := range typed {
				fmt.Fprintf(typed[i], "line %d\n", n)
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		for i := range typed {
			typed[i].Close()
			time.Sleep(10 * time.Second) // the others see it
		}
		all.Wait()
		for i, name := range names {
			text := seen[i].String()
			if strings.Contains(text, "\x1b") || i > 0 && !strings.Contains(text, "ada: \ufffd[2J\n") {
				t.Errorf("%s saw %q", name, text)
			}
			text = strings.ReplaceAll(text, "ada: \ufffd[2J\n", "")
			for _, other := range names {
				want := lines
				if other == name {
					want = 0
				}
				next := 0
				for line := range strings.Lines(text) {
					if line == fmt.Sprintf("%s: line %d\n", other, next) {
						next++
					}
				}
				if next != want || strings.Count(text, other+": ") != want {
					t.Errorf("%s saw %d lines of %s, want %d:\n%s", name, next, other, want, text)
				}
			}
			if left := strings.Count(text, "has left"); left != i {
				t.Errorf("%s saw %d leave, want %d:\n%s", name, left, i, text)
			}
		}
	})
}

// A line that is too long to be sent ends the chat, and says why.
func TestLongLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := &transport.Config{Network: netem.NewFabric(netem.FabricConfig{}).Host("10.0.0.1"), Logger: slog.New(slog.DiscardHandler)}
		err := chat(t.Context(), "239.192.0.9:7501", cfg, "ada", strings.NewReader(strings.Repeat("x", 1<<17)), io.Discard)
		if !errors.Is(err, bufio.ErrTooLong) {
			t.Error(err)
		}
	})
}
