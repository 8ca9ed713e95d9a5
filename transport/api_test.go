package transport_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/transport"
	"github.com/rmcast/rmcast/wire"
)

// Other programs compile against this: a change here breaks them.
var (
	_ net.Conn      = (*transport.Source)(nil)
	_ io.ReaderFrom = (*transport.Source)(nil)
	_ net.Conn      = (*transport.Receiver)(nil)
	_ net.Listener  = (*transport.Listener)(nil)
	_ net.Addr      = (*transport.Addr)(nil)

	_ func(network, group string, cfg *transport.Config) (*transport.Source, error)                        = transport.Dial
	_ func(ctx context.Context, network, group string, cfg *transport.Config) (*transport.Source, error)   = transport.DialContext
	_ func(network, group string, cfg *transport.Config) (*transport.Listener, error)                      = transport.Listen
	_ func(ctx context.Context, network, group string, cfg *transport.Config) (*transport.Listener, error) = transport.ListenContext

	_ func(*transport.Source, []byte) error                            = (*transport.Source).WriteMessage
	_ func(*transport.Source) error                                    = (*transport.Source).Flush
	_ func(*transport.Source, context.Context) error                   = (*transport.Source).CloseContext
	_ func(*transport.Source) wire.TSI                                 = (*transport.Source).TSI
	_ func(*transport.Source) transport.SourceStats                    = (*transport.Source).Stats
	_ func(*transport.Listener) (*transport.Receiver, error)           = (*transport.Listener).AcceptReceiver
	_ func(*transport.Receiver, []byte) (int, error)                   = (*transport.Receiver).ReadMessage
	_ func(*transport.Receiver) wire.TSI                               = (*transport.Receiver).TSI
	_ func(*transport.Receiver) transport.ReceiverStats                = (*transport.Receiver).Stats
	_ func(*transport.Source, context.Context, transport.Quorum) error = (*transport.Source).WaitDelivered
	_ error                                                            = (*transport.LossError)(nil)
	_ error                                                            = (*transport.UndeliveredError)(nil)
	_ error                                                            = (*transport.ResetError)(nil)
	_ error                                                            = (*transport.EvictedError)(nil)
	_                                                                  = []error{transport.ErrSendOnly, transport.ErrReceiveOnly, transport.ErrSourceLost}
	_                                                                  = []transport.Join{transport.JoinStart, transport.JoinNow, transport.JoinTrail}

	_ = struct {
		Of    []wire.ReceiverID
		Count int
	}(transport.Quorum{})

	_ = struct {
		Interface                         string
		Sources                           []netip.Addr
		HopLimit                          int
		NoLoopback                        bool
		MTU                               int
		DestinationPort                   uint16
		GSI                               wire.GSI
		Rate                              flow.Rate
		Fixed                             bool
		LossIsCongestion                  bool
		SlowReceivers                     flow.Slow
		RepairShare                       float64
		WindowBytes                       int
		WindowAge, WindowHold             time.Duration
		MaxWindow, MaxMessage, MaxSources int
		Join                              transport.Join
		Unordered                         bool
		MaxDelay, RepairTimeout           time.Duration
		HeartbeatMin, HeartbeatMax        time.Duration
		AmbientSPM, Expiry                time.Duration
		NAKBackoff, NAKRepeat, NAKData    time.Duration
		UniformBackoff                    bool
		FEC                               fec.Config
		Linger                            time.Duration
		ReceiverID                        wire.ReceiverID
		ReceiveOnly                       bool
		Logger                            *slog.Logger
		Trace                             func(session.Event)
		Network                           dgram.Network
	}(transport.Config{})
)
