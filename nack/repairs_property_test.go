package nack

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// TestRepairsDriven has receivers ask and a source repair, with any hold-off, spacing and share, and no model of how it works. What
// must hold: what is asked for and taken is repaired, once for all who asked meanwhile, and not again within HoldOff; every number
// taken is confirmed unless its repair went first, twice only after NCFSpacing; nothing is repaired or confirmed that nobody
// asked for.
func TestRepairsDriven(t *testing.T) { rapid.Check(t, drivenRepairs) }

// order is what is known from outside of one number.
type order struct {
	waits, confirm   bool
	sentAt, ncfAt    mono.Time
	everSent, everNC bool
}

func drivenRepairs(t *rapid.T) {
	const reach = 40
	every := func(name string) time.Duration { // 0 is none, to say what the default must not
		if d := time.Duration(rapid.IntRange(0, 60).Draw(t, name)); d > 0 {
			return d
		}
		return -1
	}
	cfg := RepairsConfig{HoldOff: every("hold-off"), NCFSpacing: every("spacing"), MaxQueued: reach, MaxRequesters: rapid.IntRange(1, 8).Draw(t, "requesters")}
	if rapid.Bool().Draw(t, "shared") {
		cfg.ReceiverShare = rapid.Int64Range(1, 10e9).Draw(t, "share")
	}
	r := NewRepairs(cfg)
	trail := rapid.SampledFrom([]seq.Num{0, 1<<31 - 20, 1<<32 - 20}).Draw(t, "trail")
	now := mono.Time(0)
	orders := map[seq.Num]*order{}
	waiting := func() (n int) {
		for _, o := range orders {
			if o.waits {
				n++
			}
		}
		return n
	}
	send := func(t *rapid.T) bool {
		n, ok := nextNumber(r, now)
		if ok != (waiting() > 0) {
			t.Fatalf("next %d, %v, with %d waiting", n, ok, waiting())
		}
		if !ok {
			return false
		}
		o := orders[n]
		if o == nil || !o.waits || n.Less(trail) || o.everSent && now < o.sentAt.Add(cfg.HoldOff) {
			t.Fatalf("%d is next at %v: %+v", n, now, o)
		}
		r.Sent(now, n)
		o.waits, o.confirm, o.sentAt, o.everSent = false, false, now, true
		return true
	}
	t.Repeat(map[string]func(*rapid.T){
		"": func(t *rapid.T) {
			pending := false
			for _, o := range orders {
				pending = pending || o.confirm
			}
			if r.Pending() != waiting() || r.NCFPending() != pending {
				t.Fatalf("%d pending, NCF %v, want %d, %v", r.Pending(), r.NCFPending(), waiting(), pending)
			}
		},
		"wait": func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(1, 100).Draw(t, "d"))) },
		"nak": func(t *rapid.T) {
			from := addr(rapid.IntRange(0, 9).Draw(t, "from"))
			n := trail.Add(rapid.IntRange(0, reach-1).Draw(t, "n"))
			for range rapid.IntRange(1, 8).Draw(t, "list") {
				if !n.Less(trail.Add(reach)) {
					break
				}
				o := orders[n]
				if o == nil {
					o = &order{}
					orders[n] = o
				}
				want := Queued
				switch {
				case o.waits:
					want = Merged
				case o.everSent && now < o.sentAt.Add(cfg.HoldOff):
					want = HeldOff
				}
				if got := r.NAK(now, from, n, rapid.IntRange(1, 1500).Draw(t, "bytes")); got != want {
					t.Fatalf("NAK for %d at %v: %v, want %v; %+v", n, now, got, want, o)
				}
				o.waits = o.waits || want == Queued
				if !o.everNC || now >= o.ncfAt.Add(cfg.NCFSpacing) {
					o.confirm = true
				}
				n = n.Add(rapid.IntRange(1, 3).Draw(t, "step"))
			}
		},
		"confirm": func(t *rapid.T) {
			room := rapid.IntRange(1, 100).Draw(t, "room")
			nums := r.NCFs(now, make([]seq.Num, 0, room))
			if len(nums) > min(room, MaxList) {
				t.Fatalf("%d numbers in an NCF with room for %d", len(nums), room)
			}
			for i, n := range nums {
				o := orders[n]
				if o == nil || !o.confirm || i > 0 && !nums[i-1].Less(n) || o.everNC && now < o.ncfAt.Add(cfg.NCFSpacing) {
					t.Fatalf("confirmed %v at %v: %+v", nums, now, o)
				}
				o.confirm, o.ncfAt, o.everNC = false, now, true
			}
		},
		"send": func(t *rapid.T) { send(t) },
		"trim": func(t *rapid.T) {
			for by := rapid.IntRange(0, 10).Draw(t, "by"); by > 0; by-- {
				delete(orders, trail)
				trail++
			}
			r.Trim(trail)
		},
	})
	for left := waiting(); left > 0; left-- {
		if !send(t) {
			t.Fatalf("%d were asked for and are not repaired", left)
		}
	}
	if send(t) {
		t.Fatal("a repair too many")
	}
}
