package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rmcast/rmcast/metrics"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

const group = "239.192.0.9:7502"

// machines are hosts that lose a twentieth of what is sent to them.
func machines() func(host int) *transport.Config {
	fabric := netem.NewFabric(netem.FabricConfig{Seed: 1})
	return func(host int) *transport.Config {
		h := fabric.Host(fmt.Sprintf("10.0.0.%d", host))
		h.SetIngress(netem.Impairment{Loss: 0.05})
		return &transport.Config{Network: h, Logger: slog.New(slog.DiscardHandler)}
	}
}

// socket is one that datagrams come to.
type socket struct {
	net.PacketConn
	in     chan string
	closed chan struct{}
	once   sync.Once
}

func newSocket() *socket { return &socket{in: make(chan string), closed: make(chan struct{})} }

func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-s.in:
		return copy(b, d), nil, nil
	case <-s.closed:
		return 0, nil, net.ErrClosed
	}
}

func (s *socket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// Datagrams to three forwarders come to both collectors, each once and in order, though packets are lost.
func TestSyslog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := machines()
		const forwarders, messages = 3, 40
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
			in := newSocket()
			all.Go(func() {
				if err := forward(ctx, group, config(i+1), fmt.Sprint("host", i), in); err != nil {
					t.Error(err)
				}
			})
			for n := range messages {
				in.in <- fmt.Sprintf("<13>message %d", n)
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
	})
}

// A collector that cannot write ends, and leaves nothing behind; so does a forwarder that cannot send.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := machines()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		in := newSocket()
		var forwarding sync.WaitGroup
		forwarding.Go(func() {
			if err := forward(ctx, group, config(1), "host", in); err != nil {
				t.Error(err)
			}
		})
		in.in <- "one"
		r, w := io.Pipe()
		r.Close()
		var m metrics.Metrics
		collecting := make(chan error)
		go func() { collecting <- collect(context.WithoutCancel(ctx), group, config(2), &m, w) }()
		in.in <- "two"
		if err := <-collecting; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("collect: %v", err)
		}
		cancel()
		forwarding.Wait()
		in = newSocket()
		if err := forward(t.Context(), "nonsense", config(1), "host", in); err == nil {
			t.Error("a group that is none is sent to")
		}
		<-in.closed
	})
}
