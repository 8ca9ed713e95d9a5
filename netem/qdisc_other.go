//go:build !linux

package netem

import (
	"errors"
	"runtime"
)

var errNoQdisc = errors.New("netem: no sch_netem: it is Linux's, and this is " + runtime.GOOS)

// QdiscAvailable returns why the kernel's netem cannot be had.
func QdiscAvailable() error { return errNoQdisc }

// SetQdisc returns an error on this system.
func SetQdisc(string, Impairment) error { return errNoQdisc }

// SetQdisc returns an error on this system.
func (*Lab) SetQdisc(_ Node, in, out Impairment) error { return errNoQdisc }

// QdiscStats returns an error on this system.
func (*Lab) QdiscStats(Node) (in, out QdiscStats, err error) { return in, out, errNoQdisc }
