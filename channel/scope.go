package channel

import (
	"errors"
	"fmt"
	"strings"
)

// Scope is how far a group reaches: the value is that of the field in an IPv6 group (RFC 7346). Zero is the default that its user states.
// As a text it is the constant's name in lower case.
type Scope uint8

const (
	Interface    Scope = 0x1 // this host only, by the loopback of one interface
	Link         Scope = 0x2 // one link; routers never forward it
	Realm        Scope = 0x3 // what the link technology takes for one network, as a radio mesh
	Admin        Scope = 0x4 // the smallest that somebody configures
	Site         Scope = 0x5 // one site
	Organization Scope = 0x8 // all sites of one organisation
	Global       Scope = 0xe // everywhere
)

var scopes = []struct {
	Scope
	name string
}{
	{Interface, "interface"}, {Link, "link"}, {Realm, "realm"}, {Admin, "admin"}, {Site, "site"},
	{Organization, "organization"}, {Global, "global"},
}

// check returns the scope with its default resolved. Nothing is given a wider range than it asked for.
func (s Scope) check(ipv4, specific bool) (Scope, error) {
	if s == 0 {
		if s = Global; ipv4 && !specific {
			s = Organization
		}
	}
	if !s.known() {
		return 0, fmt.Errorf("channel: no scope %d", uint8(s))
	}
	switch {
	case !ipv4:
	case specific && s != Global:
		return 0, fmt.Errorf("channel: IPv4 with SourceSpecific and scope %v: 232/8 has no scopes; leave it Global and limit the hops", s)
	case specific:
	case s == Global:
		return 0, errors.New("channel: IPv4 with scope global: 239/8 ends at the organisation; take Organization, or SourceSpecific")
	case s < Realm:
		return 0, fmt.Errorf("channel: IPv4 with scope %v: 239.255/16 is the narrowest; take Site, and one hop", s)
	}
	return s, nil
}

func (s Scope) known() bool { return !strings.HasPrefix(s.String(), "Scope(") }

func (s Scope) String() string {
	for _, k := range scopes {
		if k.Scope == s {
			return k.name
		}
	}
	return fmt.Sprintf("Scope(%d)", uint8(s))
}

// MarshalText and UnmarshalText make a Scope fit flag.TextVar and configuration files. The empty text is zero, the default.
func (s Scope) MarshalText() ([]byte, error) {
	if s == 0 {
		return nil, nil
	}
	if !s.known() {
		return nil, fmt.Errorf("channel: no scope %d", uint8(s))
	}
	return []byte(s.String()), nil
}

func (s *Scope) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*s = 0
		return nil
	}
	for _, k := range scopes {
		if k.name == string(b) {
			*s = k.Scope
			return nil
		}
	}
	return fmt.Errorf("channel: no scope %q: there are interface, link, realm, admin, site, organization and global", b)
}
