package netem

import "fmt"

// RelayConfig describes a [Relay]. The zero value is one receiver on perfect links.
type RelayConfig struct {
	// Receivers is the number of receiver nodes. 0 means as many as the Topology has ports for, and 1 at least; 4000 is the most.
	Receivers int
	// Topology is where the nodes are attached, and what happens on the links.
	Topology Topology
	// Seed decides all random choices of all links.
	Seed uint64
	// LinkLocalOnly leaves the nodes without IPv4 and without any IPv6 address but the link-local one.
	LinkLocalOnly bool
	// MTU of all links in bytes, 1280 to 65521. 0 means 1500.
	MTU int
	// InFlight bounds the bytes that travel on links with Delay or Rate; what comes beyond it is dropped and counted. 0 means 64 MiB.
	InFlight int
}

func (c RelayConfig) withDefaults() (RelayConfig, error) {
	if err := c.Topology.Validate(); err != nil {
		return c, err
	}
	switch {
	case c.InFlight < 0:
		return c, fmt.Errorf("netem: InFlight %d is negative", c.InFlight)
	case c.MTU > maxRun-etherHeader:
		return c, fmt.Errorf("netem: MTU %d of a Relay is more than %d", c.MTU, maxRun-etherHeader)
	}
	if c.Receivers == 0 {
		c.Receivers = max(1, len(c.Topology.Receivers))
	}
	if c.InFlight == 0 {
		c.InFlight = defaultInFlight
	}
	return c, nil
}

// RelayCounters is what a Relay has counted since it was made. After TooLate, InFlight or Refused the nodes have got other packets
// than the links decided.
type RelayCounters struct {
	Taken      uint64 // packets taken from nodes, without Control
	Sent       uint64 // copies sent to nodes, without Control
	Control    uint64 // of neighbour discovery, ARP and group membership: they pass at once and past all links
	Unroutable uint64 // to an address that no node has
	TooLate    uint64 // packets lost because the Relay did not keep up with its nodes
	InFlight   uint64 // packets dropped because InFlight bytes were under way
	Malformed  uint64 // frames that are no whole IP packets
	Refused    uint64 // copies that the kernel did not take
}
