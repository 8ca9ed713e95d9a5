package dgram

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows"
)

// kindOf sorts an error of sending or receiving.
func kindOf(err error) refusal {
	var e syscall.Errno
	if !errors.As(err, &e) {
		return refusedOther
	}
	switch e {
	case windows.WSAEMSGSIZE:
		return refusedTooBig
	case windows.WSAENETUNREACH, windows.WSAEHOSTUNREACH, windows.WSAENETDOWN, windows.WSAEHOSTDOWN, windows.WSAEADDRNOTAVAIL:
		return refusedUnreachable
	case windows.WSAEACCES:
		return refusedDenied
	case windows.WSAECONNREFUSED, windows.WSAECONNRESET, windows.WSAENETRESET:
		return refusedPortClosed
	case windows.WSAENOBUFS:
		return refusedNoBuffer
	}
	return refusedOther
}

const (
	errInUse        = windows.WSAEADDRINUSE
	errNotAvailable = windows.WSAEADDRNOTAVAIL
)
