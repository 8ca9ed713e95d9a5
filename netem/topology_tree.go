package netem

import (
	"net/netip"
	"sync"
	"time"
)

// tree is what a Fabric and a Relay have in common: hosts on a tree of switches, the links between them, and the packets under
// way. It reads no clock. One lock guards it all.
type tree struct {
	mu       sync.Mutex
	seed     uint64
	hosts    map[netip.Addr]*Host
	switches []*Switch // the root first
	events   eventQueue
	flying   int // bytes in events
	pool     bufferPool
	drop     func(from, to netip.Addr, b []byte) bool
	// arm, if not nil, is called when something was scheduled.
	arm func()
}

// packet is a run of datagrams on its way, of segment bytes each, the last maybe shorter; or a single one.
type packet struct {
	buf     *buffer // holds b; whoever keeps the packet holds a reference
	b       []byte
	segment int
	from    netip.AddrPort // zone set where it is link-local
	host    *Host          // the sender's
	to      endpoint
	// head is the number of header bytes in front of each datagram that are not in b. In a Relay it is negative: b begins with
	// those of the frame, which no link sees. body is where in b the datagram begins.
	head, body int
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

// count counts p as sent by its host.
func (p packet) count() {
	n := p.datagrams()
	p.host.counters.SentPackets += uint64(n)
	p.host.counters.SentBytes += uint64(len(p.b) + n*p.head)
}

// attach adds a host with perfect links.
func (t *tree) attach(h *Host, at *Switch) {
	h.t, h.at, h.id = t, at, hostID(h.addrs[0])
	h.egress.stream, h.ingress.stream = h.id, h.id|downStream
	h.noise.Seed(t.seed, ^h.id)
	for _, a := range h.addrs {
		t.hosts[a] = h
	}
}

// grow makes the switches of a Topology.
func (t *tree) grow(top Topology) {
	if err := top.Validate(); err != nil {
		panic(err)
	}
	t.hosts = map[netip.Addr]*Host{}
	t.newSwitch(nil, Impairment{}, Impairment{})
	for _, b := range top.Branches {
		t.newSwitch(t.switches[b.Parent], b.Down, b.Up)
	}
}

// send takes p from its sender into the egress link. The tree keeps no reference of the caller's.
func (t *tree) send(now time.Duration, p packet) {
	t.over(now, p, &p.host.egress, place{s: p.host.at})
}

// place is an end of a link: a host, or a switch and the neighbour from where a packet comes to it; a host on the switch has no name.
type place struct {
	h       *Host
	s, from *Switch
}

// over takes p over a link to the place at its end.
func (t *tree) over(now time.Duration, p packet, l *line, to place) {
	switch {
	case l.l != nil:
		t.each(p, func(d packet) { t.through(now, d, l.l, to) })
	case to.h != nil:
		to.h.take(p)
	default:
		t.cross(now, p, to.s, to.from)
	}
}

// cross takes p, which has come from the switch from to s, into all links that it has to go on over.
func (t *tree) cross(now time.Duration, p packet, s, from *Switch) {
	if !p.to.addr.IsMulticast() {
		h := t.hosts[p.to.addr]
		switch {
		case h == nil || h == p.host:
		case h.at == s:
			t.enter(now, p, h)
		default:
			t.step(now, p, s, s.towards(h.at))
		}
		return
	}
	m := s.groups[p.to]
	if m != nil {
		for _, h := range m.hosts {
			if h != p.host {
				t.enter(now, p, h)
			}
		}
		if m.count > len(m.hosts) {
			for _, c := range s.children {
				if c != from && c.count(p.to) > 0 {
					t.step(now, p, s, c)
				}
			}
		}
	}
	if s.parent != nil && s.parent != from && t.switches[0].count(p.to) > s.count(p.to) {
		t.step(now, p, s, s.parent)
	}
}

// step takes p from s to its neighbour next.
func (t *tree) step(now time.Duration, p packet, s, next *Switch) {
	if next == s.parent {
		t.over(now, p, &s.up, place{s: next, from: s})
	} else {
		t.over(now, p, &next.down, place{s: next, from: s})
	}
}

// enter takes p past the Drop hook into h's ingress link.
func (t *tree) enter(now time.Duration, p packet, h *Host) {
	if t.drop == nil {
		t.over(now, p, &h.ingress, place{h: h})
		return
	}
	t.each(p, func(d packet) {
		if !t.dropped(d, h) {
			t.over(now, d, &h.ingress, place{h: h})
		}
	})
}

// through sends the datagram d into a link that ends at to.
func (t *tree) through(now time.Duration, d packet, l *Link, to place) {
	fate := l.Send(now, len(d.b)+d.head)
	for _, c := range fate.Copy[:fate.N] {
		e := event{at: c.At, p: d, place: to}
		if c.Corrupt {
			e.p = t.spoil(d)
		} else {
			d.buf.refs++
		}
		if c.At > now {
			t.schedule(e)
		} else {
			t.happen(e)
		}
	}
}

// schedule makes e happen at its time. The event takes over a reference to its buffer.
func (t *tree) schedule(e event) {
	t.flying += len(e.p.b)
	t.events.push(e)
	if t.arm != nil {
		t.arm()
	}
}

// run lets everything happen that is due, and reports whether that was anything.
func (t *tree) run(now time.Duration) bool {
	if t.events.next() > now {
		return false
	}
	for t.events.next() <= now {
		e := t.events.pop()
		t.flying -= len(e.p.b)
		if e.p.buf != nil {
			t.happen(e)
		}
	}
	return true
}

// happen takes e's packet on from where it is at e.at, and gives up e's reference to it.
func (t *tree) happen(e event) {
	if e.h != nil {
		e.h.take(e.p)
	} else {
		t.cross(e.at, e.p, e.s, e.from)
	}
	t.pool.release(e.p.buf)
}

// dropped asks the Drop hook about a datagram to h.
func (t *tree) dropped(d packet, h *Host) bool {
	if t.drop == nil || !t.drop(d.from.Addr().WithZone(""), h.address(d.from.Addr().Is4()), d.b[d.body:]) {
		return false
	}
	h.counters.Dropped++
	return true
}

// each cuts a run into its datagrams.
func (t *tree) each(p packet, do func(packet)) {
	d := p
	for b := p.b; len(b) > 0; b = b[len(d.b):] {
		d.b = b[:min(len(b), p.segment)]
		d.segment = len(d.b)
		do(d)
	}
}

// spoil returns a copy of p with one bit turned over, in a buffer of its own.
func (t *tree) spoil(p packet) packet {
	buf := t.pool.get(len(p.b))
	b := buf.b[:copy(buf.b, p.b)]
	open := b[max(0, -p.head):] // not the frame's header
	bit := p.host.noise.Uint64() % uint64(8*len(open))
	open[bit/8] ^= 1 << (bit % 8)
	p.buf, p.b = buf, b
	return p
}
