package main

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rmcast/rmcast/dgram"
)

// opened is a network that notes with which hop limits it was opened.
type opened struct {
	dgram.Network
	mu   sync.Mutex
	hops map[int]int // how often each
}

func (o *opened) note(opt dgram.Options) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hops[opt.HopLimit]++
}

func (o *opened) OpenSource(ctx context.Context, network string, group netip.AddrPort, opt dgram.Options) (dgram.Conn, error) {
	o.note(opt)
	return o.Network.OpenSource(ctx, network, group, opt)
}

func (o *opened) OpenReceiver(ctx context.Context, network string, group netip.AddrPort, opt dgram.Options) (dgram.Conn, error) {
	o.note(opt)
	return o.Network.OpenReceiver(ctx, network, group, opt)
}

// All that a command opens has the hop limit of -hops: what crosses a router one way has to come back the other.
func TestHops(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		hops int
	}{{"default", nil, 1}, {"five", []string{"-hops", "5"}, 5}} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				start := func(i, conns int, args ...string) (*proc, func()) {
					n := &opened{Network: w.host(i), hops: map[int]int{}}
					p := w.startWith(i, func(e *env) { e.network = n }, append(args, c.args...)...)
					return p, func() {
						t.Helper()
						w.wait(p, exitOK)
						if len(n.hops) != 1 || n.hops[c.hops] < conns {
							t.Errorf("%q opened by hop limit: %v, want at least %d of %d", p.args, n.hops, conns, c.hops)
						}
					}
				}
				_, received := start(2, 4, "recv", "demo", w.path("in")) // data, the roster's two, requests
				_, sent := start(1, 4, "send", w.file("file", 100_000), "demo")
				_, looped := start(3, 5, "loop", w.path("file"), "layers", "-layers", "2", "-rate", "1M", "-demand", "-for", "5s")
				_, topped := start(4, 2, "top", "demo", "-for", "5s")
				_, dumped := start(4, 1, "dump", "demo", "-for", "5s")
				_, pinged := start(5, 2, "ping")
				for _, check := range []func(){sent, received, looped, topped, dumped, pinged} {
					check()
				}
			})
		})
	}
}

// Of two senders under one name the one of -from is taken, and nothing is waited for of the other.
func TestFrom(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		one := w.start(1, "loop", "-rate", "2M", w.file("one", 50_000), "demo", "-for", "60s")
		two := w.start(2, "loop", "-rate", "2M", w.file("two", 50_000), "demo", "-for", "60s")
		recv := w.start(3, "recv", "demo", w.path("in"), "-from", "10.0.0.2")
		began := time.Now()
		w.wait(recv, exitOK)
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %v", took)
		}
		if got := tree(t, w.path("in")); len(got) != 1 || len(got["two"]) != 50_000 {
			t.Errorf("received %d files", len(got))
		}
		if strings.Contains(recv.err.String(), "two senders") {
			t.Errorf("it warns of a sender that it does not hear:\n%s", &recv.err)
		}
		nobody := w.start(3, "recv", "demo", w.path("none"), "-from", "10.0.0.9", "-wait", "10s")
		w.wait(nobody, exitNobody)
		family := w.start(3, "recv", "demo", w.path("none"), "-from", "fd00::2")
		w.wait(family, exitUsage)
		w.says(family, "-from fd00::2 is not of the family of demo (239.193.147.137:55554)")
		both := w.start(3, "recv", "demo", w.path("both"), "-from", "10.0.0.1", "-from", "10.0.0.2")
		w.wait(both, exitOK)
		if got := tree(t, w.path("both")); len(got) != 2 {
			t.Errorf("of both it received %d files", len(got))
		}
		w.wait(one, exitOK)
		w.wait(two, exitOK)
	})
}

// PGM as an IP protocol of its own: a stream, files, a ping.
func TestRaw(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		cat := w.start(2, "cat", "-raw", "demo")
		send := w.start(1, "cat", "-raw", "-send", "demo")
		deaf := w.start(3, "cat", "demo", "-wait", "20s") // UDP
		time.Sleep(2 * time.Second)
		io.WriteString(send.in, "hello\n")
		send.in.Close()
		w.wait(send, exitOK)
		w.wait(cat, exitOK)
		if got := cat.out.String(); got != "hello\n" {
			t.Errorf("received %q", got)
		}
		w.wait(deaf, exitNobody)
		for _, group := range []string{"files", "239.192.0.9"} {
			recv := w.start(2, "recv", group, w.path(group), "-raw")
			ping := w.start(3, "ping", group, "-raw")
			w.wait(ping, exitOK)
			w.says(ping, "host2 (10.0.0.2, recv) answers after")
			send = w.start(1, "send", w.file("file", 100_000), group, "-raw")
			w.wait(send, exitOK)
			w.wait(recv, exitOK)
			sameTree(t, w.path(group+"/file"), w.path("file"))
		}
	})
}

// Who may not open raw sockets is told what needs no right, before anything is received.
func TestRawWithoutRight(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root has the right to raw sockets: it is for users who have not")
	}
	lo := ""
	all, _ := net.Interfaces()
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 {
			lo = i.Name
		}
	}
	if lo == "" {
		t.Skip("no loopback interface is up")
	}
	code, out, stderr := bare(t, "recv", "-raw", "-silent", "-wait", "1ms", "-interface", lo, "239.192.0.9", t.TempDir())
	if code == exitNobody {
		t.Skip("this user has the right to raw sockets")
	}
	if code != exitFailed || out != "" || !strings.Contains(stderr, "no permission for raw IP") || !strings.Contains(stderr, "Without -raw no privilege is needed.") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}
