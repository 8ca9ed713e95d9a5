package flow

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"pgregory.net/rapid"
)

// Data and repairs together never pass Rate, in no stretch of time and in no order of asking: each counts whichever it was.
func TestLimiterCeiling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := min(genRate().Draw(t, "r"), 10*Gbps)
		l := NewLimiter(LimiterConfig{Rate: r, RepairShare: rapid.SampledFrom([]float64{0, 0.1, 0.5, 0.9, 1}).Draw(t, "share")}, 0)
		run := l.RunPackets(packet) * packet
		most := int64(l.total.Burst()) + r.Bytes(Slack) + int64(run) + 4
		repairs := rapid.IntRange(0, 10).Draw(t, "repairs in ten")
		var log sent
		now, waits := mono.Time(0), false
		send := func(repair bool) bool { // one run, of whichever may go
			switch {
			case repair && l.Repair(now, waits), !waits && l.Repair(now, false):
				l.TookRepair(now, run)
			case waits && l.Data(now):
				l.TookData(now, run)
			case l.Repair(now, waits):
				l.TookRepair(now, run)
			default:
				return false
			}
			log.take(now, run)
			return true
		}
		for step := range 300 {
			waits = rapid.Bool().Draw(t, "data waits")
			instant := int64(0)
			for i := 0; send((i+step)%10 < repairs); i++ {
				if instant += int64(run); instant > most { // or this went on for ever
					t.Fatalf("%v: %d bytes at one instant, at most %d may go", r, instant, most)
				}
			}
			next := l.RepairAt(now, waits)
			if waits {
				next = min(next, l.DataAt(now))
			}
			if next <= now {
				t.Fatalf("%v: nothing may go at %v, and yet the next time is %v", r, now, next)
			}
			now = next.Add(time.Duration(rapid.Int64Range(0, int64(2*Depth)).Draw(t, "late")))
		}
		if over := log.worst(r, most); over > 0 {
			t.Fatalf("%v: %d bytes too many in some stretch", r, over)
		}
	})
}
