package session

import (
	"net/netip"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// Meta says what the network knew about a packet that arrived.
type Meta struct {
	From      netip.Addr // the sender's address; link-local ones keep their zone
	Multicast bool       // came to the group, not to our own address
}

// Transmit is one run of datagrams on its way out. The driver provides B with a capacity of at least RunBytes; Poll sets the
// rest and cuts B to what it wrote.
type Transmit struct {
	B        []byte
	Segment  int            // bytes of each datagram in B; the last may be shorter
	To       netip.AddrPort // the zero value: the group
	HopLimit int            // 0: the session's
}

// RunBytes is the capacity a driver gives Transmit.B: no run is longer than the largest UDP payload.
const RunBytes = 65507

// EventKind names what an Event tells.
type EventKind uint8

// The events that Trace sees.
const (
	EventAccepted    EventKind = iota // a source was heard well enough to be accepted
	EventRefused                      // a source was refused: table or backlog full
	EventMissing                      // Range was found missing
	EventNAK                          // a NAK for the numbers from Range.From on left
	EventNCF                          // an NCF left
	EventRepair                       // Range was sent again
	EventLost                         // Range can no longer be had
	EventFIN                          // the source said that it ends after Range.To-1
	EventReset                        // the source reset the session
	EventSourceLost                   // the source fell silent
	EventJump                         // a packet claimed a number far ahead and was not believed
	EventTrailPassed                  // a NAK asked for numbers that the window no longer holds
	EventRepaired                     // Range, which was missing, came
	EventSlow                         // the source does not follow the receiver of ID any more: it is too slow
	EventRecovered                    // it follows it again
	EventEvicted                      // it does not serve it any more; at the receiver: we are not served any more
	EventAcker                        // the receiver of ID sets the rate from now on; 0: nobody does
)

var eventNames = [...]string{"accepted", "refused", "missing", "nak", "ncf", "repair", "lost", "fin", "reset", "source-lost", "jump", "trail-passed",
	"repaired", "slow", "recovered", "evicted", "acker"}

// String gives the event's name in lower case.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "unknown"
}

// Event is one thing that happened inside an engine, for traces and tests. The function that receives it is called while the
// engine works: it must return quickly and must not call the engine.
type Event struct {
	At    mono.Time
	Kind  EventKind
	TSI   wire.TSI
	Range seq.Range
	ID    wire.ReceiverID // the receiver concerned, where the kind names one
}
