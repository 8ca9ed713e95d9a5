package demand

import (
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/transport"
)

// Config is of a Watcher and of Want. Both ends of a group must agree on Interval. The zero value works.
type Config struct {
	// Transport is the Config of the group's sources and receivers: what it says of the network holds here. With ReceiveOnly Want refuses.
	Transport *transport.Config

	// Interval is about how often a group says that it wants something, 100 ms to 1 h. A source stops three and a half Intervals after the latest, and half of one after a
	// "leave". Zero: 4 s.
	Interval time.Duration

	// Reports has a Watcher hear IGMP and MLD reports, too; without the privilege Watch fails. Linux only. Zero: messages in the group only.
	Reports bool
}

const (
	defaultInterval = 4 * time.Second
	mostInterval    = time.Hour
	leastInterval   = 100 * time.Millisecond
	portOffset      = 3    // to the data-destination port: 1 is parity, 2 are a carousel's requests
	rawPort         = 7500 // transport's data-destination port where the group names none
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

// session is the Config of the sessions that carry messages: what the group's says of the network, and little else.
func (c *Config) session(group string) *transport.Config {
	t := c.Transport
	if t == nil {
		t = &transport.Config{}
	}
	port := int(t.DestinationPort)
	if _, p, err := net.SplitHostPort(group); port == 0 && err == nil {
		port, _ = strconv.Atoi(p) // transport says what is wrong with it
	}
	if port == 0 {
		port = rawPort
	}
	if port += portOffset; port > 65534 {
		port -= 65534
	}
	return &transport.Config{
		Interface: t.Interface, Sources: t.Sources, HopLimit: t.HopLimit, MTU: t.MTU, Network: t.Network, DestinationPort: uint16(port),
		Logger: slog.New(slog.DiscardHandler), // sessions come and go
		Rate:   flow.Mbps, Fixed: true, WindowBytes: 1 << 16, Linger: 100 * time.Millisecond, HeartbeatMin: 50 * time.Millisecond,
		Unordered: true, MaxSources: 64, Expiry: 5 * time.Second,
		FEC: fec.Config{Off: true}, // three packets are not repaired, and parity would be announced under the next port
	}
}
