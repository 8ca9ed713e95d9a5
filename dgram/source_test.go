package dgram

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Two sources of one process on one port hear the same and do not disturb each other, in whatever order they close.
func TestSharedSocket(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := p.receiver(t, p.options())
		in := listenTo(t, r, 4)
		a, b := p.source(t, p.options()), p.source(t, p.options())
		if a.LocalAddr() != b.LocalAddr() || !a.Info().SharedPort || !b.Info().SharedPort || b.Info().PortTaken {
			t.Fatalf("%v %+v, %v %+v", a.LocalAddr(), a.Info(), b.LocalAddr(), b.Info())
		}
		ina, inb := listenTo(t, a, 4), listenTo(t, b, 4)
		for range 100 {
			say(t, r, "nak", a.LocalAddr())
			if x, y := next(t, ina), next(t, inb); x.data != "nak" || y.data != "nak" || x.from != y.from {
				t.Fatalf("heard %+v and %+v", x, y)
			}
			say(t, a, "from a", toGroup)
			say(t, b, "from b", toGroup)
			if x, y := next(t, in), next(t, in); x.data != "from a" || y.data != "from b" || x.from != y.from {
				t.Fatalf("heard %+v and %+v", x, y)
			}
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		for h := range ina {
			t.Errorf("heard %+v while closing", h)
		}
		if b.Info().SharedPort {
			t.Error("the port is still shared")
		}
		c := p.source(t, p.options())
		say(t, r, "to both", b.LocalAddr())
		inc := listenTo(t, c, 1)
		if x, y := next(t, inb), next(t, inc); x.data != "to both" || y.data != "to both" {
			t.Errorf("heard %+v and %+v", x, y)
		}
		b.Close()
		say(t, r, "to c", c.LocalAddr())
		if h := next(t, inc); h.data != "to c" {
			t.Errorf("heard %+v", h)
		}
		say(t, c, "from c", toGroup)
		if h := next(t, in); h.data != "from c" {
			t.Errorf("heard %+v", h)
		}
	})
}

// A source that does not read loses its own copies only, and keeps bounded memory.
func TestSharedSocketStalled(t *testing.T) {
	p := loopback4(t)
	r := p.receiver(t, p.options())
	stalled, s := p.source(t, p.options()), p.source(t, p.options())
	in := listenTo(t, s, 1)
	const n = queueRuns + 50
	for range n {
		say(t, r, "nak", s.LocalAddr())
		next(t, in)
	}
	if got := stalled.Stats().QueueDrops; got != 50 {
		t.Errorf("%d dropped, want 50", got)
	}
	if got := s.Stats().QueueDrops; got != 0 {
		t.Errorf("%d dropped of the one that reads", got)
	}
	late := listenTo(t, stalled, 8)
	for range queueRuns {
		next(t, late)
	}
	say(t, r, "now", s.LocalAddr())
	if h := next(t, late); h.data != "now" {
		t.Errorf("heard %+v", h)
	}
}

// The queue against a plain list.
func TestQueue(t *testing.T) {
	var q queue
	var cut atomic.Uint64
	runs := func(n, size int) []Datagrams {
		return []Datagrams{{B: make([]byte, n*size), Segment: size}}
	}
	if got := q.put(runs(1, queueBytes+1)); got != 1 || q.len != 0 {
		t.Errorf("a run beyond all bounds: %d dropped", got)
	}
	for range 3 * queueRuns {
		if got := q.put(runs(3, 10)); got != 0 {
			t.Fatalf("%d dropped", got)
		}
		q.put(runs(5, 10))
		small := []Datagrams{{B: make([]byte, 0, 30)}, {B: make([]byte, 0, 45)}}
		if n := q.take(small, &cut); n != 2 || len(small[0].B) != 30 || small[0].Truncated || len(small[1].B) != 40 || !small[1].Truncated {
			t.Fatalf("took %d: %+v", n, small)
		}
	}
	if q.len != 0 || q.size != 0 || cut.Load() != 3*queueRuns {
		t.Errorf("%d runs and %d bytes left, %d cut", q.len, q.size, cut.Load())
	}
	q.put(runs(2, 50))
	q.put(runs(1, 20))
	d := []Datagrams{{B: make([]byte, 0, 40)}}
	if n := q.take(d, &cut); n != 1 || len(d[0].B) != 20 || cap(d[0].B) != 40 {
		t.Errorf("took %d: %+v, want the one that fits", n, d)
	}
	if got := q.put(runs(queueBytes/1024+1, 1024)); got != queueBytes/1024+1 || q.size != 0 {
		t.Errorf("%d dropped of a run that does not fit", got)
	}
}

func TestPortTaken(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		own := netip.AddrPortFrom(p.own, p.group.Port())
		other, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(own)) // as another program would
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		in := listenTo(t, p.receiver(t, p.options()), 1)
		a, b := p.source(t, p.options()), p.source(t, p.options())
		for _, s := range []Conn{a, b} {
			i := s.Info()
			if !i.PortTaken || i.OwnPort == i.Port || i.OwnPort != s.LocalAddr().Port() || i.OwnPort == 0 || s.LocalAddr().Addr() != p.own {
				t.Errorf("%+v at %v", i, s.LocalAddr())
			}
			say(t, s, "from elsewhere", toGroup)
			if h := next(t, in); h.from != s.LocalAddr() {
				t.Errorf("heard %+v, want it from %v", h, s.LocalAddr())
			}
		}
		if a.LocalAddr() != b.LocalAddr() {
			t.Error("two sources of one process do not share the other port")
		}
		up := listenTo(t, a, 1)
		say(t, p.receiver(t, p.options()), "nak", a.LocalAddr())
		if h := next(t, up); h.data != "nak" {
			t.Errorf("heard %+v", h)
		}
	})
}

// Closing one of several sources frees its reader and leaves the others reading.
func TestSharedSocketClose(t *testing.T) {
	p := loopback4(t)
	r := p.receiver(t, p.options())
	var open []Conn
	var in []<-chan heard
	for range 5 {
		c := p.source(t, p.options())
		open, in = append(open, c), append(in, listenTo(t, c, 2))
	}
	to := open[0].LocalAddr()
	for len(open) > 1 {
		time.Sleep(2 * time.Millisecond)
		if err := open[0].Close(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-in[0]:
		case <-time.After(5 * time.Second):
			t.Fatal("Close does not unblock the reader")
		}
		if _, err := open[0].ReadBatch(buffersFor(1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("ReadBatch after Close: %v", err)
		}
		if err := open[0].WriteRun([]byte("x"), 0, toGroup, 0); !errors.Is(err, net.ErrClosed) {
			t.Errorf("WriteRun after Close: %v", err)
		}
		open, in = open[1:], in[1:]
		text := strings.Repeat("x", len(open))
		say(t, r, text, to)
		for _, ch := range in {
			if h := next(t, ch); h.data != text {
				t.Errorf("heard %+v, want %q", h, text)
			}
		}
	}
}

// Sources that come and go at once never see an error that is not theirs. Meant for the race detector.
func TestSharedSocketChurn(t *testing.T) {
	p := loopback4(t)
	r := p.receiver(t, p.options())
	in := listenTo(t, r, 8)
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for range 20 {
				s := p.source(t, p.options())
				up := listenTo(t, s, 1)
				say(t, s, "hello", toGroup)
				say(t, r, "nak", s.LocalAddr())
				next(t, up)
				s.Info()
				s.Stats()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	senders.Wait()
	for range 80 {
		if h := next(t, in); h.data != "hello" {
			t.Errorf("heard %+v", h)
		}
	}
	sources.mu.Lock()
	defer sources.mu.Unlock()
	for k := range sources.byKey {
		if k.addr.Port() == p.group.Port() {
			t.Errorf("%v is still open", k.addr)
		}
	}
}
