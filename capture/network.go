package capture

import (
	"context"
	"net/netip"

	"github.com/rmcast/rmcast/dgram"
)

// Network returns a network like n, nil being the kernel's, with what its Conns send and receive written to the File. It goes on
// working after Close, unseen.
func (f *File) Network(n dgram.Network) dgram.Network {
	if n == nil {
		n = dgram.Kernel
	}
	return network{f, n}
}

type network struct {
	file *File
	dgram.Network
}

func (n network) OpenSource(ctx context.Context, network string, group netip.AddrPort, o dgram.Options) (dgram.Conn, error) {
	c, err := n.Network.OpenSource(ctx, network, group, o)
	if err != nil {
		return nil, err
	}
	return n.file.wrap(c, "source", o.HopLimit), nil
}

func (n network) OpenReceiver(ctx context.Context, network string, group netip.AddrPort, o dgram.Options) (dgram.Conn, error) {
	c, err := n.Network.OpenReceiver(ctx, network, group, o)
	if err != nil {
		return nil, err
	}
	return n.file.wrap(c, "receiver", o.HopLimit), nil
}

// unicastHops is the hop limit written for unicast, and multicastHops that for received multicast: nobody tells the true ones.
const (
	unicastHops   = 64
	multicastHops = dgram.DefaultHopLimit
)

// conn is a dgram.Conn under observation.
type conn struct {
	dgram.Conn
	file  *File
	id    int // of its interface in the file
	from  netip.AddrPort
	group netip.AddrPort
	raw   bool
	hops  uint8
}

func (f *File) wrap(c dgram.Conn, role string, hops int) *conn {
	info := c.Info()
	group := netip.AddrPortFrom(info.GroupAddr.Unmap(), info.Port)
	from := netip.AddrPortFrom(info.From.Addr().Unmap(), info.From.Port())
	if from.Addr().BitLen() != group.Addr().BitLen() { // nobody knows
		from = netip.AddrPortFrom(netip.IPv6Unspecified(), from.Port())
		if group.Addr().Is4() {
			from = netip.AddrPortFrom(netip.IPv4Unspecified(), from.Port())
		}
	}
	if hops == 0 {
		hops = dgram.DefaultHopLimit
	}
	id := f.describe(info.Interface, role+" of "+group.String())
	return &conn{Conn: c, file: f, id: id, from: from, group: group, raw: info.Raw, hops: uint8(hops)}
}

// WriteRun writes the run's datagrams to the file before it sends them, so that they stand before their answers.
func (c *conn) WriteRun(b []byte, segment int, to netip.AddrPort, hopLimit int) error {
	p := packet{from: c.from, to: to, raw: c.raw, hops: unicastHops}
	if !to.IsValid() {
		p.to = c.group
	}
	switch multicast := p.to.Addr().IsMulticast(); {
	case hopLimit > 0:
		p.hops = uint8(hopLimit)
	case multicast:
		p.hops = c.hops
	}
	if p.to.Addr().BitLen() == p.from.Addr().BitLen() { // no other goes out
		c.file.lock.Lock()
		c.file.run(c.id, flagsOut, &p, b, segment)
		c.file.lock.Unlock()
	}
	return c.Conn.WriteRun(b, segment, to, hopLimit)
}

func (c *conn) ReadBatch(d []dgram.Datagrams) (int, error) {
	n, err := c.Conn.ReadBatch(d)
	if n > 0 {
		c.file.lock.Lock()
		defer c.file.lock.Unlock()
	}
	for i := range d[:n] {
		p := packet{to: c.group, raw: c.raw, hops: multicastHops}
		if !d[i].Multicast {
			p.to, p.hops = c.from, unicastHops
		}
		p.from = netip.AddrPortFrom(d[i].From.Addr().Unmap(), d[i].From.Port())
		if p.from.Addr().BitLen() == p.to.Addr().BitLen() {
			c.file.run(c.id, flagsIn, &p, d[i].B, d[i].Segment)
		}
	}
	return n, err
}
