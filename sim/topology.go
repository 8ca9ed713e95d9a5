package sim

import (
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

// Switch joins hosts and other switches. Multicast is flooded; what is for one host goes towards it.
type Switch struct {
	n        *Network
	parent   *Switch // nil at the root
	depth    int
	down, up *netem.Link // nil: perfect; between parent and this one, shared by all behind
	children []*Switch
	groups   []*Group
	sources  []*Source
}

// Branch adds a switch below parent (nil: the root). All that passes between what is behind it and the rest crosses the links
// down and up, where a loss is a loss for all behind. It panics on an impairment that is not valid.
func (n *Network) Branch(parent *Switch, down, up netem.Impairment) *Switch {
	parent = n.place(parent)
	s := &Switch{n: n, parent: parent, depth: parent.depth + 1}
	s.SetLinks(down, up)
	parent.children = append(parent.children, s)
	return s
}

// place returns the switch where something is to be; nil is the root.
func (n *Network) place(s *Switch) *Switch {
	switch {
	case s == nil:
		return n.root
	case s.n != n:
		panic("sim: a Switch of another Network")
	}
	return s
}

// SetLinks replaces both links of a Branch, with their queues; what is under way arrives. It panics on an impairment that is not
// valid, and at the root.
func (s *Switch) SetLinks(down, up netem.Impairment) {
	if s.parent == nil {
		panic("sim: nothing is above the root")
	}
	s.n.links++
	s.down, s.up = s.n.newLink(down, 0, useSwitchDown), s.n.newLink(up, 0, useSwitchUp)
}

// LinkStats returns what the links of a Branch have counted since they were made, or were last set. It is zero for a perfect link and at
// the root.
func (s *Switch) LinkStats() (down, up netem.LinkStats) {
	if s.down != nil {
		down = s.down.Stats()
	}
	if s.up != nil {
		up = s.up.Stats()
	}
	return down, up
}

// Backlog returns for how long the links of a Branch will be busy with what is queued in front of them now. Links without a Rate have
// no queue.
func (s *Switch) Backlog() (down, up time.Duration) {
	if s.down != nil {
		down = s.down.Backlog(s.n.Now())
	}
	if s.up != nil {
		up = s.up.Backlog(s.n.Now())
	}
	return down, up
}

// newLink returns one direction of a link of a host, nil if it is perfect. Its random numbers are its own also where it replaces one.
func (n *Network) newLink(i netem.Impairment, host int, use uint64) *netem.Link {
	if i.Perfect() {
		return nil
	}
	return netem.NewLink(i, n.linkKey(n.links, host, use), 0)
}

// linkKey returns the key of the random numbers of a link which the count-th change of links made.
func (n *Network) linkKey(count uint64, host int, use uint64) uint64 {
	return n.key(host, use+count<<8)
}

// packet is one datagram under way. Nobody changes it: all receivers share it.
type packet struct {
	p       wire.Packet
	meta    session.Meta // as receivers see it
	raw     []byte
	from    int
	to      int // 0: the group
	hash    uint64
	damaged bool // does not decode
}

// newPacket returns the packet that host from sends; raw is kept.
func (n *Network) newPacket(raw []byte, from, to int) *packet {
	k := &packet{raw: raw, from: from, to: to, meta: session.Meta{From: n.Addr(from), Multicast: to == 0}}
	if n.cfg.Hash {
		k.hash = hashBytes(raw)
	}
	k.damaged = k.p.Decode(raw) != nil
	return k
}

// damage returns a copy of k with one bit turned, which one depends on the instant.
func (n *Network) damage(k *packet, at time.Duration) *packet {
	raw := append([]byte(nil), k.raw...)
	bit := mix(uint64(at)+golden*uint64(k.from)) % uint64(8*len(raw))
	raw[bit/8] ^= 1 << (bit % 8)
	return n.newPacket(raw, k.from, k.to)
}

// cross sends packets over l and calls arrive for each that comes out, with the instant; lost for each that does not.
func (n *Network) cross(l *netem.Link, pkts []*packet, arrive func(at mono.Time, k *packet), lost func(k *packet)) {
	for _, k := range pkts {
		f := l.Send(n.Now(), len(k.raw)+n.header())
		for _, c := range f.Copy[:f.N] {
			x := k
			if c.Corrupt {
				x = n.damage(k, c.At)
			}
			arrive(mono.Time(c.At), x)
		}
		if f.N == 0 {
			n.stats.Lost++
			lost(k)
		}
	}
}

// travel sends packets over l to what fill makes an event for: those that arrive at one instant, one after the other, in one. host is
// whom a loss concerns; 0: all behind l.
func (n *Network) travel(l *netem.Link, pkts []*packet, host int, fill func(e *event)) {
	var e *event
	n.cross(l, pkts, func(at mono.Time, k *packet) {
		if e == nil || e.at != at {
			if e != nil {
				n.events.Push(e)
			}
			e = n.newEvent(at)
			fill(e)
		}
		e.pkts = append(e.pkts, k)
	}, func(k *packet) { n.tellLost(host, k) })
	if e != nil {
		n.events.Push(e)
	}
}

func (n *Network) tellLost(host int, k *packet) {
	if n.watched.Has(Lost) {
		n.tell(&Event{Kind: Lost, Host: host, From: k.from, To: k.to, Packet: &k.p, Raw: k.raw, hash: k.hash})
	}
}

// event is something that happens at an instant: packets that arrive somewhere, or a call.
type event struct {
	at     mono.Time
	serial uint64
	pkts   []*packet
	lost   [][]int32 // for group: who does not get which packet, ascending; its sender too

	call   func()
	via    *Switch // packets come to this switch,
	behind *Switch // from what is behind this one: a child, or the parent; nil: from a host
	group  *Group  // packets come to all of a group,
	member int     // or, if not below 0, to one
	source *Source // or to a source
}

func (n *Network) newEvent(at mono.Time) *event {
	n.serial++
	if k := len(n.free) - 1; k >= 0 {
		e := n.free[k]
		n.free = n.free[:k]
		e.at, e.serial = at, n.serial
		return e
	}
	return &event{at: at, serial: n.serial}
}

func (n *Network) recycle(e *event) {
	clear(e.pkts)
	*e = event{pkts: e.pkts[:0], lost: e.lost[:0]}
	n.free = append(n.free, e)
}

func (e *event) do(n *Network) {
	switch {
	case e.call != nil:
		e.call()
	case e.via != nil:
		e.via.forward(e.pkts, e.behind)
	case e.source != nil:
		e.source.handle(e.pkts)
	case e.member >= 0:
		e.group.handleOne(e.member, e.pkts)
	default:
		e.group.handle(e)
	}
}

// forward passes packets of one sender and destination on. from is the switch they came from, nil if from a host here.
func (s *Switch) forward(pkts []*packet, from *Switch) {
	if pkts[0].to != 0 {
		s.route(pkts)
		return
	}
	for _, g := range s.groups {
		g.send(pkts)
	}
	if len(s.sources) > 0 && s.n.owner(pkts[0].from).group != nil { // sources hear what receivers say
		for _, x := range s.sources {
			if x.host != pkts[0].from {
				x.send(pkts)
			}
		}
	}
	for _, c := range s.children {
		if c != from {
			s.n.pass(c.down, pkts, c, s)
		}
	}
	if s.parent != nil && s.parent != from {
		s.n.pass(s.up, pkts, s.parent, s)
	}
}

// pass sends packets over the link between two switches.
func (n *Network) pass(l *netem.Link, pkts []*packet, to, from *Switch) {
	if l == nil {
		to.forward(pkts, from)
		return
	}
	n.travel(l, pkts, 0, func(e *event) { e.via, e.behind = to, from })
}

// route passes packets on towards one host.
func (s *Switch) route(pkts []*packet) {
	o := s.n.owner(pkts[0].to)
	var at *Switch
	if o.group != nil {
		at = o.group.at
	} else {
		at = o.source.at
	}
	if at == s {
		if o.group != nil {
			o.group.sendOne(pkts[0].to-o.first, pkts)
		} else {
			o.source.send(pkts)
		}
		return
	}
	for ; at.depth > s.depth; at = at.parent {
		if at.parent == s {
			s.n.pass(at.down, pkts, at, s)
			return
		}
	}
	s.n.pass(s.up, pkts, s.parent, s)
}

// emit puts the run that a host's engine polled on the way to its switch. up is the host's link; it may be nil.
func (n *Network) emit(t *session.Transmit, host int, up *netem.Link, at *Switch) {
	to := 0
	if t.To.IsValid() {
		to = n.hostOf(t.To.Addr())
		if to == 0 || to == host {
			return // nobody has that address
		}
	}
	run := append([]byte(nil), t.B...)
	pkts := make([]*packet, 0, len(run)/t.Segment+1)
	for len(run) > 0 {
		size := min(t.Segment, len(run))
		k := n.newPacket(run[:size:size], host, to)
		run = run[size:]
		n.stats.Sent++
		n.stats.SentBytes += uint64(size + n.header())
		if n.watched.Has(Sent) {
			n.tell(&Event{Kind: Sent, Host: host, From: host, To: to, Packet: &k.p, Raw: k.raw, hash: k.hash})
		}
		pkts = append(pkts, k)
	}
	if up == nil {
		at.forward(pkts, nil)
		return
	}
	n.travel(up, pkts, 0, func(e *event) { e.via = at })
}
