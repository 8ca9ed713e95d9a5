package demand

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// reports hears the reports that kernels send of a group.
type reports struct {
	conn net.PacketConn
	own  []net.IP // when it began; it may have got others since
	done chan struct{}
}

// Where reports go. Those of versions 1 and 2 go to the group itself, which the Watcher's Ear has the interface hear.
var (
	allMLD2Routers  = netip.MustParseAddr("ff02::16")
	allRouters6     = netip.MustParseAddr("ff02::2") // MLDv1's "done"
	allIGMP3Routers = netip.MustParseAddr("224.0.0.22")
	allRouters4     = netip.MustParseAddr("224.0.0.2") // IGMPv2's "leave"
)

// listenReports calls report for each that is about group and comes by the named interface, from a goroutine of its own, until it is closed.
func listenReports(group netip.Addr, name string, report func(host netip.Addr, on bool)) (*reports, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("demand: %w", err)
	}
	network := "ip4:igmp"
	if group.Is6() {
		network = "ip6:ipv6-icmp"
	}
	var bound error
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error { // what comes by other interfaces is about other links
		return errors.Join(raw.Control(func(fd uintptr) { bound = unix.BindToDevice(int(fd), name) }), bound)
	}}
	conn, err := lc.ListenPacket(context.Background(), network, "")
	if err != nil {
		return nil, fmt.Errorf("demand: Reports takes a raw socket, which needs root or CAP_NET_RAW (setcap cap_net_raw+ep PROGRAM): %w", err)
	}
	if err := join(conn, group.Is6(), ifi); err != nil {
		conn.Close()
		return nil, fmt.Errorf("demand: %s hears no reports: %w", name, err)
	}
	r := &reports{conn: conn, own: ownAddresses(), done: make(chan struct{})}
	go r.read(group, report)
	return r, nil
}

// join has an interface hear what is for routers.
func join(conn net.PacketConn, v6 bool, ifi *net.Interface) error {
	if !v6 {
		p := ipv4.NewPacketConn(conn)
		return errors.Join(p.JoinGroup(ifi, udpAddr(allIGMP3Routers)), p.JoinGroup(ifi, udpAddr(allRouters4)))
	}
	p := ipv6.NewPacketConn(conn)
	var f ipv6.ICMPFilter
	f.SetAll(true)
	for _, t := range []ipv6.ICMPType{mld1Report, mld1Done, mld2Report} {
		f.Accept(t)
	}
	_ = p.SetICMPFilter(&f) // what else comes is passed over
	return errors.Join(p.JoinGroup(ifi, udpAddr(allMLD2Routers)), p.JoinGroup(ifi, udpAddr(allRouters6)))
}

func udpAddr(a netip.Addr) *net.UDPAddr { return &net.UDPAddr{IP: a.AsSlice()} }

// ownAddresses returns this host's addresses: its own listening, as for requests, is on the group, too, and its kernel hears itself.
func ownAddresses() (all []net.IP) {
	list, _ := net.InterfaceAddrs()
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok {
			all = append(all, n.IP)
		}
	}
	return all
}

func (r *reports) close() error {
	err := r.conn.Close()
	<-r.done
	return err
}

func (r *reports) read(group netip.Addr, report func(netip.Addr, bool)) {
	defer close(r.done)
	b := make([]byte, 1<<16)
	for {
		n, from, err := r.conn.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // a link that went down
			continue
		}
		a, ok := from.(*net.IPAddr)
		if !ok {
			continue
		}
		host, _ := netip.AddrFromSlice(a.IP)
		if speaks, on := membership(b[:n], group); speaks && !slices.ContainsFunc(append(ownAddresses(), r.own...), a.IP.Equal) {
			report(host.Unmap(), on)
		}
	}
}
