//go:build !linux

package dgram

import (
	"net"
	"net/netip"
)

// Other systems read and write one datagram a call, and nobody tells what their buffers dropped.
type (
	reader struct{}
	writer struct{}
)

func (s *socket) readSome(d []Datagrams) (int, error) { return s.readPlain(d) }

func (s *socket) writeSome(b []byte, segment int, to netip.AddrPort, hopLimit int) error {
	if to.Addr().Zone() == "" && needsScope(to.Addr()) {
		to = netip.AddrPortFrom(to.Addr().WithZone(s.ifi.Name), to.Port())
	}
	return s.writePlain(b, segment, to, hopLimit)
}

func (s *socket) kernelDrops() uint64 { return 0 }
func (s *socket) gso() bool           { return false }
func (s *socket) gro() bool           { return false }

func probeRoute(netip.AddrPort, *net.Interface) error { return nil }

// setBuffers asks for socket buffers (0: leave as it is), for less where that is refused, and returns what was given.
func (s *socket) setBuffers(recv, send int) (gotRecv, gotSend int) {
	type buffered interface {
		SetReadBuffer(int) error
		SetWriteBuffer(int) error
	}
	c := s.conn.(buffered)
	one := func(size int, set func(int) error) int {
		for size > 4096 && set(size) != nil {
			size /= 2
		}
		return size
	}
	one(recv, c.SetReadBuffer)
	one(send, c.SetWriteBuffer)
	return s.buffers()
}
