package netem

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/rmcast/rmcast/dgram"
)

// conn is one end of a group on a Host.
type conn struct {
	f          *Fabric
	host       *Host
	group, own endpoint
	port       uint16 // the group's, also on raw IP
	sources    []netip.Addr
	receiver   bool
	loop       bool
	recvBuffer int // bytes
	sendBuffer int

	// The Fabric's lock guards the rest.
	queue   []packet // power-of-two ring of what has arrived
	head, n int
	held    int       // bytes in queue
	ready   sync.Cond // a reader waits here
	scratch []taken   // nil while a reader uses it
	closed  bool
	stats   dgram.Stats
}

// taken is a part of a read: b goes to the entry i of the caller's.
type taken struct {
	i   int
	b   []byte
	buf *buffer
}

// wants reports whether c listens to the sender of p.
func (c *conn) wants(p packet) bool {
	return len(c.sources) == 0 || slices.Contains(c.sources, p.from.Addr().WithZone(""))
}

// deliver puts p into c's buffer if it is wanted and fits.
func (c *conn) deliver(p packet) {
	switch {
	case !c.wants(p):
		c.stats.Filtered += uint64(p.datagrams())
		return
	case c.held+len(p.b) > c.recvBuffer && c.host.bounded():
		c.stats.KernelDrops += uint64(p.datagrams())
		c.host.counters.Overflow += uint64(p.datagrams())
		return
	}
	if c.n == len(c.queue) {
		grown := make([]packet, max(16, 2*c.n))
		for i := range c.n {
			grown[i] = c.queue[(c.head+i)&(c.n-1)]
		}
		c.queue, c.head = grown, 0
	}
	p.buf.refs++
	c.queue[(c.head+c.n)&(len(c.queue)-1)] = p
	c.n++
	c.held += len(p.b)
	if c.n == 1 {
		c.ready.Signal()
	}
}

// ReadBatch implements dgram.Conn.
func (c *conn) ReadBatch(d []dgram.Datagrams) (int, error) {
	f := c.f
	if len(d) == 0 {
		return 0, nil
	}
	f.mu.Lock()
	for c.n == 0 && !c.closed {
		c.ready.Wait()
	}
	if c.closed {
		f.mu.Unlock()
		return 0, c.opError("read", net.ErrClosed)
	}
	parts := c.scratch[:0]
	c.scratch = nil
	n := 0
	for n < len(d) && c.n > 0 {
		parts = c.take(&d[n], n, parts)
		n++
	}
	if c.n > 0 {
		c.ready.Signal() // another reader, if there is one
	}
	f.wake()
	f.mu.Unlock()

	// The bytes of a shared buffer do not change: copying them needs no lock.
	for _, t := range parts {
		d[t.i].B = append(d[t.i].B, t.b...)
	}

	f.mu.Lock()
	for i, t := range parts {
		f.pool.release(t.buf)
		parts[i] = taken{}
	}
	c.scratch = parts
	f.mu.Unlock()
	return n, nil
}

// take moves what fits into d, entry i of the caller's, out of the queue: datagrams of one sender and length, the last maybe shorter.
func (c *conn) take(d *dgram.Datagrams, i int, parts []taken) []taken {
	first := c.queue[c.head]
	*d = dgram.Datagrams{B: d.B[:0], Segment: first.segment, From: first.from, Multicast: first.to.addr.IsMulticast()}
	size := 0
	for c.n > 0 {
		p := &c.queue[c.head]
		room := cap(d.B) - size
		if size > 0 && (c.f.cfg.NoOffload || size%d.Segment != 0 || p.from != first.from || p.to != first.to ||
			p.segment > d.Segment || p.segment < d.Segment && len(p.b) > p.segment || room < p.segment) {
			break
		}
		part := len(p.b)
		switch {
		case c.f.cfg.NoOffload || room < p.segment:
			part = min(part, p.segment)
		case room < part:
			part = room - room%p.segment
		}
		b := p.b[:min(part, room)]
		if len(b) < part { // not even one fits
			d.Truncated, d.Segment = true, max(1, len(b))
			c.stats.Truncated++
		}
		size += len(b)
		c.held -= part
		parts = append(parts, taken{i: i, b: b, buf: p.buf})
		if part < len(p.b) {
			p.buf.refs++
			p.b = p.b[part:]
			p.segment = min(p.segment, len(p.b))
			break
		}
		*p = packet{}
		c.head = (c.head + 1) & (len(c.queue) - 1)
		c.n--
	}
	if d.Segment > size {
		d.Segment = size
	}
	return parts
}

// WriteRun implements dgram.Conn.
func (c *conn) WriteRun(b []byte, segment int, to netip.AddrPort, hopLimit int) error {
	if segment <= 0 || segment > len(b) {
		segment = len(b)
	}
	dst := c.group
	if to.IsValid() {
		dst = endpoint{addr: to.Addr().Unmap().WithZone(""), port: to.Port(), raw: c.own.raw}
		if dst.raw {
			dst.port = 0
		}
	}
	f := c.f
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case c.closed:
		return c.opError("write", net.ErrClosed)
	case len(b) == 0:
		return nil
	case dst.addr.Is4() != c.own.addr.Is4():
		c.refused(&c.stats.Refused.Unreachable, len(b), segment, syscall.ENETUNREACH)
		return nil
	case segment+dst.overhead() > f.cfg.MTU || len(b) > maxRun-udpHeader:
		c.refused(&c.stats.Refused.TooBig, len(b), segment, syscall.EMSGSIZE)
		return nil
	}
	p := packet{segment: segment, from: c.from(), host: c.host, to: dst, head: dst.overhead()}
	p.buf = f.pool.get(len(b))
	f.mu.Unlock()
	p.b = p.buf.b[:copy(p.buf.b, b)]
	f.mu.Lock()
	defer f.pool.release(p.buf)
	now, err := c.await(dst)
	if err != nil {
		return err
	}
	c.send(now, p)
	return nil
}

// send hands p to the listeners on its own host past all links but not past the Drop hook, and to the network.
func (c *conn) send(now time.Duration, p packet) {
	f, h := c.f, c.host
	p.count()
	switch {
	case !c.loop || len(h.listen[p.to]) == 0:
	case f.drop == nil:
		h.deliver(p)
	default:
		f.each(p, func(d packet) {
			if !f.dropped(d, h) {
				h.deliver(d)
			}
		})
	}
	if f.hosts[p.to.addr] != h {
		f.tree.send(now, p)
	}
}

// await waits until dst can take packets and returns the time.
func (c *conn) await(dst endpoint) (time.Duration, error) {
	f := c.f
	for {
		now := f.now()
		f.catchUp(now)
		if c.closed {
			return 0, c.opError("write", net.ErrClosed)
		}
		if f.flying < f.cfg.InFlight && !c.queued(now) && !c.heldBack(dst) {
			return now, nil
		}
		f.waiting++
		f.room.Wait()
		f.waiting--
	}
}

// queued reports whether the host's own link has more to send than c's send buffer holds, and sees to it that c wakes when not.
func (c *conn) queued(now time.Duration) bool {
	l := &c.host.egress
	if l.rate == 0 || l.l.BacklogBytes(now) < c.sendBuffer {
		return false
	}
	fits := time.Duration(int64(c.sendBuffer) * 8 * int64(time.Second) / l.rate)
	if at := now + l.l.Backlog(now) - fits + 1; at != c.host.wakeAt {
		c.host.wakeAt = at
		c.f.schedule(event{at: at})
	}
	return true
}

// heldBack reports whether some listener at dst has a full buffer and may not drop.
func (c *conn) heldBack(dst endpoint) bool {
	if !dst.addr.IsMulticast() {
		h := c.f.hosts[dst.addr]
		return h != nil && c.fullAt(h, dst)
	}
	return c.heldBackAt(c.f.switches[0], dst)
}

func (c *conn) heldBackAt(s *Switch, dst endpoint) bool {
	m := s.groups[dst]
	if m == nil {
		return false
	}
	for _, h := range m.hosts {
		if c.fullAt(h, dst) {
			return true
		}
	}
	if m.count > len(m.hosts) {
		for _, down := range s.children {
			if c.heldBackAt(down, dst) {
				return true
			}
		}
	}
	return false
}

func (c *conn) fullAt(h *Host, dst endpoint) bool {
	for _, r := range h.listen[dst] {
		if r != c && r.held >= r.recvBuffer && !h.bounded() {
			return true
		}
	}
	return false
}

// from returns the address that c's datagrams come from.
func (c *conn) from() netip.AddrPort {
	return netip.AddrPortFrom(zoned(c.own.addr), c.own.port)
}

// zoned adds the zone that a link-local address needs.
func zoned(a netip.Addr) netip.Addr {
	if a.Is6() && (a.IsLinkLocalUnicast() || a.IsMulticast()) {
		return a.WithZone(interfaceName)
	}
	return a
}

func (c *conn) refused(counter *uint64, n, segment int, err error) {
	*counter += uint64((n + segment - 1) / segment)
	if c.stats.FirstRefusal == nil {
		c.stats.FirstRefusal = err
	}
}

// LocalAddr implements dgram.Conn.
func (c *conn) LocalAddr() netip.AddrPort {
	if c.receiver {
		return netip.AddrPortFrom(zoned(c.group.addr), c.port)
	}
	return c.from()
}

// Info implements dgram.Conn.
func (c *conn) Info() dgram.Info {
	f := c.f
	f.mu.Lock()
	defer f.mu.Unlock()
	i := dgram.Info{
		Interface: interfaceName, Index: interfaceIndex, MTU: f.cfg.MTU,
		GroupAddr: zoned(c.group.addr), Port: c.port,
		LinkLocalOnly: c.host.address(false).IsLinkLocalUnicast(),
		From:          c.from(),
		RecvBuffer:    c.recvBuffer, SendBuffer: c.sendBuffer,
		GSO: !f.cfg.NoOffload, GRO: !f.cfg.NoOffload, Raw: c.own.raw,
	}
	if !c.receiver {
		i.OwnPort = c.own.port
		i.PortTaken = c.own.port != c.group.port
		i.SharedPort = len(c.host.listen[c.own]) > 1
	}
	return i
}

// Stats implements dgram.Conn.
func (c *conn) Stats() dgram.Stats {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	return c.stats
}

// Close implements dgram.Conn.
func (c *conn) Close() error {
	f := c.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.closed = true
	if c.receiver {
		c.host.detach(c, c.group)
	} else {
		c.host.detach(c, c.own)
	}
	for ; c.n > 0; c.n-- {
		f.pool.release(c.queue[c.head].buf)
		c.head = (c.head + 1) & (len(c.queue) - 1)
	}
	c.queue, c.held = nil, 0
	c.ready.Broadcast()
	f.wake()
	return nil
}

func (c *conn) opError(op string, err error) error {
	network := "udp"
	if c.own.raw {
		network = "ip:pgm"
	}
	return &net.OpError{Op: op, Net: network, Addr: net.UDPAddrFromAddrPort(c.LocalAddr()), Err: err}
}
