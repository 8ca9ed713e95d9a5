package dgram

import "net/netip"

// BufferSize is the buffer each Datagrams should bring to ReadBatch, in bytes: the longest run the kernel hands over.
const BufferSize = 64 << 10

// Datagrams is what one read returned: datagrams of equal length laid end to end, all from one sender.
type Datagrams struct {
	// B is the caller's buffer, BufferSize bytes of capacity. ReadBatch uses its whole capacity whatever its length, and leaves
	// it as long as what was received; it may be passed again as it is.
	B []byte
	// Segment is the length of each datagram in bytes; only the last may be shorter. It is len(B) when there is one, never 0.
	Segment int
	// From is the sender's address and port. A link-local address has its zone. The port is 0 on raw IP.
	From netip.AddrPort
	// Multicast is true for what came to the group, false for what came to our own unicast address.
	Multicast bool
	// Truncated is true when the run was longer than B: the datagrams in B are whole, the rest was lost and counted.
	Truncated bool
}

// Conn is one end of a group. ReadBatch, WriteRun, Close and the rest may be called from different goroutines.
type Conn interface {
	// ReadBatch blocks until datagrams are there, fills entries of d from the first on and returns how many it filled, at least
	// one. Entries may be reordered: a buffer may come back at another index. It fails with net.ErrClosed after Close.
	ReadBatch(d []Datagrams) (int, error)

	// WriteRun sends b as datagrams of segment bytes, the last may be shorter, to the given address (the zero AddrPort: the
	// group) with the given hop limit (0: the Conn's own). A segment of 0 or less, or of at least len(b), sends one datagram.
	// It blocks while the socket buffer is full. What the kernel refuses for good is counted in Stats and is not an error: the
	// only errors are those after which nothing can be sent any more, net.ErrClosed above all. b is borrowed until return.
	WriteRun(b []byte, segment int, to netip.AddrPort, hopLimit int) error

	// LocalAddr is a source's own unicast address and port, with a zone if link-local, or the group of a receiver.
	LocalAddr() netip.AddrPort

	Info() Info
	Stats() Stats

	// Close unblocks ReadBatch and WriteRun. Closing again gives net.ErrClosed.
	Close() error
}

// Info says what a Conn got from the system.
type Info struct {
	Interface string // name of the interface
	Index     int    // its index
	MTU       int    // its MTU in bytes

	GroupAddr netip.Addr // the group, with the interface as its zone if IPv6
	Port      uint16     // the group's port; 0 on raw IP if none was given

	// OwnPort is the port unicast comes in on: the group's port unless PortTaken. 0 for receivers and on raw IP.
	OwnPort uint16
	// PortTaken: another process has the group's port on our address, so OwnPort is an ephemeral one. Peers that send to
	// the group's port do not reach us.
	PortTaken bool
	// SharedPort: another source of this process uses the same socket, so ReadBatch also returns what is meant for that one.
	SharedPort bool
	// From is what WriteRun's datagrams come from: a source's LocalAddr, and of a receiver the port of its second socket with the address that
	// its interface would be asked for first, which the system need not choose. The port is 0 on raw IP.
	From netip.AddrPort
	// LinkLocalOnly: the interface has no other IPv6 address than a link-local one.
	LinkLocalOnly bool

	// RecvBuffer and SendBuffer are the socket buffers really given, in bytes, comparable to those asked for in Options.
	RecvBuffer, SendBuffer int

	GSO bool // runs are handed to the kernel whole (UDP_SEGMENT)
	GRO bool // runs may arrive whole (UDP_GRO)
	Raw bool // raw IP, protocol 113
}

// Stats counts datagrams since the Conn was opened. Counters of a socket shared by several sources are the socket's.
type Stats struct {
	KernelDrops uint64 // received by the system and dropped because the socket's receive buffer was full; at least: a run that came whole (Info.GRO) counts once
	QueueDrops  uint64 // dropped because this Conn, of several on one socket, did not read
	Truncated   uint64 // longer than the buffer given to ReadBatch
	Empty       uint64 // without payload
	Filtered    uint64 // not from one of Options.Sources, or not to the group
	Malformed   uint64 // raw IP with a header that does not fit

	Refused WriteErrors // datagrams the kernel did not take
	// FirstRefusal is the first error behind Refused, nil if there is none.
	FirstRefusal error
}

// WriteErrors counts the datagrams that the kernel refused for good, by kind.
type WriteErrors struct {
	TooBig      uint64 // longer than the MTU, or than a datagram can be (EMSGSIZE)
	Unreachable uint64 // no route, network or host down (ENETUNREACH, EHOSTUNREACH, ENETDOWN, EADDRNOTAVAIL)
	Denied      uint64 // by a packet filter or for want of rights (EPERM, EACCES)
	PortClosed  uint64 // an earlier datagram met a closed port (ECONNREFUSED, ECONNRESET)
	NoBuffer    uint64 // the system stayed out of buffers (ENOBUFS, ENOMEM)
	Other       uint64
}

// Total is the sum over all kinds.
func (e WriteErrors) Total() uint64 {
	return e.TooBig + e.Unreachable + e.Denied + e.PortClosed + e.NoBuffer + e.Other
}
