package flow

import (
	"fmt"
	"math"
	"math/bits"
	"time"

	"github.com/rmcast/rmcast/mono"
)

const (
	// Slack is the debt up to which a bucket stays open. Timers of an idle process are no finer than a millisecond, so
	// sleeping for less costs more than it smooths.
	Slack = 500 * time.Microsecond

	// RunTime is how long a run of packets takes at its rate: what is due when a timer of a millisecond fires goes in one call.
	RunTime = time.Millisecond

	// Depth is how much time's worth of bytes a bucket holds at least: a wake-up that is late by less loses no rate.
	Depth = 8 * time.Millisecond

	maxBurstBytes = 1 << 30 // fits an int everywhere
)

// Pacer is one token bucket, in bytes, under the caller's clock. The rules:
//
//  1. It is open while its debt is at most Slack at its rate.
//  2. Take always succeeds and may leave a debt; a caller that asks Open before every Take leaves at most Slack plus one run.
//  3. Time does not run backwards: an instant before the latest Take counts as that Take's.
//  4. Nothing is rounded: it holds exactly rate x time less what was taken, on every architecture. (A debt of more than 292 years
//     counts as that.)
//
// It keeps no tokens but the instant at which the bucket is, or was, exactly empty: before it there is a debt, after it
// there are bytes. So Open is one comparison, and only Take divides.
//
//	──┼───────────────┼────────┼──────►  Take moves empty to the right; what would
//	 full            now     empty       lie to the left of full is lost
//	  └──── depth ────┴─ debt ─┘
//
// Make one with NewPacer. The zero value is a bucket without limit.
type Pacer struct {
	rate     Rate // 0 means Unlimited
	minBurst int
	empty    instant
	depth    instant   // how long the full bucket lasts
	last     mono.Time // of the latest Take
}

// instant is a number of nanoseconds and part/rate of one more, for the rate of its bucket: a byte lasts 8e9/rate ns.
type instant struct {
	ns   int64
	part uint64 // below rate
}

func (a instant) before(b instant) bool { return a.ns < b.ns || a.ns == b.ns && a.part < b.part }

// up returns the first whole nanosecond that is not before a.
func (a instant) up() mono.Time {
	if a.part > 0 && a.ns < math.MaxInt64 {
		return mono.Time(a.ns + 1)
	}
	return mono.Time(a.ns)
}

// NewPacer returns a full bucket that holds max(minBurst, Depth at rate r) bytes. r is at least 1 bit/s or Unlimited.
func NewPacer(r Rate, minBurst int, now mono.Time) Pacer {
	p := Pacer{minBurst: minBurst, last: now}
	p.SetRate(now, r)
	return p
}

// Rate returns the rate in force.
func (p *Pacer) Rate() Rate {
	if p.rate == 0 {
		return Unlimited
	}
	return p.rate
}

// Burst returns how many bytes the full bucket lets pass at once, before any debt.
func (p *Pacer) Burst() int {
	return int(max(1, min(maxBurstBytes, max(int64(p.minBurst), p.Rate().Bytes(Depth)))))
}

// SetRate changes the rate from now on. What the bucket holds or owes stays, in bytes, as far as the new burst allows. A
// bucket that was unlimited becomes full.
func (p *Pacer) SetRate(now mono.Time, r Rate) {
	if r <= 0 {
		panic(fmt.Sprintf("BUG: flow: rate of %d bit/s", int64(r)))
	}
	p.last = max(now, p.last)
	if r == Unlimited {
		p.rate = 0
		return
	}
	fresh := p.rate == 0
	if !fresh {
		p.overflow()
		p.convert(r)
	}
	p.rate = r
	p.depth = p.lasts(instant{}, p.Burst())
	if fresh {
		p.empty = p.full()
	}
}

// convert moves empty to where the bucket holds or owes as many bytes at rate r as it does now, at last. A byte is 8e9 of
// what the product counts, whatever the rate.
func (p *Pacer) convert(r Rate) {
	last := instant{ns: int64(p.last)}
	if last.before(p.empty) { // a debt
		hi, lo := bits.Mul64(uint64(p.empty.ns-last.ns), uint64(p.rate))
		lo, carry := bits.Add64(lo, p.empty.part, 0)
		p.empty = after(last, hi+carry, lo, r)
		return
	}
	hi, lo := bits.Mul64(uint64(last.ns-p.empty.ns), uint64(p.rate))
	lo, borrow := bits.Sub64(lo, p.empty.part, 0)
	p.empty = ahead(last.ns, after(instant{}, hi-borrow, lo, r), r)
}

// after returns a + (hi, lo)/r, at most the end of time; a's part is of r too.
func after(a instant, hi, lo uint64, r Rate) instant {
	lo, carry := bits.Add64(lo, a.part, 0)
	hi += carry
	if hi >= uint64(r) {
		return instant{ns: math.MaxInt64}
	}
	q, part := bits.Div64(hi, lo, uint64(r))
	if q > math.MaxInt64-uint64(a.ns) { // right for a negative a.ns too
		return instant{ns: math.MaxInt64}
	}
	return instant{ns: a.ns + int64(q), part: part}
}

// ahead returns the instant that is d before ns, at least the beginning of time; d's part is of r.
func ahead(ns int64, d instant, r Rate) instant {
	if ns < 0 && d.ns > ns-math.MinInt64-1 {
		return instant{ns: math.MinInt64}
	}
	if d.part == 0 {
		return instant{ns: ns - d.ns}
	}
	return instant{ns: ns - d.ns - 1, part: uint64(r) - d.part}
}

// lasts returns a plus the time that so many bytes take.
func (p *Pacer) lasts(a instant, bytes int) instant {
	hi, lo := bits.Mul64(uint64(bytes), 8e9)
	return after(a, hi, lo, p.rate)
}

// full returns where empty is while the bucket is full at last.
func (p *Pacer) full() instant { return ahead(int64(p.last), p.depth, p.rate) }

// overflow lets go what the bucket cannot hold at last.
func (p *Pacer) overflow() {
	if full := p.full(); p.empty.before(full) {
		p.empty = full
	}
}

// Open reports whether a run may go now.
func (p *Pacer) Open(now mono.Time) bool {
	return p.rate == 0 || p.empty.up() <= max(now, p.last).Add(Slack)
}

// Take records bytes that are sent at now. It never refuses; bytes of zero or less are nothing.
func (p *Pacer) Take(now mono.Time, bytes int) {
	if p.rate == 0 {
		return
	}
	p.last = max(now, p.last)
	p.overflow()
	p.empty = p.lasts(p.empty, max(bytes, 0))
}

// OpenAt returns now when the bucket is open, else the instant at which its debt is paid in full. Waiting for the whole
// debt, not just for Slack, makes the next stretch of sending longer than a timer's error.
func (p *Pacer) OpenAt(now mono.Time) mono.Time {
	if p.Open(now) {
		return now
	}
	return p.empty.up()
}
