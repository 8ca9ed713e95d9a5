package netem

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// packetSocket reads and writes frames on all interfaces of its namespace. It reads from a ring that the kernel shares
// (TPACKET_V2), so that neither a call for each packet nor the size of a socket buffer limits it. next, done and send are for one
// goroutine.
type packetSocket struct {
	fd    int // -1 when it is closed
	ring  []byte
	slot  int // bytes of one frame's slot in ring
	at    int // the slot that is filled next
	slots int
	out   sendBatch
}

// ringBytes is the memory of a ring: with an MTU of 1500 it holds 8192 packets.
const ringBytes = 16 << 20

// openPacketSocket opens a socket in the current thread's namespace.
func openPacketSocket(mtu int) (*packetSocket, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket(AF_PACKET): %w", err)
	}
	s := &packetSocket{fd: fd}
	if err := s.open(mtu); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *packetSocket) open(mtu int) error {
	if err := unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2); err != nil {
		return fmt.Errorf("setsockopt(PACKET_VERSION): %w", err)
	}
	// Kernels before 4.20 lack it; next then passes over what was sent.
	unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	const kernelHead = 80 // what stands before the IP packet in a slot, and some more
	s.slot = 1 << bits.Len(uint(kernelHead+etherHeader+mtu-1))
	block := max(64<<10, s.slot, os.Getpagesize())
	req := unix.TpacketReq{Block_size: uint32(block), Block_nr: uint32(ringBytes / block), Frame_size: uint32(s.slot)}
	req.Frame_nr = req.Block_nr * (req.Block_size / req.Frame_size)
	if err := unix.SetsockoptTpacketReq(s.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return fmt.Errorf("setsockopt(PACKET_RX_RING) of %d bytes: %w", ringBytes, err)
	}
	s.slots = int(req.Frame_nr)
	ring, err := unix.Mmap(s.fd, 0, int(req.Block_nr)*block, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mmap of the ring: %w", err)
	}
	s.ring = ring
	if err := unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL)}); err != nil {
		return fmt.Errorf("bind(ETH_P_ALL): %w", err)
	}
	return nil
}

// bigEndian returns v with the bytes in network order.
func bigEndian(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// head is the kernel's header of the slot to read next.
func (s *packetSocket) head() *unix.Tpacket2Hdr {
	return (*unix.Tpacket2Hdr)(unsafe.Pointer(&s.ring[s.at*s.slot]))
}

// next returns the next frame, the interface on which it came and when, or false if there is none. The frame is valid until done,
// which must be called; it is nil if it came in parts or its checksum is not finished.
func (s *packetSocket) next() (b []byte, port int32, at time.Time, ok bool) {
	h := s.head()
	status := atomic.LoadUint32(&h.Status)
	if status&unix.TP_STATUS_USER == 0 {
		return nil, 0, at, false
	}
	slot := s.ring[s.at*s.slot:][:s.slot]
	from := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&slot[unix.SizeofTpacket2Hdr]))
	if h.Snaplen == h.Len && status&unix.TP_STATUS_CSUMNOTREADY == 0 {
		b = slot[h.Mac:][:h.Snaplen]
	}
	if port = from.Ifindex; from.Pkttype == unix.PACKET_OUTGOING {
		port = 0 // no interface has this index
	}
	return b, port, time.Unix(int64(h.Sec), int64(h.Nsec)), true
}

// done gives the slot of the last frame back to the kernel.
func (s *packetSocket) done() {
	atomic.StoreUint32(&s.head().Status, unix.TP_STATUS_KERNEL)
	if s.at++; s.at == s.slots {
		s.at = 0
	}
}

// wait waits until a frame comes, the eventfd stop is written to, or a time has passed. It reports whether stop was.
func (s *packetSocket) wait(d time.Duration, stop int) (stopped bool, err error) {
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}, {Fd: int32(stop), Events: unix.POLLIN}}
	var timeout *unix.Timespec
	if d != never {
		ts := unix.NsecToTimespec(int64(d))
		timeout = &ts
	}
	if _, err := unix.Ppoll(fds, timeout, nil); err != nil && err != unix.EINTR {
		return false, fmt.Errorf("ppoll: %w", err)
	}
	if fds[0].Revents&unix.POLLERR != 0 { // an interface is gone or down; asking forgets it
		unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	}
	return fds[1].Revents != 0, nil
}

// drops returns how many frames did not fit into the ring since it was asked last.
func (s *packetSocket) drops() uint64 {
	if s.fd < 0 {
		return 0
	}
	st, err := unix.GetsockoptTpacketStats(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0
	}
	return uint64(st.Drops)
}

func (s *packetSocket) close() {
	if s.ring != nil {
		unix.Munmap(s.ring)
		s.ring = nil
	}
	unix.Close(s.fd)
	s.fd = -1
}

// sendBatch is the memory for a call of sendmmsg.
type sendBatch struct {
	msgs [64]packetMsg
	iovs [64]unix.Iovec
	to   [64]unix.RawSockaddrLinklayer
}

// packetMsg is struct mmsghdr.
type packetMsg struct {
	hdr unix.Msghdr
	n   uint32
}

// send sends frames and returns how many the kernel refused.
func (s *packetSocket) send(parcels []parcel) (refused int) {
	o := &s.out
	for len(parcels) > 0 {
		n := min(len(parcels), len(o.msgs))
		for i, p := range parcels[:n] {
			o.to[i] = unix.RawSockaddrLinklayer{Family: unix.AF_PACKET, Ifindex: p.port, Protocol: binary.NativeEndian.Uint16(p.b[12:])}
			o.iovs[i].Base = &p.b[0]
			o.iovs[i].SetLen(len(p.b))
			h := &o.msgs[i].hdr
			h.Name, h.Namelen = (*byte)(unsafe.Pointer(&o.to[i])), unix.SizeofSockaddrLinklayer
			h.Iov = &o.iovs[i]
			h.SetIovlen(1)
		}
		for done := 0; done < n; {
			k, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&o.msgs[done])), uintptr(n-done), 0, 0, 0)
			switch errno {
			case 0:
				done += int(k)
			case unix.EINTR:
			default: // the first of them
				refused++
				done++
			}
		}
		parcels = parcels[n:]
	}
	runtime.KeepAlive(parcels)
	return refused
}
