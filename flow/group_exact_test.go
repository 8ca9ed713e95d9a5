package flow

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// exactGroup hashes what a Group says of such histories.
func exactGroup(rng *rand.Rand, h *trace) {
	groupHistories(rng, 25, func(g *Group, now mono.Time, r Report, d Delivery, acker bool) {
		h.add(uint64(d.Lead), uint64(d.Expected), uint64(d.Came), uint64(d.Bytes), uint64(d.Over), uint64(d.Held), uint64(d.Room))
		h.truth(acker)
		pace, yes := g.Switched()
		at, room, ok := g.Room(now)
		h.add(uint64(pace), uint64(at), uint64(room), uint64(g.Slow()), uint64(g.Deadline()))
		h.truth(yes)
		h.truth(ok)
		h.truth(g.Follows(r.From))
		for _, e := range g.Events(nil) {
			h.add(uint64(e.Kind), e.ID, uint64(e.Rate))
		}
		s := g.Stats()
		h.add(uint64(s.Heard), uint64(s.Followed), uint64(s.Slow), uint64(s.Evicted), s.Acker, s.Odd, s.Old, s.Switches, s.Refused, s.Dropped)
		h.float(s.WorstLoss)
	})
}

// In such histories everything happens, and what must hold of a Group always does.
func TestGroupHistories(t *testing.T) {
	happened := map[GroupEventKind]int{}
	for seed := range uint64(4) {
		groupHistories(rand.New(rand.NewPCG(seed, 1)), 5, func(g *Group, now mono.Time, r Report, _ Delivery, _ bool) {
			g.check(t)
			for _, e := range g.Events(nil) {
				happened[e.Kind]++
			}
			if at := g.Deadline(); at <= now {
				if g.Advance(now); g.Deadline() <= now {
					t.Fatalf("seed %d: Advance at %v leaves a deadline of %v", seed, now, g.Deadline())
				}
			}
			if h := g.hosts[r.From]; h != nil && g.Follows(r.From) != (h.left < h.members) {
				t.Fatalf("seed %d: follows %v of %+v", seed, r.From, *h)
			}
		})
	}
	if happened[GroupSlow] < 10 || happened[GroupRecovered] < 5 || happened[GroupEvicted] < 3 || happened[GroupAcker] < 50 {
		t.Errorf("so little happened: %v", happened)
	}
}

// groupHistories has a few receivers of different speeds report, and now and then something else, under each policy.
func groupHistories(rng *rand.Rand, rounds int, each func(g *Group, now mono.Time, r Report, d Delivery, acker bool)) {
	for round := range rounds {
		slow := Slow{Mode: SlowMode(round % len(slowModes)), Grace: someTime(rng, 31)}
		switch slow.Mode {
		case FollowNamed:
			slow.Named = []uint64{1, 3, 5}
		case FollowQuantile:
			slow.Quantile = 0.9 * rng.Float64()
		}
		g := NewGroup(GroupConfig{Slow: slow, Max: 4 + below(rng, 8)})
		now, lead := mono.Time(someTime(rng, 40)), seq.Num(uint32(rng.Uint64()))
		var all [8]Report
		var speed [8]float64
		for i := range all {
			all[i] = Report{ID: uint64(i + 1), From: groupAddr(i/2 + 1), Lead: lead, Clock: uint32(rng.Uint64()), Loss: -1, Room: 100}
			speed[i] = rng.Float64()
		}
		for range 2000 {
			i := below(rng, len(all))
			r, pass := &all[i], time.Duration(1+below(rng, 20))*time.Millisecond
			now = now.Add(pass)
			lead = lead.Add(1 + below(rng, 100))
			n := lead.Sub(r.Lead)
			r.Lead, r.Clock = lead, uint32(int64(now)/1000)
			r.Heard += uint32(float64(n) * speed[i])
			r.Bytes += uint32(22 * float64(float64(n)*speed[i]))
			r.Held, r.RTT, r.Behind, r.Room = someTime(rng, 20), someTime(rng, 30), below(rng, 20) == 0, below(rng, 300)
			switch below(rng, 400) {
			case 0:
				speed[i] = rng.Float64()
			case 1:
				g.Silent(now)
			case 2:
				r.Heard = uint32(rng.Uint64())
			case 3:
				g.SetSize(100 * rng.Float64())
			case 4:
				g.SetPace(someRate(rng, 30))
			case 5:
				now = now.Add(someTime(rng, 35))
			}
			d, acker := g.Report(now, *r)
			if _, room, ok := g.Room(now); ok && room < 20 {
				g.Blocked(now)
			}
			each(g, now, *r, d, acker)
		}
	}
}
