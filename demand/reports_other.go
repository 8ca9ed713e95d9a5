//go:build !linux

package demand

import (
	"errors"
	"net/netip"

	"github.com/rmcast/rmcast/transport"
)

type reports struct{}

func listenReports(string, *transport.Config, func(netip.Addr, bool)) (*reports, error) {
	return nil, errors.New("demand: Reports works on Linux only")
}

func (*reports) close() error { return nil }
