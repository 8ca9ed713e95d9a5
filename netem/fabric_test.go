package netem_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/netem"
)

var group4 = netip.MustParseAddrPort("239.192.0.9:7500")

// pair is a fabric of one source and some receivers, each on a host of its own.
type pair struct {
	fabric *netem.Fabric
	sender *netem.Host
	hosts  []*netem.Host
	source dgram.Conn
	conns  []dgram.Conn
}

func newPair(t *testing.T, cfg netem.FabricConfig, receivers int, o dgram.Options) *pair {
	t.Helper()
	p := &pair{fabric: netem.NewFabric(cfg)}
	p.sender = p.fabric.Host("10.0.0.1", "fd00::1")
	p.source = must(p.sender.OpenSource(context.Background(), "udp", group4, o))
	for i := range receivers {
		h := p.fabric.Host(netip.AddrFrom4([4]byte{10, 0, 1, byte(i + 1)}).String())
		p.hosts = append(p.hosts, h)
		p.conns = append(p.conns, must(h.OpenReceiver(context.Background(), "udp", group4, o)))
	}
	return p
}

func (p *pair) close() {
	p.source.Close()
	for _, c := range p.conns {
		c.Close()
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// numbered returns a run of n datagrams of size bytes that begin with their number.
func numbered(first, n, size int) []byte {
	b := make([]byte, n*size)
	for i := range n {
		binary.BigEndian.PutUint32(b[i*size:], uint32(first+i))
	}
	return b
}

// reader reads single datagrams' numbers.
type reader struct {
	c    dgram.Conn
	d    []dgram.Datagrams
	rest dgram.Datagrams
}

func newReader(c dgram.Conn) *reader {
	return &reader{c: c, d: []dgram.Datagrams{{B: make([]byte, 0, dgram.BufferSize)}}}
}

func (r *reader) next() (number int, b []byte, err error) {
	if len(r.rest.B) == 0 {
		if _, err := r.c.ReadBatch(r.d); err != nil {
			return 0, nil, err
		}
		r.rest = r.d[0]
	}
	n := min(r.rest.Segment, len(r.rest.B))
	b, r.rest.B = r.rest.B[:n], r.rest.B[n:]
	return int(binary.BigEndian.Uint32(b)), b, nil
}

func TestFabricDelayIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, netem.FabricConfig{}, 2, dgram.Options{})
		defer p.close()
		p.sender.SetEgress(netem.Impairment{Delay: 7 * time.Millisecond})
		p.hosts[1].SetIngress(netem.Impairment{Delay: 30 * time.Millisecond})
		start := time.Now()
		if err := p.source.WriteRun(numbered(1, 3, 100), 100, netip.AddrPort{}, 0); err != nil {
			t.Fatal(err)
		}
		for i, want := range []time.Duration{7 * time.Millisecond, 37 * time.Millisecond} {
			r := newReader(p.conns[i])
			for n := 1; n <= 3; n++ {
				if got, _, err := r.next(); err != nil || got != n {
					t.Fatalf("receiver %d got packet %d, %v; want %d", i, got, err, n)
				}
			}
			if got := time.Since(start); got != want {
				t.Errorf("receiver %d got it after %v, want %v", i, got, want)
			}
			if from := r.d[0].From; from != netip.MustParseAddrPort("10.0.0.1:7500") || !r.d[0].Multicast {
				t.Errorf("it came from %v, multicast %v", from, r.d[0].Multicast)
			}
		}
	})
}

func TestFabricRateIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, netem.FabricConfig{}, 1, dgram.Options{SendBuffer: 20_000})
		defer p.close()
		p.sender.SetEgress(netem.Impairment{Rate: 8e6}) // 1000-byte IP packets: one a millisecond
		start := time.Now()
		go func() {
			for i := range 100 {
				p.source.WriteRun(numbered(10*i, 10, 972), 972, netip.AddrPort{}, 0)
			}
			// All but a send buffer and a run is through by now.
			if got := time.Since(start); got < 960*time.Millisecond || got > 990*time.Millisecond {
				t.Errorf("the last write returned after %v", got)
			}
		}()
		r := newReader(p.conns[0])
		for i := range 1000 {
			n, _, err := r.next()
			if err != nil || n != i {
				t.Fatalf("got packet %d, %v; want %d", n, err, i)
			}
			if got, want := time.Since(start), time.Duration(i+1)*time.Millisecond; got != want {
				t.Fatalf("packet %d came after %v, want %v", i, got, want)
			}
		}
		if c := p.sender.Counters(); c.SentBytes != 1e6 || c.SentPackets != 1000 || c.Egress.Overflow != 0 {
			t.Errorf("counted %+v", c)
		}
	})
}

func TestFabricQueueLimitDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, netem.FabricConfig{}, 1, dgram.Options{})
		defer p.close()
		p.sender.SetEgress(netem.Impairment{Rate: 8e6, Limit: 5})
		p.source.WriteRun(numbered(0, 20, 972), 972, netip.AddrPort{}, 0)
		r := newReader(p.conns[0])
		for i := range 5 {
			if n, _, _ := r.next(); n != i {
				t.Fatalf("got %d, want %d", n, i)
			}
		}
		if got := p.sender.Counters().Egress.Overflow; got != 15 {
			t.Errorf("%d dropped by the queue, want 15", got)
		}
	})
}

func TestFabricLossIsIndependentAndSeeded(t *testing.T) {
	run := func(seed uint64) (got [2][]int, lost [2]uint64) {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, netem.FabricConfig{Seed: seed}, 2, dgram.Options{})
			for _, h := range p.hosts {
				h.SetIngress(netem.Impairment{Loss: 0.1})
			}
			for i := range 100 {
				p.source.WriteRun(numbered(i*40, 40, 100), 100, netip.AddrPort{}, 0)
			}
			for i, c := range p.conns {
				lost[i] = p.hosts[i].Counters().Ingress.Lost
				r := newReader(c)
				for range 4000 - lost[i] {
					n, _, err := r.next()
					if err != nil {
						t.Fatal(err)
					}
					got[i] = append(got[i], n)
				}
			}
			p.close()
		})
		return got, lost
	}
	got, lost := run(1)
	both := map[int]int{}
	for i := range got {
		if lost[i] < 340 || lost[i] > 460 { // 3 sigma = 57
			t.Errorf("receiver %d lost %d of 4000 at 10%%", i, lost[i])
		}
		for _, n := range got[i] {
			both[n]++
		}
	}
	if missing := 4000 - len(both); missing < 15 || missing > 70 { // 40 expected, 3 sigma = 19
		t.Errorf("%d packets lost at both, want about 40", missing)
	}
	again, _ := run(1)
	other, _ := run(2)
	if !equal(got[0], again[0]) || !equal(got[1], again[1]) {
		t.Error("the same seed lost other packets")
	}
	if equal(got[0], other[0]) {
		t.Error("another seed lost the same packets")
	}
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestFabricRunsStayWhole(t *testing.T) {
	p := newPair(t, netem.FabricConfig{}, 1, dgram.Options{})
	defer p.close()
	run := numbered(0, 46, 1400)
	run = run[:len(run)-400]
	p.source.WriteRun(run, 1400, netip.AddrPort{}, 0)
	d := []dgram.Datagrams{{B: make([]byte, 0, dgram.BufferSize)}, {B: make([]byte, 0, dgram.BufferSize)}}
	n, err := p.conns[0].ReadBatch(d)
	if n != 1 || err != nil || d[0].Segment != 1400 || !bytes.Equal(d[0].B, run) {
		t.Errorf("read %d runs, %v, of %d bytes in segments of %d", n, err, len(d[0].B), d[0].Segment)
	}
	// Single datagrams of one size that wait together come together, up to a shorter one.
	for _, size := range []int{1000, 1000, 700, 1000, 1200} {
		p.source.WriteRun(make([]byte, size), 0, netip.AddrPort{}, 0)
	}
	n, _ = p.conns[0].ReadBatch(d)
	if n != 2 || len(d[0].B) != 2700 || d[0].Segment != 1000 || len(d[1].B) != 1000 {
		t.Errorf("read %d runs of %d and %d bytes", n, len(d[0].B), len(d[1].B))
	}
	if n, _ = p.conns[0].ReadBatch(d); n != 1 || len(d[0].B) != 1200 || d[0].Segment != 1200 {
		t.Errorf("then %d of %d bytes", n, len(d[0].B))
	}
	// A short buffer gets whole datagrams, and the rest later.
	p.source.WriteRun(run, 1400, netip.AddrPort{}, 0)
	small := []dgram.Datagrams{{B: make([]byte, 0, 4000)}}
	for got := 0; got < len(run); got += len(small[0].B) {
		if _, err := p.conns[0].ReadBatch(small); err != nil || small[0].Truncated || len(small[0].B) > 2800 {
			t.Fatalf("%v, truncated %v, %d bytes", err, small[0].Truncated, len(small[0].B))
		}
	}
}

func TestFabricWithoutOffload(t *testing.T) {
	p := newPair(t, netem.FabricConfig{NoOffload: true}, 1, dgram.Options{})
	defer p.close()
	p.source.WriteRun(numbered(0, 46, 1400), 1400, netip.AddrPort{}, 0)
	d := make([]dgram.Datagrams, 8)
	for i := range d {
		d[i].B = make([]byte, 0, 2000)
	}
	total := 0
	for total < 46 {
		n, err := p.conns[0].ReadBatch(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range d[:n] {
			if got := int(binary.BigEndian.Uint32(x.B)); got != total || len(x.B) != 1400 {
				t.Fatalf("got number %d in %d bytes, want %d", got, len(x.B), total)
			}
			total++
		}
	}
}

func TestFabricUnicastReachesTheSource(t *testing.T) {
	for _, addrs := range [][2]string{{"10.0.0.1", "10.0.0.2"}, {"fd00::1", "fd00::2"}, {"fe80::1", "fe80::2"}} {
		f := netem.NewFabric(netem.FabricConfig{})
		group := group4
		if netip.MustParseAddr(addrs[0]).Is6() {
			group = netip.MustParseAddrPort("[ff15::8000:1]:7500")
		}
		source := must(f.Host(addrs[0]).OpenSource(t.Context(), "udp", group, dgram.Options{}))
		second := must(f.Host(addrs[0]).OpenSource(t.Context(), "udp", group, dgram.Options{}))
		receiver := must(f.Host(addrs[1]).OpenReceiver(t.Context(), "udp", group, dgram.Options{}))
		source.WriteRun(numbered(5, 1, 100), 100, netip.AddrPort{}, 0)
		r := newReader(receiver)
		r.next()
		if got := r.d[0].From; got != source.LocalAddr() {
			t.Errorf("multicast came from %v, want %v", got, source.LocalAddr())
		}
		receiver.WriteRun(numbered(6, 1, 50), 0, r.d[0].From, 0)
		for _, c := range []dgram.Conn{source, second} { // both share the port
			r := newReader(c)
			if n, _, err := r.next(); n != 6 || err != nil || r.d[0].Multicast || r.d[0].From.Port() == 7500 {
				t.Errorf("source got %d, %v from %v", n, err, r.d[0].From)
			}
			if i := c.Info(); !i.SharedPort || i.OwnPort != 7500 || i.LinkLocalOnly != (addrs[0] == "fe80::1") {
				t.Errorf("Info is %+v", i)
			}
		}
	}
}

func TestFabricLoop(t *testing.T) {
	for _, network := range []string{"udp", "ip:pgm"} {
		f := netem.NewFabric(netem.FabricConfig{})
		h := f.Host("10.0.0.1")
		h.SetEgress(netem.Impairment{Loss: 1})
		receiver := must(h.OpenReceiver(t.Context(), network, group4, dgram.Options{}))
		silent := must(h.OpenSource(t.Context(), network, group4, dgram.Options{NoLoopback: true}))
		source := must(h.OpenSource(t.Context(), network, group4, dgram.Options{}))
		silent.WriteRun(numbered(1, 1, 100), 0, netip.AddrPort{}, 0)
		source.WriteRun(numbered(2, 1, 100), 0, netip.AddrPort{}, 0)
		if n, _, _ := newReader(receiver).next(); n != 2 {
			t.Errorf("%s: got %d, want the one that loops", network, n)
		}
		receiver.WriteRun(numbered(3, 1, 100), 0, source.LocalAddr(), 0)
		if n, _, _ := newReader(source).next(); n != 3 {
			t.Errorf("%s: unicast on one host did not reach the source", network)
		}
	}
}

func TestFabricDropHook(t *testing.T) {
	p := newPair(t, netem.FabricConfig{}, 2, dgram.Options{})
	defer p.close()
	bad := p.hosts[0].Addr()
	p.fabric.SetDrop(func(from, to netip.Addr, b []byte) bool {
		return from == p.sender.Addr() && to == bad && binary.BigEndian.Uint32(b)%3 == 1
	})
	p.source.WriteRun(numbered(0, 6, 100), 100, netip.AddrPort{}, 0)
	for i, want := range [][]int{{0, 2, 3, 5}, {0, 1, 2, 3, 4, 5}} {
		r := newReader(p.conns[i])
		for _, w := range want {
			if n, _, _ := r.next(); n != w {
				t.Errorf("receiver %d got %d, want %d", i, n, w)
			}
		}
	}
	if got := p.hosts[0].Counters().Dropped; got != 2 {
		t.Errorf("%d counted as dropped, want 2", got)
	}
}

func TestFabricSources(t *testing.T) {
	f := netem.NewFabric(netem.FabricConfig{})
	ssm := netip.MustParseAddrPort("232.1.1.1:7500")
	a := must(f.Host("10.0.0.1").OpenSource(t.Context(), "udp", ssm, dgram.Options{}))
	b := must(f.Host("10.0.0.2").OpenSource(t.Context(), "udp", ssm, dgram.Options{}))
	if _, err := f.Host("10.0.0.3").OpenReceiver(t.Context(), "udp", ssm, dgram.Options{}); err == nil {
		t.Error("a source-specific group was joined without Sources")
	}
	r := must(f.Host("10.0.0.3").OpenReceiver(t.Context(), "udp", ssm, dgram.Options{Sources: []netip.Addr{f.Host("10.0.0.2").Addr()}}))
	a.WriteRun(numbered(1, 1, 100), 0, netip.AddrPort{}, 0)
	b.WriteRun(numbered(2, 1, 100), 0, netip.AddrPort{}, 0)
	if n, _, _ := newReader(r).next(); n != 2 {
		t.Errorf("got %d, want what the wanted source sent", n)
	}
	if got := r.Stats().Filtered; got != 1 {
		t.Errorf("%d filtered, want 1", got)
	}
}

func TestFabricFullBufferHoldsBackOrDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, netem.FabricConfig{}, 1, dgram.Options{RecvBuffer: 10_000})
		defer p.close()
		sent := 0
		go func() {
			for sent < 100 && p.source.WriteRun(numbered(sent, 1, 1000), 0, netip.AddrPort{}, 0) == nil {
				sent++
			}
		}()
		synctest.Wait()
		if sent != 10 {
			t.Errorf("%d written into a buffer of 10", sent)
		}
		r := newReader(p.conns[0])
		for i := range 100 {
			if n, _, err := r.next(); n != i || err != nil {
				t.Fatalf("got %d, %v, want %d", n, err, i)
			}
		}
		synctest.Wait()
		p.hosts[0].SetIngress(netem.Impairment{Limit: 1})
		for range 25 {
			p.source.WriteRun(make([]byte, 1000), 0, netip.AddrPort{}, 0)
		}
		if got, also := p.conns[0].Stats().KernelDrops, p.hosts[0].Counters().Overflow; got != 15 || also != 15 {
			t.Errorf("%d and %d dropped, want 15", got, also)
		}
	})
}

func TestFabricCloseUnblocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, netem.FabricConfig{}, 2, dgram.Options{RecvBuffer: 1000, SendBuffer: 1000})
		errs := make(chan error, 3)
		read := func(c dgram.Conn) {
			_, _, err := newReader(c).next()
			errs <- err
		}
		write := func() {
			var err error
			for err == nil {
				err = p.source.WriteRun(make([]byte, 1000), 0, netip.AddrPort{}, 0)
			}
			errs <- err
		}
		go read(p.source)
		go write() // stops at the receivers' full buffers
		synctest.Wait()
		p.source.Close()
		for range 2 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Close gave %v", err)
			}
		}
		p.source = must(p.sender.OpenSource(context.Background(), "udp", group4, dgram.Options{}))
		p.conns[0].Close()
		p.conns[1].Close() // nobody is left to hold back
		if err := p.source.WriteRun(make([]byte, 1000), 0, netip.AddrPort{}, 0); err != nil {
			t.Error(err)
		}
		p.sender.SetEgress(netem.Impairment{Rate: 1000}) // one packet takes 8 s
		go write()
		synctest.Wait()
		p.source.Close()
		if err := <-errs; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Close of a shaped source gave %v", err)
		}
		if err := p.source.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close gave %v", err)
		}
	})
}

func TestFabricCorruptAndDuplicate(t *testing.T) {
	p := newPair(t, netem.FabricConfig{}, 2, dgram.Options{})
	defer p.close()
	p.hosts[0].SetIngress(netem.Impairment{Corrupt: 1, Duplicate: 1})
	want := numbered(7, 1, 500)
	p.source.WriteRun(want, 0, netip.AddrPort{}, 0)
	r := newReader(p.conns[0])
	for range 2 {
		_, b, err := r.next()
		if err != nil || len(b) != len(want) || bytes.Equal(b, want) {
			t.Errorf("%d bytes, %v, unchanged %v", len(b), err, bytes.Equal(b, want))
		}
	}
	if _, b, _ := newReader(p.conns[1]).next(); !bytes.Equal(b, want) {
		t.Error("the other receiver's copy is corrupted too")
	}
}

func TestFabricRefuses(t *testing.T) {
	f := netem.NewFabric(netem.FabricConfig{})
	h := f.Host("10.0.0.1")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx            context.Context
		network, group string
		o              dgram.Options
	}{
		{cancelled, "udp", "239.192.0.9:7500", dgram.Options{}},
		{t.Context(), "udp", "10.0.0.9:7500", dgram.Options{}},
		{t.Context(), "udp", "[ff15::1]:7500", dgram.Options{}}, // the host has no IPv6 address
		{t.Context(), "udp6", "239.192.0.9:7500", dgram.Options{}},
		{t.Context(), "udp", "239.192.0.9:7500", dgram.Options{Interface: "eth7"}},
	} {
		if _, err := h.OpenSource(c.ctx, c.network, netip.MustParseAddrPort(c.group), c.o); err == nil {
			t.Errorf("%s on %s with %+v was opened", c.group, c.network, c.o)
		}
	}
	h.Take(7500)
	c := must(h.OpenSource(t.Context(), "udp4", group4, dgram.Options{Interface: "10.0.0.1"}))
	if i := c.Info(); !i.PortTaken || i.OwnPort == 7500 || c.LocalAddr().Port() != i.OwnPort {
		t.Errorf("with the port taken: %+v at %v", i, c.LocalAddr())
	}
	c.WriteRun(make([]byte, 4000), 1473, netip.AddrPort{}, 0) // 1501 bytes of IP
	c.WriteRun(make([]byte, 100), 0, netip.MustParseAddrPort("[fd00::1]:1"), 0)
	if s := c.Stats(); s.Refused.TooBig != 3 || s.Refused.Unreachable != 1 || s.FirstRefusal == nil {
		t.Errorf("counted %+v", s)
	}
	c.WriteRun(make([]byte, 1472), 0, netip.AddrPort{}, 0)
	if got := c.Stats().Refused.Total(); got != 4 {
		t.Errorf("a full-size packet was refused: %d", got)
	}
}
