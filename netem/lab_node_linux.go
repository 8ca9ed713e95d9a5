package netem

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// makeNode sets a node's interface up: addresses, routes, shaping, offloads.
func (l *Lab) makeNode(n Node) error {
	ns, err := l.namespace(n)
	if err != nil {
		return err
	}
	err = inside(ns, func() error {
		conf := "net/ipv6/conf/" + LabInterface
		err := errors.Join(
			sysctl(conf+"/accept_dad", "0"), // else addresses cannot be used for a second
			sysctl(conf+"/addr_gen_mode", "1"),
			sysctl(conf+"/router_solicitations", "0"))
		if err == nil && l.cfg.Wire && (n == Sender || l.relay) {
			err = offloadsOff(LabInterface)
		}
		return err
	})
	if err != nil {
		return err
	}
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("socket(AF_NETLINK, NETLINK_ROUTE): %w", err)
	}
	defer h.Close()
	for _, name := range []string{"lo", LabInterface} {
		link, err := h.LinkByName(name)
		if err == nil {
			err = h.LinkSetUp(link)
		}
		if err != nil {
			return fmt.Errorf("rtnetlink: set %s up: %w", name, err)
		}
	}
	eth, err := running(h, LabInterface)
	if err != nil {
		return err
	}
	if err := l.address(h, eth, n); err != nil {
		return err
	}
	if n == Sender && l.cfg.Rate > 0 {
		return shape(h, eth, l.cfg.Rate, l.cfg.BurstBytes, l.cfg.QueueBytes)
	}
	return nil
}

// running waits until an interface works; that is some milliseconds after it was set up.
func running(h *netlink.Handle, name string) (netlink.Link, error) {
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		link, err := h.LinkByName(name)
		switch {
		case err != nil:
			return nil, fmt.Errorf("rtnetlink: get %s: %w", name, err)
		case link.Attrs().OperState == netlink.OperUp:
			return link, nil
		case time.Since(start) > 2*time.Second:
			return nil, fmt.Errorf("%s is %v, not up, after 2 s", name, link.Attrs().OperState)
		}
	}
}

// solicited waits until the current thread's namespace hears neighbours that look for addr. The kernel joins that group some time
// after it took the address; a question that comes before is lost, and repeated after a second only.
func solicited(addr netip.Addr) error {
	group := fmt.Appendf(nil, "%x", solicitedNode(addr).As16())
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		joined, err := os.ReadFile("/proc/thread-self/net/igmp6")
		switch {
		case err != nil:
			return err
		case bytes.Contains(joined, group):
			return nil
		case time.Since(start) > 2*time.Second:
			return fmt.Errorf("the group by which neighbours find %v is not joined after 2 s", addr)
		}
	}
}

// address gives the node its addresses, and the IPv4 multicast route that sockets without an interface need.
func (l *Lab) address(h *netlink.Handle, eth netlink.Link, n Node) error {
	prefixes := []netip.Prefix{netip.PrefixFrom(n.LinkLocal().WithZone(""), 64)}
	if !l.cfg.LinkLocalOnly {
		prefixes = append(prefixes, netip.PrefixFrom(n.Addr6(), 64), netip.PrefixFrom(n.Addr4(), 16))
	}
	for _, p := range prefixes {
		a := &netlink.Addr{IPNet: ipNet(p)}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := h.AddrAdd(eth, a); err != nil {
			return fmt.Errorf("rtnetlink: add address %v: %w", p, err)
		}
	}
	if l.cfg.LinkLocalOnly {
		return nil
	}
	groups := netip.MustParsePrefix("224.0.0.0/4")
	err := h.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: ipNet(groups), Scope: netlink.SCOPE_LINK})
	if err != nil {
		return fmt.Errorf("rtnetlink: add route %v: %w", groups, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// shape gives the interface a token bucket.
func shape(h *netlink.Handle, link netlink.Link, bitRate int64, burstBytes, queueBytes int) error {
	rate := max(1, uint64(bitRate)/8) // bytes/s
	tbf := &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT,
		},
		Rate: rate, Limit: uint32(queueBytes),
		Buffer: netlink.Xmittime(rate, uint32(burstBytes)), // a time in ticks, not bytes
	}
	if err := h.QdiscAdd(tbf); err != nil {
		return fmt.Errorf("rtnetlink: add a qdisc of kind tbf: %w", err)
	}
	return nil
}

// SetRate gives what a node is sent a link of its own: rate in bits per second of Ethernet frames without checksum, and a queue of that many bytes of
// them, behind which packets are lost; queueBytes 0 means 20 ms at that rate, and room for 32 of the largest packets at least. Rate 0 takes the
// shaper away again. It takes the place of what [Lab.SetQdisc] has set for what the node is sent. Unlike the sender's own shaper (LabConfig.Rate) this
// one does not hold back the sockets that send.
func (l *Lab) SetRate(n Node, rate int64, queueBytes int) error {
	_, down, err := l.devices(n)
	if err != nil {
		return err
	}
	if rate < 0 || queueBytes < 0 || queueBytes > math.MaxInt32 {
		return fmt.Errorf("netem: rate %d or queue of %d bytes is out of range", rate, queueBytes)
	}
	packet := l.cfg.MTU + frameHeader
	if queueBytes == 0 {
		queueBytes = max(bytesIn(rate, linkQueue), linkPackets*packet)
	}
	h, err := netlink.NewHandleAt(down.ns, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("netem: %v: socket(AF_NETLINK, NETLINK_ROUTE): %w", n, err)
	}
	defer h.Close()
	link, err := h.LinkByName(down.name)
	if err != nil {
		return fmt.Errorf("netem: %v: rtnetlink: get %s: %w", n, down.name, err)
	}
	if err := inside(down.ns, func() error { return deleteQdisc(link.Attrs().Index) }); err != nil {
		return fmt.Errorf("netem: %v: %w", n, err)
	}
	if rate == 0 {
		return nil
	}
	if err := detach(h); err != nil {
		return fmt.Errorf("netem: bridge: %w", err)
	}
	if err := shape(h, link, rate, max(bytesIn(rate, linkBurst), 2*packet), queueBytes); err != nil {
		return fmt.Errorf("netem: %v: %w", n, err)
	}
	return nil
}

// detach makes the bridge send copies to its ports. One of them would be the packet itself, which counts as unsent by its socket until it has left
// the last queue, across namespaces too: a sender would wait for the slowest link, and all receivers with it. A promiscuous bridge takes the packet
// for itself.
func detach(h *netlink.Handle) error {
	bridge, err := h.LinkByName(bridgeName)
	if err == nil {
		err = h.SetPromiscOn(bridge)
	}
	if err != nil {
		return fmt.Errorf("rtnetlink: make %s promiscuous: %w", bridgeName, err)
	}
	return nil
}

// bytesIn returns how much passes in a part of a second, as far as the kernel counts.
func bytesIn(rate int64, d time.Duration) int {
	return int(min(rate/8/int64(time.Second/d), math.MaxInt32))
}

// offloadsOff makes a link carry single packets, as they would be on a wire. It works in the current thread's namespace.
func offloadsOff(name string) error {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return fmt.Errorf("ethtool: %w", err)
	}
	defer e.Close()
	have, err := e.Features(name)
	if err != nil {
		return fmt.Errorf("ethtool: features of %s: %w", name, err)
	}
	off := map[string]bool{}
	for f, on := range have {
		switch {
		case !on:
		case f == "tx-udp-segmentation", f == "tx-generic-segmentation", f == "tx-gso-list", f == "tx-checksum-ip-generic",
			f == "rx-gro", f == "rx-udp-gro-forwarding", f == "rx-gro-list",
			strings.HasPrefix(f, "tx-tcp") && strings.HasSuffix(f, "segmentation"):
			off[f] = false
		}
	}
	if len(off) == 0 {
		return nil
	}
	if err := e.Change(name, off); err != nil {
		return fmt.Errorf("ethtool: turn offloads of %s off: %w", name, err)
	}
	return nil
}

// Counters returns what a node's interface, shaper and packet filter have counted.
func (l *Lab) Counters(n Node) (LabCounters, error) {
	ns, err := l.namespace(n)
	if err != nil {
		return LabCounters{}, err
	}
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return LabCounters{}, fmt.Errorf("netem: %v: socket(AF_NETLINK, NETLINK_ROUTE): %w", n, err)
	}
	defer h.Close()
	link, err := h.LinkByName(LabInterface)
	if err != nil {
		return LabCounters{}, fmt.Errorf("netem: %v: rtnetlink: get %s: %w", n, LabInterface, err)
	}
	s := link.Attrs().Statistics
	c := LabCounters{
		RxPackets: s.RxPackets, RxBytes: s.RxBytes, TxPackets: s.TxPackets, TxBytes: s.TxBytes,
		RxDropped: s.RxDropped, TxDropped: s.TxDropped,
	}
	own, err := tbfDrops(h, link)
	if err != nil {
		return c, fmt.Errorf("netem: %v: %w", n, err)
	}
	towards, err := l.downDrops(n)
	if err != nil {
		return c, fmt.Errorf("netem: %v: %w", n, err)
	}
	c.QueueDrops = own + towards
	c.Offered, c.Lost, err = l.links[n+1].counters()
	if err != nil {
		return c, fmt.Errorf("netem: %v: %w", n, err)
	}
	return c, nil
}

// downDrops counts what the shaper of SetRate has dropped.
func (l *Lab) downDrops(n Node) (uint64, error) {
	_, down, err := l.devices(n)
	if err != nil {
		return 0, err
	}
	h, err := netlink.NewHandleAt(down.ns, unix.NETLINK_ROUTE)
	if err != nil {
		return 0, fmt.Errorf("socket(AF_NETLINK, NETLINK_ROUTE): %w", err)
	}
	defer h.Close()
	link, err := h.LinkByName(down.name)
	if err != nil {
		return 0, fmt.Errorf("rtnetlink: get %s: %w", down.name, err)
	}
	return tbfDrops(h, link)
}

// tbfDrops counts what an interface's shaper has dropped.
func tbfDrops(h *netlink.Handle, link netlink.Link) (drops uint64, err error) {
	qdiscs, err := h.QdiscList(link)
	if err != nil {
		return 0, fmt.Errorf("rtnetlink: list qdiscs: %w", err)
	}
	for _, q := range qdiscs {
		if st := q.Attrs().Statistics; q.Type() == "tbf" && st != nil && st.Queue != nil {
			drops += uint64(st.Queue.Drops)
		}
	}
	return drops, nil
}
