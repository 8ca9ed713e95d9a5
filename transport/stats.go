package transport

import (
	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

// SourceStats is what a Source counted since Dial, and where it stands: packets, bytes, NAKs, repairs, rate, round trip time
// and size of the group, window (all from session.SourceStats), and its socket.
type SourceStats struct {
	session.SourceStats
	Socket SocketStats
}

// ReceiverStats is what a Receiver counted since its source was first heard, and where it stands: packets, bytes, losses, NAKs
// sent and suppressed, round trip time, window (all from session.ReceiverStats), and its Listener's socket.
type ReceiverStats struct {
	session.ReceiverStats
	Socket SocketStats
}

// ListenerStats is what a Listener counted over all sources, also those it refused or has forgotten, and its socket.
type ListenerStats struct {
	session.PeersStats
	Socket SocketStats
}

// SocketStats says what the system gave, and counts what never reached the protocol. Sources of one process on one address and
// port share a socket, and with it these counters.
type SocketStats struct {
	Interface  string // name of the network interface
	MTU        int    // the interface's, in bytes
	RecvBuffer int    // receive buffer really given, in bytes
	SendBuffer int    // send buffer really given, in bytes
	GSO, GRO   bool   // runs of packets cross the kernel whole, out and in

	dgram.Stats             // drops by the kernel, and what it refused to send
	Undecodable DecodeStats // datagrams that are not sound PGM
}

// DecodeStats counts datagrams by the wire.DecodeError that refused them: stats[wire.ErrChecksum].
type DecodeStats [wire.DecodeErrors]uint64

// Total is the sum over all reasons.
func (d DecodeStats) Total() uint64 {
	var n uint64
	for _, x := range d {
		n += x
	}
	return n
}

// socketStats asks the conn and adds what the endpoint counted, which is passed as it was under the lock.
func (e *endpoint) socketStats(bad DecodeStats) SocketStats {
	return SocketStats{
		Interface: e.info.Interface, MTU: e.info.MTU,
		RecvBuffer: e.info.RecvBuffer, SendBuffer: e.info.SendBuffer,
		GSO: e.info.GSO, GRO: e.info.GRO,
		Stats: e.conn.Stats(), Undecodable: bad,
	}
}
