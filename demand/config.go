package demand

import (
	"fmt"
	"time"

	"github.com/rmcast/rmcast/internal/aside"
	"github.com/rmcast/rmcast/transport"
)

// Config is of a Watcher and of Want. Both ends of a group must agree on Interval. The zero value works.
type Config struct {
	// Transport is the Config of the group's sources and receivers: what it says of the network holds here. With ReceiveOnly Want refuses.
	Transport *transport.Config

	// Interval is about how often a group says that it wants something, 100 ms to 1 h. A source stops three and a half Intervals after the latest, and half of one after a
	// "leave". Zero: 4 s.
	Interval time.Duration

	// Reports has a Watcher hear IGMP and MLD reports, too, on the link of the group's interface; without the privilege Watch fails. Linux only. Zero:
	// messages in the group only.
	Reports bool
}

const (
	defaultInterval = 4 * time.Second
	mostInterval    = time.Hour
	leastInterval   = 100 * time.Millisecond
)

func (c *Config) withDefaults() (r Config, err error) {
	if c != nil {
		r = *c
	}
	if r.Interval == 0 {
		r.Interval = defaultInterval
	}
	if r.Interval < leastInterval || r.Interval > mostInterval {
		return r, fmt.Errorf("demand: Config: Interval is %v, want %v to %v", r.Interval, leastInterval, mostInterval)
	}
	return r, nil
}

// timeout is after which silence a source stops.
func (c *Config) timeout() time.Duration { return 7 * c.Interval / 2 }

// session is the Config of the sessions that carry messages.
func (c *Config) session(group string) *transport.Config {
	return aside.Config(group, c.Transport, aside.Interest)
}
