//go:build netns

package netem_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"maps"
	"math/bits"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func newRelay(t testing.TB, cfg netem.RelayConfig) *netem.Relay {
	t.Helper()
	netem.NeedLab(t)
	r, err := netem.NewRelay(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c := r.Totals(); c.TooLate+c.InFlight+c.Malformed+c.Refused > 0 {
			t.Errorf("the relay counted %+v", c)
		}
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r
}

// eventually reports whether done comes true within some seconds.
func eventually(done func() bool) bool {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for range 5000 {
		if done() {
			return true
		}
		<-look.C
	}
	return false
}

// heard reads n datagrams and returns how often each number came.
func heard(t *testing.T, c *net.UDPConn, n int) map[int]int {
	count := map[int]int{}
	b := make([]byte, 2000)
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	for i := range n {
		if _, _, err := c.ReadFromUDPAddrPort(b); err != nil {
			t.Errorf("%v after %d of %d datagrams", err, i, n)
			break
		}
		count[int(binary.BigEndian.Uint32(b))]++
	}
	return count
}

// fates returns how often each of n packets of size bytes comes whole out of a chain of links, and how many do in all.
func fates(n, size int, links ...*netem.Link) (count map[int]int, total int) {
	count = map[int]int{}
	for i := range n {
		copies := []netem.Copy{{}}
		for _, l := range links {
			var next []netem.Copy
			for _, c := range copies {
				f := l.Send(c.At, size)
				for _, d := range f.Copy[:f.N] {
					next = append(next, netem.Copy{At: d.At, Corrupt: c.Corrupt || d.Corrupt})
				}
			}
			copies = next
		}
		for _, c := range copies {
			if !c.Corrupt { // the receiver's kernel drops the others by their checksums
				count[i]++
				total++
			}
		}
	}
	return count, total
}

// TestRelayHasTheFatesOfItsLinks: who gets which packet, and how often, is what the same links say that see no packets.
func TestRelayHasTheFatesOfItsLinks(t *testing.T) {
	const packets, size = 4000, 100
	bad := netem.Impairment{
		Loss: 0.1, Delay: 5 * time.Millisecond, Jitter: 3 * time.Millisecond, Duplicate: 0.05, Reorder: 0.05, Corrupt: 0.02,
	}
	var top netem.Topology
	// The sender's link paces, so that no socket's buffer overflows.
	top.Sender.Up = netem.Impairment{Rate: 10e6, Limit: 2 * packets}
	branch := top.Branch(0, netem.Impairment{Loss: 0.2, Duplicate: 0.1}, netem.Impairment{})
	top.Receivers = []netem.Port{{Switch: branch}, {Switch: branch, Down: bad}, {Down: bad}, {Down: bad}}
	cfg := netem.RelayConfig{Topology: top, Seed: 11}
	l := newRelay(t, cfg)
	group := netip.MustParseAddrPort("239.192.0.80:7500")
	var wg sync.WaitGroup
	for n := range netem.Node(l.Receivers()) {
		var links []*netem.Link
		if top.Port(n).Switch == branch {
			down, _ := top.BranchLinks(branch-1, cfg.Seed)
			links = append(links, down)
		}
		own, _ := top.HostLinks(n, cfg.Seed)
		want, total := fates(packets, size+28, append(links, own)...)
		c := labReceiver(t, l, n, group)
		wg.Go(func() {
			if got := heard(t, c, total); !maps.Equal(got, want) {
				t.Errorf("%v got %d numbers in %d datagrams, the links say %d, or others", n, len(got), total, len(want))
			}
			if !eventually(func() bool { return n == 0 || l.Counters(n).Ingress == own.Stats() }) { // a perfect link counts nothing
				t.Errorf("%v counted %+v, the link alone %+v", n, l.Counters(n).Ingress, own.Stats())
			}
		})
	}
	s := labSender(t, l, netem.Sender.Addr4())
	for i := range packets {
		if _, err := s.WriteToUDPAddrPort(numbered(i, 1, size), group); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if c := l.Counters(netem.Sender); c.SentPackets != packets || c.SentBytes != packets*(size+28) || c.Ingress.Packets != 0 {
		t.Errorf("the sender's counters are %+v", c)
	}
}

// families are the addresses and groups by which nodes can be reached.
var families = []struct {
	name  string
	addr  func(netem.Node) netip.Addr
	group netip.AddrPort
}{
	{"IPv4", netem.Node.Addr4, netip.MustParseAddrPort("239.192.0.81:7500")},
	{"IPv6", netem.Node.Addr6, netip.MustParseAddrPort("[ff15::8000:81]:7500")},
	{"link-local", netem.Node.LinkLocal, netip.MustParseAddrPort("[ff12::8000:81]:7500")},
}

// TestRelayDelay: a packet takes at least what the links on its way take, down and up, by multicast and by unicast, and unicast
// reaches only the node that it is for.
func TestRelayDelay(t *testing.T) {
	const down, up, shared = 20 * time.Millisecond, 10 * time.Millisecond, 5 * time.Millisecond
	var top netem.Topology
	branch := top.Branch(0, netem.Impairment{Delay: shared}, netem.Impairment{Delay: shared})
	top.Receivers = []netem.Port{
		{Switch: branch, Down: netem.Impairment{Delay: down}, Up: netem.Impairment{Delay: up}},
		{Down: netem.Impairment{Delay: time.Nanosecond}},
	}
	l := newRelay(t, netem.RelayConfig{Topology: top})
	for _, f := range families {
		s := labSender(t, l, f.addr(netem.Sender))
		r := labReceiver(t, l, 0, f.group)
		other := l.Counters(1).Ingress.Packets
		var trips []time.Duration
		b := make([]byte, 100)
		for range 20 {
			start := time.Now()
			if _, err := s.WriteToUDPAddrPort([]byte("down"), f.group); err != nil {
				t.Fatal(err)
			}
			r.SetReadDeadline(start.Add(5 * time.Second))
			k, from, err := r.ReadFromUDPAddrPort(b)
			if err != nil || string(b[:k]) != "down" || from.Addr() != f.addr(netem.Sender) {
				t.Fatalf("%s: got %q from %v, %v", f.name, b[:k], from, err)
			}
			if took := time.Since(start); took < down+shared {
				t.Errorf("%s: multicast took %v down", f.name, took)
			}
			if _, err := r.WriteToUDPAddrPort([]byte("up"), from); err != nil {
				t.Fatal(err)
			}
			s.SetReadDeadline(start.Add(5 * time.Second))
			if k, from, err = s.ReadFromUDPAddrPort(b); err != nil || string(b[:k]) != "up" || from.Addr() != f.addr(0) {
				t.Fatalf("%s: got %q from %v, %v", f.name, b[:k], from, err)
			}
			trips = append(trips, time.Since(start))
		}
		slices.Sort(trips)
		t.Logf("%s: round trips of %v to %v over links of %v", f.name, trips[0], trips[len(trips)-1], down+up+2*shared)
		if trips[0] < down+up+2*shared {
			t.Errorf("%s: a round trip took %v", f.name, trips[0])
		}
		if n := l.Counters(1).Ingress.Packets - other; n != 20 {
			t.Errorf("%s: %d packets on the link of the node that hears only multicast, want 20", f.name, n)
		}
	}
	// An address that nobody has: the kernel asks for it, and the question passes.
	if c := l.Totals(); c.Control == 0 || c.Unroutable != 0 {
		t.Errorf("the relay counted %+v", c)
	}
}

// TestRelayDropHook: the hook sees what a Fabric's would: the datagram itself, over UDP and over raw IP.
func TestRelayDropHook(t *testing.T) {
	l := newRelay(t, netem.RelayConfig{Receivers: 2})
	bad := func(from, to netip.Addr, b []byte) bool {
		return from == netem.Sender.Addr4() && to == netem.Node(0).Addr4() && len(b) == 100 && binary.BigEndian.Uint32(b)%3 == 1
	}
	l.SetDrop(bad)
	group := netip.MustParseAddrPort("239.192.0.83:7500")
	s := labSender(t, l, netem.Sender.Addr4())
	conns := []*net.UDPConn{labReceiver(t, l, 0, group), labReceiver(t, l, 1, group)}
	if _, _, err := s.WriteMsgUDPAddrPort(numbered(0, 6, 100), gso(100), group); err != nil {
		t.Fatal(err)
	}
	for i, want := range []map[int]int{{0: 1, 2: 1, 3: 1, 5: 1}, {0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1}} {
		if got := heard(t, conns[i], len(want)); !maps.Equal(got, want) {
			t.Errorf("receiver %d got %v, want %v", i, got, want)
		}
	}
	if got := l.Counters(0).Dropped; got != 2 {
		t.Errorf("%d counted as dropped, want 2", got)
	}
	raw, to := rawPair(t, l)
	for i := range 3 {
		if _, err := raw.WriteTo(numbered(i, 1, 100), to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, 200)
	for _, want := range []uint32{0, 2} {
		to.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, _, err := to.ReadFrom(b); err != nil || binary.BigEndian.Uint32(b) != want {
			t.Errorf("over raw IP came %d, %v; want %d", binary.BigEndian.Uint32(b), err, want)
		}
	}
	l.SetDrop(nil)
	if _, err := s.WriteToUDPAddrPort(numbered(7, 1, 100), group); err != nil {
		t.Fatal(err)
	}
	if got := heard(t, conns[0], 1); got[7] != 1 {
		t.Errorf("without the hook %v came", got)
	}
}

// rawPair opens raw sockets of PGM's protocol at the sender and at receiver 0.
func rawPair(t *testing.T, l network) (from, to *net.IPConn) {
	open := func(n netem.Node) (c *net.IPConn) {
		err := l.Do(n, func() (err error) {
			c, err = net.ListenIP("ip4:113", &net.IPAddr{IP: n.Addr4().AsSlice()})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	return open(netem.Sender), open(0)
}

// TestRelayTurnsOneBit: what is corrupted arrives with one bit turned over. Over raw IP no checksum of the kernel's hides it.
func TestRelayTurnsOneBit(t *testing.T) {
	const packets = 120 // of this size the smallest socket buffer holds them all
	l := newRelay(t, netem.RelayConfig{Topology: netem.Star(netem.Impairment{Corrupt: 1}, netem.Impairment{}), Seed: 3})
	from, to := rawPair(t, l)
	sent := bytes.Repeat([]byte{0xa5}, 200)
	for range packets {
		if _, err := from.WriteTo(sent, to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, 2000)
	places := map[int]bool{}
	for got := range packets * 4 / 5 { // in 20 of 220 bytes it hits the IP header, and the kernel drops the packet
		to.SetReadDeadline(time.Now().Add(5 * time.Second))
		k, _, err := to.ReadFrom(b)
		if err != nil {
			t.Fatalf("%v after %d packets", err, got)
		}
		wrong := 0
		for i := range b[:k] {
			if x := bits.OnesCount8(b[i] ^ 0xa5); x > 0 {
				wrong += x
				places[i] = true
			}
		}
		if k != len(sent) || wrong != 1 {
			t.Errorf("%d bytes came with %d wrong bits", k, wrong)
		}
	}
	if len(places) < 50 {
		t.Errorf("the errors are at %d places only", len(places))
	}
}

// TestRelayChanges: links can be changed while packets flow: a node's own, and a shared one.
func TestRelayChanges(t *testing.T) {
	var top netem.Topology
	branch := top.Branch(0, netem.Impairment{}, netem.Impairment{})
	top.Receivers = []netem.Port{{Switch: branch}}
	l := newRelay(t, netem.RelayConfig{Topology: top})
	group := netip.MustParseAddrPort("[ff15::8000:84]:7500")
	s := labSender(t, l, netem.Sender.Addr6())
	r := labReceiver(t, l, 0, group)
	lost := netem.Impairment{Loss: 1}
	ok := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for _, set := range []func(netem.Impairment){
		func(i netem.Impairment) { ok(l.SetEgress(netem.Sender, i)) },
		func(i netem.Impairment) { ok(l.SetIngress(0, i)) },
		l.Switch(branch).SetDown,
	} {
		taken := l.Totals().Taken
		set(lost)
		n++
		s.WriteToUDPAddrPort(numbered(n, 1, 100), group)
		if !eventually(func() bool { return l.Totals().Taken == taken+1 }) {
			t.Error("the relay did not see the packet")
		}
		set(netem.Impairment{})
		n++
		s.WriteToUDPAddrPort(numbered(n, 1, 100), group)
		if got := heard(t, r, 1); got[n] != 1 {
			t.Errorf("%v came, want %d", got, n)
		}
	}
	if l.SetEgress(1, lost) == nil || l.SetIngress(0, netem.Impairment{Loss: 2}) == nil {
		t.Error("a node or a loss that cannot be was taken")
	}
}

// TestRelayRoutes: what is for nobody goes nowhere, and a node cannot hear what is for another.
func TestRelayRoutes(t *testing.T) {
	l := newRelay(t, netem.RelayConfig{Receivers: 2})
	err := l.Do(netem.Sender, func() error { // a neighbour that is not there, by a static entry
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer h.Close()
		eth, err := h.LinkByName(netem.LabInterface)
		if err != nil {
			return err
		}
		err = h.NeighAdd(&netlink.Neigh{
			LinkIndex: eth.Attrs().Index, State: netlink.NUD_PERMANENT,
			IP: net.IPv4(10, 77, 0, 99), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1},
		})
		if err != nil {
			return err
		}
		c, err := net.Dial("udp", "10.77.0.99:9")
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("nobody"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !eventually(func() bool { return l.Totals().Unroutable == 1 }) || l.Totals().Sent != 0 {
		t.Errorf("the relay counted %+v", l.Totals())
	}
}

// TestRelayTCP: the kernel's own transport comes through bad links whole, in single packets.
func TestRelayTCP(t *testing.T) {
	bad := netem.Impairment{Loss: 0.01, Delay: 2 * time.Millisecond, Jitter: time.Millisecond, Duplicate: 0.01, Corrupt: 0.005}
	l := newRelay(t, netem.RelayConfig{Topology: netem.Star(bad, bad), Seed: 4})
	sent := make([]byte, 1<<20)
	for i := range sent {
		sent[i] = byte(i * i >> 8)
	}
	for _, f := range families {
		var listener net.Listener
		err := l.Do(0, func() (err error) {
			listener, err = net.Listen("tcp", netip.AddrPortFrom(f.addr(0), 0).String())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		var c net.Conn
		err = l.Do(netem.Sender, func() (err error) {
			port := listener.Addr().(*net.TCPAddr).AddrPort().Port()
			c, err = net.Dial("tcp", netip.AddrPortFrom(f.addr(0), port).String())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			c.Write(sent)
			c.Close()
		}()
		r, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		r.SetDeadline(time.Now().Add(time.Minute))
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%s: %d bytes came, %v, or other ones", f.name, len(got), err)
		}
		r.Close()
	}
	if c := l.Counters(netem.Sender); c.SentBytes/c.SentPackets > 1500 {
		t.Errorf("runs came whole: %+v", c)
	}
}

func TestRelayRefuses(t *testing.T) {
	for _, cfg := range []netem.RelayConfig{
		{Receivers: -1}, {Receivers: 1e6}, {MTU: 1000}, {MTU: 65535}, {InFlight: -1},
		{Topology: netem.Topology{Sender: netem.Port{Switch: 1}}}, {Topology: netem.Star(netem.Impairment{Loss: 2}, netem.Impairment{})},
	} {
		if l, err := netem.NewRelay(cfg); err == nil {
			l.Close()
			t.Errorf("%+v was taken", cfg)
		}
	}
	l := newRelay(t, netem.RelayConfig{})
	if l.Do(1, func() error { return nil }) == nil {
		t.Error("a node that is not there ran something")
	}
}

// TestRelayInFlight: what is under way is bounded.
func TestRelayInFlight(t *testing.T) {
	netem.NeedLab(t)
	slow := netem.Star(netem.Impairment{Delay: time.Hour}, netem.Impairment{})
	l, err := netem.NewRelay(netem.RelayConfig{Topology: slow, InFlight: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := labSender(t, l, netem.Sender.Addr6())
	group := netip.MustParseAddrPort("[ff15::8000:85]:7500")
	for i := range 30 {
		s.WriteToUDPAddrPort(numbered(i, 1, 1000), group)
	}
	// The tenth frame of 1062 bytes is the one that goes over the bound.
	if !eventually(func() bool { return l.Totals().Taken == 30 }) || l.Totals().InFlight != 20 {
		t.Errorf("the relay counted %+v", l.Totals())
	}
}

// TestRelayClose: the goroutine ends, sockets in nodes still may be closed after it, and a second Close says that it is one.
func TestRelayClose(t *testing.T) {
	netem.NeedLab(t)
	l, err := netem.NewRelay(netem.RelayConfig{Topology: netem.Star(netem.Impairment{Delay: time.Hour}, netem.Impairment{})})
	if err != nil {
		t.Fatal(err)
	}
	s := labSender(t, l, netem.Sender.Addr6())
	s.WriteToUDPAddrPort(numbered(1, 1, 1000), netip.MustParseAddrPort("[ff15::8000:86]:7500"))
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if l.Close() == nil {
		t.Error("the second Close gave no error")
	}
	if l.Totals().Refused != 0 {
		t.Errorf("the relay counted %+v", l.Totals())
	}
}

// TestRelayAsOrdinaryUser runs one of the tests as nobody, who has only a user namespace.
func TestRelayAsOrdinaryUser(t *testing.T) { asNobody(t, "^TestRelayDropHook$") }

// BenchmarkRelay measures how many packets a second pass to four receivers, over perfect links and over bad ones. The sender is held
// back by what the first receiver has heard.
func BenchmarkRelay(b *testing.B) {
	bad := netem.Impairment{
		Loss: 0.1, Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Reorder: 0.02, Duplicate: 0.01, Corrupt: 0.001,
	}
	for _, c := range []struct {
		name string
		top  netem.Topology
	}{
		{"perfect", netem.Topology{}},
		{"bad", netem.Star(bad, bad)},
	} {
		b.Run(c.name, func(b *testing.B) {
			const size, ahead = 1400, 2000
			l := newRelay(b, netem.RelayConfig{Receivers: 4, Topology: c.top, Seed: 1})
			group := netip.MustParseAddrPort("[ff15::8000:82]:7500")
			s := labSender(b, l, netem.Sender.Addr6())
			var heard atomic.Int64
			more := make(chan struct{}, 1)
			for n := range netem.Node(l.Receivers()) {
				r := labReceiver(b, l, n, group)
				go func() {
					p := make([]byte, 2000)
					for {
						if _, _, err := r.ReadFromUDPAddrPort(p); err != nil {
							return
						}
						if n == 0 {
							heard.Store(int64(binary.BigEndian.Uint32(p)))
							select {
							case more <- struct{}{}:
							default:
							}
						}
					}
				}()
			}
			oob := gso(size)
			b.SetBytes(size)
			n := 0
			for b.Loop() {
				if n%20 == 0 {
					for int64(n)-heard.Load() > ahead {
						<-more
					}
					if _, _, err := s.WriteMsgUDPAddrPort(numbered(n, 20, size), oob, group); err != nil {
						b.Fatal(err)
					}
				}
				n++
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "packets/s")
			b.ReportMetric(float64(l.Totals().Sent)/b.Elapsed().Seconds(), "copies/s")
		})
	}
}
