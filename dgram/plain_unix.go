//go:build unix && !linux

package dgram

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// buffers asks what socket buffers there are.
func (s *socket) buffers() (recv, send int) {
	s.sys.Control(func(fd uintptr) {
		recv, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
		send, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
	})
	return recv, send
}

// readUDP reads one datagram.
func (s *socket) readUDP(d *Datagrams) (n int, truncated bool, err error) {
	n, _, flags, from, err := s.udp.ReadMsgUDPAddrPort(d.B, nil)
	d.From = from
	return n, flags&syscall.MSG_TRUNC != 0, err
}
