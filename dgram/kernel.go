package dgram

import (
	"context"
	"errors"
	"net/netip"
)

func (kernel) OpenSource(ctx context.Context, network string, group netip.AddrPort, o Options) (Conn, error) {
	return nil, errors.ErrUnsupported
}

func (kernel) OpenReceiver(ctx context.Context, network string, group netip.AddrPort, o Options) (Conn, error) {
	return nil, errors.ErrUnsupported
}
