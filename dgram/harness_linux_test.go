package dgram

import (
	"errors"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// enterNamespace puts the test into a network namespace of its own, with the loopback up and open to IPv6 multicast. The
// sockets a test opens belong to it; goroutines do not.
func enterNamespace(t testing.TB) *netlink.Handle {
	t.Helper()
	runtime.LockOSThread()
	before, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		t.Skipf("needs network namespaces: %v", err)
	}
	ns, err := netns.New()
	if err != nil {
		before.Close()
		runtime.UnlockOSThread()
		t.Skipf("needs the right to make a network namespace (run as root): %v", err)
	}
	t.Cleanup(func() {
		if netns.Set(before) == nil {
			runtime.UnlockOSThread() // else the thread ends with the goroutine
		}
		ns.Close()
		before.Close()
	})
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	lo, err := h.LinkByName("lo")
	if err == nil {
		err = h.LinkSetUp(lo)
	}
	if err == nil {
		_, all, _ := net.ParseCIDR("ff00::/8")
		err = h.RouteAdd(&netlink.Route{LinkIndex: lo.Attrs().Index, Dst: all, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL})
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// addPair makes two connected interfaces a and b with the given addresses.
func addPair(t testing.TB, h *netlink.Handle, a, b string, addrs ...string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = a
	if err := h.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: b}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{a, b} {
		l, err := h.LinkByName(name)
		if err == nil {
			err = h.LinkSetUp(l)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	awaitRoute(t, h, a)
	awaitRoute(t, h, b)
	l, err := h.LinkByName(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range addrs {
		addr, err := netlink.ParseAddr(s)
		if err != nil {
			t.Fatal(err)
		}
		addr.Flags = unix.IFA_F_NODAD
		if addr.IP.To4() != nil {
			addr.Flags = 0
		}
		if err := h.AddrAdd(l, addr); err != nil {
			t.Fatal(err)
		}
	}
}

// reusePort is a net.ListenConfig's Control.
func reusePort(_, _ string, c syscall.RawConn) (err error) {
	cerr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	return errors.Join(err, cerr)
}

// dropCapabilities takes all rights from the calling goroutine's thread, for good: the thread ends with the goroutine.
func dropCapabilities(t *testing.T) {
	runtime.LockOSThread()
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&hdr, &none[0]); err != nil {
		t.Error(err)
	}
}

// awaitRoute waits for an interface's own route for IPv6 multicast, which the kernel makes a moment after the link is up.
// Until then it drops without a word.
func awaitRoute(t testing.TB, h *netlink.Handle, name string) {
	t.Helper()
	l, err := h.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		routes, err := h.RouteListFiltered(netlink.FAMILY_V6, &netlink.Route{LinkIndex: l.Attrs().Index, Table: unix.RT_TABLE_LOCAL},
			netlink.RT_FILTER_OIF|netlink.RT_FILTER_TABLE)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range routes {
			if r.Dst != nil && r.Dst.IP.IsMulticast() {
				return
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("%s has no multicast route", name)
}
