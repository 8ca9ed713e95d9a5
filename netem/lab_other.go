//go:build !linux

package netem

import (
	"errors"
	"os/exec"
	"runtime"
)

var errNoLab = errors.New("netem: no lab: it needs Linux network namespaces, and this is " + runtime.GOOS)

// Lab is a network of namespaces; there is none on this system.
type Lab struct{}

// Available returns why no Lab can be made.
func Available() error { return errNoLab }

// EnterUser does nothing on this system.
func EnterUser() {}

// NewLab returns an error on this system.
func NewLab(LabConfig) (*Lab, error) { return nil, errNoLab }

// Receivers returns the number of receiver nodes.
func (*Lab) Receivers() int { return 0 }

// Do runs f in a node.
func (*Lab) Do(Node, func() error) error { return errNoLab }

// Start starts cmd in a node.
func (*Lab) Start(Node, *exec.Cmd) error { return errNoLab }

// SetLoss changes the loss of what reaches a node.
func (*Lab) SetLoss(Node, float64) error { return errNoLab }

// SetRate changes the speed of what a node is sent.
func (*Lab) SetRate(Node, int64, int) error { return errNoLab }

// Counters returns a node's counters.
func (*Lab) Counters(Node) (LabCounters, error) { return LabCounters{}, errNoLab }

// Close lets go of the network.
func (*Lab) Close() error { return nil }
