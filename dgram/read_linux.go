package dgram

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// reader receives with recvmmsg: in one call whatever is queued, whole runs or single datagrams.
type reader struct {
	gro   bool
	drops atomic.Uint64

	msgs []mmsghdr
	aux  []readAux // one a message
	vlen int       // messages of the next call
	got  int
	err  syscall.Errno
	op   func(fd uintptr) bool

	plain readAux // of readUDP

	lastName unix.RawSockaddrInet6
	last     netip.AddrPort // lastName for Go
}

// readAux is what one message needs beside the caller's buffer.
type readAux struct {
	ctrl [4]uint64 // room and alignment for one control message
	name unix.RawSockaddrInet6
	iov  [2]unix.Iovec
	head [ipv4Header]byte // raw IPv4: the header comes along
}

func (r *reader) init(*socket) { r.op = r.receive }

// receive is one try of recvmmsg; false makes the runtime wait until there is something.
func (r *reader) receive(fd uintptr) bool {
	for {
		n, _, e := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.msgs[0])), uintptr(r.vlen), unix.MSG_DONTWAIT, 0, 0)
		switch e {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		r.got, r.err = int(n), e
		return true
	}
}

// readSome receives into d what is there, waiting for the first. It may return 0 and no error when all was dropped.
func (s *socket) readSome(d []Datagrams) (int, error) {
	if s.plain {
		return s.readPlain(d)
	}
	r := &s.read
	r.prepare(s, d[:min(len(d), maxBatch)])
	if err := s.sys.Read(r.op); err != nil {
		return 0, err
	}
	if r.err != 0 {
		return 0, r.err
	}
	kept := 0
	for i := range r.got {
		if !s.take(&d[i], i) {
			continue
		}
		if kept != i {
			d[kept], d[i] = d[i], d[kept]
		}
		kept++
	}
	return kept, nil
}

// prepare points the message headers at the buffers of d.
func (r *reader) prepare(s *socket, d []Datagrams) {
	if len(r.msgs) < len(d) {
		r.msgs, r.aux = make([]mmsghdr, len(d)), make([]readAux, len(d))
	}
	r.vlen = len(d)
	for i := range d {
		b := d[i].B[:cap(d[i].B)]
		if len(b) == 0 {
			r.vlen = i // no buffer; the first one has one
			break
		}
		a, h := &r.aux[i], &r.msgs[i].hdr
		iov := a.iov[:1]
		if s.raw && !s.v6 {
			a.iov[0].Base = &a.head[0]
			a.iov[0].SetLen(len(a.head))
			iov = a.iov[:2]
		}
		iov[len(iov)-1].Base = &b[0]
		iov[len(iov)-1].SetLen(len(b))
		h.Iov = &a.iov[0]
		h.SetIovlen(len(iov))
		h.Name = (*byte)(unsafe.Pointer(&a.name))
		h.Namelen = unix.SizeofSockaddrInet6
		h.Control = nil
		h.SetControllen(0)
		if r.gro {
			h.Control = (*byte)(unsafe.Pointer(&a.ctrl))
			h.SetControllen(int(unsafe.Sizeof(a.ctrl)))
		}
	}
}

// take makes message i into d and says whether it is to be handed on.
func (s *socket) take(d *Datagrams, i int) bool {
	m, a := &s.read.msgs[i], &s.read.aux[i]
	n := int(m.n)
	d.Segment = 0
	if s.read.gro {
		d.Segment = a.segment(&m.hdr)
	}
	if s.raw && !s.v6 {
		var ok bool
		if n, ok = a.strip(d.B[:cap(d.B)], n); !ok {
			s.malformed.Add(1)
			return false
		}
	}
	d.From = s.from(&a.name)
	return s.admit(d, n, m.hdr.Flags&unix.MSG_TRUNC != 0)
}

// segment is what UDP_GRO says about the length of the datagrams in the run, 0 if it is only one.
func (a *readAux) segment(h *unix.Msghdr) int {
	if int(h.Controllen) < unix.CmsgLen(4) {
		return 0
	}
	c := (*unix.Cmsghdr)(unsafe.Pointer(&a.ctrl))
	if c.Level != unix.IPPROTO_UDP || c.Type != unix.UDP_GRO {
		return 0
	}
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(&a.ctrl), unix.CmsgLen(0))))
}

// strip takes the IPv4 header off a datagram of n bytes: its first 20 are in a.head, the rest, options first, in b.
func (a *readAux) strip(b []byte, n int) (int, bool) {
	options := int(a.head[0]&0xf)*4 - ipv4Header
	n -= ipv4Header
	if a.head[0]>>4 != 4 || options < 0 || options > n {
		return 0, false
	}
	if options > 0 {
		copy(b, b[options:n])
	}
	return n - options, true
}

// from reads a sender's address; most come from the same as before.
func (s *socket) from(sa *unix.RawSockaddrInet6) netip.AddrPort {
	r := &s.read
	if !s.v6 {
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		if s.raw {
			return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), 0)
		}
		return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), port(&sa4.Port))
	}
	if *sa == r.lastName {
		return r.last
	}
	a := netip.AddrFrom16(sa.Addr)
	if needsScope(a) && sa.Scope_id != 0 {
		if int(sa.Scope_id) == s.ifi.Index {
			a = a.WithZone(s.ifi.Name)
		} else {
			a = a.WithZone(strconv.FormatUint(uint64(sa.Scope_id), 10))
		}
	}
	p := port(&sa.Port)
	if s.raw {
		p = 0
	}
	r.lastName, r.last = *sa, netip.AddrPortFrom(a, p)
	return r.last
}

func port(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }

// readUDP reads one datagram or run the plain way.
func (s *socket) readUDP(d *Datagrams) (n int, truncated bool, err error) {
	a := &s.read.plain
	n, oobn, flags, from, err := s.udp.ReadMsgUDPAddrPort(d.B, unsafe.Slice((*byte)(unsafe.Pointer(&a.ctrl)), unsafe.Sizeof(a.ctrl)))
	if s.read.gro {
		var h unix.Msghdr
		h.SetControllen(oobn)
		d.Segment = a.segment(&h)
	}
	d.From = from
	return n, flags&unix.MSG_TRUNC != 0, err
}
