package nack

import (
	"net/netip"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

type Verdict uint8

const (
	Queued Verdict = iota
	Merged
	HeldOff
	Refused
)

type RepairsConfig struct {
	HoldOff       time.Duration
	NCFSpacing    time.Duration
	MaxQueued     int
	MaxRequesters int
	ReceiverShare int64 // bytes/s; 0 = off
	GroupSize     float64
	Backoff       time.Duration // T
}

type RepairsStats struct{ Queued, Merged, HeldOff, Refused, NCFs, Sent uint64 }

type Repairs struct{}

func NewRepairs(c RepairsConfig) *Repairs                                           { return &Repairs{} }
func (r *Repairs) SetHoldOff(d time.Duration)                                       {}
func (r *Repairs) SetShare(bytesPerSecond int64)                                    {}
func (r *Repairs) SetBackoff(max time.Duration, groupSize float64)                  {}
func (r *Repairs) NAK(now mono.Time, from netip.Addr, n seq.Num, bytes int) Verdict { return Refused }
func (r *Repairs) NCFs(now mono.Time, dst []seq.Num) []seq.Num                      { return dst }
func (r *Repairs) NCFPending() bool                                                 { return false }
func (r *Repairs) Next(now mono.Time) (seq.Num, bool)                               { return 0, false }
func (r *Repairs) Sent(now mono.Time, n seq.Num)                                    {}
func (r *Repairs) Oldest() (seq.Num, bool)                                          { return 0, false }
func (r *Repairs) Trim(trail seq.Num)                                               {}
func (r *Repairs) Pending() int                                                     { return 0 }
func (r *Repairs) Deadline() mono.Time                                              { return mono.Never }
func (r *Repairs) GroupSize() float64                                               { return 1 }
func (r *Repairs) Stats() RepairsStats                                              { return RepairsStats{} }
