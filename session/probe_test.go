package session

import (
	"net/netip"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/wire"
)

// The first answer to a probe of a large group brings three SPMs that do not ask: of a million receivers one in a hundred misses
// each.
func TestProbeAnswered(t *testing.T) {
	for _, c := range []struct {
		group float64
		want  int
	}{{8, 1}, {1e6, 3}} {
		cfg := testSourceConfig(netip.MustParseAddr("fd00::1"))
		cfg.InitialGroup, cfg.GroupSize = c.group, c.group

		s := NewSource(0, cfg)
		var tr Transmit
		tr.B = make([]byte, 0, RunBytes)
		spms := func(now mono.Time) (count int, asks bool) {
			s.Advance(now)
			for s.Poll(now, &tr) {
				var p wire.Packet
				if err := p.Decode(tr.B); err != nil {
					t.Fatal(err)
				}
				if p.Type == wire.TypeSPM {
					count++
					asks = p.Options.Peer.Flags&peerProbe != 0
				}
			}
			return count, asks
		}
		now := mono.Time(0)
		for ; now < mono.Time(500*time.Millisecond); now = now.Add(time.Millisecond) {
			if n, asks := spms(now); n > 0 && !asks {
				t.Fatal("an SPM does not ask for a round trip though none was measured")
			}
		}
		ack := wire.Packet{Type: wire.TypeACK, GSI: cfg.TSI.GSI, SourcePort: cfg.DestinationPort, DestinationPort: cfg.TSI.Port}
		ack.Options.Set = ack.Options.Set.With(wire.OptPeer)
		ack.Options.Peer = wire.Peer{Time: micros(now) - 50_000}
		s.Handle(now, Meta{}, &ack)
		got := 0
		for end := now.Add(400 * time.Millisecond); now < end; now = now.Add(time.Millisecond) {
			n, asks := spms(now)
			if got += n; asks {
				t.Error("it asks again at once")
			}
		}
		if got != c.want {
			t.Errorf("group of %v: %d SPMs after the answer, want %d", c.group, got, c.want)
		}
	}
}
