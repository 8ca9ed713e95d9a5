package dgram

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Several receivers and a source share a host and port: everyone gets the multicast, the source all the unicast.
func TestOneHostOnePort(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		var in []<-chan heard
		var receivers []Conn
		for range 3 {
			r := p.receiver(t, p.options())
			receivers = append(receivers, r)
			in = append(in, listenTo(t, r, 4))
		}
		s := p.source(t, p.options())
		up := listenTo(t, s, 4)
		if got, want := s.LocalAddr(), netip.AddrPortFrom(p.own, p.group.Port()); got != want {
			t.Fatalf("the source is at %v, want %v", got, want)
		}
		for i := range 20 {
			say(t, s, strings.Repeat("x", i+1), toGroup)
			for k, ch := range in {
				h := next(t, ch)
				if len(h.data) != i+1 || !h.multicast || h.from != s.LocalAddr() {
					t.Fatalf("receiver %d heard %+v, want %d bytes by multicast from %v", k, h, i+1, s.LocalAddr())
				}
			}
			for _, r := range receivers {
				say(t, r, "nak", s.LocalAddr())
				if h := next(t, up); h.data != "nak" || h.multicast || h.from.Port() == p.group.Port() {
					t.Fatalf("the source heard %+v, want a unicast nak from an ephemeral port", h)
				}
			}
		}
		// What a receiver says to the group reaches the receivers, and no source.
		say(t, receivers[0], "to all", toGroup)
		for _, ch := range in {
			if h := next(t, ch); h.data != "to all" {
				t.Fatalf("heard %+v", h)
			}
		}
		say(t, receivers[0], "last", s.LocalAddr())
		if h := next(t, up); h.data != "last" {
			t.Errorf("the source heard %+v from the group", h)
		}
		if st := s.Stats(); st.Refused.Total() != 0 || st.KernelDrops != 0 {
			t.Errorf("source: %+v", st)
		}
		for _, r := range receivers {
			if st := r.Stats(); st != (Stats{}) {
				t.Errorf("receiver: %+v", st)
			}
		}
	})
}

// A receiver of one group hears nothing of another on the same port, though a neighbour does.
func TestGroupsApart(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		q := p
		q.group = netip.AddrPortFrom(p.group.Addr().Next(), p.group.Port())
		mine, other := listenTo(t, p.receiver(t, p.options()), 1), listenTo(t, q.receiver(t, q.options()), 1)
		s := p.source(t, p.options())
		say(t, s, "other", q.group)
		say(t, s, "mine", toGroup)
		if h := next(t, mine); h.data != "mine" {
			t.Errorf("heard %+v of another group", h)
		}
		if h := next(t, other); h.data != "other" {
			t.Errorf("heard %+v, want the group's own datagram", h)
		}
	})
}

// Runs arrive datagram by datagram as they were sent, whatever part of the offloads there is.
func TestRuns(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		for _, tt := range []struct {
			name string
			with func()
			run  int // 1: none arrives whole
		}{
			{"offloads", func() {}, 46},
			{"no GSO", func() { withheld.gso = true }, 1},
			{"no GRO", func() { withheld.gro = true }, 1},
			{"neither", func() { withheld.gso, withheld.gro = true, true }, 1},
			{"plain", func() { withheld.gso, withheld.gro, withheld.batch = true, true, true }, 1},
			{"plain with GRO", func() { withheld.batch = true }, 46},
		} {
			func() { // not a subtest: that would leave the namespace
				defer func() { withheld.gso, withheld.gro, withheld.batch = false, false, false }()
				tt.with()
				r := p.receiver(t, p.options())
				in := listenTo(t, r, 8)
				s := p.source(t, p.options())
				for _, n := range []struct{ count, size, last int }{{1, 1400, 1400}, {2, 1400, 9}, {46, 1408, 1408}, {46, 1400, 700}, {130, 100, 99}, {3, 8900, 8900}, {100, 1400, 1400}} {
					runs := wantRun(t, s, n.count, n.size, n.last, toGroup, in)
					if tt.run == 1 && runs > 1 {
						t.Errorf("%s: a run of %d arrived whole", tt.name, runs)
					}
					if tt.name == "offloads" && s.Info().GSO && r.Info().GRO && n.count == 46 && runs != 46 {
						t.Errorf("46 datagrams arrived in runs of %d", runs)
					}
				}
				if st := s.Stats(); st.Refused.Total() != 0 {
					t.Errorf("%s: refused %+v, %v", tt.name, st.Refused, st.FirstRefusal)
				}
				if runtime.GOOS == "linux" && s.Info().GSO == withheld.gso {
					t.Errorf("%s: GSO is %v", tt.name, s.Info().GSO)
				}
				if runtime.GOOS == "linux" && r.Info().GRO == withheld.gro {
					t.Errorf("%s: GRO is %v", tt.name, r.Info().GRO)
				}
				r.Close() // the next ones use the same port
				s.Close()
			}()
		}
	})
}

func TestInfo(t *testing.T) {
	p := loopback4(t)
	o := p.options()
	o.RecvBuffer, o.SendBuffer = 64<<10, 32<<10
	src := p.source(t, o)
	s, r := src.Info(), p.receiver(t, o).Info()
	ifi, err := net.InterfaceByName(p.iface)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []Info{s, r} {
		if i.Interface != ifi.Name || i.Index != ifi.Index || i.MTU != ifi.MTU || i.GroupAddr != p.group.Addr() || i.Port != p.group.Port() {
			t.Errorf("%+v does not describe %+v and %v", i, ifi, p.group)
		}
		if i.RecvBuffer < 64<<10 || i.SendBuffer < 32<<10 || i.RecvBuffer > 256<<10 {
			t.Errorf("buffers of %d and %d, asked for 64 and 32 KiB", i.RecvBuffer, i.SendBuffer)
		}
		if i.SharedPort || i.PortTaken || i.LinkLocalOnly || i.Raw {
			t.Errorf("%+v", i)
		}
	}
	if want := src.LocalAddr(); s.From != want || r.From.Addr() != want.Addr() || r.From.Port() == 0 {
		t.Errorf("sending from %v and %v, the source's address is %v", s.From, r.From, want)
	}
	if s.OwnPort != p.group.Port() || r.OwnPort != 0 {
		t.Errorf("own ports %d and %d, want %d and 0", s.OwnPort, r.OwnPort, p.group.Port())
	}
}

func TestHopLimit(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		for _, plain := range []bool{false, true} {
			withheld.batch = plain
			t.Cleanup(func() { withheld.batch = false })
			in := listenTo(t, p.receiver(t, p.options()), 1)
			o := p.options()
			o.HopLimit = 7
			s := p.source(t, o)
			up := listenTo(t, s, 1)
			for _, hops := range []int{0, 1, 33, 0} {
				if err := s.WriteRun([]byte("to all, in two"), 7, toGroup, hops); err != nil {
					t.Fatal(err)
				}
				if err := s.WriteRun([]byte("to one"), 0, s.LocalAddr(), hops); err != nil {
					t.Fatal(err)
				}
				if a, b, c := next(t, in), next(t, in), next(t, up); a.data+b.data != "to all, in two" || c.data != "to one" {
					t.Errorf("heard %q %q %q", a.data, b.data, c.data)
				}
			}
			s.Close()
			if st := s.Stats(); st.Refused.Total() != 0 {
				t.Errorf("refused: %+v, %v", st.Refused, st.FirstRefusal)
			}
		}
	})
}

// What the kernel refuses is counted by kind, and the Conn goes on.
func TestRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		in := listenTo(t, p.receiver(t, p.options()), 1)
		s := p.source(t, p.options())
		big := make([]byte, 65530)
		if err := s.WriteRun(big, 0, toGroup, 0); err != nil {
			t.Fatal(err)
		}
		other := netip.MustParseAddrPort("[fd00::1]:9")
		if p.group.Addr().Is6() {
			other = netip.MustParseAddrPort("192.0.2.1:9")
		}
		for _, to := range []netip.AddrPort{other, netip.AddrPortFrom(p.own, 0)} {
			if err := s.WriteRun(make([]byte, 30), 10, to, 0); err != nil {
				t.Fatal(err)
			}
		}
		st := s.Stats()
		if st.Refused.TooBig != 1 || st.Refused.Other != 6 || st.Refused.Total() != 7 {
			t.Errorf("refused %+v, want 1 too big and 6 to impossible addresses", st.Refused)
		}
		if st.FirstRefusal == nil || kindOf(st.FirstRefusal) != refusedTooBig {
			t.Errorf("first refusal is %v, want that of the one too big", st.FirstRefusal)
		}
		if err := s.WriteRun(nil, 10, toGroup, 0); err != nil {
			t.Errorf("an empty run: %v", err)
		}
		wantRun(t, s, 5, 1000, 1000, toGroup, in)
	})
}

func TestEmptyAndTruncated(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		for _, plain := range []bool{false, true} {
			withheld.batch, withheld.gro = plain, plain
			t.Cleanup(func() { withheld.batch, withheld.gro = false, false })
			r := p.receiver(t, p.options())
			s := p.source(t, p.options())
			foreign, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.own, 0)), net.UDPAddrFromAddrPort(s.LocalAddr()))
			if err != nil {
				t.Fatal(err)
			}
			defer foreign.Close()
			foreign.Write(nil)
			say(t, r, "after nothing", s.LocalAddr())
			d := []Datagrams{{B: make([]byte, 100)}, {B: make([]byte, 100)}}
			if n, err := s.ReadBatch(d); err != nil || n != 1 || string(d[0].B) != "after nothing" {
				t.Errorf("read %d, %q, %v", n, d[0].B, err)
			}
			if st := s.Stats(); st.Empty != 1 {
				t.Errorf("%+v, want 1 empty", st)
			}
			say(t, s, strings.Repeat("x", 101), toGroup)
			say(t, s, "short", toGroup)
			if n, err := r.ReadBatch(d); err != nil || n != 1 || string(d[0].B) != "short" || d[0].Truncated {
				t.Errorf("read %d, %q, %v", n, d[0].B, err)
			}
			if st := r.Stats(); st.Truncated != 1 {
				t.Errorf("%+v, want 1 truncated", st)
			}
			// Both buffers are still there, and whole.
			for i := range d {
				if cap(d[i].B) != 100 {
					t.Errorf("buffer %d came back with %d bytes", i, cap(d[i].B))
				}
			}
			if r.Info().GRO && s.Info().GSO {
				if err := s.WriteRun(make([]byte, 150), 30, toGroup, 0); err != nil {
					t.Fatal(err)
				}
				if n, err := r.ReadBatch(d); err != nil || n != 1 || len(d[0].B) != 90 || d[0].Segment != 30 || !d[0].Truncated {
					t.Errorf("a run of 5 in a buffer for 3: read %d, %+v, %v", n, d[0], err)
				}
			}
			if _, err := r.ReadBatch(nil); err == nil {
				t.Error("reading into nothing does not fail")
			}
			r.Close()
			s.Close()
		}
	})
}

func TestSourcesOnly(t *testing.T) {
	p := loopback4(t)
	good, bad := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	for _, group := range []string{"232.1.2.3", "239.192.0.9"} {
		p.group = netip.AddrPortFrom(netip.MustParseAddr(group), p.group.Port())
		o := p.options()
		o.Sources = []netip.Addr{good}
		r, err := Kernel.OpenReceiver(context.Background(), p.network, p.group, o)
		if err != nil && runtime.GOOS != "linux" {
			t.Skipf("no source-specific joins: %v", err)
		}
		in := listenTo(t, opened(t)(r, err), 4)
		ob, og := p.options(), p.options()
		ob.Interface, og.Interface = bad.String(), good.String()
		if bc, err := Kernel.OpenSource(context.Background(), p.network, p.group, ob); err == nil { // 127.0.0.2 is on no list, but on Linux it can be bound
			defer bc.Close()
			say(t, bc, "bad", toGroup)
		} else if c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: bad.AsSlice()}); err == nil {
			defer c.Close()
			c.WriteToUDPAddrPort([]byte("bad"), p.group)
		}
		say(t, p.source(t, og), "good", toGroup)
		if h := next(t, in); h.data != "good" || h.from.Addr() != good {
			t.Errorf("%s: heard %+v", group, h)
		}
	}
}

func TestClose(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		for _, c := range []Conn{p.receiver(t, p.options()), p.source(t, p.options())} {
			done := make(chan error)
			go func() {
				_, err := c.ReadBatch(buffersFor(1))
				done <- err
			}()
			time.Sleep(10 * time.Millisecond)
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			select {
			case err := <-done:
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("ReadBatch: %v, want net.ErrClosed", err)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("Close does not unblock ReadBatch")
			}
			if err := c.WriteRun([]byte("x"), 0, toGroup, 0); !errors.Is(err, net.ErrClosed) {
				t.Errorf("WriteRun after Close: %v", err)
			}
			if _, err := c.ReadBatch(buffersFor(1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("ReadBatch after Close: %v", err)
			}
			if err := c.Close(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("second Close: %v", err)
			}
			c.Info()
			c.Stats()
		}
		p.source(t, p.options()) // the port is free again
	})
}

func TestKernelDrops(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	everywhere(t, func(t *testing.T, p place) {
		o := p.options()
		o.RecvBuffer = 4096
		r := p.receiver(t, o)
		s := p.source(t, p.options())
		for range 100 {
			say(t, s, strings.Repeat("x", 1400), toGroup)
		}
		before := r.Stats().KernelDrops
		if before == 0 || before > 99 {
			t.Errorf("%d of 100 datagrams dropped from a buffer for a few", before)
		}
		r.Close()
		if got := r.Stats().KernelDrops; got != before {
			t.Errorf("%d drops after Close, %d before", got, before)
		}
	})
}

func TestAllocs(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the plain ways of some systems allocate")
	}
	everywhere(t, func(t *testing.T, p place) {
		r := p.receiver(t, p.options())
		s := p.source(t, p.options())
		d := buffersFor(16)
		up := buffersFor(2)
		b := make([]byte, 46*1400)
		to := s.LocalAddr()
		allocs := func(name string, f func() error) {
			t.Helper()
			if got := testing.AllocsPerRun(50, func() {
				if err := f(); err != nil {
					t.Fatal(err)
				}
			}); got != 0 {
				t.Errorf("%s: %v allocations", name, got)
			}
		}
		roundTrip := func(hops int) func() error {
			return func() error {
				if err := s.WriteRun(b, 1400, toGroup, hops); err != nil {
					return err
				}
				for n := 0; n < len(b); {
					k, err := r.ReadBatch(d)
					if err != nil {
						return err
					}
					for _, d := range d[:k] {
						n += len(d.B)
					}
				}
				return nil
			}
		}
		allocs("runs", roundTrip(0))
		allocs("runs with a hop limit", roundTrip(9))
		allocs("unicast", func() error {
			if err := r.WriteRun(b[:100], 0, to, 0); err != nil {
				return err
			}
			_, err := s.ReadBatch(up)
			return err
		})
		withheld.gso, withheld.gro = true, true
		defer func() { withheld.gso, withheld.gro = false, false }()
		r.Close()
		s.Close()
		r, s = p.receiver(t, p.options()), p.source(t, p.options())
		if !raceEnabled { // the race detector makes x/net's pools forget
			allocs("batches", roundTrip(0))
		}
	})
}
