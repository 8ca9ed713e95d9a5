//go:build !linux

package demand

import (
	"errors"
	"net/netip"
)

type reports struct{}

func listenReports(netip.Addr, string, func(netip.Addr, bool)) (*reports, error) {
	return nil, errors.New("demand: Reports works on Linux only")
}

func (*reports) close() error { return nil }
