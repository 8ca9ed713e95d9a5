package dgram

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// networkKind is what a network name means.
type networkKind struct {
	raw  bool
	bits int // 32 or 128: the address family that is wanted; 0: any
}

func parseNetwork(network string) (networkKind, error) {
	name, proto, raw := strings.Cut(network, ":")
	k := networkKind{raw: raw}
	var base string
	switch {
	case raw && (proto == "pgm" || proto == "113"):
		base = "ip"
	case !raw:
		base = "udp"
	}
	switch {
	case base != "" && name == base:
		return k, nil
	case base != "" && name == base+"4":
		k.bits = 32
		return k, nil
	case base != "" && name == base+"6":
		k.bits = 128
		return k, nil
	}
	return k, fmt.Errorf("dgram: unknown network %q: use udp, udp4, udp6, ip:pgm, ip4:pgm or ip6:pgm", network)
}

// ParseGroup reads a group as people write it: "[ff15::8000:1%eth0]:7500" or "239.192.0.9:7500". With a raw IP network the
// port may be missing ("ff15::8000:1%eth0"). The zone of an IPv6 group names the interface, whatever the group's scope.
// Only literal addresses are taken.
func ParseGroup(network, group string) (netip.AddrPort, error) {
	kind, err := parseNetwork(network)
	if err != nil {
		return netip.AddrPort{}, err
	}
	fail := func(format string, args ...any) (netip.AddrPort, error) {
		return netip.AddrPort{}, fmt.Errorf("dgram: group %q: "+format, append([]any{group}, args...)...)
	}
	host, port, splitErr := net.SplitHostPort(group)
	if splitErr != nil {
		bare := group
		if n := len(group); n > 1 && group[0] == '[' && group[n-1] == ']' {
			bare = group[1 : n-1]
		}
		_, bareErr := netip.ParseAddr(bare)
		switch {
		case strings.ContainsAny(bare, "[]"): // they would pass in a zone
			return fail("not an address and port; write it like [ff15::8000:1%%eth0]:7500 or 239.192.0.9:7500")
		case kind.raw:
			host, port = bare, "0"
		case bareErr == nil && strings.Contains(bare, ":"):
			return fail("no port: write [%s]:7500", bare)
		case bareErr == nil:
			return fail("no port: write %s:7500", bare)
		default:
			return fail("not an address and port; write it like [ff15::8000:1%%eth0]:7500 or 239.192.0.9:7500")
		}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		if base, zone, ok := strings.Cut(host, "%"); ok {
			if a, err := netip.ParseAddr(base); err == nil && a.Is4() {
				return fail("an IPv4 group has no zone; name the interface %q in the options instead", zone)
			}
		}
		if strings.ContainsAny(host, ":") || host == "" || strings.Trim(host, "0123456789./") == "" {
			return fail("%q is not an IP address", host)
		}
		return fail("%q is not an address literal, and host names are not looked up", host)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || (n == 0 && !kind.raw) {
		return fail("bad port %q: a number from 1 to 65535 is needed", port)
	}
	ap := netip.AddrPortFrom(addr.Unmap(), uint16(n))
	return ap, checkGroup(network, kind, ap)
}

// checkGroup refuses groups that no Conn could serve.
func checkGroup(network string, kind networkKind, group netip.AddrPort) error {
	a := group.Addr()
	switch {
	case !a.IsValid():
		return errors.New("dgram: no group given")
	case kind.bits != 0 && a.BitLen() != kind.bits:
		want := "IPv4"
		if kind.bits == 128 {
			want = "IPv6"
		}
		return fmt.Errorf("dgram: group %v does not fit network %q, which is %s only", a, network, want)
	case !a.IsMulticast():
		return fmt.Errorf("dgram: %v is not a multicast group: those are ff00::/8 (try ff15::8000:1) and 224.0.0.0/4 (try 239.192.0.9)", a)
	case a.Is6() && a.As16()[1]&0xf == 0:
		return fmt.Errorf("dgram: group %v has the reserved scope 0: use ff02:: to ff0e:: (or ff12:: to ff1e::)", a)
	case group.Port() == 0 && !kind.raw:
		return fmt.Errorf("dgram: bad port 0 for group %v: a number from 1 to 65535 is needed", a)
	}
	return nil
}

// isSSM reports whether the group is in the ranges of source-specific multicast: ff3x::/32 and 232/8 (RFC 4607).
func isSSM(a netip.Addr) bool {
	if a.Is4() {
		return a.As4()[0] == 232
	}
	b := a.As16()
	return b[0] == 0xff && b[1]>>4 == 3 && b[2] == 0 && b[3] == 0
}
