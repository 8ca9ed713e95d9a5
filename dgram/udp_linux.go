package dgram

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const (
	// maxBatch is how many runs or datagrams one system call moves at most.
	maxBatch = 64
	// A GSO run: at most 64 segments (kernels before 6.9) and what fits a datagram under either family.
	maxRunSegments = 64
	maxRunBytes    = 65000

	ipv4Header = 20 // without options
)

// tune sets what only Linux has, and finds out what the socket can do.
func (s *socket) tune() error {
	var fatal error
	err := s.sys.Control(func(f uintptr) {
		fd := int(f)
		set := func(level, name, value int) error { return unix.SetsockoptInt(fd, level, name, value) }
		// What fails here is older than the option and does without, but for the one that keeps other groups out.
		if s.v6 {
			set(unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0) // Linux 4.20
			set(unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO)
			set(unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1)
			if s.multicast {
				// IPV6_MULTICAST_ALL looks at the group, not at the interface it was joined on. Free for all since Linux 5.7.
				unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, s.ifi.Name)
			}
		} else {
			fatal = os.NewSyscallError("setsockopt", set(unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0))
			set(unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
		}
		if s.deaf {
			nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
			unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing})
		}
		if s.raw {
			return
		}
		if _, err := unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT); err == nil && !withheld.gso {
			s.write.gso.Store(true)
		}
		if !s.deaf && !withheld.gro {
			s.read.gro = set(unix.IPPROTO_UDP, unix.UDP_GRO, 1) == nil
		}
	})
	s.read.init(s)
	s.write.init(s)
	return errors.Join(err, fatal)
}

// setBuffers asks for socket buffers (0: leave as it is), beyond the system's limit if we may, and returns what was given.
func (s *socket) setBuffers(recv, send int) (gotRecv, gotSend int) {
	s.sys.Control(func(f uintptr) {
		one := func(size, force, plain int) int {
			if size > 0 && unix.SetsockoptInt(int(f), unix.SOL_SOCKET, force, size) != nil {
				unix.SetsockoptInt(int(f), unix.SOL_SOCKET, plain, size)
			}
			n, _ := unix.GetsockoptInt(int(f), unix.SOL_SOCKET, plain)
			return n / 2 // the kernel doubles what is asked for, to cover its own book-keeping
		}
		gotRecv = one(recv, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF)
		gotSend = one(send, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF)
	})
	return gotRecv, gotSend
}

// kernelDrops asks how many datagrams did not fit the receive buffer. After Close it is the last answer.
func (s *socket) kernelDrops() uint64 {
	if s.deaf {
		return 0 // what its filter throws away
	}
	s.sys.Control(func(fd uintptr) {
		var info [unix.SK_MEMINFO_DROPS + 1]uint32
		size := uint32(unsafe.Sizeof(info))
		_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if e == 0 {
			s.read.drops.Store(uint64(info[unix.SK_MEMINFO_DROPS]))
		}
	})
	return s.read.drops.Load()
}

func (s *socket) gso() bool { return s.write.gso.Load() }
func (s *socket) gro() bool { return s.read.gro }

// probeRoute fails if nothing can be sent to an IPv6 group from the interface: lo has no such route of its own.
func probeRoute(group netip.AddrPort, ifi *net.Interface) error {
	if group.Addr().Is4() {
		return nil
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil // the socket that is needed will say so
	}
	defer unix.Close(fd)
	if unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, ifi.Index) != nil {
		return nil
	}
	err = unix.Connect(fd, &unix.SockaddrInet6{Addr: group.Addr().As16(), Port: 9, ZoneId: uint32(ifi.Index)})
	if err == unix.ENETUNREACH {
		return err
	}
	return nil
}

// putName writes a destination in the kernel's form and returns its length.
func putName(sa *unix.RawSockaddrInet6, to netip.AddrPort, s *socket) uint32 {
	port := to.Port()
	if s.raw {
		port = 0
	}
	var p uint16
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&p))[:], port)
	if !s.v6 {
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(sa)) = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: p, Addr: to.Addr().As4()}
		return unix.SizeofSockaddrInet4
	}
	*sa = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: p, Addr: to.Addr().As16()}
	if needsScope(to.Addr()) {
		sa.Scope_id = s.scope(to.Addr())
	}
	return unix.SizeofSockaddrInet6
}

// scope is the interface index meant by an address's zone; without a zone it is the socket's interface.
func (s *socket) scope(a netip.Addr) uint32 {
	switch z := a.Zone(); z {
	case "", s.ifi.Name:
		return uint32(s.ifi.Index)
	default:
		if n, err := strconv.ParseUint(z, 10, 32); err == nil {
			return uint32(n)
		}
		if i, err := net.InterfaceByName(z); err == nil {
			return uint32(i.Index)
		}
		return uint32(s.ifi.Index)
	}
}

// writer sends with one sendmsg, or many datagrams with one sendmmsg.
type writer struct {
	gso   atomic.Bool // the socket takes runs
	hdr   unix.Msghdr
	iov   unix.Iovec
	name  unix.RawSockaddrInet6
	errno syscall.Errno
	op    func(fd uintptr) bool

	// Control messages, made once: UDP_SEGMENT, then the hop limit. A call passes either, both, or none of them.
	oob      []byte
	hopsAt   int // where the second begins
	segment  *uint16
	hopLimit *int32

	batch []ipv6.Message // made when first needed; ipv4.Message is the same type
	to    net.UDPAddr
	toIP  net.IPAddr
}

func (w *writer) init(s *socket) {
	w.hopsAt = unix.CmsgSpace(2)
	words := make([]uint64, (w.hopsAt+unix.CmsgSpace(4)+7)/8) // aligned for the headers in it
	w.oob = unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), w.hopsAt+unix.CmsgSpace(4))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&w.oob[0]))
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	w.segment = (*uint16)(unsafe.Pointer(&w.oob[unix.CmsgLen(0)]))
	h = (*unix.Cmsghdr)(unsafe.Pointer(&w.oob[w.hopsAt]))
	h.Level, h.Type = unix.IPPROTO_IP, unix.IP_TTL
	if s.v6 {
		h.Level, h.Type = unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT
	}
	h.SetLen(unix.CmsgLen(4))
	w.hopLimit = (*int32)(unsafe.Pointer(&w.oob[w.hopsAt+unix.CmsgLen(0)]))
	w.hdr.Iov = &w.iov
	w.hdr.SetIovlen(1)
	w.hdr.Name = (*byte)(unsafe.Pointer(&w.name))
	w.op = w.send
}

// send is one try of sendmsg; false makes the runtime wait until the socket is writable.
func (w *writer) send(fd uintptr) bool {
	for {
		_, _, e := unix.Syscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&w.hdr)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch e {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		w.errno = e
		return true
	}
}

// writeSome sends a run: whole where the socket takes that, else by sendmmsg.
func (s *socket) writeSome(b []byte, segment int, to netip.AddrPort, hopLimit int) error {
	if s.plain {
		return s.writePlain(b, segment, to, hopLimit)
	}
	w := &s.write
	w.hdr.Namelen = putName(&w.name, to, s)
	for len(b) > 0 {
		n := min(segment, len(b))
		if len(b) > n {
			if !w.gso.Load() {
				return s.writeBatch(b, segment, to, hopLimit)
			}
			n = min(len(b), max(1, min(maxRunSegments, maxRunBytes/segment))*segment)
		}
		if err := s.writeWhole(b[:n], segment, to, hopLimit); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// writeWhole hands b to the kernel in one call. A run that it does not take like this goes by sendmmsg, which finds out what
// is wrong with which datagram.
func (s *socket) writeWhole(b []byte, segment int, to netip.AddrPort, hopLimit int) error {
	w := &s.write
	run := len(b) > segment
	*w.segment, *w.hopLimit = uint16(segment), int32(hopLimit)
	from, until := w.hopsAt, w.hopsAt
	if run {
		from = 0
	}
	if hopLimit != 0 {
		until = len(w.oob)
	}
	w.hdr.Control = nil
	if until > from {
		w.hdr.Control = &w.oob[from]
	}
	w.hdr.SetControllen(until - from)
	w.iov.Base = &b[0]
	w.iov.SetLen(len(b))
	var err error
	for try := 0; ; try++ {
		if err = s.sys.Write(w.op); err == nil && w.errno != 0 {
			err = w.errno
		}
		if !s.again(err, try) {
			break
		}
	}
	w.iov.Base = nil
	switch {
	case err == nil:
		return nil
	case !run:
		return s.refuseError(err, 1)
	}
	switch {
	case errors.Is(err, unix.EIO) || errors.Is(err, unix.EINVAL):
		before := s.refusals()
		if err := s.writeBatch(b, segment, to, hopLimit); err != nil {
			return err
		}
		if s.refusals() == before {
			// The datagrams were good, so it is the offload that is not to be had (EIO: no checksums in the device).
			w.gso.Store(false)
			if s.log != nil {
				s.log.Info("dgram: segmentation offload refused, sending datagrams one by one", "interface", s.ifi.Name, "error", err)
			}
		}
		return nil
	case errors.Is(err, unix.EMSGSIZE):
		return s.writeBatch(b, segment, to, hopLimit)
	}
	return s.refuseError(err, (len(b)+segment-1)/segment)
}

func (s *socket) refusals() (n uint64) {
	for k := range s.refused {
		n += s.refused[k].Load()
	}
	return n
}

// writeBatch sends a run by sendmmsg.
func (s *socket) writeBatch(b []byte, segment int, to netip.AddrPort, hopLimit int) error {
	w := &s.write
	if w.batch == nil {
		w.batch = make([]ipv6.Message, maxBatch)
		var addr net.Addr = &w.to
		if s.raw {
			addr = &w.toIP
		}
		for i := range w.batch {
			w.batch[i].Buffers = make([][]byte, 1)
			w.batch[i].Addr = addr
		}
	}
	s.setBatchAddr(to)
	*w.hopLimit = int32(hopLimit)
	var oob []byte
	if hopLimit != 0 {
		oob = w.oob[w.hopsAt:]
	}
	for try := 0; len(b) > 0; {
		n, at := 0, 0
		for n < maxBatch && at < len(b) {
			end := min(at+segment, len(b))
			w.batch[n].Buffers[0], w.batch[n].OOB = b[at:end], oob
			n, at = n+1, end
		}
		var sent int
		var err error
		if s.v6 {
			sent, err = s.p6.WriteBatch(w.batch[:n], 0)
		} else {
			sent, err = s.p4.WriteBatch([]ipv4.Message(w.batch[:n]), 0)
		}
		if err != nil {
			// The first one failed; the others were not tried.
			if s.again(err, try) {
				try++
				continue
			}
			if err := s.refuseError(err, 1); err != nil {
				return err
			}
			sent = 1
		}
		try = 0
		b = b[min(max(sent, 0)*segment, len(b)):] // sent < n when the socket buffer filled up
	}
	return nil
}

// setBatchAddr sets the address that all messages of the batch share.
func (s *socket) setBatchAddr(to netip.AddrPort) {
	w := &s.write
	zone := ""
	if needsScope(to.Addr()) {
		zone = strconv.Itoa(int(s.scope(to.Addr())))
	}
	ip := w.to.IP[:0]
	if s.v6 {
		a := to.Addr().As16()
		ip = append(ip, a[:]...)
	} else {
		a := to.Addr().As4()
		ip = append(ip, a[:]...)
	}
	w.to.IP, w.to.Port, w.to.Zone = ip, int(to.Port()), zone
	w.toIP.IP, w.toIP.Zone = ip, zone
}
