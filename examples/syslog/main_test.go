package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/rmcast/rmcast/metrics"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

// Datagrams to three forwarders come to both collectors, each once and in order, though a twentieth of all packets is lost.
func TestSyslog(t *testing.T) {
	fabric := netem.NewFabric(netem.FabricConfig{Seed: 1})
	config := func(host int) *transport.Config {
		h := fabric.Host(fmt.Sprintf("10.0.0.%d", host))
		h.SetIngress(netem.Impairment{Loss: 0.05})
		return &transport.Config{Network: h, Logger: slog.New(slog.DiscardHandler)}
	}
	const group, forwarders, messages = "239.192.0.9:7502", 3, 40
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	var m metrics.Metrics
	var outputs []*io.PipeReader
	for i := range 2 {
		r, w := io.Pipe()
		outputs = append(outputs, r)
		all.Go(func() {
			if err := collect(ctx, group, config(10+i), &m, w); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range forwarders {
		in, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			if err := forward(ctx, group, config(i+1), fmt.Sprint("host", i), in); err != nil {
				t.Error(err)
			}
		})
		c, err := net.Dial("udp", in.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for n := range messages {
			if _, err := fmt.Fprintf(c, "<13>message %d", n); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, out := range outputs {
		next := map[string]int{}
		scanner := bufio.NewScanner(out)
		for range forwarders * messages {
			if !scanner.Scan() {
				t.Fatal(scanner.Err())
			}
			host, text, _ := strings.Cut(scanner.Text(), " ")
			if want := fmt.Sprintf("<13>message %d", next[host]); text != want {
				t.Fatalf("collector %d: %q, want %q of %s", i, text, want, host)
			}
			next[host]++
		}
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, nil)
	if want := fmt.Sprintf("rmcast_listener_sources_accepted_total{id=\"collect\",group=\"%s\"} %d\n", group, forwarders); !strings.Contains(w.Body.String(), want) {
		t.Errorf("metrics have no %s", want)
	}
	cancel()
	all.Wait()
}
