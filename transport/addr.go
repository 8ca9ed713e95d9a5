package transport

import (
	"net/netip"

	"github.com/rmcast/rmcast/wire"
)

// Addr is the address of one end of a session; it implements net.Addr. Addresses can be compared with ==.
//
//	Source.LocalAddr     the source's own address, port and TSI
//	Source.RemoteAddr    the group
//	Listener.Addr        the group
//	Receiver.LocalAddr   the group
//	Receiver.RemoteAddr  the source's address and TSI
type Addr struct {
	network string
	group   netip.AddrPort
	host    netip.AddrPort
	tsi     wire.TSI
}

// Network returns the network as it was given to Dial or Listen: "udp", "ip6:pgm", ….
func (a *Addr) Network() string { return a.network }

// Group returns the session's group and UDP port (0 on raw IP if none was given). An IPv6 group has the interface's name as
// its zone.
func (a *Addr) Group() netip.AddrPort { return a.group }

// Host returns the source's unicast address; it is not valid in the address of a group. The port is 0 where it is not known.
func (a *Addr) Host() netip.AddrPort { return a.host }

// TSI returns the source's session; it is zero in the address of a group.
func (a *Addr) TSI() wire.TSI { return a.tsi }

// String gives a group as "[ff15::8000:1%eth0]:7500", which Dial and Listen take, and a source as TSI@address.
func (a *Addr) String() string {
	switch {
	case a == nil:
		return "<nil>"
	case !a.host.IsValid() && a.group.Port() == 0:
		return a.group.Addr().String()
	case !a.host.IsValid():
		return a.group.String()
	case a.host.Port() == 0:
		return a.tsi.String() + "@" + a.host.Addr().String()
	}
	return a.tsi.String() + "@" + a.host.String()
}
