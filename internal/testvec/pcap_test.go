package testvec

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"
)

func TestCaptures(t *testing.T) {
	captures := Captures()
	if len(captures) != 17 {
		t.Errorf("%d captures, want 17", len(captures))
	}
	for _, c := range captures {
		if len(c.Datagrams) == 0 {
			t.Errorf("%s holds no datagram", c.Name)
		}
		if !slices.IsSortedFunc(c.Datagrams, func(a, b Datagram) int { return int(a.At - b.At) }) {
			t.Errorf("%s: times go back", c.Name)
		}
		for i, d := range c.Datagrams {
			if len(d.Payload) < 16 || !d.From.IsValid() || !d.To.IsValid() {
				t.Errorf("%s, datagram %d: %d bytes from %v to %v", c.Name, i, len(d.Payload), d.From, d.To)
			}
		}
	}
}

// The first packet of the first capture is pgm-facts' first vector.
func TestLoad(t *testing.T) {
	for _, c := range []struct{ name, from, to, head string }{
		{"01-plain-nak", "10.77.0.1", "239.192.0.9:7500", "03e81d4d0000b0e9c3ecdea780fd0000"},
		{"09-router-alert", "10.77.0.1", "239.192.0.9:7500", "03e81d4d0000b0e9c3ecdea780fd0000"},
		{"11-ipv6", "fd77::1", "[ff08::9]:7500", "03e81d4d0000bdbdc3ecdea780fd0000"},
	} {
		d := Load(c.name)[0]
		if d.At != 0 || d.From.Addr() != netip.MustParseAddr(c.from) || d.To != netip.MustParseAddrPort(c.to) {
			t.Errorf("%s begins at %v, from %v to %v", c.name, d.At, d.From, d.To)
		}
		if got := hex.EncodeToString(d.Payload[:16]); got != c.head {
			t.Errorf("%s begins with %s, want %s", c.name, got, c.head)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good, err := files.ReadFile("testdata/07-fec-proactive-source-dies.pcap")
	if err != nil {
		t.Fatal(err)
	}
	whole, err := Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	for n := range good { // cut anywhere: an error, or the frames that are whole
		d, err := Parse(good[:n])
		if err == nil && len(d) >= len(whole) {
			t.Errorf("cut at %d of %d: %d datagrams", n, len(good), len(d))
		}
	}
	for _, at := range []int{0, 20} { // magic, link type
		bad := slices.Clone(good)
		bad[at] ^= 0x55
		if _, err := Parse(bad); err == nil {
			t.Errorf("byte %d changed: accepted", at)
		}
	}
}
