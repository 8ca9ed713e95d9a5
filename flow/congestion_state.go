package flow

import "time"

// Phase is what a Congestion is about.
type Phase uint8

// The phases; Congestion shows how they follow each other.
const (
	Startup Phase = iota // looks for the capacity, doubling
	Drain                // lets the queue run empty and learns what is lost without it
	Cruise               // sends what the path bears
	Probe                // tries a quarter more
	Compete              // shares a queue that somebody else keeps full, as TCP CUBIC would
	Blind                // nobody reports
)

// String gives the name.
func (p Phase) String() string {
	switch p {
	case Startup:
		return "startup"
	case Drain:
		return "drain"
	case Cruise:
		return "cruise"
	case Probe:
		return "probe"
	case Compete:
		return "compete"
	case Blind:
		return "blind"
	}
	return "unknown"
}

// Why is the reason for the rate in force.
type Why uint8

// The reasons.
const (
	WhyStart       Why = iota // nothing is known yet
	WhyCapacity               // the path bears no more
	WhyApplication            // the application writes no more
	WhyLoss                   // loss with a queue, or with less delivered
	WhyQueue                  // somebody else fills the queue
	WhyMark                   // the path marked packets (ECN)
	WhyMax                    // the configured cap
	WhyMin                    // the configured floor
	WhySwitched               // another receiver sets the pace
	WhySilence                // the acker does not report
	WhyBlind                  // nobody reports
)

// String gives the reason in a few words.
func (w Why) String() string {
	switch w {
	case WhyStart:
		return "start"
	case WhyCapacity:
		return "capacity"
	case WhyApplication:
		return "application"
	case WhyLoss:
		return "loss"
	case WhyQueue:
		return "shared queue"
	case WhyMark:
		return "marked"
	case WhyMax:
		return "cap"
	case WhyMin:
		return "floor"
	case WhySwitched:
		return "another receiver"
	case WhySilence:
		return "silence"
	case WhyBlind:
		return "blind"
	}
	return "unknown"
}

// CongestionState is what a Congestion knows, for statistics.
type CongestionState struct {
	Phase    Phase
	Why      Why
	Capacity Rate          // what the path delivered at most lately
	RTT      time.Duration // smoothed; 0 before the first sample
	MinRTT   time.Duration // the least of the last 20 to 40 s; 0 before the first sample
	Loss     float64       // share of numbers lost in the latest round, 0 to 1
	Noise    float64       // share lost when there was no queue, 0 to 1
}

// State returns what is known.
func (c *Congestion) State() CongestionState {
	s := CongestionState{
		Phase: c.phase, Why: c.why, Capacity: Rate(c.model.capacity), Loss: c.model.loss, Noise: c.model.noise,
	}
	if c.path.rtt.Valid() {
		s.RTT, s.MinRTT = c.path.smoothed(), c.path.least()
	}
	switch {
	case c.halved > 0:
		s.Why = WhySilence
	case c.rate == c.cfg.Max:
		s.Why = WhyMax
	case c.rate == c.cfg.Min:
		s.Why = WhyMin
	case c.model.limited && c.phase != Blind:
		s.Why = WhyApplication
	}
	return s
}
