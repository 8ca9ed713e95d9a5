package netem

import (
	"net/netip"
	"time"
)

// packet is a run of datagrams on its way, of segment bytes each, the last maybe shorter; or a single one.
type packet struct {
	buf     *buffer // holds b; whoever keeps the packet holds a reference
	b       []byte
	segment int
	from    netip.AddrPort // zone set where it is link-local
	host    *Host          // the sender's
	to      endpoint
}

// IP and UDP header bytes.
const (
	udpHeader  = 8
	ipv4Header = 20
	ipv6Header = 40
)

// overhead returns the header bytes in front of each datagram to e.
func (e endpoint) overhead() int {
	n := ipv6Header
	if e.addr.Is4() {
		n = ipv4Header
	}
	if !e.raw {
		n += udpHeader
	}
	return n
}

// datagrams returns how many datagrams p is.
func (p packet) datagrams() int { return (len(p.b) + p.segment - 1) / p.segment }

// send takes p from its sender: to the listeners on its own host past all links, and into the egress link. The Fabric keeps no
// reference of the caller's.
func (f *Fabric) send(now time.Duration, p packet, loop bool) {
	h := p.host
	n := p.datagrams()
	h.counters.SentPackets += uint64(n)
	h.counters.SentBytes += uint64(len(p.b) + n*p.to.overhead())
	if loop && len(h.listen[p.to]) > 0 {
		f.arrive(p, h)
	}
	if !p.to.addr.IsMulticast() && f.hosts[p.to.addr] == h {
		return
	}
	if h.egress == nil {
		f.cross(now, p)
		return
	}
	f.each(p, func(d packet) { f.through(now, d, h.egress, nil) })
}

// cross takes p from the segment into the ingress link of every host that it is for, but the sender's own.
func (f *Fabric) cross(now time.Duration, p packet) {
	if !p.to.addr.IsMulticast() {
		if h := f.hosts[p.to.addr]; h != nil && h != p.host {
			f.enter(now, p, h)
		}
		return
	}
	for _, h := range f.groups[p.to] {
		if h != p.host {
			f.enter(now, p, h)
		}
	}
}

// enter takes p past the Drop hook into h's ingress link.
func (f *Fabric) enter(now time.Duration, p packet, h *Host) {
	switch {
	case h.ingress != nil:
		f.each(p, func(d packet) {
			if !f.dropped(d, h) {
				f.through(now, d, h.ingress, h)
			}
		})
	default:
		f.arrive(p, h)
	}
}

// through sends the datagram d into a link at whose end is the host h, or with nil the segment.
func (f *Fabric) through(now time.Duration, d packet, l *Link, h *Host) {
	fate := l.Send(now, len(d.b)+d.to.overhead())
	for _, c := range fate.Copy[:fate.N] {
		e := event{at: c.At, p: d, h: h}
		if c.Corrupt {
			e.p = f.spoil(d)
		} else {
			d.buf.refs++
		}
		if c.At > now {
			f.schedule(e)
		} else {
			f.happen(e)
		}
	}
}

// happen takes e's packet on to where it is at e.at, and gives up e's reference to it.
func (f *Fabric) happen(e event) {
	if e.h == nil {
		f.cross(e.at, e.p)
	} else {
		f.deliver(e.p, e.h)
	}
	f.pool.release(e.p.buf)
}

// arrive delivers p past h's ingress link, but not past the Drop hook.
func (f *Fabric) arrive(p packet, h *Host) {
	if f.drop == nil {
		f.deliver(p, h)
		return
	}
	f.each(p, func(d packet) {
		if !f.dropped(d, h) {
			f.deliver(d, h)
		}
	})
}

// deliver puts p into the buffers of h's listeners.
func (f *Fabric) deliver(p packet, h *Host) {
	for _, c := range h.listen[p.to] {
		c.deliver(p)
	}
}

// dropped asks the Drop hook about a datagram to h.
func (f *Fabric) dropped(d packet, h *Host) bool {
	if f.drop == nil || !f.drop(d.from.Addr().WithZone(""), h.address(d.to.addr.Is4()), d.b) {
		return false
	}
	h.counters.Dropped++
	return true
}

// each cuts a run into its datagrams.
func (f *Fabric) each(p packet, do func(packet)) {
	d := p
	for b := p.b; len(b) > 0; b = b[len(d.b):] {
		d.b = b[:min(len(b), p.segment)]
		d.segment = len(d.b)
		do(d)
	}
}

// spoil returns a copy of p with one bit turned over, in a buffer of its own.
func (f *Fabric) spoil(p packet) packet {
	buf := f.pool.get(len(p.b))
	b := buf.b[:copy(buf.b, p.b)]
	bit := p.host.noise.Uint64() % uint64(8*len(b))
	b[bit/8] ^= 1 << (bit % 8)
	p.buf, p.b = buf, b
	return p
}
