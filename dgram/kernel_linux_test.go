package dgram

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// twoNetworks makes a namespace with two pairs of interfaces: a0-a1 and b0-b1.
func twoNetworks(t *testing.T) *netlink.Handle {
	h := enterNamespace(t)
	addPair(t, h, "a0", "a1", "fd77::1/64", "192.0.2.1/24")
	addPair(t, h, "b0", "b1", "fd88::1/64", "198.51.100.1/24")
	return h
}

func wantFail(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", want)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func TestPickInterface(t *testing.T) {
	h := twoNetworks(t)
	group := netip.MustParseAddr
	pick := func(g, want string) string {
		t.Helper()
		i, _, err := pickInterface(group(g), want)
		if err != nil {
			t.Fatal(err)
		}
		return i.Name
	}
	b0, err := net.InterfaceByName("b0")
	if err != nil {
		t.Fatal(err)
	}
	index := strconv.Itoa(b0.Index)
	for _, tt := range []struct{ group, want, name string }{
		{"ff15::1", "b0", "b0"},
		{"ff15::1", index, "b0"},
		{"ff15::1", "fd88::1", "b0"},
		{"ff15::1", "198.51.100.1", "b0"},
		{"ff15::1%b0", "", "b0"},
		{"ff15::1%" + index, "", "b0"},
		{"ff02::1%b0", "", "b0"},
		{"ff02::1%b0", "fd88::1", "b0"},
		{"239.1.1.1", "b0", "b0"},
		{"ff01::1", "", "lo"},
		{"ff15::1", "lo", "lo"},
	} {
		if got := pick(tt.group, tt.want); got != tt.name {
			t.Errorf("group %s, Interface %q: %s, want %s", tt.group, tt.want, got, tt.name)
		}
	}
	_, _, err = pickInterface(group("ff15::1%a0"), "b0")
	wantFail(t, err, `"a0"`, `"b0"`, "different interfaces")
	_, _, err = pickInterface(group("ff02::1"), "")
	wantFail(t, err, "link-local scope", "a0", "b0")

	// Without a hint: the first that does multicast in this family, then that of the default route.
	for _, g := range []string{"ff15::1", "239.1.1.1"} {
		first := pick(g, "")
		route := netlink.Route{LinkIndex: b0.Index, Gw: net.ParseIP("198.51.100.2")}
		if strings.Contains(g, ":") {
			route.Gw = net.ParseIP("fd88::2")
		}
		if first == "lo" || first == "b0" && strings.Contains(g, ".") {
			t.Errorf("group %s: %s without a route", g, first)
		}
		if err := h.RouteAdd(&route); err != nil {
			t.Fatal(err)
		}
		if got := pick(g, ""); got != "b0" {
			t.Errorf("group %s: %s, want b0, which has the default route", g, got)
		}
	}
	l, err := h.LinkByName("b0")
	if err == nil {
		err = h.LinkSetDown(l)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = pickInterface(group("ff15::1"), "b0")
	wantFail(t, err, "b0 is down")
	if got := pick("239.1.1.1", ""); got != "a0" {
		t.Errorf("%s, want a0, the only one left with an IPv4 address", got)
	}
}

// Loopback is the choice only when there is nothing else, and says what it lacks.
func TestLoopbackOnly(t *testing.T) {
	h := enterNamespace(t)
	p := place{"udp", netip.MustParseAddrPort("[ff15::1]:7500"), "", netip.IPv6Loopback()}
	if s := p.source(t, Options{}); s.Info().Interface != "lo" || s.LocalAddr().Addr() != p.own {
		t.Errorf("source on %s at %v", s.Info().Interface, s.LocalAddr())
	}
	routes, err := h.RouteListFiltered(netlink.FAMILY_V6, &netlink.Route{Table: unix.RT_TABLE_LOCAL, Type: unix.RTN_LOCAL}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if r.Dst != nil && r.Dst.IP.IsMulticast() {
			if err := h.RouteDel(&r); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err = Kernel.OpenSource(context.Background(), "udp", p.group, Options{})
	wantFail(t, err, "lo has no route", "ip -6 route add local ff00::/8 dev lo", "IPv4 group")
	if !errors.Is(err, unix.ENETUNREACH) {
		t.Errorf("%v does not wrap the system's error", err)
	}
}

// A host with link-local addresses only: sources and receivers work, and say where they are.
func TestLinkLocalOnly(t *testing.T) {
	h := enterNamespace(t)
	addPair(t, h, "a0", "a1")
	for _, group := range []string{"[ff15::1]:7500", "[ff02::1234%a0]:7500", "[ff01::7%a0]:7500", "[ff0e::1%a0]:7500"} {
		p := place{network: "udp", group: netip.MustParseAddrPort(group)}
		o := Options{Interface: "a0"}
		s := p.source(t, o) // waits for the end of duplicate address detection
		i := s.Info()
		if !i.LinkLocalOnly || s.LocalAddr().Addr().Zone() != "a0" || !s.LocalAddr().Addr().IsLinkLocalUnicast() {
			t.Errorf("%+v at %v", i, s.LocalAddr())
		}
		r := p.receiver(t, o)
		in, up := listenTo(t, r, 2), listenTo(t, s, 2)
		say(t, s, "down", toGroup)
		hd := next(t, in)
		if hd.data != "down" || hd.from != s.LocalAddr() {
			t.Errorf("heard %+v, want it from %v", hd, s.LocalAddr())
		}
		for _, to := range []netip.AddrPort{hd.from, netip.AddrPortFrom(hd.from.Addr().WithZone(""), hd.from.Port()), netip.AddrPortFrom(hd.from.Addr().WithZone(strconv.Itoa(i.Index)), hd.from.Port())} {
			say(t, r, "up", to)
			if hu := next(t, up); hu.data != "up" || hu.from.Addr() != s.LocalAddr().Addr() {
				t.Errorf("to %v: heard %+v", to, hu)
			}
		}
		wantRun(t, s, 46, 1400, 1400, toGroup, in)
		s.Close()
		withheld.gso = true
		s = p.source(t, o)
		withheld.gso = false
		wantRun(t, s, 3, 1400, 1400, toGroup, in)
		r.Close()
		s.Close()
	}
}

// A receiver on one interface hears nothing of the same group and port on another.
func TestInterfacesApart(t *testing.T) {
	twoNetworks(t)
	for _, group := range []string{"[ff15::1]:7500", "[ff02::1234]:7500", "239.192.0.9:7500"} {
		p := place{network: "udp", group: netip.MustParseAddrPort(group)}
		a, b := p.receiver(t, Options{Interface: "a0"}), p.receiver(t, Options{Interface: "b0"})
		ina, inb := listenTo(t, a, 1), listenTo(t, b, 1)
		for range 3 {
			sa, sb := p.source(t, Options{Interface: "a0"}), p.source(t, Options{Interface: "b0"})
			say(t, sb, "on b", toGroup)
			say(t, sa, "on a", toGroup)
			if x, y := next(t, ina), next(t, inb); x.data != "on a" || y.data != "on b" || x.from != sa.LocalAddr() || y.from != sb.LocalAddr() {
				t.Errorf("%s: heard %+v and %+v", group, x, y)
			}
			sa.Close()
			sb.Close()
		}
		a.Close()
		b.Close()
	}
}

func TestNoLoopback(t *testing.T) {
	twoNetworks(t)
	for _, group := range []string{"[ff15::1]:7500", "239.192.0.9:7500"} {
		p := place{network: "udp", group: netip.MustParseAddrPort(group)}
		in := listenTo(t, p.receiver(t, Options{Interface: "a0"}), 1)
		quiet := p.source(t, Options{Interface: "a0", NoLoopback: true})
		loud := p.source(t, Options{Interface: "a0"}) // one socket, two minds
		for range 3 {
			say(t, quiet, "hidden", toGroup)
			say(t, loud, "shown", toGroup)
			if h := next(t, in); h.data != "shown" {
				t.Errorf("heard %q", h.data)
			}
		}
	}
}

func TestSourcesOnly6(t *testing.T) {
	h := enterNamespace(t)
	addPair(t, h, "a0", "a1", "fd77::1/64", "fd77::2/64")
	for _, group := range []string{"[ff35::1]:7500", "[ff15::1]:7500"} {
		p := place{network: "udp6", group: netip.MustParseAddrPort(group)}
		in := listenTo(t, p.receiver(t, Options{Interface: "a0", Sources: []netip.Addr{netip.MustParseAddr("fd77::2")}}), 4)
		say(t, p.source(t, Options{Interface: "fd77::1"}), "bad", toGroup)
		good := p.source(t, Options{Interface: "fd77::2"})
		say(t, good, "good", toGroup)
		if h := next(t, in); h.data != "good" || h.from != good.LocalAddr() {
			t.Errorf("%s: heard %+v", group, h)
		}
	}
}

// More senders than the kernel keeps for a socket: an error that names the setting.
func TestTooManySources(t *testing.T) {
	p := loopback4(t)
	o := p.options()
	for i := range 200 {
		o.Sources = append(o.Sources, netip.AddrFrom4([4]byte{127, 0, 1, byte(i)}))
	}
	_, err := Kernel.OpenReceiver(context.Background(), p.network, p.group, o)
	wantFail(t, err, "200 Sources", "igmp_max_msf")
}

// The port is taken by a program that binds all addresses and does not share.
func TestReceiverPortInUse(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		c, err := net.ListenUDP(p.network, &net.UDPAddr{Port: int(p.group.Port())})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, err = Kernel.OpenReceiver(context.Background(), p.network, p.group, p.options())
		wantFail(t, err, "in use", strconv.Itoa(int(p.group.Port())), "another port")
		if !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("%v does not wrap the system's error", err)
		}
	})
}

// OpenPGM binds the wildcard with SO_REUSEPORT only; receivers of both live beside each other, whoever comes first.
func TestBesideReusePort(t *testing.T) {
	p := loopback4(t)
	wildcard := func() *net.UDPConn {
		lc := net.ListenConfig{Control: reusePort}
		c, err := lc.ListenPacket(context.Background(), "udp4", netip.AddrPortFrom(netip.IPv4Unspecified(), p.group.Port()).String())
		if err != nil {
			t.Fatal(err)
		}
		return c.(*net.UDPConn)
	}
	first := wildcard()
	r := p.receiver(t, p.options())
	first.Close()
	defer wildcard().Close()
	in := listenTo(t, r, 1)
	s := p.source(t, p.options())
	say(t, s, "hello", toGroup)
	if h := next(t, in); h.data != "hello" {
		t.Errorf("heard %+v", h)
	}
}

func TestRaw(t *testing.T) {
	h := enterNamespace(t)
	addPair(t, h, "a0", "a1", "fd77::1/64", "192.0.2.1/24")
	for _, tt := range []struct{ network, group string }{{"ip4:pgm", "239.192.0.9"}, {"ip6:pgm", "ff15::1"}, {"ip:pgm", "232.0.0.9"}, {"ip:pgm", "[ff02::1234%a0]"}} {
		for _, plain := range []bool{false, true} {
			withheld.batch = plain
			t.Cleanup(func() { withheld.batch = false })
			group, err := ParseGroup(tt.network, tt.group)
			if err != nil {
				t.Fatal(err)
			}
			p := place{network: tt.network, group: group}
			o := Options{Interface: "a0", HopLimit: 3}
			s, s2 := p.source(t, o), p.source(t, o)
			if isSSM(group.Addr()) {
				o.Sources = []netip.Addr{s.LocalAddr().Addr()}
			}
			r, r2 := p.receiver(t, o), p.receiver(t, o)
			if i := s.Info(); !i.Raw || i.OwnPort != 0 || i.GSO || s.LocalAddr().Port() != 0 {
				t.Errorf("%+v", i)
			}
			in, in2, up, up2 := listenTo(t, r, 4), listenTo(t, r2, 4), listenTo(t, s, 4), listenTo(t, s2, 4)
			wantRun(t, s, 5, 1400, 90, toGroup, in, in2)
			if err := s.WriteRun([]byte("with a hop limit"), 8, toGroup, 9); err != nil {
				t.Fatal(err)
			}
			for _, ch := range []<-chan heard{in, in2} {
				if a, b := next(t, ch), next(t, ch); a.data+b.data != "with a hop limit" || a.from != s.LocalAddr() || !a.multicast {
					t.Errorf("heard %+v %+v, want it from %v", a, b, s.LocalAddr())
				}
			}
			say(t, r, "nak", s.LocalAddr())
			if a, b := next(t, up), next(t, up2); a.data != "nak" || b.data != "nak" || a.multicast {
				t.Errorf("heard %+v and %+v", a, b)
			}
			for _, c := range []Conn{s, s2, r, r2} {
				if st := c.Stats(); st != (Stats{}) {
					t.Errorf("%+v", st)
				}
				c.Close()
			}
		}
	}
}

// IP options between header and payload: they are taken off as well.
func TestRawOptions(t *testing.T) {
	h := enterNamespace(t)
	addPair(t, h, "a0", "a1", "192.0.2.1/24")
	p := place{network: "ip4:pgm", group: netip.MustParseAddrPort("239.192.0.9:0")}
	in := listenTo(t, p.receiver(t, Options{Interface: "a0"}), 4)
	s := p.source(t, Options{Interface: "a0"})
	err := s.(*sourceConn).shared.sys.Control(func(fd uintptr) {
		if err := unix.SetsockoptString(int(fd), unix.IPPROTO_IP, unix.IP_OPTIONS, "\x94\x04\x00\x00"); err != nil { // router alert
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	wantRun(t, s, 3, 1000, 10, toGroup, in)
}

func TestRawDenied(t *testing.T) {
	p := loopback4(t)
	done := make(chan error, 2)
	go func() {
		dropCapabilities(t) // of this thread, which ends with the goroutine
		group := netip.AddrPortFrom(p.group.Addr(), 0)
		_, err := Kernel.OpenReceiver(context.Background(), "ip4:pgm", group, p.options())
		done <- err
		_, err = Kernel.OpenSource(context.Background(), "ip4:pgm", group, p.options())
		done <- err
	}()
	for range 2 {
		wantFail(t, <-done, "no permission", "cap_net_raw", "udp")
	}
}

// A full socket buffer blocks WriteRun, nothing is lost, and Close frees it.
func TestWriteBlocks(t *testing.T) {
	h := enterNamespace(t)
	addPair(t, h, "a0", "a1", "fd77::1/64")
	l, err := h.LinkByName("a0")
	if err != nil {
		t.Fatal(err)
	}
	const rate = 1 << 20 // bytes a second
	tbf := &netlink.Tbf{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate: rate, Limit: 4 << 20, Buffer: netlink.Xmittime(rate, 4000)}
	if err := h.QdiscAdd(tbf); err != nil {
		t.Skipf("no tbf in this kernel: %v", err)
	}
	for _, gso := range []bool{true, false} {
		withheld.gso = !gso
		t.Cleanup(func() { withheld.gso = false })
		p := place{network: "udp", group: netip.MustParseAddrPort("[ff15::1]:7500")}
		in := listenTo(t, p.receiver(t, Options{Interface: "a1"}), 8)
		o := Options{Interface: "a0", SendBuffer: 100 << 10, NoLoopback: true}
		s, s2 := p.source(t, o), p.source(t, o)
		const n = 400
		start := time.Now()
		for range n / 40 {
			if err := s.WriteRun(make([]byte, 40*1400), 1400, toGroup, 0); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took < 200*time.Millisecond {
			t.Errorf("GSO %v: %d bytes took %v to get rid of at %d bytes a second", gso, n*1400, took, rate)
		}
		for range n {
			next(t, in)
		}
		for _, c := range []Conn{s, s2} { // the first leaves another behind, the second takes the socket along
			done := make(chan error)
			go func() {
				for {
					if err := c.WriteRun(make([]byte, 40*1400), 1400, toGroup, 0); err != nil {
						done <- err
						return
					}
				}
			}()
			time.Sleep(100 * time.Millisecond)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			select {
			case err := <-done:
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("WriteRun: %v, want net.ErrClosed", err)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("Close does not unblock WriteRun")
			}
		}
		if st := s.Stats(); st.Refused.Total() != 0 {
			t.Errorf("refused %+v: %v", st.Refused, st.FirstRefusal)
		}
	}
}

func TestOwnAddresses(t *testing.T) {
	h := enterNamespace(t)
	addPair(t, h, "a0", "a1", "fd77::1/64", "fd77::2/64", "192.0.2.1/24", "169.254.7.7/16")
	ifi, err := net.InterfaceByName("a0")
	if err != nil {
		t.Fatal(err)
	}
	prefer := netip.MustParseAddr("fd77::2")
	own := ownAddresses(ifi, true, prefer)
	if len(own) != 3 || own[0] != prefer || own[1].IsLinkLocalUnicast() || own[2].Zone() != "a0" {
		t.Errorf("%v, want fd77::2, fd77::1, then the link-local one with its zone", own)
	}
	if got, want := ownAddresses(ifi, false, netip.Addr{}), []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("169.254.7.7")}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	_, err = Kernel.OpenSource(context.Background(), "udp", netip.MustParseAddrPort("239.192.0.9:7500"), Options{Interface: "a1"})
	wantFail(t, err, "a1 has no IPv4 address")
}

// The device or the socket does not do segmentation after all: everything arrives, and the next runs do without.
func TestOffloadRefused(t *testing.T) {
	p := loopback4(t)
	in := listenTo(t, p.receiver(t, p.options()), 4)
	s := p.source(t, p.options())
	if !s.Info().GSO {
		t.Skip("no GSO in this kernel")
	}
	err := s.(*sourceConn).shared.sys.Control(func(fd uintptr) {
		if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1); err != nil { // which rules segmentation out
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		wantRun(t, s, 46, 1400, 30, toGroup, in)
		if s.Info().GSO {
			t.Error("the offload is still in use")
		}
	}
	if st := s.Stats(); st != (Stats{}) {
		t.Errorf("%+v", st)
	}
}

// Datagrams longer than the MTU are refused one by one, those of the same run that fit are sent, and the offload stays.
func TestBeyondMTU(t *testing.T) {
	h := enterNamespace(t)
	addPair(t, h, "a0", "a1", "fd77::1/64", "192.0.2.1/24")
	for _, group := range []string{"[ff15::1]:7500", "239.192.0.9:7500"} {
		p := place{network: "udp", group: netip.MustParseAddrPort(group)}
		in := listenTo(t, p.receiver(t, Options{Interface: "a0"}), 4)
		s := p.source(t, Options{Interface: "a0"})
		if err := s.WriteRun(make([]byte, 3*2000+100), 2000, toGroup, 0); err != nil {
			t.Fatal(err)
		}
		if got := next(t, in); len(got.data) != 100 {
			t.Errorf("%s: heard %d bytes, want the 100 of the last one", group, len(got.data))
		}
		if st := s.Stats(); st.Refused != (WriteErrors{TooBig: 3}) {
			t.Errorf("%s: %+v, want 3 too big", group, st.Refused)
		}
		wantRun(t, s, 46, 1400, 1400, toGroup, in)
		if !s.Info().GSO {
			t.Errorf("%s: the offload is gone", group)
		}
	}
}
