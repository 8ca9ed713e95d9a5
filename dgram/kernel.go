package dgram

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"
)

// opening is what both kinds of Conn find out first.
type opening struct {
	Options
	network string
	raw     bool
	group   netip.AddrPort // its zone is the interface's name, if it has a scope to need one
	ifi     *net.Interface
	prefer  netip.Addr // the address that named the interface
}

func prepare(ctx context.Context, network string, group netip.AddrPort, o Options) (*opening, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	kind, err := parseNetwork(network)
	if err != nil {
		return nil, err
	}
	group = netip.AddrPortFrom(group.Addr().Unmap(), group.Port())
	if err := checkGroup(network, kind, group); err != nil {
		return nil, err
	}
	if o.HopLimit < 0 || o.HopLimit > 255 {
		return nil, fmt.Errorf("dgram: bad HopLimit %d: use 1 to 255, or 0 for %d", o.HopLimit, DefaultHopLimit)
	}
	if o.RecvBuffer < 0 || o.SendBuffer < 0 {
		return nil, fmt.Errorf("dgram: negative socket buffer: RecvBuffer %d, SendBuffer %d", o.RecvBuffer, o.SendBuffer)
	}
	for _, s := range o.Sources {
		if s.Unmap().BitLen() != group.Addr().BitLen() || s.IsMulticast() || s.IsUnspecified() {
			return nil, fmt.Errorf("dgram: Sources has %v, which cannot be a sender to group %v", s, group.Addr())
		}
	}
	op := &opening{Options: o, network: network, raw: kind.raw}
	op.HopLimit = orDefault(o.HopLimit, DefaultHopLimit)
	op.RecvBuffer = orDefault(o.RecvBuffer, DefaultRecvBuffer)
	op.SendBuffer = orDefault(o.SendBuffer, DefaultSendBuffer)
	op.Sources = make([]netip.Addr, len(o.Sources))
	for i, s := range o.Sources {
		op.Sources[i] = s.Unmap()
	}
	if op.ifi, op.prefer, err = pickInterface(group.Addr(), o.Interface); err != nil {
		return nil, err
	}
	op.group = group
	if group.Addr().Is6() {
		op.group = netip.AddrPortFrom(group.Addr().WithZone(op.ifi.Name), group.Port())
	}
	return op, nil
}

func orDefault(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// needsScope reports whether an address means something only together with an interface.
func needsScope(a netip.Addr) bool {
	return a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a.IsInterfaceLocalMulticast()
}

// spec is the socket bound to an address.
func (op *opening) spec(addr netip.Addr, port uint16) spec {
	return spec{v6: op.group.Addr().Is6(), raw: op.raw, bind: netip.AddrPortFrom(addr, port), ifi: op.ifi}
}

// info is what is the same for both kinds of Conn.
func (op *opening) info(s *socket) Info {
	own := ownAddresses(op.ifi, s.v6, op.prefer)
	var from netip.Addr
	if len(own) > 0 {
		from = own[0]
	}
	return Info{
		From:      netip.AddrPortFrom(from, 0), // the port is of the socket that sends
		Interface: op.ifi.Name, Index: op.ifi.Index, MTU: op.ifi.MTU,
		GroupAddr: op.group.Addr(), Port: op.group.Port(),
		LinkLocalOnly: s.v6 && len(own) > 0 && !slices.ContainsFunc(own, func(a netip.Addr) bool { return !a.IsLinkLocalUnicast() }),
		Raw:           op.raw,
	}
}

// explain turns an error of the system into one that says what to do.
func (op *opening) explain(err error, addr netip.Addr) error {
	switch {
	case op.raw && errors.Is(err, os.ErrPermission):
		return fmt.Errorf("dgram: no permission for raw IP protocol %d: run as root, give the program the capability (setcap cap_net_raw+ep), or use the network udp: %w", protocolPGM, err)
	case errors.Is(err, errInUse):
		return fmt.Errorf("dgram: port %d of %v is in use by a program that does not share it (ss -ulnp shows which): end it or use another port: %w", op.group.Port(), addr, err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("dgram: no permission for port %d of %v: use a port from 1024 up: %w", op.group.Port(), addr, err)
	case errors.Is(err, errNotAvailable):
		return fmt.Errorf("dgram: address %v of interface %s is not usable (yet): %w", addr, op.ifi.Name, err)
	}
	return fmt.Errorf("dgram: opening %s %v on interface %s: %w", op.network, addr, op.ifi.Name, err)
}

// OpenSource opens the sending end of a group; see Network.
func (kernel) OpenSource(ctx context.Context, network string, group netip.AddrPort, o Options) (Conn, error) {
	op, err := prepare(ctx, network, group, o)
	if err != nil {
		return nil, err
	}
	name := op.ifi.Name
	if err := probeRoute(op.group, op.ifi); err != nil {
		if op.ifi.Flags&net.FlagLoopback != 0 {
			return nil, fmt.Errorf("dgram: %s has no route for IPv6 multicast: use another interface or an IPv4 group, or add the route (as root: ip -6 route add local ff00::/8 dev %s): %w", name, name, err)
		}
		return nil, fmt.Errorf("dgram: no route for IPv6 multicast on interface %s: give it an IPv6 address, or use another interface or an IPv4 group: %w", name, err)
	}
	own := ownAddresses(op.ifi, op.group.Addr().Is6(), op.prefer)
	if len(own) == 0 {
		family, other := "IPv4", "IPv6"
		if op.group.Addr().Is6() {
			family, other = other, family
		}
		return nil, fmt.Errorf("dgram: interface %s has no %s address: give it one, or use another interface or an %s group", name, family, other)
	}
	for _, addr := range own {
		var c *sourceConn
		if c, err = openSourceAt(ctx, op, addr); err == nil {
			return c, nil
		}
		if !errors.Is(err, errNotAvailable) {
			return nil, op.explain(err, addr)
		}
	}
	return nil, op.explain(err, own[0])
}

// openSourceAt opens a source on one address. A new address cannot be bound before the system has made sure that nobody else
// has it, which takes a second or two.
func openSourceAt(ctx context.Context, op *opening, addr netip.Addr) (*sourceConn, error) {
	for range 60 {
		c, err := sources.open(op, addr)
		if !errors.Is(err, errNotAvailable) || addressStates(op.ifi)[addr.WithZone("")]&stateTentative == 0 {
			return c, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil, errNotAvailable
}

// OpenReceiver joins a group; see Network.
func (kernel) OpenReceiver(ctx context.Context, network string, group netip.AddrPort, o Options) (Conn, error) {
	op, err := prepare(ctx, network, group, o)
	if err != nil {
		return nil, err
	}
	addr := op.group.Addr()
	if isSSM(addr) && len(op.Sources) == 0 {
		return nil, fmt.Errorf("dgram: group %v is in the range of source-specific multicast: name its senders in Sources, or use another group (ff15::…, 239.…)", addr)
	}
	sp := op.spec(addr, op.group.Port())
	sp.reuse = true
	in, err := newSocket(sp, &op.Options)
	if err != nil {
		return nil, op.explain(err, addr)
	}
	c := &receiverConn{in: in, group: op.group, hops: op.HopLimit, quiet: op.NoLoopback}
	c.info = op.info(in)
	c.info.RecvBuffer, _ = in.setBuffers(op.RecvBuffer, 0)
	if err := in.join(addr.WithZone(""), op.Sources); err != nil {
		in.close()
		if len(op.Sources) > 1 {
			return nil, fmt.Errorf("dgram: joining %v from %d Sources on interface %s (is sysctl net.ipv4.igmp_max_msf or net.ipv6.mld_max_msf lower?): %w", addr, len(op.Sources), op.ifi.Name, err)
		}
		return nil, fmt.Errorf("dgram: joining %v on interface %s: %w", addr, op.ifi.Name, err)
	}
	any := netip.IPv4Unspecified()
	if in.v6 {
		any = netip.IPv6Unspecified()
	}
	sp = op.spec(any, 0)
	sp.deaf = true
	if c.out, err = newSocket(sp, &op.Options); err != nil {
		in.close()
		return nil, op.explain(err, any)
	}
	c.info.From = netip.AddrPortFrom(c.info.From.Addr(), c.out.localPort())
	_, c.info.SendBuffer = c.out.setBuffers(0, op.SendBuffer)
	c.info.GRO = in.gro()
	return c, nil
}
