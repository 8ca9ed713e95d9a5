package dgram

import (
	"errors"
	"net"
	"net/netip"
)

// receiverConn hears the group on one socket and sends from another, since a socket bound to a group has no address of
// its own.
type receiverConn struct {
	in, out *socket
	group   netip.AddrPort
	hops    int
	quiet   bool
	info    Info
}

func (c *receiverConn) ReadBatch(d []Datagrams) (int, error) { return c.in.readBatch(d) }

func (c *receiverConn) WriteRun(b []byte, segment int, to netip.AddrPort, hopLimit int) error {
	if !to.IsValid() {
		to = c.group
	}
	return c.out.writeRun(b, segment, to, c.hops, hopLimit, c.quiet)
}

func (c *receiverConn) LocalAddr() netip.AddrPort { return c.group }

func (c *receiverConn) Info() Info {
	info := c.info
	info.GSO = c.out.gso()
	return info
}

func (c *receiverConn) Stats() (st Stats) {
	c.in.stats(&st)
	c.out.stats(&st)
	return st
}

func (c *receiverConn) Close() error {
	err := c.in.close()
	if errors.Is(err, net.ErrClosed) {
		return net.ErrClosed
	}
	return errors.Join(err, c.out.close())
}
