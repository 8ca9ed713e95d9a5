//go:build darwin || freebsd

package dgram

import "golang.org/x/sys/unix"

// tune keeps datagrams whole: a fragment lost is a datagram lost. Systems that lack the option do without.
func (s *socket) tune() error {
	return s.sys.Control(func(fd uintptr) {
		if s.v6 {
			unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1)
		} else {
			unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_DONTFRAG, 1)
		}
	})
}
