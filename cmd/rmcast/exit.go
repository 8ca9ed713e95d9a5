package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// The exit codes. docs/rmcast.md and "rmcast help options" name them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNobody      = 3   // nobody was there to send to, or to receive from
	exitInterrupted = 130 // Ctrl-C
	exitClosedPipe  = 141 // who read our output has gone
	exitTerminated  = 143
)

// failure is an error for a person: what happened, and what to do.
type failure struct {
	code     int
	what, do string
	cause    error
}

func (f *failure) Error() string {
	if f.do == "" {
		return f.what
	}
	return f.what + ". " + f.do
}

func (f *failure) Unwrap() error { return f.cause }

// fail makes a failure of exit code 1.
func fail(cause error, do, format string, args ...any) error {
	return &failure{exitFailed, fmt.Sprintf(format, args...), do, cause}
}

// misuse makes a failure of exit code 2.
func misuse(do, format string, args ...any) error {
	return &failure{exitUsage, fmt.Sprintf(format, args...), do, nil}
}

// codeOf is the exit code that an error means.
func codeOf(err error) int {
	var f *failure
	var s *signalled
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &s):
		if s.signal == os.Interrupt {
			return exitInterrupted
		}
		return exitTerminated
	case errors.Is(err, syscall.EPIPE):
		return exitClosedPipe
	case errors.As(err, &f):
		return f.code
	}
	return exitFailed
}
