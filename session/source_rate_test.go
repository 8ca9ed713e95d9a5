package session

import (
	"net/netip"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// Whoever asks for everything again and again gets repairs at the rate's expense, never beyond it, and new data keeps its part.
func TestNAKsDoNotRaiseTheRate(t *testing.T) {
	const rate = 100 * flow.Mbps
	cfg := testSourceConfig(netip.MustParseAddr("fd00::1"))
	cfg.Rate, cfg.ReceiverShare = rate, 1
	s := NewSource(0, cfg)
	tr := Transmit{B: make([]byte, 0, RunBytes)}
	data := make([]byte, 64<<10)
	// What the bucket holds at the start, NCFs and SPMs that do not wait, the debt of a run and the slack.
	const spare = 400_000
	sent := int64(0)
	for now := mono.Time(0); now < mono.Time(2*time.Second); now = now.Add(time.Millisecond) {
		s.Write(now, data)
		for from := range 3 {
			p := forged(wire.TypeNAK, 0)
			p.GSI, p.SourcePort, p.DestinationPort = cfg.TSI.GSI, testPort, cfg.TSI.Port
			var nums []seq.Num
			for n := s.window.Next().Add(-wire.MaxNAKs * (from + 1)); len(nums) < wire.MaxNAKs; n++ {
				nums = append(nums, n)
			}
			setNumbers(p, nums)
			s.Handle(now, Meta{From: netip.AddrFrom16([16]byte{0xfd, 15: byte(2 + from)})}, p)
		}
		for s.Advance(now); s.Poll(now, &tr); s.Advance(now) {
			packets := (len(tr.B) + tr.Segment - 1) / tr.Segment
			sent += int64(len(tr.B) + packets*cfg.Room.Overhead())
			if most := flow.Rate(rate).Bytes(time.Duration(now)) + spare; sent > most {
				t.Fatalf("%d bytes sent by %v, at most %d are allowed; %+v", sent, now, most, s.Stats())
			}
		}
	}
	all := flow.Rate(rate).Bytes(2 * time.Second)
	st := s.Stats()
	if int64(st.RepairBytes) < all/2 {
		t.Errorf("%d bytes of repairs where %d could go: nobody asked for much", st.RepairBytes, all)
	}
	if int64(st.Bytes) < all/5 {
		t.Errorf("%d bytes of new data beside %d of repairs; a quarter of %d is its part", st.Bytes, st.RepairBytes, all)
	}
}
