package nack

import "net/netip"

// census bounds the size of a group from who answers first. The one who does is any of the group, for all draw their waits by one law; if
// the same few come again and again there are few. Of m first answers from n receivers, m(m-1)/2n pairs are expected to come from one
// address (the birthday problem): with c of them n is about m(m-1)/2c, and hardly above twice that once c is three or more. Where nobody
// but one was ever first there is one; of two that happens once in 2^(m-1) times, and their NAKs tell soon.
//
// It says nothing of groups in which no pair is seen, and it counts addresses, not receivers: what it says is a step, after which the
// estimate goes on from there.
type census struct {
	last [censusSize]netip.Addr // the latest who answered first, in a ring
	n    int                    // ever
}

const (
	censusSize = 16
	fewPairs   = 3
)

// first takes in who answered a question first, and returns what the group's size hardly is above; ok is false if that is not known.
func (c *census) first(from netip.Addr) (most float64, ok bool) {
	c.last[c.n%censusSize] = from
	c.n++
	m := min(c.n, censusSize)
	pairs := 0
	for i, a := range c.last[:m] {
		for _, b := range c.last[:i] {
			if a == b {
				pairs++
			}
		}
	}
	if pairs < fewPairs {
		return 0, false
	}
	if pairs == m*(m-1)/2 {
		return 1, true
	}
	return float64(m*(m-1)) / float64(pairs), true
}
