package dgram

import (
	"context"
	"log/slog"
	"net/netip"
)

// Defaults of Options.
const (
	DefaultHopLimit   = 1
	DefaultRecvBuffer = 8 << 20
	DefaultSendBuffer = 400 << 10
)

// Options tunes a Conn. The zero value is right for one network interface.
type Options struct {
	// Interface picks the network interface by name, index, or one of its addresses (a source then sends from that address).
	// Empty: the zone of the group; else the only interface that is up and does multicast, of several the one with the default
	// route; the loopback interface if there is no other.
	Interface string
	// Sources makes a receiver hear these senders only (source-specific multicast). Needed for groups in ff3x::/32 and 232/8.
	Sources []netip.Addr
	// HopLimit of what is sent to the group: 1 to 255. 0: 1, the local network.
	HopLimit int
	// NoLoopback keeps what is sent to the group from receivers on this host. It has no effect on the loopback interface.
	NoLoopback bool
	// RecvBuffer is the socket receive buffer to ask for, in bytes. 0: 8 MiB. Info says what was given.
	RecvBuffer int
	// SendBuffer is the socket send buffer to ask for, in bytes. 0: 400 KiB. Smaller than the interface's queue, it makes
	// WriteRun block where the queue would drop.
	SendBuffer int
	// Logger is told what changes while a Conn is in use. Nil: nobody is.
	Logger *slog.Logger
}

// Network opens Conns. The network names are udp, udp4, udp6 and ip:pgm, ip4:pgm, ip6:pgm.
type Network interface {
	// OpenSource opens the sending end of a group.
	OpenSource(ctx context.Context, network string, group netip.AddrPort, o Options) (Conn, error)
	// OpenReceiver joins a group.
	OpenReceiver(ctx context.Context, network string, group netip.AddrPort, o Options) (Conn, error)
}

// Kernel is the operating system's network.
var Kernel Network = kernel{}

type kernel struct{}
