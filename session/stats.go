package session

import (
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// SourceStats is what a Source counted since it began, and where it stands. Bytes are payload unless the name says IP.
type SourceStats struct {
	Packets, Bytes        uint64 // ODATA sent, without repairs
	Repairs, RepairBytes  uint64 // RDATA sent, parity on demand included
	Parity                uint64 // of Repairs, those that are parity
	Ahead, AheadBytes     uint64 // parity sent before anybody asked
	SPMs, NCFs            uint64 // packets sent
	IPBytes               uint64 // all of it with IP and UDP headers
	Messages              uint64 // WriteMessage calls taken
	NAKs                  uint64 // NAK packets accepted
	NAKNumbers            uint64 // numbers they asked for
	ParityNAKs            uint64 // groups they asked for parity of
	NAKsTooLate           uint64 // numbers asked for after the window had moved past them
	NAKsHeldOff           uint64 // numbers asked for again too soon after their repair
	NAKsMerged            uint64 // numbers asked for whose repair was queued already
	NNAKs, SPMRs, ACKs    uint64 // packets heard
	Confirmations         uint64 // reports of delivery taken
	Claimed               uint64 // reports refused: another address holds the receiver's id, or one address claims too many
	Confirming            int    // receivers known that take part in confirmation
	Refused               RefusedStats
	Rate                  flow.Rate
	GRTT                  time.Duration // what the group is told
	GroupSize             float64       // estimate
	Window                int           // slots
	Trail, Lead           seq.Num       // TXW_TRAIL, TXW_LEAD
	Unsent, RepairsQueued int           // packets

	// Of a source that adapts its rate:
	Phase          flow.Phase // what the control is about
	Why            flow.Why   // the reason for Rate
	Capacity       flow.Rate  // what the path to the acker bears, as far as it is known
	Acker          wire.ReceiverID
	AckerRate      flow.Rate // what it gets
	Receivers      int       // that reported of late
	Slow, Evicted  int       // of them, not followed; and those not served any more
	Slowed         uint64    // times that a receiver was left behind or evicted as too slow
	Switches       uint64    // times that another receiver became the acker
	Reports        uint64    // taken
	ReportsRefused uint64    // overtaken, of evicted receivers, with counters that do not go on, or beyond what is kept
	WorstLoss      float64   // share
	RTTMin, RTTMax time.Duration
}

// RefusedStats counts packets that were well formed and still not taken, by reason.
type RefusedStats struct {
	WrongPort   uint64 // another data-destination or data-source port
	WrongTSI    uint64 // a source that is not the session's
	WrongNLA    uint64 // a NAK whose source or group address is not ours
	WrongType   uint64 // a packet that has no business here (own direction, POLL, …)
	Parity      uint64 // parity that was not announced, or that is impossible, or contradicts the data of its group
	TooMany     uint64 // a new source while the table of sources or the backlog was full
	Jump        uint64 // a number too far ahead, not confirmed by a second packet
	Stale       uint64 // an SPM older than one already heard
	WindowFull  uint64 // data beyond the receive window: the application does not keep up
	Late        uint64 // data for numbers already delivered past or given up
	Duplicate   uint64 // data already held
	Malformed   uint64 // fragments that contradict themselves, an SPM whose trail passes its lead, …
	Closed      uint64 // for a session the application has closed
	Unsupported uint64 // queue full, a NAK flood
}

// ReceiverStats is what a Receiver counted since it began, and where it stands.
type ReceiverStats struct {
	ReceiverCounts
	RTT               time.Duration // smoothed NAK to NCF time; 0: none measured
	GRTT              time.Duration // what the source tells, or our guess
	GroupSize         float64       // the same
	Window            int           // slots the window may use
	Trail, Next, Lead seq.Num       // the source's trail; next number to deliver; highest known number
	Held, Gaps        int           // packets held, numbers missing now
	WindowBytes       int64         // payload bytes held
	Foreign           bool          // the source is not of this library
	FIN               bool          // the source has said where it ends
}

// ReceiverCounts is what only grows of a Receiver's statistics.
type ReceiverCounts struct {
	Packets, Bytes           uint64 // ODATA taken into the window
	Repairs, RepairBytes     uint64 // packets that RDATA brought, or that were restored from parity
	Restored                 uint64 // of Repairs, the latter
	Parity                   uint64 // parity packets kept for a group with losses
	Messages, DeliveredBytes uint64 // handed to the application
	SPMs, NCFs               uint64 // heard
	Missing                  uint64 // numbers found missing
	Lost                     uint64 // numbers that can no longer be had
	LossErrors               uint64 // times that was reported
	NAKs, NAKNumbers         uint64 // NAK packets sent, numbers in them
	Suppressed               uint64 // numbers not asked for because somebody else's NAK, NCF or repair came first
	SPMRs, ACKs              uint64 // sent
	Refused                  RefusedStats
}

// PeersStats is what Peers counted, over all sources and for those it refused.
type PeersStats struct {
	Sources  int    // known now
	Accepted uint64 // since the beginning
	Refused  RefusedStats
	Total    ReceiverCounts // sums over all sources, also those gone
}
