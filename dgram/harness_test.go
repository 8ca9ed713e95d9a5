package dgram

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// place is where a test runs: a group of one family on a loopback interface.
type place struct {
	network string
	group   netip.AddrPort
	iface   string
	own     netip.Addr // the address a source binds there
}

// everywhere runs f over IPv4 on the host's loopback, and over IPv6 in a network namespace where the loopback has the route
// that it lacks on a host.
func everywhere(t *testing.T, f func(t *testing.T, p place)) {
	t.Run("IPv4", func(t *testing.T) {
		f(t, loopback4(t))
	})
	t.Run("IPv6", func(t *testing.T) {
		enterNamespace(t)
		addr := netip.MustParseAddr("ff15::8000:1")
		f(t, place{"udp6", netip.AddrPortFrom(addr, freePort(t, "[::1]:0")), "lo", netip.IPv6Loopback()})
	})
}

func loopback4(t testing.TB) place {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 {
			addr := netip.MustParseAddr("239.192.0.9")
			return place{"udp4", netip.AddrPortFrom(addr, freePort(t, "127.0.0.1:0")), i.Name, netip.MustParseAddr("127.0.0.1")}
		}
	}
	t.Skip("no loopback interface is up")
	return place{}
}

func freePort(t testing.TB, addr string) uint16 {
	t.Helper()
	c, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
}

func (p place) options() Options { return Options{Interface: p.iface} }

func (p place) source(t testing.TB, o Options) Conn {
	t.Helper()
	return opened(t)(Kernel.OpenSource(context.Background(), p.network, p.group, o))
}

func (p place) receiver(t testing.TB, o Options) Conn {
	t.Helper()
	return opened(t)(Kernel.OpenReceiver(context.Background(), p.network, p.group, o))
}

func opened(t testing.TB) func(Conn, error) Conn {
	return func(c Conn, err error) Conn {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
}

// heard is one datagram that a Conn handed over.
type heard struct {
	data      string
	from      netip.AddrPort
	multicast bool
	truncated bool
	run       int // how many came with it
}

// listenTo reads a Conn until it is closed.
func listenTo(t testing.TB, c Conn, buffers int) <-chan heard {
	t.Helper()
	ch := make(chan heard, 1<<14)
	go func() {
		defer close(ch)
		d := buffersFor(buffers)
		for {
			n, err := c.ReadBatch(d)
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("ReadBatch: %v", err)
				}
				return
			}
			for _, d := range d[:n] {
				run := (len(d.B) + d.Segment - 1) / d.Segment
				for b := d.B; len(b) > 0; b = b[min(d.Segment, len(b)):] {
					ch <- heard{string(b[:min(d.Segment, len(b))]), d.From, d.Multicast, d.Truncated, run}
				}
			}
		}
	}()
	return ch
}

func buffersFor(n int) []Datagrams {
	d := make([]Datagrams, n)
	for i := range d {
		d[i].B = make([]byte, BufferSize)
	}
	return d
}

// next is the next datagram; there must be one.
func next(t testing.TB, ch <-chan heard) heard {
	t.Helper()
	select {
	case h, ok := <-ch:
		if !ok {
			t.Fatal("the Conn was closed, want a datagram")
		}
		return h
	case <-time.After(5 * time.Second):
		t.Fatal("no datagram within 5 s")
	}
	return heard{}
}

// wantRun sends n datagrams of size bytes, each with its number, and wants them all at every listener, in order.
func wantRun(t testing.TB, c Conn, n, size, last int, to netip.AddrPort, listeners ...<-chan heard) (runs int) {
	t.Helper()
	b := make([]byte, 0, n*size)
	for i := range n {
		d := make([]byte, size)
		copy(d, fmt.Sprintf("%08d", i))
		if i == n-1 {
			d = d[:last]
		}
		b = append(b, d...)
	}
	if err := c.WriteRun(b, size, to, 0); err != nil {
		t.Fatal(err)
	}
	for i, ch := range listeners {
		for k := range n {
			h := next(t, ch)
			want := size
			if k == n-1 {
				want = last
			}
			if len(h.data) != want || h.data[:8] != fmt.Sprintf("%08d", k) {
				t.Fatalf("listener %d: datagram %d has %d bytes and number %s, want %d bytes", i, k, len(h.data), h.data[:8], want)
			}
			runs = max(runs, h.run)
		}
	}
	return runs
}

// say sends one datagram.
func say(t testing.TB, c Conn, text string, to netip.AddrPort) {
	t.Helper()
	if err := c.WriteRun([]byte(text), 0, to, 0); err != nil {
		t.Fatal(err)
	}
}

var toGroup netip.AddrPort
