package dgram

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// protocolPGM is the IP protocol number of PGM without UDP.
const protocolPGM = 113

// withheld keeps sockets that are opened from using what their system offers; tests set it to reach the fallbacks.
var withheld struct{ gso, gro, batch bool }

// spec says what socket to make.
type spec struct {
	v6, raw bool
	bind    netip.AddrPort // with the address unspecified: any
	ifi     *net.Interface
	reuse   bool // share address and port with others that also set it: a receiver's socket
	deaf    bool // only sends: what comes in is thrown away
}

// socket is one kernel socket. It is split by system: this file holds what all have, and the plain way to read and write.
type socket struct {
	spec
	conn net.PacketConn
	udp  *net.UDPConn // conn, when it is one
	ip   *net.IPConn  // conn, when it is one
	sys  syscall.RawConn
	p4   *ipv4.PacketConn // IPv4 only
	p6   *ipv6.PacketConn // IPv6 only
	log  *slog.Logger     // may be nil

	plain bool // one datagram a call, as on systems that offer nothing better

	multicast bool         // what comes in came to a group
	sources   []netip.Addr // if any: from whom alone datagrams are taken, without zones

	read struct {
		sync.Mutex
		reader
	}
	write struct {
		sync.Mutex
		writer
		hops    int // multicast hop limit set on the socket
		unicast int // unicast hop limit set on the socket
		quiet   bool
	}

	truncated, empty, filtered, malformed atomic.Uint64
	refused                               [refusals]atomic.Uint64
	first                                 atomic.Pointer[error]
}

// newSocket opens a socket by spec and sets what every socket of this package needs.
func newSocket(sp spec, o *Options) (*socket, error) {
	c, err := listen(sp)
	if err != nil {
		return nil, err
	}
	s := &socket{spec: sp, conn: c, log: o.Logger, plain: withheld.batch, multicast: sp.reuse}
	s.write.hops = -1
	var sc syscall.Conn
	switch c := c.(type) {
	case *net.UDPConn:
		s.udp, sc = c, c
	case *net.IPConn:
		s.ip, sc = c, c
	}
	if s.sys, err = sc.SyscallConn(); err == nil {
		if sp.v6 {
			s.p6 = ipv6.NewPacketConn(c)
			err = s.p6.SetMulticastInterface(sp.ifi)
		} else {
			s.p4 = ipv4.NewPacketConn(c)
			err = s.p4.SetMulticastInterface(sp.ifi)
		}
	}
	if err == nil {
		err = s.setHops(o.HopLimit, true)
	}
	if err == nil {
		err = s.getHops()
	}
	if err == nil {
		err = s.setQuiet(o.NoLoopback)
	}
	if err == nil {
		err = s.tune()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return s, nil
}

// localPort is the port that the socket is bound to: 0 on raw IP.
func (s *socket) localPort() uint16 {
	if s.udp == nil {
		return 0
	}
	return uint16(s.udp.LocalAddr().(*net.UDPAddr).Port)
}

// setHops sets the hop limit of multicast or of unicast, if it is not set already.
func (s *socket) setHops(n int, multicast bool) (err error) {
	now := &s.write.unicast
	if multicast {
		now = &s.write.hops
	}
	if *now == n {
		return nil
	}
	switch {
	case s.v6 && multicast:
		err = s.p6.SetMulticastHopLimit(n)
	case s.v6:
		err = s.p6.SetHopLimit(n)
	case multicast:
		err = s.p4.SetMulticastTTL(n)
	default:
		err = s.p4.SetTTL(n)
	}
	if err == nil {
		*now = n
	}
	return err
}

// getHops learns the system's hop limit for unicast.
func (s *socket) getHops() (err error) {
	if s.v6 {
		s.write.unicast, err = s.p6.HopLimit()
	} else {
		s.write.unicast, err = s.p4.TTL()
	}
	return err
}

// setQuiet keeps our multicast from receivers on this host, or lets it reach them (how sockets start).
func (s *socket) setQuiet(quiet bool) (err error) {
	if s.write.quiet == quiet {
		return nil
	}
	if s.v6 {
		err = s.p6.SetMulticastLoopback(!quiet)
	} else {
		err = s.p4.SetMulticastLoopback(!quiet)
	}
	if err == nil {
		s.write.quiet = quiet
	}
	return err
}

// join makes the socket a member of the group, of the given sources only if there are any.
func (s *socket) join(group netip.Addr, sources []netip.Addr) error {
	g := &net.UDPAddr{IP: group.AsSlice()}
	if len(sources) == 0 {
		if s.v6 {
			return s.p6.JoinGroup(s.ifi, g)
		}
		return s.p4.JoinGroup(s.ifi, g)
	}
	for _, a := range sources {
		from := &net.UDPAddr{IP: a.AsSlice()}
		var err error
		if s.v6 {
			err = s.p6.JoinSourceSpecificGroup(s.ifi, g, from)
		} else {
			err = s.p4.JoinSourceSpecificGroup(s.ifi, g, from)
		}
		if err != nil {
			return err
		}
		s.sources = append(s.sources, a.WithZone(""))
	}
	return nil
}

// admit decides about the n bytes that came into d.B, counts what is wrong with them, and sets d.B.
func (s *socket) admit(d *Datagrams, n int, truncated bool) bool {
	if truncated {
		s.truncated.Add(1)
		n -= n % max(d.Segment, 1) // the last one is not whole
		if d.Segment <= 0 || n == 0 || d.Segment >= cap(d.B) {
			return false
		}
	}
	if n == 0 {
		s.empty.Add(1)
		return false
	}
	if len(s.sources) > 0 && !slices.Contains(s.sources, d.From.Addr().WithZone("")) {
		s.filtered.Add(1)
		return false
	}
	if d.Segment <= 0 || d.Segment > n {
		d.Segment = n
	}
	d.B, d.Multicast, d.Truncated = d.B[:n], s.multicast, truncated
	return true
}

// readBatch fills d; see Conn.ReadBatch.
func (s *socket) readBatch(d []Datagrams) (int, error) {
	if len(d) == 0 || cap(d[0].B) == 0 {
		return 0, io.ErrShortBuffer
	}
	s.read.Lock()
	defer s.read.Unlock()
	for failures := 0; ; {
		n, err := s.readSome(d)
		if n > 0 {
			return n, nil
		}
		switch {
		case err == nil: // all of it was dropped here
			failures = 0
		case errors.Is(err, net.ErrClosed):
			return 0, net.ErrClosed
		case errors.Is(err, os.ErrDeadlineExceeded):
			return 0, err
		case kindOf(err) == refusedOther || failures == 16:
			return 0, err
		default:
			// A report about something sent earlier, or a shortage: the socket itself is sound.
			if failures++; failures > 1 {
				time.Sleep(time.Millisecond)
			}
		}
	}
}

// readPlain reads one datagram, on any system.
func (s *socket) readPlain(d []Datagrams) (int, error) {
	d[0].B, d[0].Segment = d[0].B[:cap(d[0].B)], 0
	var n int
	var truncated bool
	var err error
	if s.udp != nil {
		n, truncated, err = s.readUDP(&d[0])
	} else {
		var from *net.IPAddr
		if n, from, err = s.ip.ReadFromIP(d[0].B); err == nil { // takes IPv4's header off
			a, _ := netip.AddrFromSlice(from.IP)
			d[0].From = netip.AddrPortFrom(a.Unmap().WithZone(from.Zone), 0)
		}
	}
	if err != nil {
		return 0, err
	}
	if n < 0 || !s.admit(&d[0], n, truncated) {
		return 0, nil
	}
	return 1, nil
}

// writeRun sends a run; see Conn.WriteRun. hops is the Conn's own limit for multicast, quiet its NoLoopback.
func (s *socket) writeRun(b []byte, segment int, to netip.AddrPort, hops, hopLimit int, quiet bool) error {
	if len(b) == 0 {
		return nil
	}
	if segment <= 0 || segment > len(b) {
		segment = len(b)
	}
	if to.Addr().Is6() != s.v6 || (to.Port() == 0 && !s.raw) {
		s.refuse(refusedOther, (len(b)+segment-1)/segment, &net.AddrError{Err: "cannot send to this address on this socket", Addr: to.String()})
		return nil
	}
	s.write.Lock()
	defer s.write.Unlock()
	if to.Addr().IsMulticast() {
		if quiet != s.write.quiet {
			if err := s.setQuiet(quiet); err != nil {
				return err
			}
		}
		if hopLimit == 0 && hops != s.write.hops {
			hopLimit = hops
		}
	}
	return s.writeSome(b, segment, to, hopLimit)
}

// writePlain sends one datagram after the other, on any system.
func (s *socket) writePlain(b []byte, segment int, to netip.AddrPort, hopLimit int) error {
	multicast := to.Addr().IsMulticast()
	if hopLimit != 0 {
		restore := s.write.unicast
		if multicast {
			restore = s.write.hops
		}
		if err := s.setHops(hopLimit, multicast); err != nil {
			return err
		}
		defer s.setHops(restore, multicast)
	}
	for len(b) > 0 {
		n := min(segment, len(b))
		var err error
		for try := 0; ; try++ {
			if s.udp != nil {
				_, err = s.udp.WriteToUDPAddrPort(b[:n], to)
			} else {
				_, err = s.ip.WriteToIP(b[:n], &net.IPAddr{IP: to.Addr().AsSlice(), Zone: to.Addr().Zone()})
			}
			if !s.again(err, try) {
				break
			}
		}
		if err != nil {
			if err := s.refuseError(err, 1); err != nil {
				return err
			}
		}
		b = b[n:]
	}
	return nil
}

// again waits a moment when the system is out of buffers, and says whether to try once more.
func (s *socket) again(err error, try int) bool {
	if err == nil || try == 10 || kindOf(err) != refusedNoBuffer {
		return false
	}
	time.Sleep(time.Millisecond)
	return true
}

// refuseError counts n datagrams that met err, or returns the error with which sending ends.
func (s *socket) refuseError(err error, n int) error {
	switch {
	case errors.Is(err, net.ErrClosed):
		return net.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	}
	s.refuse(kindOf(err), n, err)
	return nil
}

func (s *socket) refuse(k refusal, n int, err error) {
	s.refused[k].Add(uint64(n))
	if s.first.Load() == nil {
		s.first.CompareAndSwap(nil, &err)
	}
}

// close closes the socket and frees whoever is reading or writing. Its counters stay.
func (s *socket) close() error {
	s.kernelDrops()
	err := s.conn.Close()
	if errors.Is(err, net.ErrClosed) {
		return net.ErrClosed
	}
	return err
}

// stats adds what this socket counted to st.
func (s *socket) stats(st *Stats) {
	st.KernelDrops += s.kernelDrops()
	st.Truncated += s.truncated.Load()
	st.Empty += s.empty.Load()
	st.Filtered += s.filtered.Load()
	st.Malformed += s.malformed.Load()
	r := &st.Refused
	r.TooBig += s.refused[refusedTooBig].Load()
	r.Unreachable += s.refused[refusedUnreachable].Load()
	r.Denied += s.refused[refusedDenied].Load()
	r.PortClosed += s.refused[refusedPortClosed].Load()
	r.NoBuffer += s.refused[refusedNoBuffer].Load()
	r.Other += s.refused[refusedOther].Load()
	if err := s.first.Load(); err != nil && st.FirstRefusal == nil {
		st.FirstRefusal = *err
	}
}

// refusal is a kind of WriteErrors.
type refusal int

const (
	refusedOther refusal = iota
	refusedTooBig
	refusedUnreachable
	refusedDenied
	refusedPortClosed
	refusedNoBuffer
	refusals // how many there are
)
