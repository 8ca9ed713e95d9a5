package session

import (
	"errors"
	"fmt"

	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

var (
	// ErrWouldBlock says that nothing can be read now.
	ErrWouldBlock = errors.New("session: nothing to read yet")
	// ErrSourceLost says that the source has been silent for longer than Expiry.
	ErrSourceLost = errors.New("session: source lost: nothing heard from it for the expiry time")
)

// LossReason says why numbers can no longer be had.
type LossReason uint8

// The reasons of a LossError.
const (
	LossTrail       LossReason = iota // the source's window moved past them (TXW_TRAIL)
	LossTimeout                       // RepairTimeout or MaxDelay passed without a repair
	LossUnrepaired                    // receive-only: no repair is asked for
	LossMalformed                     // fragments that do not fit together
	LossReset                         // the source reset the session and serves no more repairs
	LossUnavailable                   // the source is gone or ended its linger with repairs open
	LossTooLong                       // a message that the receive window cannot hold
	LossEvicted                       // the source does not serve this receiver any more
)

var lossReasons = [...]string{"the source's window moved past it", "no repair came in time", "receive-only session asks for no repair",
	"its fragments do not fit together", "the source reset the session", "the source is gone", "the message is longer than the receive window",
	"the source does not serve this receiver any more"}

// String says the reason in words.
func (r LossReason) String() string {
	if int(r) < len(lossReasons) {
		return lossReasons[r]
	}
	return "unknown reason"
}

// LossError reports, once and in its place in the stream, packets that can no longer be had. The next read goes on after them.
type LossError struct {
	TSI    wire.TSI
	Lost   seq.Range // the packets that are not delivered: those lost, and others of a message that lost one
	Reason LossReason
}

// Error says how many packets are lost and why.
func (e *LossError) Error() string {
	return fmt.Sprintf("session: %d packets %v of source %v lost: %v", e.Lost.Len(), e.Lost, e.TSI, e.Reason)
}

// ResetError reports that the source reset the session (OPT_RST; RFC 3208, 9.8).
type ResetError struct {
	TSI  wire.TSI
	Code uint8 // the source's error code, 0 to 63
}

// Error says which source reset with which code.
func (e *ResetError) Error() string {
	return fmt.Sprintf("session: source %v reset the session with code %d", e.TSI, e.Code)
}

// EvictReason says why a source does not serve a receiver any more.
type EvictReason uint8

// The reasons of an EvictedError.
const (
	EvictSlow EvictReason = 1 // it could not take the least rate that the source goes down to
)

// String says the reason in words.
func (r EvictReason) String() string {
	if r == EvictSlow {
		return "too slow for the least rate that the source allows"
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// EvictedError reports that the source does not serve this receiver any more, by its policy for slow receivers. It comes after all that was
// received before.
type EvictedError struct {
	TSI    wire.TSI
	Reason EvictReason
}

// Error says which source evicted the receiver and why.
func (e *EvictedError) Error() string {
	return fmt.Sprintf("session: source %v does not serve this receiver any more: %v", e.TSI, e.Reason)
}
