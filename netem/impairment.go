package netem

import (
	"fmt"
	"time"
)

// Impairment says what a Link does to packets. The zero value is a perfect link: everything arrives at once and in order.
// The words mean what they mean to tc-netem(8) unless a comment says otherwise.
type Impairment struct {
	// Loss is the probability, 0 to 1, that a packet is lost, independently of the others.
	Loss float64
	// Delay is how long a packet travels after it left the queue.
	Delay time.Duration
	// Jitter spreads Delay evenly over [Delay-Jitter, Delay+Jitter], never below zero. It may reorder packets.
	Jitter time.Duration
	// Duplicate is the probability that a packet is sent twice. Either copy can be lost, corrupted or overtaken.
	Duplicate float64
	// Reorder is the probability that a packet skips Delay and Jitter and so overtakes others. It needs a Delay.
	Reorder float64
	// Corrupt is the probability that a packet arrives with an error in it.
	Corrupt float64
	// Rate is the speed of the link in bits per second of whole IP packets; 0 is unlimited.
	Rate int64
	// Limit is the length of the queue in front of a link with a Rate, in packets. 0 means 1000; what does not fit is dropped.
	// On a link without Rate the Link itself has no queue; a Fabric then takes it as leave to drop what a receiver's full
	// buffer cannot hold, instead of holding the sender back.
	Limit int
	// MTU is the largest IP packet in bytes; larger ones are dropped. 0 is unlimited.
	MTU int
}

// defaultLimit is tc-netem's own default queue length in packets.
const defaultLimit = 1000

// Perfect reports whether i does nothing to any packet.
func (i Impairment) Perfect() bool { return i == Impairment{} }

// Validate reports the first setting that makes no sense.
func (i Impairment) Validate() error {
	for _, p := range []struct {
		name string
		p    float64
	}{{"Loss", i.Loss}, {"Duplicate", i.Duplicate}, {"Reorder", i.Reorder}, {"Corrupt", i.Corrupt}} {
		if !(p.p >= 0 && p.p <= 1) { // also refuses NaN
			return fmt.Errorf("netem: %s is %v, not a probability from 0 to 1", p.name, p.p)
		}
	}
	switch {
	case i.Delay < 0 || i.Jitter < 0:
		return fmt.Errorf("netem: Delay %v or Jitter %v is negative", i.Delay, i.Jitter)
	case i.Delay > maxDelay || i.Jitter > maxDelay:
		return fmt.Errorf("netem: Delay %v or Jitter %v is more than %v", i.Delay, i.Jitter, time.Duration(maxDelay))
	case i.Reorder > 0 && i.Delay == 0:
		return fmt.Errorf("netem: Reorder %v needs a Delay to skip", i.Reorder)
	case i.Rate < 0 || i.Limit < 0 || i.MTU < 0:
		return fmt.Errorf("netem: Rate %d, Limit %d or MTU %d is negative", i.Rate, i.Limit, i.MTU)
	}
	return nil
}

// maxDelay keeps sums of instants and delays far from overflow.
const maxDelay = 24 * time.Hour
