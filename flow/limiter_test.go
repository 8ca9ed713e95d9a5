package flow

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"pgregory.net/rapid"
)

const packet = 1480 // IP bytes of a full stream packet

// driver is what transport does with a Limiter, in virtual time: it sends what waits, repairs first, until nothing may go,
// then sleeps to the deadline and wakes up late.
type driver struct {
	l                      *Limiter
	now                    mono.Time
	late                   func() time.Duration
	repairs, data          func() bool // what waits
	repairBytes, dataBytes int64
	log                    sent
}

func newDriver(cfg LimiterConfig) *driver {
	yes := func() bool { return true }
	return &driver{l: NewLimiter(cfg, 0), late: func() time.Duration { return 0 }, data: yes, repairs: func() bool { return false }}
}

// run goes on to an instant. It panics if the limiter lets pass at one instant what its buckets cannot hold.
func (d *driver) run(until mono.Time) {
	bytes := d.l.RunPackets(packet) * packet
	at, most, passed := d.now, int64(d.l.total.Burst())+d.l.Rate().Bytes(Slack)+2*int64(bytes), int64(0)
	for d.now.Before(until) {
		if d.now != at {
			at, passed = d.now, 0
		}
		if passed > most {
			panic(fmt.Sprintf("%d bytes passed at %v, at most %d may", passed, at, most))
		}
		dataWaits, repairWaits := d.data(), d.repairs()
		next := mono.Never
		switch {
		case repairWaits && d.l.Repair(d.now, dataWaits):
			d.l.TookRepair(d.now, bytes)
			d.repairBytes += int64(bytes)
		case dataWaits && d.l.Data(d.now):
			d.l.TookData(d.now, bytes)
			d.dataBytes += int64(bytes)
		default:
			if dataWaits {
				next = d.l.DataAt(d.now)
			}
			if repairWaits {
				next = min(next, d.l.RepairAt(d.now, dataWaits))
			}
			if next == mono.Never {
				next = d.now.Add(time.Millisecond)
			}
			d.now = next.Add(d.late())
			continue
		}
		d.log.take(d.now, bytes)
		passed += int64(bytes)
	}
}

// Over a minute of virtual time (at high rates 10 s) the bytes sent are within 0.1 % of the rate, whether the driver wakes up in time or late.
func TestLimiterAchievesRate(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	drivers := map[string]func() time.Duration{
		"exact":          func() time.Duration { return 0 },
		"1 ms late":      func() time.Duration { return time.Millisecond },
		"up to 3 ms":     func() time.Duration { return time.Duration(rng.Int64N(3e6)) },
		"mostly in time": func() time.Duration { return time.Duration(rng.ExpFloat64() * 1e5) },
	}
	rates := []Rate{Mbps, 10 * Mbps, 100 * Mbps, Gbps, 10 * Gbps}
	if testing.Short() {
		rates = rates[:3]
	}
	for _, r := range rates {
		for name, late := range drivers {
			t.Run(fmt.Sprintf("%v %s", r, name), func(t *testing.T) {
				d := newDriver(LimiterConfig{Rate: r})
				d.late = late
				length := time.Minute
				if r > 100*Mbps {
					length /= 6 // enough packets
				}
				d.run(mono.Time(length))
				got := float64(d.dataBytes) * 8 / time.Duration(d.now).Seconds()
				if ratio := got / float64(r); math.Abs(ratio-1) > 0.001 {
					t.Errorf("%.3f %% of the rate", 100*ratio)
				}
				run := int64(d.l.RunPackets(packet) * packet)
				if over := d.log.worst(r, int64(d.l.total.Burst())+r.Bytes(Slack)+run+4); over > 0 {
					t.Errorf("%d bytes too many in some interval", over)
				}
			})
		}
	}
}

// A bucket without depth would fail the test above: waking up 12 ms late loses rate, as Depth says it does.
func TestLimiterLateBeyondDepth(t *testing.T) {
	d := newDriver(LimiterConfig{Rate: Gbps})
	d.late = func() time.Duration { return 12 * time.Millisecond }
	d.run(mono.Time(10 * time.Second))
	if got := float64(d.dataBytes) * 8 / time.Duration(d.now).Seconds() / float64(Gbps); got > 0.9 || got < 0.6 {
		t.Errorf("%.3f of the rate, want about 8.5/12.5", got)
	}
}

// While both wait, repairs get their share and new data the rest; alone, each gets everything.
func TestLimiterShares(t *testing.T) {
	no := func() bool { return false }
	rates := []Rate{Mbps, 100 * Mbps, Gbps}
	if testing.Short() {
		rates = rates[:2]
	}
	for _, r := range rates {
		for _, share := range []float64{0, 0.25, 0.5, 0.9} {
			d := newDriver(LimiterConfig{Rate: r, RepairShare: share})
			d.late = func() time.Duration { return time.Millisecond }
			want := share
			if share == 0 {
				want = DefaultRepairShare
			}
			d.repairs = d.data
			d.run(mono.Time(30 * time.Second))
			all := float64(d.dataBytes + d.repairBytes)
			if got := float64(d.repairBytes) / all; math.Abs(got-want) > 0.005 {
				t.Errorf("%v: repairs got %.4f, want %.2f", r, got, want)
			}
			if got := all * 8 / time.Duration(d.now).Seconds() / float64(r); math.Abs(got-1) > 0.001 {
				t.Errorf("%v: together %.4f of the rate", r, got)
			}

			before := d.repairBytes
			start := d.now
			d.data = no
			d.run(start.Add(30 * time.Second))
			if got := float64(d.repairBytes-before) * 8 / d.now.Sub(start).Seconds() / float64(r); math.Abs(got-1) > 0.002 {
				t.Errorf("%v: repairs alone got %.4f of the rate", r, got)
			}
			// What they took beyond their share is not held against them.
			if now := d.now; d.l.RepairAt(now, true).Sub(now) > 10*time.Millisecond+r.Duration(20*packet) {
				t.Errorf("%v: after repairs alone, new data stops them for %v", r, d.l.RepairAt(now, true).Sub(now))
			}
		}
	}
}

// Whatever the pattern of arrivals, new data that waits gets its part of any stretch, and nothing passes the rate.
func TestLimiterNeverStarvesData(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := min(genRate().Draw(t, "r"), 3*Gbps)
		seed := rapid.Uint64().Draw(t, "seed")
		rng := rand.New(rand.NewPCG(seed, 0))
		d := newDriver(LimiterConfig{Rate: r})
		run := int64(d.l.RunPackets(packet) * packet)
		d.repairs = func() bool { return true }
		d.late = func() time.Duration { return time.Duration(rng.Int64N(1e6)) }
		stretch := max(r.Duration(100*run), 50*time.Millisecond)
		for range 6 {
			d.data = func() bool { return false }
			d.run(d.now.Add(time.Duration(rng.Int64N(int64(stretch)))))
			d.data = func() bool { return true }
			start, before := d.now, d.dataBytes
			d.run(d.now.Add(stretch))
			want := r.Bytes(d.now.Sub(start)) / 4
			// What the repairs' bucket holds, what total may owe, and a run of each.
			want -= int64(d.l.share.Burst()) + 2*r.Bytes(Slack) + 3*run + r.Bytes(time.Millisecond)
			if got := d.dataBytes - before; got < want {
				t.Fatalf("%v: %d bytes of new data in %v, want at least %d", r, got, d.now.Sub(start), want)
			}
		}
		if over := d.log.worst(r, int64(d.l.total.Burst())+r.Bytes(Slack)+run+4); over > 0 {
			t.Fatalf("%v: %d bytes too many", r, over)
		}
	})
}

func TestLimiterNoCeiling(t *testing.T) {
	for _, share := range []float64{1, 2, -1} {
		d := newDriver(LimiterConfig{Rate: 10 * Mbps, RepairShare: share})
		d.repairs = d.data
		d.run(mono.Time(time.Second))
		if d.dataBytes != 0 {
			t.Errorf("share %v: new data got %d bytes", share, d.dataBytes)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("NaN is a share")
		}
	}()
	NewLimiter(LimiterConfig{RepairShare: math.NaN()}, 0)
}

// Control packets get 5 %, at least 1 Mbit/s, do not wait for data, and count in the rate.
func TestLimiterControl(t *testing.T) {
	const ncf = 120
	for _, c := range []struct{ rate, control, charged Rate }{
		{100 * Kbps, Mbps, 5 * Kbps}, {10 * Mbps, Mbps, 500 * Kbps}, {20 * Mbps, Mbps, Mbps}, {Gbps, 50 * Mbps, 50 * Mbps},
	} {
		d := newDriver(LimiterConfig{Rate: c.rate})
		end := mono.Time(20 * time.Second)
		var control int64
		for now := mono.Time(0); now.Before(end); now = now.Add(time.Millisecond) {
			for d.l.Control(now) {
				d.l.TookControl(now, ncf)
				control += ncf
			}
			if at := d.l.ControlAt(now); !d.l.Control(at) || at.Sub(now) > 2*time.Millisecond {
				t.Fatalf("%v: control opens at %v, now %v", c.rate, at, now)
			}
			d.now = max(d.now, now)
			d.run(now.Add(time.Millisecond))
		}
		seconds := time.Duration(end).Seconds()
		if got := float64(control) * 8 / seconds; math.Abs(got/float64(c.control)-1) > 0.02 {
			t.Errorf("%v: control gets %.0f bit/s, want %v", c.rate, got, c.control)
		}
		want := float64(c.rate - c.charged)
		if got := float64(d.dataBytes) * 8 / seconds; math.Abs(got/want-1) > 0.02 {
			t.Errorf("%v: data keeps %.0f bit/s, want %.0f", c.rate, got, want)
		}
	}
}

func TestLimiterUnlimited(t *testing.T) {
	l := NewLimiter(LimiterConfig{Rate: Unlimited}, 0)
	for range 1000 {
		l.TookData(0, MaxRunBytes)
		l.TookRepair(0, MaxRunBytes)
		l.TookControl(0, MaxRunBytes)
	}
	if !l.Data(0) || !l.Repair(0, true) || !l.Control(0) {
		t.Error("Unlimited is closed")
	}
	if l.DataAt(7) != 7 || l.RepairAt(7, true) != 7 || l.ControlAt(7) != 7 {
		t.Error("Unlimited makes wait")
	}
}

func TestLimiterSetRate(t *testing.T) {
	l := NewLimiter(LimiterConfig{}, 0)
	if l.Rate() != DefaultRate {
		t.Errorf("zero is %v", l.Rate())
	}
	d := &driver{l: l, late: func() time.Duration { return 0 }, data: func() bool { return true }, repairs: func() bool { return false }}
	for _, r := range []Rate{200 * Mbps, 10 * Mbps, Unlimited, 50 * Mbps} {
		l.SetRate(d.now, r)
		if l.Rate() != r {
			t.Errorf("rate %v, want %v", l.Rate(), r)
		}
		if r == Unlimited {
			continue
		}
		start, before := d.now, d.dataBytes
		d.run(start.Add(20 * time.Second))
		got := float64(d.dataBytes-before) * 8 / d.now.Sub(start).Seconds()
		if math.Abs(got/float64(r)-1) > 0.003 {
			t.Errorf("%v gives %.0f bit/s", r, got)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("negative rate taken")
		}
	}()
	l.SetRate(0, -1)
}

func TestLimiterRunPackets(t *testing.T) {
	for _, c := range []struct {
		rate   Rate
		packet int
		want   int
	}{
		{Kbps, 1480, 1}, {23 * Mbps, 1480, 1}, {100 * Mbps, 1480, 8}, {Gbps, 1480, 43}, {10 * Gbps, 1480, 43}, {Unlimited, 1480, 43},
		{Unlimited, 1408, 46}, {Unlimited, 64, 46}, {10 * Mbps, 64, 19}, {Unlimited, 9000, 7}, {Unlimited, 65535, 1}, {Unlimited, 0, 46},
	} {
		l := NewLimiter(LimiterConfig{Rate: c.rate}, 0)
		if got := l.RunPackets(c.packet); got != c.want {
			t.Errorf("%v sends runs of %d packets of %d bytes, want %d", c.rate, got, c.packet, c.want)
		}
	}
}

func TestLimiterAllocs(t *testing.T) {
	for _, r := range []Rate{100 * Mbps, Unlimited} {
		l := NewLimiter(LimiterConfig{Rate: r}, 0)
		now := mono.Time(0)
		if got := testing.AllocsPerRun(1000, func() { round(l, &now) }); got != 0 {
			t.Errorf("%v: %v allocations a run", r, got)
		}
	}
}

// round is what one run costs a driver at worst.
func round(l *Limiter, now *mono.Time) {
	if l.Control(*now) {
		l.TookControl(*now, 100)
	}
	if l.Repair(*now, true) {
		l.TookRepair(*now, packet)
	}
	if l.Data(*now) {
		l.TookData(*now, packet)
	}
	*now = min(l.DataAt(*now), l.RepairAt(*now, true))
}

func BenchmarkLimiter(b *testing.B) {
	for _, r := range []Rate{100 * Mbps, 10 * Gbps, Unlimited} {
		b.Run(r.String(), func(b *testing.B) {
			l := NewLimiter(LimiterConfig{Rate: r}, 0)
			now := mono.Time(0)
			b.ReportAllocs()
			for b.Loop() {
				round(l, &now)
			}
		})
	}
}
