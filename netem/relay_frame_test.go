package netem

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"testing"
)

// ether returns a frame of its parts.
func ether(kind uint16, dst string, parts ...[]byte) []byte {
	b, _ := hex.DecodeString(dst + "020000000001")
	b = binary.BigEndian.AppendUint16(b, kind)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func ip4(proto byte, fragment uint16, options int) []byte {
	b := make([]byte, 20+4*options)
	b[0], b[9] = byte(0x45+options), proto
	binary.BigEndian.PutUint16(b[6:], fragment)
	copy(b[12:], []byte{10, 77, 0, 1, 239, 1, 2, 3})
	return b
}

func ip6(next byte) []byte {
	b := make([]byte, 40)
	b[0], b[6] = 0x60, next
	from, to := netip.MustParseAddr("fd77::1").As16(), netip.MustParseAddr("ff15::8000:1").As16()
	copy(b[8:], from[:])
	copy(b[24:], to[:])
	return b
}

func TestParseFrame(t *testing.T) {
	udp, icmp := make([]byte, 8), func(kind byte) []byte { return []byte{kind, 0, 0, 0} }
	const multi, uni = "01005e010203", "020000000002"
	hop := []byte{58, 0, 5, 2, 0, 0, 1, 0} // the router alert that stands in front of MLD
	for _, c := range []struct {
		name string
		b    []byte
		want frame // without addresses
	}{
		{"ARP", ether(etherARP, "ffffffffffff", make([]byte, 28)), frame{flood: true, control: true}},
		{"UDP", ether(etherIPv4, multi, ip4(17, 0, 0), udp), frame{flood: true, body: 42}},
		{"UDP to one", ether(etherIPv4, uni, ip4(17, 0, 0), udp), frame{body: 42}},
		{"UDP behind options", ether(etherIPv4, uni, ip4(17, 0, 2), udp), frame{body: 50}},
		{"first fragment", ether(etherIPv4, uni, ip4(17, 0x2000, 0), udp), frame{body: 42}},
		{"later fragment", ether(etherIPv4, uni, ip4(17, 0x2005, 0), udp), frame{body: 34}},
		{"PGM", ether(etherIPv4, uni, ip4(113, 0, 0), udp), frame{body: 34}},
		{"IGMP", ether(etherIPv4, multi, ip4(2, 0, 0), udp), frame{flood: true, control: true, body: 34}},
		{"ICMP", ether(etherIPv4, uni, ip4(1, 0, 0), udp), frame{body: 34}},
		{"UDP over IPv6", ether(etherIPv6, uni, ip6(17), udp), frame{body: 62}},
		{"PGM over IPv6", ether(etherIPv6, uni, ip6(113), udp), frame{body: 54}},
		{"neighbour solicitation", ether(etherIPv6, multi, ip6(58), icmp(135)), frame{flood: true, control: true, body: 54}},
		{"MLD", ether(etherIPv6, multi, ip6(0), hop, icmp(143)), frame{flood: true, control: true, body: 62}},
		{"echo", ether(etherIPv6, uni, ip6(58), icmp(128)), frame{body: 54}},
	} {
		for n := range len(c.b) + 1 {
			got, ok := parseFrame(c.b[:n:n])
			if ok && got.body > n {
				t.Errorf("%s: its first %d bytes are taken, with a datagram at %d", c.name, n, got.body)
			}
			if n < len(c.b) {
				continue
			}
			switch binary.BigEndian.Uint16(c.b[12:]) {
			case etherIPv4:
				c.want.from, c.want.to = netip.MustParseAddr("10.77.0.1"), netip.MustParseAddr("239.1.2.3")
			case etherIPv6:
				c.want.from, c.want.to = netip.MustParseAddr("fd77::1"), netip.MustParseAddr("ff15::8000:1")
			}
			if !ok || got != c.want {
				t.Errorf("%s is %+v, taken %v; want %+v", c.name, got, ok, c.want)
			}
		}
	}
	for name, b := range map[string][]byte{
		"another protocol":      ether(0x88cc, multi, make([]byte, 60)),
		"version":               ether(etherIPv4, multi, ip6(17), udp),
		"length of a header":    ether(etherIPv4, multi, append([]byte{0x44}, ip4(17, 0, 0)[1:]...), udp),
		"header beyond the end": ether(etherIPv4, multi, append([]byte{0x4f}, ip4(17, 0, 0)[1:]...), udp),
		"hop-by-hop too long":   ether(etherIPv6, multi, ip6(0), []byte{58, 9, 0, 0, 0, 0, 0, 0}),
	} {
		if got, ok := parseFrame(b); ok {
			t.Errorf("%s: taken as %+v", name, got)
		}
	}
}
