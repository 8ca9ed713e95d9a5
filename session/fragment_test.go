package session

import (
	"net/netip"
	"testing"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/wire"
)

// OpenPGM takes 16 fragments of a message: the longest message by default (22528 bytes) must not have more, over IPv6 too.
func TestFragmentsOfLongMessages(t *testing.T) {
	for _, c := range []struct {
		ipv6                bool
		size, packets, most int // most: payload of the longest packet
	}{
		{true, 1428, 1, 1428},
		{true, 1429, 2, 1384},
		{true, 16 * 1384, 16, 1384},
		{true, 16*1384 + 1, 16, 1408},
		{true, 22528, 16, 1408},
		{true, 22529, 17, 1384}, // not for OpenPGM in any way
		{false, 22528, 16, 1408},
		{false, 22529, 16, 1428},
		{false, 16 * 1428, 16, 1428},
		{false, 16*1428 + 1, 17, 1408},
	} {
		room, err := wire.NewRoom(1500, c.ipv6, false)
		if err != nil {
			t.Fatal(err)
		}
		cfg := testSourceConfig(netip.MustParseAddr("fd00::1"))
		cfg.Room, cfg.Rate = room, flow.Unlimited
		s := NewSource(0, cfg)
		data := pattern(1, c.size)
		if !s.WriteMessage(0, data) {
			t.Fatalf("a message of %d bytes was not taken", c.size)
		}
		packets, most, got := 0, 0, make([]byte, c.size)
		tr := Transmit{B: make([]byte, 0, RunBytes)}
		for s.Poll(0, &tr) {
			for b := tr.B; len(b) > 0; b = b[min(tr.Segment, len(b)):] {
				var p wire.Packet
				if err := p.Decode(b[:min(tr.Segment, len(b))]); err != nil {
					t.Fatal(err)
				}
				if p.Type != wire.TypeODATA {
					continue
				}
				if n := min(tr.Segment, len(b)); n > room.TPDU() {
					t.Errorf("message of %d bytes: a packet of %d bytes, %d fit", c.size, n, room.TPDU())
				}
				packets++
				most = max(most, len(p.Payload))
				offset := 0
				if p.Options.Set.Has(wire.OptFragment) {
					offset = int(p.Options.Fragment.Offset)
				}
				copy(got[offset:], p.Payload)
			}
		}
		if packets != c.packets || most != c.most || string(got) != string(data) {
			t.Errorf("message of %d bytes, IPv6 %v: %d packets with up to %d bytes, want %d with %d; the same bytes: %v",
				c.size, c.ipv6, packets, most, c.packets, c.most, string(got) == string(data))
		}
	}
}
