package transport

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

// Config sets up a Source or a Listener. The zero value is right on a LAN, and nil means it. In every field zero means the
// default that the field's comment names; negative means "off" where the comment says so and is an error elsewhere. Dial and
// Listen read the value once and never change it. One Config may serve both: each end ignores what only concerns the other,
// and the comment says whom a field concerns where it is not both.
//
// The words in parentheses are RFC 3208's.
type Config struct {
	// Interface is the network interface to use: its name ("eth0"), index ("2") or one of its addresses. Empty: the zone of the
	// group, or else the interface of the default route for the group.
	Interface string

	// Sources restricts a Listener to packets from these hosts (source-specific multicast). Groups in ff3x::/32 and
	// 232.0.0.0/8 need at least one. Empty: packets from any host.
	Sources []netip.Addr

	// HopLimit is how many networks multicast packets may cross (TTL), 1 to 255. Zero: 1, the local network only. A limit of 1
	// also lets timers begin with a LAN's round trip time in place of a WAN's.
	HopLimit int

	// NoLoopback keeps what is sent from receivers on the same host. Zero: they hear it.
	NoLoopback bool

	// MTU is the size of the largest IP packet a source sends, in bytes, headers included. Zero: the interface's MTU, but at
	// most 1500. Receivers take any size.
	MTU int

	// DestinationPort is the PGM data-destination port (not UDP's): a Listener hears only sessions that name its own. Zero:
	// the group's UDP port; over raw IP, where the group may name none, 7500.
	DestinationPort uint16

	// GSI is the global source id, the first part of the source's TSI. The second part, the data-source port, is always random,
	// so that a source that restarts begins a new session. Zero: 48 random bits; wire.NewGSI makes one from a name.
	GSI wire.GSI

	// Rate (TXW_MAX_RTE) is the greatest speed at which a source sends, in bits per second of IP packets: new data and repairs together
	// never pass it. Below it the source finds the speed that its slowest receiver gets, and sends less when others need the path too. Receivers
	// report what they get; those that are not of this library cannot, and of their NAKs only the loss is seen: a group of only such, or of
	// silent receivers, gets up to 100 Mbit/s within a network (HopLimit 1), 10 Mbit/s beyond. At least flow.Kbps. Zero, flow.Unlimited: no bound.
	Rate flow.Rate

	// Fixed makes a source send at Rate, whatever its receivers get: for links that are provisioned for it, silent receivers (ReceiveOnly),
	// and groups of receivers that are not of this library. With flow.Unlimited nothing paces it but a full window. Zero: it adapts. With Fixed
	// and no Rate it sends 100 Mbit/s.
	Fixed bool

	// LossIsCongestion makes a source take loss as TCP does, and get about what TCP would get. By default loss alone is
	// repaired, and only loss together with growing delay or a falling delivery rate slows a source down. Not with Fixed.
	LossIsCongestion bool

	// SlowReceivers says which receivers set the pace of a source, and what becomes of those that are slower. Named holds
	// ReceiverIDs, as uint64. Zero: the slowest sets the pace, down to 100 kbit/s. Not with Fixed.
	SlowReceivers flow.Slow

	// RepairShare is the part of Rate that repairs may take while new data waits, above 0 to 1. Zero: 0.75.
	RepairShare float64

	// WindowBytes is how much payload a source keeps for repairs, and how much a receiver buffers of one source, in bytes. Each
	// packet counts as a full one. The window's number of packets is rounded down to a power of two. Zero: 64 MiB.
	WindowBytes int

	// WindowAge (TXW_SECS) is how long a source keeps a packet after it was first sent, when nothing forces it out sooner.
	// Zero: 2 s, or WindowHold if that is longer.
	WindowAge time.Duration

	// WindowHold is how long a sent packet stays repairable at least: a writer whose window is full waits for it. Longer holds
	// more loss off and lets a full window slow the writer down. At most WindowAge. Zero: four repair cycles as measured, two
	// and a round trip while hardly anything is asked for; at least 20 ms, and 250 ms with Fixed and flow.Unlimited, where nothing else
	// slows the writer down.
	WindowHold time.Duration

	// MaxWindow (TXW_SQNS) bounds a window at either end, in packets, 16 to 2^30; it is rounded down to a power of two. What
	// a source claims never makes a receiver's window larger. Zero: 65536.
	MaxWindow int

	// MaxMessage is the longest message that WriteMessage sends and a receiver accepts, in bytes. Zero: a source sends up to 22528, the
	// most that OpenPGM takes at an MTU of 1500 over IPv6; a receiver accepts up to 65535, the most that OpenPGM sends at any MTU.
	MaxMessage int

	// MaxSources is how many sources a Listener keeps state for at once; packets of others are refused and counted. Zero: 256.
	MaxSources int

	// Join says where a receiver begins. Zero: JoinStart.
	Join Join

	// Unordered makes a receiver hand out whole messages as they arrive, each once, without waiting for older ones; losses
	// are seen in Stats only.
	Unordered bool

	// MaxDelay bounds how long a receiver waits for a lost packet: a gap older than this is reported as *LossError and skipped.
	// Zero: it waits for the repair, up to RepairTimeout.
	MaxDelay time.Duration

	// RepairTimeout is how long a receiver asks for a lost packet before it gives it up. Negative: as long as the source still
	// holds it. Zero: 10 s, or more where MaxDelay or NAKBackoff need it.
	RepairTimeout time.Duration

	// HeartbeatMin (IHB_MIN) is the wait between a source's last data and its first heartbeat SPM; each further wait is
	// twice as long. Zero: 10 ms, or HeartbeatMax if that is shorter.
	HeartbeatMin time.Duration

	// HeartbeatMax (IHB_MAX) is the longest wait between heartbeat SPMs. Zero: 1 s, or HeartbeatMin if that is longer.
	HeartbeatMax time.Duration

	// AmbientSPM is the interval of the SPMs that a source sends whether or not there is data. Zero: 1 s.
	AmbientSPM time.Duration

	// Expiry is how long a source may be silent before its receiver takes it for lost (ErrSourceLost). Negative: for ever.
	// Zero: 30 s for sources of this library, 300 s for others, whose SPMs may be that rare.
	Expiry time.Duration

	// NAKBackoff (NAK_BO_IVL) bounds the random wait of a receiver before it asks for a repair. Longer suppresses more
	// duplicates in large groups and delays repairs. Zero adapts to round trip time and group size.
	NAKBackoff time.Duration

	// NAKRepeat (NAK_RPT_IVL) is how long a receiver waits for the confirmation (NCF) of a NAK before it repeats it; the wait
	// doubles with each repeat. Zero adapts to the round trip time.
	NAKRepeat time.Duration

	// NAKData (NAK_RDATA_IVL) is how long a receiver waits for the repair after its confirmation; the wait doubles with
	// each repeat. Zero adapts to the round trip time and to how long the source's repairs queue.
	NAKData time.Duration

	// UniformBackoff draws the wait of NAKBackoff evenly, as RFC 3208 does, and not by the truncated exponential law, which
	// suppresses far better in large groups.
	UniformBackoff bool

	// FEC is how losses are repaired with parity packets, each of which makes up for any one packet of its group at every receiver.
	// Source: what is made, when. Receiver: Off takes no part, and asks for packets by number; the rest is the source's to say. Zero:
	// on demand, in groups of 64. Receivers that are not of this library never see parity, and are repaired by replay.
	FEC fec.Config

	// Linger is how long a closing source goes on serving repairs (TXW_SECS after FIN): less when the group is quiet (three SPMs
	// said FIN, and no NAK came for 250 ms or twenty repair cycles; for 1.25 s if no receiver was ever heard), up to five times
	// as long while NAKs still come. Negative: not at all. Zero: 2 s.
	Linger time.Duration

	// ReceiverID is a receiver's name for itself, the same each time it runs and no other's in the group: it lets the source wait
	// until this receiver has got something (Source.WaitDelivered). wire.NewReceiverID makes one from a name. While one address
	// answers for an id, and for 10 s after, others that claim it are not heard. Zero: the receiver takes no part in that.
	ReceiverID wire.ReceiverID

	// ReceiveOnly makes a Listener send not one packet, for one-way links and silent observers: a gap is reported as soon as
	// the reordering tolerance (1 ms or two later packets) is over.
	ReceiveOnly bool

	// Logger hears of what an operator should know: small socket buffers, a port that is taken, sources that come and go.
	// Nil: slog.Default(). slog.New(slog.DiscardHandler) keeps quiet.
	Logger *slog.Logger

	// Trace is called for each event inside the protocol engine, with the engine locked: it must return quickly and must
	// not call methods of the Source, Listener or Receiver. Event.At counts from when the connection was opened. Nil: nothing.
	Trace func(session.Event)

	// Network opens the sockets. Nil: the kernel's (dgram.Kernel). netem's Fabric is one in memory.
	Network dgram.Network
}

// Join says where a receiver that comes late begins.
type Join = session.Join

// The join modes. In each, delivery begins at the start of a message, and what was sent before that is not a loss.
const (
	// JoinStart begins with the source's first packet if the source still holds it, and else as JoinNow.
	JoinStart = session.JoinStart
	// JoinNow begins with what is sent from now on.
	JoinNow = session.JoinNow
	// JoinTrail begins with the oldest packet that the source still holds.
	JoinTrail = session.JoinTrail
)

// Defaults that the comments of Config name.
const (
	defaultHopLimit      = 1
	defaultMTU           = 1500
	defaultRawPort       = 7500
	defaultRate          = flow.DefaultRate // with Fixed
	startRate            = 100 * flow.Mbps  // of a source that adapts, before anything is known, on one link
	startRateFar         = 10 * flow.Mbps   // and beyond
	defaultRepairShare   = flow.DefaultRepairShare
	defaultWindowBytes   = 64 << 20
	defaultWindowAge     = 2 * time.Second
	defaultMaxWindow     = 65536
	defaultMaxMessage    = 22528
	defaultAccept        = 65535 // PGM_MAX_APDU of OpenPGM
	defaultMaxSources    = 256
	defaultRepairTimeout = 10 * time.Second
	defaultHeartbeatMin  = 10 * time.Millisecond
	defaultHeartbeatMax  = time.Second
	defaultAmbientSPM    = time.Second
	defaultExpiry        = 30 * time.Second // of sources of this library
	defaultLinger        = 2 * time.Second

	minWindow     = 16      // packets
	maxWindow     = 1 << 30 // packets; RFC 3208 would allow 2^31-1
	receiverShare = 0.25    // of Rate that one receiver's NAKs may cause once others wait
	backlog       = 128     // sources that wait for Accept
	never         = 1 << 62 // a duration that does not end, and to which an instant can still be added
)

// withDefaults returns c with its zero fields resolved, but for those that zero leaves adaptive (WindowHold, Expiry, NAK
// timers) and those that only the opened interface or the group can tell (MTU, DestinationPort, GSI).
func (c *Config) withDefaults() Config {
	var r Config
	if c != nil {
		r = *c
	}
	or(&r.HopLimit, defaultHopLimit)
	if !r.Fixed {
		or(&r.Rate, flow.Unlimited)
	}
	or(&r.Rate, defaultRate)
	or(&r.RepairShare, defaultRepairShare)
	or(&r.WindowBytes, defaultWindowBytes)
	or(&r.WindowAge, max(defaultWindowAge, r.WindowHold))
	or(&r.MaxWindow, defaultMaxWindow)
	or(&r.MaxMessage, defaultMaxMessage)
	or(&r.MaxSources, defaultMaxSources)
	or(&r.RepairTimeout, max(defaultRepairTimeout, r.MaxDelay, 4*r.NAKBackoff))
	if r.HeartbeatMin == 0 && r.HeartbeatMax > 0 {
		r.HeartbeatMin = min(defaultHeartbeatMin, r.HeartbeatMax)
	}
	or(&r.HeartbeatMin, defaultHeartbeatMin)
	or(&r.HeartbeatMax, max(defaultHeartbeatMax, r.HeartbeatMin))
	or(&r.AmbientSPM, defaultAmbientSPM)
	or(&r.Linger, defaultLinger)
	for _, d := range []*time.Duration{&r.RepairTimeout, &r.Expiry} {
		if *d < 0 {
			*d = never
		}
	}
	r.Linger = max(r.Linger, 0)
	if r.Logger == nil {
		r.Logger = slog.Default()
	}
	if r.Network == nil {
		r.Network = dgram.Kernel
	}
	return r
}

// or sets *v to the default d if it is zero.
func or[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
