package dgram

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// listen makes a socket. Windows binds no group address: a receiver's socket gets the wildcard, and readUDP filters.
func listen(sp spec) (net.PacketConn, error) {
	if sp.raw {
		return nil, errors.New("raw IP is not to be had on Windows; use the network udp")
	}
	network := "udp4"
	if sp.v6 {
		network = "udp6"
	}
	if !sp.reuse {
		return net.ListenUDP(network, net.UDPAddrFromAddrPort(sp.bind))
	}
	any := netip.AddrPortFrom(netip.IPv4Unspecified(), sp.bind.Port())
	if sp.v6 {
		any = netip.AddrPortFrom(netip.IPv6Unspecified(), sp.bind.Port())
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) {
			err = windows.SetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, windows.SO_REUSEADDR, 1)
			if err == nil && sp.v6 {
				err = windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IPV6, windows.IPV6_PKTINFO, 1)
			} else if err == nil {
				err = windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IP, windows.IP_PKTINFO, 1)
			}
		})
		return errors.Join(err, cerr)
	}}
	return lc.ListenPacket(context.Background(), network, any.String())
}

// tune keeps datagrams whole. Versions that lack the option do without.
func (s *socket) tune() error {
	return s.sys.Control(func(fd uintptr) {
		const dontFragment = 14 // IP_DONTFRAGMENT and IPV6_DONTFRAG
		if s.v6 {
			windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IPV6, dontFragment, 1)
		} else {
			windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IP, dontFragment, 1)
		}
	})
}

// buffers asks what socket buffers there are.
func (s *socket) buffers() (recv, send int) {
	s.sys.Control(func(fd uintptr) {
		recv, _ = windows.GetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, windows.SO_RCVBUF)
		send, _ = windows.GetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, windows.SO_SNDBUF)
	})
	return recv, send
}

// readUDP reads one datagram. n is -1 if it was not for the group.
func (s *socket) readUDP(d *Datagrams) (n int, truncated bool, err error) {
	var oob [64]byte
	n, oobn, _, from, err := s.udp.ReadMsgUDPAddrPort(d.B, oob[:])
	if errors.Is(err, windows.WSAEMSGSIZE) {
		n, truncated, err = len(d.B), true, nil
	}
	d.From = from
	if err == nil && s.multicast && !isFor(oob[:oobn], s.bind.Addr(), s.ifi.Index) {
		s.filtered.Add(1)
		return -1, false, nil
	}
	return n, truncated, err
}

// isFor reads the packet information of a control message: destination address and interface. Without one it says yes.
func isFor(oob []byte, group netip.Addr, index int) bool {
	const head = int(unsafe.Sizeof(uintptr(0))) + 8 // struct _WSACMSGHDR: SIZE_T, INT, INT; aligned already
	size := group.BitLen() / 8
	if len(oob) < head+size+4 {
		return true
	}
	to, _ := netip.AddrFromSlice(oob[head : head+size])
	at := *(*uint32)(unsafe.Pointer(&oob[head+size]))
	return to == group.WithZone("") && (at == 0 || int(at) == index)
}
