//go:build unix

package dgram

import (
	"errors"
	"syscall"
)

// kindOf sorts an error of sending or receiving.
func kindOf(err error) refusal {
	var e syscall.Errno
	if !errors.As(err, &e) {
		return refusedOther
	}
	switch e {
	case syscall.EMSGSIZE:
		return refusedTooBig
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN, syscall.EADDRNOTAVAIL:
		return refusedUnreachable
	case syscall.EPERM, syscall.EACCES:
		return refusedDenied
	case syscall.ECONNREFUSED, syscall.ECONNRESET:
		return refusedPortClosed
	case syscall.ENOBUFS, syscall.ENOMEM:
		return refusedNoBuffer
	}
	return refusedOther
}

const (
	errInUse        = syscall.EADDRINUSE
	errNotAvailable = syscall.EADDRNOTAVAIL
)
