package transport

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

// Dial opens a session that sends to a group. The networks are "udp", "udp4" and "udp6" (PGM in UDP) and "ip:pgm", "ip4:pgm"
// and "ip6:pgm" (IP protocol 113, which needs privileges). The group is a literal address and a port, "239.192.0.9:7500" or
// "[ff15::8000:1%eth0]:7500", where the zone, or else Config.Interface, names the interface; over raw IP the port may be
// left out. A nil cfg is all defaults. Nobody has to listen: what is sent to a group without receivers is gone.
//
// Errors are of type *net.OpError.
func Dial(network, group string, cfg *Config) (*Source, error) {
	return DialContext(context.Background(), network, group, cfg)
}

// DialContext is Dial with a context, which bounds the opening and means nothing afterwards.
func DialContext(ctx context.Context, network, group string, cfg *Config) (*Source, error) {
	o, err := prepare(ctx, network, group, cfg)
	if err == nil {
		o.options.SendBuffer = sendBuffer(o.cfg.Rate)
		err = o.open(o.cfg.Network.OpenSource(ctx, network, o.group, o.options))
	}
	if err != nil {
		return nil, opError("dial", nil, o.addr, err)
	}
	s, err := newSource(o)
	if err != nil {
		o.conn.Close()
		return nil, opError("dial", nil, o.addr, err)
	}
	return s, nil
}

// Listen joins a group and hears all its sources. Network, group and cfg are those of Dial.
func Listen(network, group string, cfg *Config) (*Listener, error) {
	return ListenContext(context.Background(), network, group, cfg)
}

// ListenContext is Listen with a context, which bounds the opening and means nothing afterwards.
func ListenContext(ctx context.Context, network, group string, cfg *Config) (*Listener, error) {
	o, err := prepare(ctx, network, group, cfg)
	if err == nil {
		err = o.open(o.cfg.Network.OpenReceiver(ctx, network, o.group, o.options))
	}
	if err != nil {
		return nil, opError("listen", nil, o.addr, err)
	}
	l, err := newListener(o)
	if err != nil {
		o.conn.Close()
		return nil, opError("listen", nil, o.addr, err)
	}
	return l, nil
}

// opening is what Dial and Listen know before they have an endpoint.
type opening struct {
	network string
	given   Config // the caller's
	cfg     Config // with defaults
	group   netip.AddrPort
	addr    *Addr // the group's; nil if it could not be read
	options dgram.Options
	conn    dgram.Conn
}

// prepare checks all that can be checked without a socket.
func prepare(ctx context.Context, network, group string, cfg *Config) (*opening, error) {
	o := &opening{network: network, cfg: cfg.withDefaults()}
	if cfg != nil {
		o.given = *cfg
	}
	if err := ctx.Err(); err != nil {
		return o, err
	}
	var err error
	if o.group, err = dgram.ParseGroup(network, group); err != nil {
		return o, err
	}
	o.addr = &Addr{network: network, group: o.group}
	if err := cfg.Validate(); err != nil {
		return o, err
	}
	for _, a := range o.cfg.Sources {
		if a.Unmap().Is4() != o.group.Addr().Is4() {
			return o, refuse("Sources has %v, which is not of the family of the group %v", a, o.group.Addr())
		}
	}
	if o.cfg.DestinationPort == 0 {
		o.cfg.DestinationPort = o.group.Port()
	}
	or(&o.cfg.DestinationPort, defaultRawPort)
	o.options = dgram.Options{
		Interface: o.given.Interface, Sources: o.cfg.Sources, HopLimit: o.cfg.HopLimit,
		NoLoopback: o.cfg.NoLoopback, Logger: o.cfg.Logger,
	}
	return o, nil
}

// open notes the conn that was opened and what it says about the group.
func (o *opening) open(conn dgram.Conn, err error) error {
	if err != nil {
		return err
	}
	o.conn = conn
	if g := conn.Info().GroupAddr; g.IsValid() {
		o.addr.group = netip.AddrPortFrom(g, o.group.Port())
	}
	return nil
}

// sendBuffer is small enough that a shaped link of our own host pushes back in place of dropping silently, and large enough for
// some runs.
func sendBuffer(r flow.Rate) int {
	return int(min(dgram.DefaultSendBuffer, min(r.Bytes(4*time.Millisecond), dgram.DefaultSendBuffer)+128<<10))
}

// room finds the size of the packets to send.
func (o *opening) room() (wire.Room, error) {
	info := o.conn.Info()
	mtu := o.given.MTU
	switch {
	case mtu == 0:
		mtu = min(info.MTU, defaultMTU)
	case mtu > info.MTU:
		return wire.Room{}, refuse("MTU is %d, but interface %s takes at most %d", mtu, info.Interface, info.MTU)
	}
	room, err := wire.NewRoom(mtu, o.group.Addr().Is6(), info.Raw)
	if err != nil {
		return room, fmt.Errorf("interface %s: %w", info.Interface, err)
	}
	return room, nil
}

// checkLoopback refuses NoLoopback on the loopback interface, where all receivers are on the same host.
func (o *opening) checkLoopback() error {
	if !o.given.NoLoopback || o.cfg.Network != dgram.Kernel {
		return nil
	}
	info := o.conn.Info()
	if i, err := net.InterfaceByIndex(info.Index); err == nil && i.Flags&net.FlagLoopback != 0 {
		return refuse("NoLoopback is set and Interface is the loopback %s: nobody would hear", info.Interface)
	}
	return nil
}

// sourceConfig is what the engine of a source is told.
func (o *opening) sourceConfig(room wire.Room, rng *rand.Rand) (session.SourceConfig, error) {
	c, info := &o.cfg, o.conn.Info()
	slots := powerOfTwo(min(c.WindowBytes/room.Stream(), c.MaxWindow))
	if most := (slots - 1) * room.Fragment(); c.MaxMessage > most {
		return session.SourceConfig{}, refuse("MaxMessage (%d bytes) does not fit: WindowBytes (%d) and MaxWindow (%d) make a window of %d packets, %d bytes",
			c.MaxMessage, c.WindowBytes, c.MaxWindow, slots, most)
	}
	tsi := wire.TSI{GSI: c.GSI}
	for tsi.GSI == (wire.GSI{}) {
		binary.BigEndian.PutUint16(tsi.GSI[:], uint16(rng.Uint32()))
		binary.BigEndian.PutUint32(tsi.GSI[2:], rng.Uint32())
	}
	// RFC 3208 tells directions apart by the ports, and parity travels under the port after DestinationPort.
	for tsi.Port == 0 || tsi.Port == c.DestinationPort || tsi.Port == c.DestinationPort+1 {
		tsi.Port = uint16(rng.Uint32())
	}
	parity, err := parityConfig(c.FEC, slots)
	if err != nil {
		return session.SourceConfig{}, err
	}
	cfg := session.SourceConfig{
		TSI: tsi, DestinationPort: c.DestinationPort,
		Group: o.group.Addr(), Path: o.conn.LocalAddr().Addr(), Room: room,
		Rate: c.Rate, RepairShare: c.RepairShare, ReceiverShare: receiverShare,
		Slots: slots, WindowAge: c.WindowAge, WindowHold: c.WindowHold,
		InitialGRTT: 10 * time.Millisecond, InitialGroup: 10,
		HeartbeatMin: c.HeartbeatMin, HeartbeatMax: c.HeartbeatMax, AmbientSPM: c.AmbientSPM,
		Linger: c.Linger, Parity: parity,
	}
	if !c.Fixed {
		cfg.Congestion = &session.CongestionConfig{Start: startRate, Slow: c.SlowReceivers.WithDefaults(), LossIsCongestion: c.LossIsCongestion}
		if c.HopLimit > 1 {
			cfg.Congestion.Start = startRateFar
		}
		cfg.Congestion.Start = min(cfg.Congestion.Start, c.Rate)
	}
	if c.HopLimit > 1 {
		cfg.InitialGRTT, cfg.InitialGroup = 500*time.Millisecond, 1000
	}
	if info.PortTaken {
		cfg.NAKPort = info.OwnPort
	}
	return cfg, nil
}

// parityConfig is what the engine of a source is told of parity. A group must fit a window of slots packets several times, or the first of its
// packets have left when somebody asks.
func parityConfig(c fec.Config, slots int) (fec.Config, error) {
	if c.GroupSize > slots/2 {
		return c, refuse("FEC: GroupSize (%d) is more than half of the window, %d packets by WindowBytes and MaxWindow", c.GroupSize, slots)
	}
	r := c.WithDefaults()
	if c.GroupSize == 0 {
		r.GroupSize = min(r.GroupSize, max(slots/4, 2))
		r.Proactive = min(r.Proactive, r.GroupSize)
	}
	return r, nil
}

// peersConfig is what the engine of a listener is told.
func (o *opening) peersConfig() session.PeersConfig {
	c := &o.cfg
	return session.PeersConfig{
		DestinationPort: c.DestinationPort, Group: o.group.Addr(), UDPPort: udpPort(o.network, o.group), HopLimit: c.HopLimit,
		MaxWindow: powerOfTwo(c.MaxWindow), WindowBytes: int64(c.WindowBytes),
		MaxMessage: o.acceptMessage(), MaxSources: c.MaxSources, Backlog: backlog,
		Join: c.Join, Unordered: c.Unordered, ReceiveOnly: c.ReceiveOnly,
		MaxDelay: c.MaxDelay, RepairTimeout: c.RepairTimeout, Expiry: c.Expiry,
		NAKBackoff: c.NAKBackoff, NAKRepeat: c.NAKRepeat, NAKData: c.NAKData, UniformBackoff: c.UniformBackoff,
		NoParity: c.FEC.Off, ID: c.ReceiverID, Confirm: c.ReceiverID != 0,
	}
}

// acceptMessage is the longest message that a receiver takes: MaxMessage, or if that is not set the longest that a source of
// OpenPGM can send, as far as the window has room for it.
func (o *opening) acceptMessage() int {
	c := &o.cfg
	if o.given.MaxMessage != 0 {
		return c.MaxMessage
	}
	return max(c.MaxMessage, min(defaultAccept, powerOfTwo(c.MaxWindow)*fragmentMin, c.WindowBytes/2))
}

// udpPort is where NAKs go; raw IP has no ports.
func udpPort(network string, group netip.AddrPort) uint16 {
	if strings.HasPrefix(network, "ip") {
		return 0
	}
	return group.Port()
}

// newRand returns a generator that nobody can foresee.
func newRand() *rand.Rand {
	var seed [32]byte
	crand.Read(seed[:])
	return rand.New(rand.NewChaCha8(seed))
}
