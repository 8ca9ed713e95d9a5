package nack

import (
	"math/rand/v2"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

type State uint8

const (
	BackOff State = iota
	WaitNCF
	WaitData
)

type Timing struct {
	Backoff          time.Duration
	GroupSize        float64
	Uniform          bool
	Repeat           time.Duration
	Data             time.Duration
	MaxInterval      time.Duration
	Tolerance        time.Duration
	TolerancePackets int
	Limit            time.Duration
}

type Scheduler struct{ timing Timing }

func NewScheduler(rng *rand.Rand, t Timing) *Scheduler                         { return &Scheduler{timing: t} }
func (s *Scheduler) SetTiming(t Timing)                                        { s.timing = t }
func (s *Scheduler) Timing() Timing                                            { return s.timing }
func (s *Scheduler) Missing(now mono.Time, r seq.Range, lead seq.Num)          {}
func (s *Scheduler) Progress(now mono.Time, lead seq.Num)                      {}
func (s *Scheduler) Found(now mono.Time, n seq.Num) (time.Duration, bool)      { return 0, false }
func (s *Scheduler) Forget(r seq.Range)                                        {}
func (s *Scheduler) NCF(now mono.Time, n seq.Num) (rtt time.Duration, ok bool) { return 0, false }
func (s *Scheduler) NAKHeard(now mono.Time, n seq.Num)                         {}
func (s *Scheduler) Suppressed() uint64                                        { return 0 }
func (s *Scheduler) Due(now mono.Time, dst []seq.Num) []seq.Num                { return dst }
func (s *Scheduler) Expired(now mono.Time) (seq.Range, bool)                   { return seq.Range{}, false }
func (s *Scheduler) Deadline() mono.Time                                       { return mono.Never }
func (s *Scheduler) Len() int                                                  { return 0 }
func (s *Scheduler) Ranges() int                                               { return 0 }
func (s *Scheduler) State(n seq.Num) (State, bool)                             { return 0, false }
