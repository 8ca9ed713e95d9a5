package flow

import (
	"math"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"pgregory.net/rapid"
)

// TestLimiterProperty: whatever is sent in which order, whenever the rate is changed, no stretch of time has more of anything than
// its rate x time and what its bucket may hold and owe.
func TestLimiterProperty(t *testing.T) { rapid.Check(t, limiterKeepsItsWord) }

// stretch is a count of bytes against what their rates let pass.
type stretch struct {
	at            mono.Time
	passed, taken int64 // since the beginning; passed is rounded up
	best          int64 // the largest passed - taken before a take: where the worst stretch begins
	over          int64 // by which the worst stretch exceeds rate x time
}

func (s *stretch) pass(now mono.Time, r Rate) {
	if now > s.at {
		s.passed += r.Bytes(now.Sub(s.at)) + 1
		s.at = now
	}
}

func (s *stretch) take(bytes int) {
	s.best = max(s.best, s.passed-s.taken)
	s.taken += int64(bytes)
	s.over = max(s.over, s.taken-s.passed+s.best)
}

func newStretch(at mono.Time) *stretch {
	return &stretch{at: at, best: math.MinInt64, over: math.MinInt64}
}

func limiterKeepsItsWord(t *rapid.T) {
	drawRate := func() Rate { return min(genRate().Draw(t, "rate"), 10*Gbps) }
	cfg := LimiterConfig{Rate: drawRate(), RepairShare: rapid.SampledFrom([]float64{0, 0.01, 0.3, 0.75, 1, -1}).Draw(t, "share")}
	if rapid.Bool().Draw(t, "own run") {
		cfg.RunBytes = rapid.IntRange(1500, MaxRunBytes).Draw(t, "run")
	}
	now := mono.Time(rapid.Int64Range(0, 1e15).Draw(t, "start"))
	l := NewLimiter(cfg, now)
	share := cfg.RepairShare
	if share == 0 {
		share = DefaultRepairShare
	}
	r := cfg.Rate
	ceiling := share > 0 && share < 1
	control := func() Rate { return max(Rate(float64(r)*0.05)+1, Mbps) }
	run := func() int { // the largest there is
		if cfg.RunBytes > 0 {
			return cfg.RunBytes
		}
		return int(min(max(r.Bytes(RunTime), 1500), MaxRunBytes))
	}
	// What a bucket at rate r holds at most, and what may be owed beside a run; largest of all rates in force so far.
	bucket := func(r Rate, least int64) int64 { return max(r.Bytes(Depth), least) + r.Bytes(Slack) + 16 }
	var most, mostShare, mostControl, debt int64
	tune := func() {
		debt = max(debt, int64(run()))
		most = max(most, bucket(r, 2*int64(run())))
		mostShare = max(mostShare, bucket(Rate(float64(r)*share)+1, 2*int64(run())))
		mostControl = max(mostControl, bucket(control(), max(minControlBurst, min(r.Bytes(Depth), maxControlBurst)))+1500)
	}
	tune()
	all, both, repairs, controls := newStretch(now), newStretch(now), newStretch(now), newStretch(now)
	pass := func() {
		all.pass(now, r)
		both.pass(now, r)
		repairs.pass(now, Rate(float64(r)*share)+1)
		controls.pass(now, control())
	}
	waits := false // new data does
	for range rapid.IntRange(1, 300).Draw(t, "steps") {
		n, times := run()-rapid.IntRange(0, run()-1).Draw(t, "bytes less"), rapid.IntRange(1, 100).Draw(t, "times")
		switch rapid.IntRange(0, 11).Draw(t, "step") {
		case 0, 1:
			now = now.Add(time.Duration(rapid.Int64Range(0, 20e6).Draw(t, "wait")))
			pass()
		case 2:
			r = drawRate()
			l.SetRate(now, r)
			tune()
		case 3:
			if waits = !waits; waits { // what was taken while nobody waited does not count
				repairs = newStretch(now)
			}
		case 4:
			at := l.DataAt(now)
			if now = max(now, at); !l.Data(now) {
				t.Fatalf("data should open at %v and does not", at)
			}
			pass()
		case 5:
			at := l.RepairAt(now, waits)
			if now = max(now, at); !l.Repair(now, waits) {
				t.Fatalf("repairs should open at %v and do not", at)
			}
			pass()
		case 6:
			at := l.ControlAt(now)
			if now = max(now, at); !l.Control(now) {
				t.Fatalf("control should open at %v and does not", at)
			}
			pass()
		case 7:
			n = min(n, 1500)
			for i := 0; i < times && l.Control(now); i++ {
				l.TookControl(now, n)
				controls.take(n)
				if r >= 20*Mbps {
					all.take(n)
				}
			}
		case 8, 9:
			for i := 0; i < times && l.Repair(now, waits); i++ {
				l.TookRepair(now, n)
				all.take(n)
				both.take(n)
				if waits && ceiling {
					repairs.take(n)
				}
			}
		default:
			for i := 0; i < times && l.Data(now); i++ {
				l.TookData(now, n)
				all.take(n)
				both.take(n)
			}
		}
	}
	switch {
	case both.over > most+debt:
		t.Fatalf("data and repairs pass the rate by %d bytes in some stretch, at most %d", both.over, most+debt)
	case all.over > most+debt+mostControl:
		t.Fatalf("all together pass the rate by %d bytes, at most %d", all.over, most+debt+mostControl)
	case repairs.over > mostShare+debt:
		t.Fatalf("repairs pass their share by %d bytes while data waits, at most %d", repairs.over, mostShare+debt)
	case controls.over > mostControl:
		t.Fatalf("control passes its share by %d bytes, at most %d", controls.over, mostControl)
	}
}
