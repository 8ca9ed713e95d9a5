package flow

import (
	"fmt"
	"math"
	"time"

	"github.com/rmcast/rmcast/mono"
	"golang.org/x/time/rate"
)

const (
	// Slack is the debt up to which a bucket stays open. Timers of an idle process are no finer than a millisecond, so
	// sleeping for less costs more than it smooths.
	Slack = 500 * time.Microsecond

	// RunTime is how long a run of packets takes at its rate: what is due when a timer of a millisecond fires goes in one call.
	RunTime = time.Millisecond

	// Depth is how much time's worth of bytes a bucket holds at least: a wake-up that is late by less loses no rate.
	Depth = 8 * time.Millisecond

	maxBurstBytes = 1 << 30 // fits an int everywhere and is exact in a float64
)

// Pacer is one token bucket, in bytes, under the caller's clock. The rules:
//
//  1. It is open while its debt is at most Slack at its rate.
//  2. Take always succeeds and may leave a debt; a caller that asks Open before every Take leaves at most Slack plus one run.
//  3. Time does not run backwards: an instant before the latest Take counts as that Take's.
//
// Make one with NewPacer. The zero value is a bucket without limit.
type Pacer struct {
	lim      *rate.Limiter // nil while unlimited
	rate     Rate          // 0 means Unlimited
	minBurst int
	slack    float64   // bytes
	last     mono.Time // of the latest Take
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
	p.rate = r
	if r == Unlimited {
		p.lim = nil
		return
	}
	limit := rate.Limit(float64(r) / 8)
	p.slack = float64(limit) * Slack.Seconds()
	if p.lim == nil {
		p.lim = rate.NewLimiter(limit, p.Burst())
		return
	}
	p.lim.SetLimitAt(p.last.Wall(), limit)
	p.lim.SetBurstAt(p.last.Wall(), p.Burst())
}

// Open reports whether a run may go now.
func (p *Pacer) Open(now mono.Time) bool {
	return p.lim == nil || p.lim.TokensAt(now.Wall()) >= -p.slack
}

// Take records bytes that are sent at now. It never refuses; bytes of zero or less are nothing.
func (p *Pacer) Take(now mono.Time, bytes int) {
	if p.lim == nil {
		return
	}
	p.last = max(now, p.last)
	at := p.last.Wall()
	if burst := p.lim.Burst(); bytes > burst { // ReserveN would refuse
		p.lim.SetBurstAt(at, bytes)
		p.lim.ReserveN(at, bytes)
		p.lim.SetBurstAt(at, burst)
		return
	}
	p.lim.ReserveN(at, max(bytes, 0))
}

// OpenAt returns now when the bucket is open, else the instant at which its debt is paid in full. Waiting for the whole
// debt, not just for Slack, makes the next stretch of sending longer than a timer's error.
func (p *Pacer) OpenAt(now mono.Time) mono.Time {
	if p.lim == nil {
		return now
	}
	tokens := p.lim.TokensAt(now.Wall())
	if tokens >= -p.slack {
		return now
	}
	wait := math.Ceil(-tokens * 8e9 / float64(p.rate))
	if wait >= math.MaxInt64 {
		return mono.Never
	}
	// Before the latest Take no time has passed for the bucket.
	return max(now, p.last).Add(time.Duration(wait))
}
