package fec

import "fmt"

// Config chooses how a source makes parity. The zero value is no parity, which is all that this version can do.
type Config struct {
	// GroupSize (TGSIZE, k) is the number of data packets that share parity: a power of two from 2 to 128. Zero: no parity.
	GroupSize int

	// Proactive is the number of parity packets sent with each group before anybody asks (RFC 3208, 11.7). Zero: none.
	Proactive int

	// OnDemand lets receivers ask for parity packets in place of the lost ones (RFC 3208, 11.8).
	OnDemand bool
}

// Validate returns an error naming the first field that is set: parity is not there yet.
func (c Config) Validate() error {
	const refused = "fec: %s is %v, but this version repairs by replay only; leave fec.Config zero"
	switch {
	case c.GroupSize != 0:
		return fmt.Errorf(refused, "GroupSize", c.GroupSize)
	case c.Proactive != 0:
		return fmt.Errorf(refused, "Proactive", c.Proactive)
	case c.OnDemand:
		return fmt.Errorf(refused, "OnDemand", c.OnDemand)
	}
	return nil
}
