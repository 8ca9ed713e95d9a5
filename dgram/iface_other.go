//go:build !linux

package dgram

import (
	"net"
	"net/netip"
)

func defaultRoute(v6 bool) string { return "" }

func addressStates(*net.Interface) map[netip.Addr]addressState { return nil }

func namespace() uint64 { return 0 }
