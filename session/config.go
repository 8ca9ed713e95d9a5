package session

import (
	"net/netip"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// SourceConfig configures a Source. NewSource takes it as it stands: whoever fills it in resolves defaults and refuses
// nonsense first (transport.Config does). Only fields that say so have a default here.
type SourceConfig struct {
	TSI             wire.TSI
	DestinationPort uint16     // PGM data-destination port; differs from TSI.Port
	Group           netip.Addr // the group sent to (NAK_GRP_NLA)
	Path            netip.Addr // where NAKs go (SPM_PATH); an address of the source
	NAKPort         uint16     // UDP port NAKs are heard on when it is not the group's; 0: the group's
	Room            wire.Room

	Rate          flow.Rate // of IP packets, everything the source sends
	RepairShare   float64   // of Rate that repairs may take while new data waits
	ReceiverShare float64   // of Rate that one receiver's NAKs may cause once others wait
	Slots         int       // transmit window in packets, a power of two
	WindowAge     time.Duration
	WindowHold    time.Duration // 0: time to ask two or three times, at least 20 ms, at most WindowAge: Source.hold
	InitialGRTT   time.Duration // group round trip time before any was measured
	InitialGroup  float64       // group size before any was estimated
	GroupSize     float64       // how many receivers there are, where that is known; 0: estimated

	HeartbeatMin, HeartbeatMax time.Duration // IHB_MIN, IHB_MAX
	AmbientSPM                 time.Duration
	Linger                     time.Duration // how long repairs are served after FIN

	// Parity is how parity is made; GroupSize 0: not at all. Resolved by fec.Config.WithDefaults.
	Parity fec.Config

	// Congestion makes the source adapt its rate to its receivers, up to Rate; nil: Rate is fixed, and receivers are told and asked nothing.
	Congestion *CongestionConfig

	First seq.Num // number of the first packet
	Trace func(Event)
}

// Join says where a receiver that comes late begins.
type Join uint8

// The join modes.
const (
	JoinStart Join = iota // from the first packet if the source still holds it (OPT_JOIN), else as JoinNow
	JoinNow               // from the first packet heard
	JoinTrail             // from the oldest packet that the source still holds
)

// PeersConfig configures Peers; as for SourceConfig, defaults are resolved before.
type PeersConfig struct {
	DestinationPort uint16     // PGM data-destination port that is listened to
	Group           netip.Addr // the group (NAK_GRP_NLA of our NAKs)
	UDPPort         uint16     // where NAKs are sent unless the source names another port; 0 with raw IP
	HopLimit        int        // 1 means one link: first guesses of round trip time are shorter then

	MaxWindow   int   // slots a receive window may grow to, a power of two
	WindowBytes int64 // payload bytes one receive window may hold
	MaxMessage  int   // the longest message in bytes
	MaxSources  int   // sources known at once
	Backlog     int   // sources accepted by us and not yet by the application

	ID      wire.ReceiverID // by which sources tell us from other receivers; 0: drawn at random when first needed
	Confirm bool            // takes part when a source waits for confirmation; with an ID that was given

	Join          Join
	Unordered     bool
	ReceiveOnly   bool
	MaxDelay      time.Duration // 0: wait for the repair
	RepairTimeout time.Duration
	Expiry        time.Duration // 0: 30 s, 300 s for sources that are not ours

	NAKBackoff     time.Duration // NAK_BO_IVL; 0 adapts: four times the group's round trip time
	NAKRepeat      time.Duration // NAK_RPT_IVL; 0 adapts to the round trip time
	NAKData        time.Duration // NAK_RDATA_IVL; 0 adapts to the round trip and the source's queue
	UniformBackoff bool          // RFC 3208's uniform law instead of RFC 5401's truncated exponential

	// NoParity takes no part in parity, whatever a source announces: losses are asked for by number.
	NoParity bool

	// Hollow keeps the length of payloads and not their bytes: reading gives zeros. For simulations of large groups.
	Hollow bool

	Trace func(Event)
}

// Own timers and limits that no Config field sets, with their reasons.
const (
	partialDelay   = time.Millisecond // a partial stream packet leaves this long after its first byte
	flowSPMMin     = 50 * time.Millisecond
	flowSPMMax     = time.Second             // round trip time and group size are told at least this often while data flows
	finSPMs        = 3                       // FIN SPMs that must be out before the linger may end early
	finSteady      = 16                      // FIN SPMs sent at HeartbeatMin before their interval doubles
	quietMin       = 250 * time.Millisecond  // and no shorter than this
	quietMute      = 1250 * time.Millisecond // while nobody was ever heard: a lost ARP or ND packet keeps a receiver mute for a second
	answerSpread   = 100 * time.Millisecond  // answers of a larger one wait up to this or longer: what takes the probe back may need 20 ms
	smallGroup     = 32                      // receivers that each answer the first probe
	quietCycles    = 20                      // NAKs of one receiver that may all be lost before the source takes silence for content
	idleGrace      = 10 * time.Second        // past WindowAge, while it is still asked for and nobody needs the slot
	lingerMost     = 5                       // Lingers a session that is still being asked goes on for
	repairGrace    = time.Second             // past WindowHold, while a writer waits for the slot
	holdMin        = 20 * time.Millisecond   // least adaptive WindowHold,
	holdUnlimited  = 250 * time.Millisecond  // and without a rate
	spmrDelay      = 25 * time.Millisecond   // SPMR after a random wait up to this (pgm-facts: ZeroMQ's figure)
	spmrRepeat     = time.Second             // and again after this
	probeInterval  = 2 * time.Second         // an SPM asks for a round trip sample when none came for this long
	probeAhead     = 500 * time.Millisecond  // the same where parity ahead of demand leaves no NAKs that tell of loss
	manyProbes     = 20                      // whose answers come faster, so that the group's size is known soon
	foreignFloor   = 50 * time.Millisecond   // least retry timer towards a source that is not ours
	foreignBackoff = 50 * time.Millisecond   // NAK_BO_IVL towards it before its round trip time is known
	foreignGroup   = 10                      // group size assumed with such a source
	ownFloor       = 2 * time.Millisecond    // least retry timer towards our own source
	maxInterval    = 500 * time.Millisecond  // retry timers double up to this,
	fastInterval   = 100 * time.Millisecond  // or towards our own source up to four group round trips, at least this
	reorderWait    = time.Millisecond        // reordering tolerance: this long,
	reorderPackets = 2                       // or until this many later packets came
	staleReach     = 64                      // SPMs this much older than the latest are late; further back, the latest may be forged
	candidateBytes = 1 << 20                 // payload bytes of a source before it is accepted
	spmrTries      = 8                       // SPMRs to a source that sends data and no SPM
	nakRate        = 2 * flow.Mbps           // of one receiver's NAKs to one source, in IP bytes: 46,000 numbers a second in full lists
	nakBurst       = 64 << 10
	headerBytes    = 48   // IP and UDP headers, as nakRate counts them
	candidateSlots = 1024 // window of a source before its first SPM
	expiryOwn      = 30 * time.Second
	expiryForeign  = 300 * time.Second
)

// Bits of wire.Peer.Flags in an SPM.
const peerProbe = 0x01 // receivers answer with one ACK that carries the echoed time, after a suppressing random wait

// Bits of wire.Peer.Flags in packets to the source.
const (
	peerUnasked  = 0x01 // this ACK answers no probe: nobody is counted by it
	peerBehind   = 0x04 // with a Report: the receiver's application does not keep up
	peerConfirms = 0x02 // with a Report: the receiver takes part in confirmation under an ID that was given to it
)
