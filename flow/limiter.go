package flow

import (
	"fmt"
	"math"

	"github.com/rmcast/rmcast/mono"
)

const (
	// DefaultRepairShare is the part of the rate that repairs may take while new data waits. Replay to 8 receivers at 20 %
	// loss needs 54 %.
	DefaultRepairShare = 0.75

	// MaxRunPackets and MaxRunBytes bound one run: what UDP GSO takes in one call.
	MaxRunPackets = 46
	MaxRunBytes   = 65000

	controlShare    = 0.05
	minControlRate  = Mbps
	minControlBurst = 4 * 1500
	maxControlBurst = 64 << 10

	fullCharge = 20 * minControlRate // minControlRate / controlShare: from this rate on total pays for all control packets
)

// LimiterConfig says how a source shares its rate.
type LimiterConfig struct {
	// Rate is for everything together, in bit/s of IP packets. Zero is DefaultRate, Unlimited switches pacing off,
	// negative is a bug of the caller's.
	Rate Rate

	// RepairShare, above 0 to 1, is the part of Rate that repairs may take while new data waits. Zero is
	// DefaultRepairShare. 1 or negative: repairs have no ceiling, and a flood of NAKs can stop new data.
	RepairShare float64

	// RunBytes is the largest run the caller sends, in IP bytes; the buckets hold two at least. Zero is MaxRunBytes or
	// what Rate sends in RunTime, whichever is less, and at least a packet of 1500.
	RunBytes int
}

// Limiter shares one rate between new data, repairs and control packets.
//
//  1. Data and repairs together never pass Rate; control packets count in it (below 20 Mbit/s: for 5 % of Rate) but never wait for it.
//  2. While both wait, repairs get RepairShare and new data the rest, whatever arrives.
//  3. While no data waits, repairs may have the whole rate.
//  4. Control packets (SPM, NCF) have 5 % of Rate, at least 1 Mbit/s.
//
// Before sending, ask Data, Repair or Control; after, say what was sent with the matching Took method.
type Limiter struct {
	total, share, control Pacer

	cfg    LimiterConfig // resolved
	charge uint64        // part of the control bytes that total pays, of fullCharge
	owed   uint64        // of that, what is not a whole byte yet, of fullCharge
}

// NewLimiter returns a limiter whose buckets are full at now.
func NewLimiter(cfg LimiterConfig, now mono.Time) *Limiter {
	l := &Limiter{cfg: cfg}
	if l.cfg.Rate == 0 {
		l.cfg.Rate = DefaultRate
	}
	switch share := l.cfg.RepairShare; {
	case share == 0:
		l.cfg.RepairShare = DefaultRepairShare
	case share < 0 || share > 1:
		l.cfg.RepairShare = 1
	case math.IsNaN(share):
		panic("BUG: flow: RepairShare is not a number")
	}
	l.SetRate(now, l.cfg.Rate)
	return l
}

// Rate returns the rate in force.
func (l *Limiter) Rate() Rate { return l.cfg.Rate }

// SetRate changes the rate from now on; what the buckets hold or owe stays. r is at least 1 bit/s or Unlimited.
func (l *Limiter) SetRate(now mono.Time, r Rate) {
	if r <= 0 {
		panic(fmt.Sprintf("BUG: flow: rate of %d bit/s", int64(r)))
	}
	l.cfg.Rate = r
	run := l.cfg.RunBytes
	if run <= 0 {
		run = int(min(max(r.Bytes(RunTime), 1500), MaxRunBytes))
	}
	control := max(r.scale(controlShare), minControlRate)
	l.charge = uint64(min(r, fullCharge))
	l.total.minBurst, l.share.minBurst = 2*run, 2*run
	// The control bucket is as deep as the others: NCFs come in bursts too, and total pays for them.
	l.control.minBurst = int(max(minControlBurst, min(r.Bytes(Depth), maxControlBurst)))
	l.total.SetRate(now, r)
	l.share.SetRate(now, r.scale(l.cfg.RepairShare))
	l.control.SetRate(now, control)
}

// Data reports whether a run of new data may go now.
func (l *Limiter) Data(now mono.Time) bool { return l.total.Open(now) }

// Repair reports whether a run of RDATA or parity may go now, given whether new data is waiting for the same rate.
func (l *Limiter) Repair(now mono.Time, dataWaiting bool) bool {
	return l.total.Open(now) && (!dataWaiting || l.noCeiling() || l.share.Open(now))
}

// Control reports whether an SPM or NCF may go now.
func (l *Limiter) Control(now mono.Time) bool { return l.control.Open(now) }

// TookData records a run of new data sent at now; bytes are IP bytes.
func (l *Limiter) TookData(now mono.Time, bytes int) { l.total.Take(now, bytes) }

// TookRepair records a run of repairs sent at now; bytes are IP bytes.
func (l *Limiter) TookRepair(now mono.Time, bytes int) {
	l.total.Take(now, bytes)
	// What repairs take beyond their share was rate that nobody else wanted: no debt for it, or new data's arrival
	// would stop repairs until it is paid.
	if l.share.Open(now) {
		l.share.Take(now, bytes)
	}
}

// TookControl records control packets sent at now; bytes are IP bytes.
func (l *Limiter) TookControl(now mono.Time, bytes int) {
	l.control.Take(now, bytes)
	l.owed += l.charge * uint64(max(bytes, 0))
	l.total.Take(now, int(l.owed/uint64(fullCharge)))
	l.owed %= uint64(fullCharge)
}

// DataAt returns when Data will hold, if nothing else is sent; now if it does.
func (l *Limiter) DataAt(now mono.Time) mono.Time { return l.total.OpenAt(now) }

// RepairAt returns when Repair will hold, if nothing else is sent; now if it does.
func (l *Limiter) RepairAt(now mono.Time, dataWaiting bool) mono.Time {
	at := l.total.OpenAt(now)
	if dataWaiting && !l.noCeiling() {
		at = max(at, l.share.OpenAt(now))
	}
	return at
}

// ControlAt returns when Control will hold, if nothing else is sent; now if it does.
func (l *Limiter) ControlAt(now mono.Time) mono.Time { return l.control.OpenAt(now) }

func (l *Limiter) noCeiling() bool { return l.cfg.RepairShare == 1 }

// RunPackets returns how many packets of packetBytes each (at least 1) make one run: as many as the rate sends in RunTime, 1 to
// MaxRunPackets and at most MaxRunBytes together, so that slow sessions do not send bursts of 64 KB.
func (l *Limiter) RunPackets(packetBytes int) int {
	size := int64(max(packetBytes, 1))
	n := min(l.cfg.Rate.Bytes(RunTime), MaxRunBytes) / size
	return int(max(1, min(n, MaxRunPackets)))
}
