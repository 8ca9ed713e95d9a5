package main

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/rmcast/rmcast/channel"
	"github.com/rmcast/rmcast/dgram"
)

// target is where a command sends to or listens.
type target struct {
	given   string // as the user wrote it
	name    string // of a channel; empty for a literal group
	network string // udp, or ip:pgm
	group   netip.AddrPort
}

// String is how the target is told to people: "demo".
func (t *target) String() string {
	if t.name == "" {
		return t.group.String()
	}
	return t.name
}

// full is the same with the group: "demo (239.194.226.60:56659)".
func (t *target) full() string {
	if t.name == "" {
		return t.group.String()
	}
	return fmt.Sprintf("%s (%s)", t.name, t.group)
}

// families says which addresses the interface has that will be used.
type families struct{ v4, v6 bool }

// parseTarget reads NAME|GROUP. A literal address with a port is a group; everything else is a channel's name. have decides between IPv4 and IPv6 where
// the user did not.
func parseTarget(given string, o *netOptions, have families) (*target, error) {
	t := &target{given: given, network: "udp"}
	if o.raw {
		t.network = "ip:pgm"
	}
	if looksLikeAddress(given) {
		group, err := dgram.ParseGroup(t.network, given)
		if err != nil {
			return nil, misuse(groupAdvice(given), "%s", plain(err))
		}
		if o.key != nil {
			return nil, misuse("Give a name, or leave -key away.", "a key makes a group of a name, and %q is a group already", given)
		}
		if o.v4 && group.Addr().Is6() || o.v6 && group.Addr().Is4() {
			return nil, misuse("Leave the option away: the group says it.", "%s is no group of the family that -4 or -6 asks for", given)
		}
		t.group = group
		return t, nil
	}
	c := channel.Channel{Name: given, Scope: channel.Organization, Key: o.key, IPv4: wantsIPv4(o, have)}
	group, err := c.Group()
	if err != nil {
		return nil, misuse("A name is any text that both ends write alike: letters, digits, spaces between.", "%s", plain(err))
	}
	t.name, t.group = given, group
	return t, nil
}

// wantsIPv4 decides the family of a name's group. IPv4 is what the most networks carry; with a key IPv6, whose groups nobody can try out.
func wantsIPv4(o *netOptions, have families) bool {
	switch {
	case o.v4 || o.v6:
		return o.v4
	case o.key != nil:
		return false
	}
	return have.v4 || !have.v6
}

// looksLikeAddress reports whether somebody meant an address, right or wrong.
func looksLikeAddress(s string) bool {
	if strings.HasPrefix(s, "[") {
		return true
	}
	host := s
	if h, _, err := net.SplitHostPort(s); err == nil {
		host = h
	}
	base, _, _ := strings.Cut(host, "%")
	if _, err := netip.ParseAddr(base); err == nil {
		return true
	}
	return strings.Count(base, ".") == 3 && strings.Trim(base, "0123456789.") == "" // 239.300.0.1
}

// groupAdvice is what to do about an address that is no group.
func groupAdvice(given string) string {
	if a, err := netip.ParseAddr(given); err == nil && a.IsMulticast() {
		return "Or give a name: the group and its port follow from it."
	}
	return "The simplest is a name, any word that both ends use: rmcast send FILE demo, rmcast recv demo."
}
