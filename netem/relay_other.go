//go:build !linux

package netem

import (
	"net/netip"
	"os/exec"
)

// Relay joins namespaces by Links; there is none on this system.
type Relay struct{}

// NewRelay returns an error on this system.
func NewRelay(RelayConfig) (*Relay, error) { return nil, errNoLab }

// Receivers returns the number of receiver nodes.
func (*Relay) Receivers() int { return 0 }

// Do runs f in a node.
func (*Relay) Do(Node, func() error) error { return errNoLab }

// Start starts cmd in a node.
func (*Relay) Start(Node, *exec.Cmd) error { return errNoLab }

// SetEgress changes what happens to packets that a node sends.
func (*Relay) SetEgress(Node, Impairment) error { return errNoLab }

// SetIngress changes what happens to packets that reach a node.
func (*Relay) SetIngress(Node, Impairment) error { return errNoLab }

// SetDrop sets a function that is asked about each datagram.
func (*Relay) SetDrop(func(from, to netip.Addr, b []byte) bool) {}

// Switch returns a switch.
func (*Relay) Switch(int) *Switch { return nil }

// Counters returns a node's counters.
func (*Relay) Counters(Node) HostCounters { return HostCounters{} }

// Totals returns the Relay's own counters.
func (*Relay) Totals() RelayCounters { return RelayCounters{} }

// Close ends the Relay.
func (*Relay) Close() error { return nil }
