package aside

import (
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/transport"
)

// What is added to a group's data-destination port, for who says what. The first above it is that of its parity.
const (
	Requests = 2 // of a carousel
	Interest = 3 // of package demand
)

const (
	rawPort  = 7500  // transport's data-destination port where the group names none
	lastPort = 65534 // 0 is none, and the one after is parity's
)

// Config is the Config of messages in a group: what that of the group's sources and receivers says of the network, and little else. port is what
// is added to the data-destination port. c may be nil.
func Config(group string, c *transport.Config, port int) *transport.Config {
	if c == nil {
		c = &transport.Config{}
	}
	base := int(c.DestinationPort)
	if _, p, err := net.SplitHostPort(group); base == 0 && err == nil {
		base, _ = strconv.Atoi(p) // transport says what is wrong with it
	}
	if base == 0 {
		base = rawPort
	}
	if port += base; port > lastPort {
		port -= lastPort
	}
	return &transport.Config{
		Interface: c.Interface, Sources: c.Sources, HopLimit: c.HopLimit, MTU: c.MTU, Network: c.Network, DestinationPort: uint16(port),
		Logger: slog.New(slog.DiscardHandler), // sessions come and go
		Rate:   flow.Mbps, Fixed: true, WindowBytes: 1 << 16, Linger: 100 * time.Millisecond, HeartbeatMin: 50 * time.Millisecond,
		Unordered: true, MaxSources: 64, Expiry: 5 * time.Second,
		FEC: fec.Config{Off: true}, // three packets are not repaired, and parity would be announced under the next port
	}
}
