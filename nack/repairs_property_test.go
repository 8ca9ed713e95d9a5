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
// asked for. Of a group's parity as much is queued as the receiver lacks that lacks most, after all that went out since it last heard.
func TestRepairsDriven(t *testing.T) { rapid.Check(t, drivenRepairs) }

// order is what is known from outside of one number.
type order struct {
	waits, confirm   bool
	sentAt, ncfAt    mono.Time
	everSent, everNC bool
}

// groupOrder is what is known from outside of the parity of one group: all that was ever said and sent.
type groupOrder struct {
	naks         []groupNAK
	sent         []outgoing
	ncfAt        mono.Time
	confirmed    int // by the latest NCF; 0: there was none
	asked, least int // the most that any NAK named; what an NCF that is due must name at least
}

type groupNAK struct {
	count    int
	at, seen mono.Time
	sent     int // how often parity had gone out before
}

// need returns how many parity packets some receiver lacks still.
func (o *groupOrder) need(holdOff time.Duration) (most int) {
	for _, q := range o.naks {
		lacks := q.count
		for i, s := range o.sent {
			if i >= q.sent || s.at > q.seen && q.at < s.at.Add(holdOff) {
				lacks -= s.packets
			}
		}
		most = max(most, lacks)
	}
	return most
}

func drivenRepairs(t *rapid.T) {
	const (
		reach, k = 40, 8
		longest  = 60                   // of hold-offs and spacings
		shortest = longest/maxSends + 1 // of waits: within a hold-off no more sends of a group than are told apart
	)
	every := func(name string) time.Duration { // 0 is none, to say what the default must not
		if d := time.Duration(rapid.IntRange(0, longest).Draw(t, name)); d > 0 {
			return d
		}
		return -1
	}
	cfg := RepairsConfig{HoldOff: every("hold-off"), NCFSpacing: every("spacing"), MaxQueued: 2 * reach, MaxRequesters: rapid.IntRange(1, 8).Draw(t, "requesters")}
	if rapid.Bool().Draw(t, "shared") {
		cfg.ReceiverShare = rapid.Int64Range(1, 10e9).Draw(t, "share")
	}
	r := NewRepairs(cfg)
	trail := rapid.SampledFrom([]seq.Num{0, 1<<31 - 20, 1<<32 - 20}).Draw(t, "trail")
	now := mono.Time(0)
	orders := map[seq.Num]*order{}
	groups := map[seq.Num]*groupOrder{}
	group := func(t *rapid.T) (seq.Num, *groupOrder) {
		base := (trail.Add(k-1) &^ (k - 1)).Add(k * rapid.IntRange(0, reach/k-1).Draw(t, "group"))
		if groups[base] == nil {
			groups[base] = &groupOrder{}
		}
		return base, groups[base]
	}
	waiting := func() (n int) {
		for _, o := range orders {
			if o.waits {
				n++
			}
		}
		for _, o := range groups {
			if o.need(cfg.HoldOff) > 0 {
				n++
			}
		}
		return n
	}
	paritySent := func(base seq.Num, o *groupOrder, n int) {
		queued := o.need(cfg.HoldOff) > 0
		r.ParitySent(now, base, n)
		if o.sent = append(o.sent, outgoing{now, n}); queued && o.need(cfg.HoldOff) == 0 {
			o.least = 0 // the packets confirm
		}
	}
	send := func(t *rapid.T) bool {
		next, ok := r.Next(now)
		n := next.N
		if ok != (waiting() > 0) {
			t.Fatalf("next %d, %v, with %d waiting", n, ok, waiting())
		}
		if !ok {
			return false
		}
		if next.Parity {
			o := groups[n]
			if o == nil || n.Less(trail) {
				t.Fatalf("%+v is next at %v: %+v", next, now, o)
			}
			need := o.need(cfg.HoldOff)
			if next.Count < 1 || next.Count > need || cfg.ReceiverShare == 0 && next.Count < need {
				t.Fatalf("%+v is next at %v, needed are %d of %+v", next, now, need, o)
			}
			paritySent(n, o, rapid.IntRange(1, next.Count).Draw(t, "count"))
			return true
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
			for base, o := range groups {
				if o.least > 0 && !r.ParityNCFPending() {
					t.Fatalf("no parity NCF is pending, though %d is to be told of %d: %+v", base, o.least, o)
				}
			}
		},
		"parityNAK": func(t *rapid.T) {
			base, o := group(t)
			q := groupNAK{rapid.IntRange(1, k).Draw(t, "count"), now, now.Add(time.Duration(rapid.IntRange(-80, 0).Draw(t, "seen"))), len(o.sent)}
			before := o.need(cfg.HoldOff)
			o.naks = append(o.naks, q)
			alone := groupOrder{naks: []groupNAK{q}, sent: o.sent}
			want := Queued
			switch {
			case alone.need(cfg.HoldOff) == 0:
				want = HeldOff
			case o.need(cfg.HoldOff) == before:
				want = Merged
			}
			if got := r.ParityNAK(now, addr(rapid.IntRange(0, 9).Draw(t, "from")), base, q.count, q.seen, rapid.IntRange(1, 1500).Draw(t, "bytes")); got != want {
				t.Fatalf("parity NAK %+v for %d: %v, want %v; %+v", q, base, got, want, o)
			}
			if o.confirmed == 0 || now >= o.ncfAt.Add(cfg.NCFSpacing) || q.count > o.confirmed {
				o.least = max(o.least, q.count)
			}
			o.asked = max(o.asked, q.count)
		},
		"unasked": func(t *rapid.T) {
			base, o := group(t)
			paritySent(base, o, rapid.IntRange(1, k).Draw(t, "count"))
		},
		"parityConfirm": func(t *rapid.T) {
			for _, n := range r.ParityNCFs(now, make([]seq.Num, 0, rapid.IntRange(1, 10).Draw(t, "room"))) {
				base := n &^ (k - 1)
				o, count := groups[base], n.Sub(base)+1
				if o == nil || count > o.asked || count < max(o.least, o.need(cfg.HoldOff)) ||
					o.confirmed > 0 && now < o.ncfAt.Add(cfg.NCFSpacing) && count <= o.confirmed {
					t.Fatalf("confirmed %d of %d at %v: %+v", count, base, now, o)
				}
				o.confirmed, o.ncfAt, o.least = count, now, 0
			}
		},
		"wait": func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(shortest, 100).Draw(t, "d"))) },
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
				delete(groups, trail)
				trail++
			}
			r.Trim(trail)
		},
	})
	for left := reach + reach*k; waiting() > 0; left-- {
		if !send(t) || left == 0 {
			t.Fatalf("%d were asked for and are not repaired", left)
		}
	}
	if send(t) {
		t.Fatal("a repair too many")
	}
}
