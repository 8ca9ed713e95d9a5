package demand

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/transport"
)

// reports hears the reports that kernels send of a group.
type reports struct {
	conn net.PacketConn
	own  []net.IP // when it began; it may have got others since
	done chan struct{}
}

var (
	allMLD2Routers  = netip.MustParseAddr("ff02::16")
	allIGMP3Routers = netip.MustParseAddr("224.0.0.22")
	allRouters4     = netip.MustParseAddr("224.0.0.2") // leaves of IGMPv2
)

// listenReports calls report for each that is about group, from a goroutine of its own, until it is closed.
func listenReports(group string, cfg *transport.Config, report func(host netip.Addr, on bool)) (*reports, error) {
	g, err := dgram.ParseGroup("udp", group)
	if err != nil {
		return nil, err
	}
	name := g.Addr().Zone()
	if cfg != nil && cfg.Interface != "" {
		name = cfg.Interface
	}
	all, err := linkInterfaces(name)
	if err != nil {
		return nil, err
	}
	addr := g.Addr().WithZone("").Unmap()
	network, v6 := "ip6:ipv6-icmp", addr.Is6()
	if !v6 {
		network = "ip4:igmp"
	}
	conn, err := net.ListenPacket(network, "")
	if err != nil {
		return nil, fmt.Errorf("demand: Reports takes a raw socket, which needs root or CAP_NET_RAW (setcap cap_net_raw+ep PROGRAM): %w", err)
	}
	join, joined := joiner(conn, v6, addr), error(nil)
	on := 0
	for i := range all {
		if err := join(&all[i]); err == nil {
			on++
		} else {
			joined = errors.Join(joined, fmt.Errorf("demand: %s: %w", all[i].Name, err))
		}
	}
	if on == 0 {
		conn.Close()
		return nil, errors.Join(errors.New("demand: no interface hears reports"), joined)
	}
	r := &reports{conn: conn, own: ownAddresses(), done: make(chan struct{})}
	go r.read(v6, addr, report)
	return r, nil
}

// linkInterfaces returns the interface of a name or address, or all that are up and know multicast.
func linkInterfaces(name string) (all []net.Interface, err error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("demand: %w", err)
	}
	for _, i := range list {
		switch {
		case name == "":
			if i.Flags&(net.FlagUp|net.FlagMulticast) == net.FlagUp|net.FlagMulticast {
				all = append(all, i)
			}
		case i.Name == name || fmt.Sprint(i.Index) == name || hasAddress(&i, name):
			return []net.Interface{i}, nil
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("demand: no interface %q", name)
	}
	return all, nil
}

func hasAddress(i *net.Interface, addr string) bool {
	list, _ := i.Addrs()
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok && n.IP.String() == addr {
			return true
		}
	}
	return false
}

// joiner returns how to hear reports of group on an interface: those to all routers, and those of old versions to the group itself.
func joiner(conn net.PacketConn, v6 bool, group netip.Addr) func(*net.Interface) error {
	if v6 {
		p := ipv6.NewPacketConn(conn)
		var f ipv6.ICMPFilter
		f.SetAll(true)
		for _, t := range []ipv6.ICMPType{mld1Report, mld1Done, mld2Report} {
			f.Accept(t)
		}
		_ = p.SetICMPFilter(&f) // what else comes is passed over
		return func(i *net.Interface) error {
			return p.JoinGroup(i, &net.UDPAddr{IP: allMLD2Routers.AsSlice()})
		}
	}
	p := ipv4.NewPacketConn(conn)
	return func(i *net.Interface) error {
		_ = p.JoinGroup(i, &net.UDPAddr{IP: allRouters4.AsSlice()})
		return p.JoinGroup(i, &net.UDPAddr{IP: allIGMP3Routers.AsSlice()})
	}
}

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

func (r *reports) read(v6 bool, group netip.Addr, report func(netip.Addr, bool)) {
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
		if speaks, on := membership(b[:n], v6, group); speaks && !slices.ContainsFunc(append(ownAddresses(), r.own...), a.IP.Equal) {
			report(host.Unmap(), on)
		}
	}
}
