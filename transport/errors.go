package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"os"

	"github.com/rmcast/rmcast/internal/gate"
	"github.com/rmcast/rmcast/session"
)

var (
	// ErrSendOnly is returned by Read on a Source.
	ErrSendOnly = errors.New("transport: a Source only sends; read with a Listener's Receiver")
	// ErrReceiveOnly is returned by Write on a Receiver.
	ErrReceiveOnly = errors.New("transport: a Receiver only receives; write with a Source")
	// ErrMessageSize is returned by WriteMessage for a message that is empty or longer than Config.MaxMessage.
	ErrMessageSize = errors.New("transport: message is empty or longer than Config.MaxMessage")
	// ErrSourceLost is returned by Read once a source has been silent for Config.Expiry.
	ErrSourceLost = session.ErrSourceLost
)

// LossError reports, once and in its place in the stream, what can no longer be had. The next Read goes on after the gap:
//
//	var loss *transport.LossError
//	if errors.As(err, &loss) {
//		log.Print(loss) // and read on
//	}
type LossError = session.LossError

// LossReason says why packets can no longer be had.
type LossReason = session.LossReason

// The reasons of a LossError.
const (
	LossTrail       = session.LossTrail       // the source's window moved past them
	LossTimeout     = session.LossTimeout     // RepairTimeout or MaxDelay passed without a repair
	LossUnrepaired  = session.LossUnrepaired  // ReceiveOnly asks for no repair
	LossMalformed   = session.LossMalformed   // fragments that do not fit together
	LossReset       = session.LossReset       // the source reset the session
	LossUnavailable = session.LossUnavailable // the source is gone
	LossTooLong     = session.LossTooLong     // a message longer than the receive window
	LossEvicted     = session.LossEvicted     // the source does not serve this receiver any more
)

// ResetError reports that the source broke the session off; nothing more comes.
type ResetError = session.ResetError

// EvictedError reports, after all that was received before, that the source does not serve this receiver any more, by its policy for slow
// receivers (Config.SlowReceivers).
type EvictedError = session.EvictedError

// EvictReason says why.
type EvictReason = session.EvictReason

// EvictSlow is the reason of a receiver that could not take the least rate that the source goes down to.
const EvictSlow = session.EvictSlow

// opError wraps err as package net does: io.EOF and nil stay as they are, everything else is a *net.OpError. A gate's end
// becomes net.ErrClosed, and a context's deadline os.ErrDeadlineExceeded.
func opError(op string, local, remote *Addr, err error) error {
	switch {
	case err == nil || err == io.EOF:
		return err
	case isUndelivered(err): // is both
	case errors.Is(err, gate.ErrClosed):
		err = net.ErrClosed
	case errors.Is(err, context.DeadlineExceeded):
		err = os.ErrDeadlineExceeded
	}
	e := &net.OpError{Op: op, Err: err}
	if local != nil {
		e.Net, e.Source = local.network, local
	}
	if remote != nil {
		e.Net, e.Addr = remote.network, remote
	}
	return e
}

func isUndelivered(err error) bool {
	var u *UndeliveredError
	return errors.As(err, &u)
}
