package channel

import (
	"crypto/hmac"
	"crypto/sha3"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"net/netip"
	"strings"
	"time"
	"unicode"
)

const (
	// MinKey and MaxKey bound the length of a key, in bytes. HMAC would take a longer key than its block of 72 bytes for the key's hash,
	// so that two keys would be one.
	MinKey, MaxKey = 16, 64

	firstPort, ports = 49152, 16384 // RFC 6335, 6: dynamic ports, which nobody is assigned

	label = "rmcast channel\x00" // keeps what is made of a key here apart from what else is made of it
)

// Group returns the IPv6 group of a name, and its UDP port. Scope 0 is Global.
func Group(name string, scope Scope) (netip.AddrPort, error) {
	return Channel{Name: name, Scope: scope}.Group()
}

// Channel says which group is meant. Both ends must have the same, but for Interface. Only Name is needed.
type Channel struct {
	// Name is 1 to MaxName bytes of UTF-8 in form NFC; the package comment says what is refused.
	Name string

	// Scope is how far the group reaches. Zero: Global, but over IPv4 without SourceSpecific it is Organization, the widest that
	// there is. IPv4 has no others than Realm, Admin and Site, which are one, and Organization; source-specific none but Global.
	Scope Scope

	// IPv4 takes a group of 239/8, or of 232/8 with SourceSpecific, in place of one of ff1x::/16 or ff3x::/96.
	IPv4 bool

	// SourceSpecific takes the group from the ranges of RFC 4607. Receivers then have to name the sources they want
	// (transport.Config.Sources), and two channels that share a group do not hear each other's sources.
	SourceSpecific bool

	// Key, of MinKey to MaxKey bytes, makes a group that cannot be found with the name alone. Take random bytes: whoever sees the
	// group and guesses the name can try passwords as fast as he can hash. Each scope, and each family, has then a group of its own
	// that says nothing about the others. Nil: anybody who knows the name finds the group.
	Key []byte

	// Period makes the group change each time so much time has passed, counted from 1970-01-01 00:00 UTC without leap seconds: whole seconds. At is the
	// time for which the group is wanted: now, or a little before or after where clocks may differ. Zero: the group stays,
	// and At must not be set.
	Period time.Duration
	At     time.Time

	// Interface becomes the zone of an IPv6 group, which names the interface that transport takes. Zones say nothing to
	// IPv4: there it has to be empty, and transport.Config.Interface is the place.
	Interface string
}

// Group returns the channel's group address and UDP port, which is 49152 to 65535. Its String is what transport.Dial and
// transport.Listen take: [ff1e::1%eth0]:50000 or 239.192.0.1:50000.
func (c Channel) Group() (netip.AddrPort, error) {
	scope, err := c.check()
	if err != nil {
		return netip.AddrPort{}, err
	}
	d := c.digest(scope)
	return netip.AddrPortFrom(c.address(scope, d).WithZone(c.Interface), port(d)), nil
}

// Changes returns the first instant after At with another group; the zero Time if there is no Period of a second or more.
func (c Channel) Changes() time.Time {
	if c.Period < time.Second {
		return time.Time{}
	}
	return time.Unix((c.epoch()+1)*c.seconds(), 0).In(c.At.Location())
}

// check returns the scope with its default resolved.
func (c Channel) check() (Scope, error) {
	if err := checkName(c.Name); err != nil {
		return 0, err
	}
	if n := len(c.Key); c.Key != nil && (n < MinKey || n > MaxKey) {
		return 0, fmt.Errorf("channel: Key of %d bytes: it has to have %d to %d", n, MinKey, MaxKey)
	}
	switch {
	case c.Period < 0 || c.Period%time.Second != 0:
		return 0, fmt.Errorf("channel: Period of %v: it has to be whole seconds", c.Period)
	case c.Period == 0 && !c.At.IsZero():
		return 0, errors.New("channel: At without Period: the group would not change")
	case c.Period > 0 && c.At.IsZero():
		return 0, errors.New("channel: Period without At: which of the groups?")
	case c.IPv4 && c.Interface != "":
		return 0, fmt.Errorf("channel: IPv4 with Interface %q: IPv4 groups have no zone; name it to transport.Config", c.Interface)
	case strings.ContainsAny(c.Interface, "[]%") || strings.ContainsFunc(c.Interface, unicode.IsControl):
		return 0, fmt.Errorf("channel: Interface %q: no interface has such a name", c.Interface)
	}
	return c.Scope.check(c.IPv4, c.SourceSpecific)
}

// digest has all that address and port are made of. Without a key it does not depend on scope and family: so it must be for
// ff1x to be the plain hash of the name.
func (c Channel) digest(scope Scope) [64]byte {
	text := []byte(c.Name)
	if c.Period > 0 {
		text = append(text, 0) // no name has one
		text = binary.BigEndian.AppendUint64(text, uint64(c.seconds()))
		text = binary.BigEndian.AppendUint64(text, uint64(c.epoch()))
	}
	if c.Key == nil {
		return sha3.Sum512(text)
	}
	family, specific := byte(6), byte(0)
	if c.IPv4 {
		family = 4
	}
	if c.SourceSpecific {
		specific = 1
	}
	mac := hmac.New(func() hash.Hash { return sha3.New512() }, c.Key)
	mac.Write([]byte(label))
	mac.Write([]byte{family, specific, byte(scope)})
	mac.Write(text)
	return [64]byte(mac.Sum(nil))
}

func (c Channel) seconds() int64 { return int64(c.Period / time.Second) }

// epoch counts the periods since 1970; before, it is negative.
func (c Channel) epoch() int64 {
	at, s := c.At.Unix(), c.seconds()
	n := at / s
	if at%s < 0 {
		n--
	}
	return n
}

// address needs a scope that check let pass.
func (c Channel) address(scope Scope, d [64]byte) netip.Addr {
	n := binary.BigEndian.Uint64(d[16:])
	switch {
	case c.IPv4 && c.SourceSpecific:
		return ipv4Specific(n)
	case c.IPv4 && scope == Organization:
		return ipv4(organizationBase, n%organizationSize)
	case c.IPv4:
		return ipv4(localBase, n%localSize)
	case c.SourceSpecific:
		a := [16]byte{0xff, 0x30 | byte(scope)} // flags P and T, and a prefix of length 0: RFC 3306, 6
		binary.BigEndian.PutUint32(a[12:], uint32(specific6Base+n%specific6Size))
		return netip.AddrFrom16(a)
	}
	a := [16]byte{0xff, 0x10 | byte(scope)} // flag T: not assigned for good
	copy(a[2:], d[:14])
	return netip.AddrFrom16(a)
}

func port(d [64]byte) uint16 { return firstPort + binary.BigEndian.Uint16(d[24:])%ports }
