// Package dgram carries batches of datagrams to and from a multicast group: over UDP, and over raw IP (protocol 113).
//
// It knows sockets, interfaces and groups, and nothing of PGM: what a datagram means is decided above, and netem offers the
// same interfaces without a kernel.
//
// A source sends to the group and hears what is sent to its own unicast address; a receiver hears the group and sends
// wherever it is told:
//
//	              WriteRun                      ReadBatch
//	source Conn ───────────▶ group, port P ──────────────▶ receiver Conns
//	 own address, port P                                    bound to the group, port P
//	      ▲  ReadBatch                           WriteRun │
//	      └───────────────── unicast ◀────────────────────┘
//	                                              own socket, ephemeral port
//
// # Runs
//
// Datagrams travel in runs: equal segments laid end to end, the last may be shorter. On Linux a run crosses the kernel as one
// buffer in each direction (UDP_SEGMENT and UDP_GRO), which is worth a factor of ten to fifty; where a socket does not take
// that, the same calls use sendmmsg and recvmmsg, and one system call a datagram on other systems. Which of them a Conn
// uses is found out once and told by Info.
//
// # Who binds what
//
// A receiver's socket is bound to the group address itself, with address reuse, so any number of receivers shares a host and
// port, and none takes a unicast datagram away from a source. A source's socket is bound to the interface's own unicast
// address on the group's port, without reuse. The sources of one process on one address and port share one socket: each of
// their Conns hears all unicast datagrams. If another process has the port, the source gets an ephemeral one; Info.PortTaken
// then says so, and Info.OwnPort where unicast must go.
//
// # What the network does is not an error
//
// Datagrams that are cut, empty, from an unwanted source, refused by the kernel on the way out, or dropped by a full socket
// buffer are counted in Stats. ReadBatch and WriteRun fail when the Conn is closed (net.ErrClosed) or its socket broken.
//
// # Limitations
//
// Host names are not looked up. A Conn stays on the interface it was opened on. On Windows a receiver binds the wildcard
// address and filters by destination, and there is no raw IP.
package dgram
