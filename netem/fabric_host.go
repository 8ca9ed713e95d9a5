package netem

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rmcast/rmcast/dgram"
)

// Host is a machine on a [Fabric]. It has one interface, called eth0. It implements dgram.Network.
type Host struct {
	t        *tree
	at       *Switch
	addrs    []netip.Addr
	id       uint64 // from the first address: which random numbers its links draw
	noise    rand.PCG
	egress   line
	ingress  line
	take     func(packet) // what has come out of the ingress link
	counters HostCounters

	// A Relay's hosts have none of the rest.
	f      *Fabric
	listen map[endpoint][]*conn
	wakeAt time.Duration // when the last waiter for the egress queue is woken
	port   uint16        // next ephemeral port
	taken  map[uint16]bool
}

var _ dgram.Network = (*Host)(nil)

// HostCounters counts a host's datagrams.
type HostCounters struct {
	SentPackets uint64 // written by the host's Conns
	SentBytes   uint64 // of these, with IP and UDP headers
	Dropped     uint64 // on the way in, by the Drop hook
	Overflow    uint64 // that did not fit into a receiver's buffer
	Egress      LinkStats
	Ingress     LinkStats
}

const (
	interfaceName  = "eth0"
	interfaceIndex = 1
	firstEphemeral = 49152
)

// SetEgress changes what happens to packets that the host sends. Packets under way stay as they are. It panics if the impairment
// is not valid.
func (h *Host) SetEgress(i Impairment) { h.set(&h.egress, i) }

// SetIngress changes what happens to packets that reach the host.
func (h *Host) SetIngress(i Impairment) { h.set(&h.ingress, i) }

func (h *Host) set(l *line, i Impairment) {
	h.t.mu.Lock()
	defer h.t.mu.Unlock()
	l.set(i, h.t.seed)
	if h.f != nil {
		h.f.wake() // what waited for the old link's queue
	}
}

// Attach moves the host to a switch of its Fabric, with its links. Packets under way to it follow.
func (h *Host) Attach(s *Switch) {
	h.t.mu.Lock()
	defer h.t.mu.Unlock()
	if s.t != h.t {
		panic("netem: the switch is not of the host's Fabric")
	}
	for e := range h.listen {
		if e.addr.IsMulticast() {
			h.at.leave(h, e)
			s.join(h, e)
		}
	}
	h.at = s
}

// Counters returns the host's counters; those of a link begin anew with each change of it.
func (h *Host) Counters() HostCounters {
	h.t.mu.Lock()
	defer h.t.mu.Unlock()
	c := h.counters
	c.Egress, c.Ingress = h.egress.stats(), h.ingress.stats()
	return c
}

// Addr returns the host's first address.
func (h *Host) Addr() netip.Addr { return h.addrs[0] }

// Take makes a port look taken by another process of the host, so that a source on it gets an ephemeral one.
func (h *Host) Take(port uint16) {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if h.taken == nil {
		h.taken = map[uint16]bool{}
	}
	h.taken[port] = true
}

// address returns the host's address of a family: a global one if it has one, else a link-local one, else none.
func (h *Host) address(is4 bool) netip.Addr {
	var found netip.Addr
	for _, a := range h.addrs {
		if a.Is4() == is4 && (!found.IsValid() || found.IsLinkLocalUnicast() && !a.IsLinkLocalUnicast()) {
			found = a
		}
	}
	return found
}

// OpenSource opens the sending end for group: a Conn on the host's own address and the group's port.
func (h *Host) OpenSource(ctx context.Context, network string, group netip.AddrPort, o dgram.Options) (dgram.Conn, error) {
	c, err := h.open(ctx, network, group, o)
	if err != nil {
		return nil, err
	}
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	c.own.port = c.group.port
	if h.taken[c.own.port] && !c.own.raw {
		c.own.port = h.ephemeral()
	}
	h.attach(c, c.own)
	return c, nil
}

// OpenReceiver joins group. What the Conn sends comes from an ephemeral port of the host.
func (h *Host) OpenReceiver(ctx context.Context, network string, group netip.AddrPort, o dgram.Options) (dgram.Conn, error) {
	c, err := h.open(ctx, network, group, o)
	if err != nil {
		return nil, err
	}
	if len(c.sources) == 0 && isSSM(c.group.addr) {
		return nil, refuse(network, group, errors.New("a source-specific group needs Sources"))
	}
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	c.receiver = true
	if !c.own.raw {
		c.own.port = h.ephemeral()
	}
	h.attach(c, c.group)
	return c, nil
}

// open checks what both ends have in common and returns a Conn that listens nowhere yet.
func (h *Host) open(ctx context.Context, network string, group netip.AddrPort, o dgram.Options) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, refuse(network, group, err)
	}
	if _, err := dgram.ParseGroup(network, group.String()); err != nil {
		return nil, refuse(network, group, err)
	}
	raw := strings.HasPrefix(network, "ip")
	to := endpoint{addr: group.Addr().Unmap().WithZone(""), port: group.Port(), raw: raw}
	if raw {
		to.port = 0
	}
	own := h.address(to.addr.Is4())
	for _, name := range []string{o.Interface, group.Addr().Zone()} {
		a, _ := netip.ParseAddr(name)
		switch {
		case name == "" || name == interfaceName || name == strconv.Itoa(interfaceIndex):
		case slices.Contains(h.addrs, a):
			if a.Is4() == to.addr.Is4() {
				own = a
			}
		default:
			return nil, refuse(network, group, fmt.Errorf("no interface %q: a host of a Fabric has %q", name, interfaceName))
		}
	}
	if !own.IsValid() {
		return nil, refuse(network, group, fmt.Errorf("host %v has no address of the group's family: %w", h.addrs[0], syscall.EADDRNOTAVAIL))
	}
	c := &conn{
		f: h.f, host: h, group: to, own: endpoint{addr: own, raw: raw}, port: group.Port(), loop: !o.NoLoopback,
		recvBuffer: cmp.Or(max(0, o.RecvBuffer), dgram.DefaultRecvBuffer),
		sendBuffer: cmp.Or(max(0, o.SendBuffer), dgram.DefaultSendBuffer),
	}
	for _, s := range o.Sources {
		c.sources = append(c.sources, s.Unmap().WithZone(""))
	}
	c.ready.L = &h.f.mu
	return c, nil
}

func refuse(network string, group netip.AddrPort, err error) error {
	return &net.OpError{Op: "open", Net: network, Addr: net.UDPAddrFromAddrPort(group), Err: err}
}

// isSSM reports whether a is in the ranges of source-specific multicast (RFC 4607).
func isSSM(a netip.Addr) bool {
	b := a.As16()
	return a.Is4() && b[12] == 232 || a.Is6() && b[1]>>4 == 3 && b[2] == 0 && b[3] == 0
}

// ephemeral returns the next port that is not taken. It is not used twice before all others were.
func (h *Host) ephemeral() uint16 {
	for {
		p := h.port
		if h.port++; h.port == 0 {
			h.port = firstEphemeral
		}
		if !h.taken[p] {
			return p
		}
	}
}

// attach makes c listen at e. Several Conns of a host may: each gets what comes there.
func (h *Host) attach(c *conn, e endpoint) {
	if len(h.listen[e]) == 0 && e.addr.IsMulticast() {
		h.at.join(h, e)
	}
	h.listen[e] = append(slices.Clip(h.listen[e]), c)
}

// detach undoes attach.
func (h *Host) detach(c *conn, e endpoint) {
	i := slices.Index(h.listen[e], c)
	if i < 0 {
		return
	}
	h.listen[e] = slices.Delete(slices.Clone(h.listen[e]), i, i+1)
	if len(h.listen[e]) > 0 {
		return
	}
	delete(h.listen, e)
	if e.addr.IsMulticast() {
		h.at.leave(h, e)
	}
}

// deliver puts p into the buffers of h's listeners.
func (h *Host) deliver(p packet) {
	for _, c := range h.listen[p.to] {
		c.deliver(p)
	}
}
