//go:build unix

package dgram

import (
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// listen makes a socket bound to exactly the address of sp. (net.ListenPacket would bind the wildcard instead of a group, and
// then takes other groups' datagrams and unicast meant for a source.)
func listen(sp spec) (net.PacketConn, error) {
	family, typ, proto := unix.AF_INET, unix.SOCK_DGRAM, 0
	if sp.v6 {
		family = unix.AF_INET6
	}
	if sp.raw {
		typ, proto = unix.SOCK_RAW, protocolPGM
	}
	syscall.ForkLock.RLock() // no child may inherit the socket before it is marked
	fd, err := unix.Socket(family, typ, proto)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "dgram")
	defer f.Close() // FilePacketConn works on a duplicate
	set := func(level, name, value int) {
		if err == nil {
			err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, name, value))
		}
	}
	if sp.v6 && !sp.raw {
		set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if sp.reuse {
		// REUSEADDR is what several receivers need; REUSEPORT is for those of other programs that set nothing else.
		set(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, sockaddr(sp)); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return net.FilePacketConn(f)
}

func sockaddr(sp spec) unix.Sockaddr {
	a, port := sp.bind.Addr(), int(sp.bind.Port())
	if sp.raw {
		port = 0
	}
	if !sp.v6 {
		return &unix.SockaddrInet4{Addr: a.As4(), Port: port}
	}
	sa := &unix.SockaddrInet6{Addr: a.As16(), Port: port}
	if needsScope(a) {
		sa.ZoneId = uint32(sp.ifi.Index)
	}
	return sa
}
