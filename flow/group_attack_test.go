package flow

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// One address may claim so many ids and no more; others are known all the same.
func TestGroupManyIDs(t *testing.T) {
	g := NewGroup(GroupConfig{})
	for id := range uint64(1000) {
		g.Report(0, Report{ID: id, From: groupAddr(1)})
	}
	g.Report(0, Report{ID: 1, From: groupAddr(2)})
	if s := g.Stats(); s.Heard != groupPerAddr+1 || s.Refused != 1000-groupPerAddr {
		t.Errorf("%+v", s)
	}
	// They leave with their silence, but for the acker, and there is room for others from there.
	if g.Advance(mono.Time(groupSilence)); g.Stats().Heard != 1 || len(g.hosts) != 1 {
		t.Errorf("after silence %+v", g.Stats())
	}
	g.Silent(mono.Time(groupSilence))
	if _, ok := g.Acker(); ok || g.Stats().Heard != 0 {
		t.Errorf("an acker of nobody: %+v", g.Stats())
	}
	if _, yes := g.Switched(); yes {
		t.Error("switched to nobody")
	}
}

// A flood of invented receivers takes nobody's place who goes on reporting, and makes no table grow.
func TestGroupFullTable(t *testing.T) {
	const honest = 20
	g := NewGroup(GroupConfig{Max: 64})
	now, invented := mono.Time(0), 0
	for step := range 200 { // 20 s
		now = now.Add(100 * time.Millisecond)
		for i := range honest {
			g.Report(now, Report{ID: uint64(i + 1), From: groupAddr(i + 1), Lead: seq.Num(10 * step), Clock: uint32(step * 100_000), Heard: uint32(10 * step), Bytes: uint32(200 * step), Loss: -1})
		}
		for range 100 {
			invented++
			g.Report(now, Report{ID: uint64(1000 + invented), From: groupAddr(1000 + invented), Lead: seq.Num(10 * step)})
		}
		g.check(t)
		for i := range honest {
			if g.members[groupKey{uint64(i + 1), groupAddr(i + 1)}] == nil {
				t.Fatalf("at %v receiver %d is not known any more", now, i+1)
			}
		}
	}
	if s := g.Stats(); s.Heard != 64 || s.Refused < 15000 {
		t.Errorf("%+v", s)
	}
}

// Whoever claims somebody else's id cannot spoil its counters, take the acker's role or have it evicted.
func TestGroupStolenID(t *testing.T) {
	for _, mode := range []SlowMode{FollowSlowest, Evict} {
		good, other := &listener{id: 7}, &listener{id: 8}
		thief := &listener{id: 7, from: groupAddr(99), link: 50 * Kbps}
		w := newCrowd(Slow{Mode: mode}, 10*Mbps, good, other, thief)
		w.every = 50 * time.Millisecond
		w.run(8 * time.Second)
		if w.g.Evicted(7) || w.g.Follows(thief.from) || !w.g.Follows(good.from) {
			t.Errorf("%v: evicted %v, follows the thief %v and the other %v", mode, w.g.Evicted(7), w.g.Follows(thief.from), w.g.Follows(good.from))
		}
		if n, _ := w.count(GroupSlow); n == 0 || w.g.Stats().Odd > 0 {
			t.Errorf("%v: %d slow, %+v", mode, n, w.g.Stats())
		}
		if mode == Evict { // alone it is evicted, and not before
			thief.id = 9
			w.run(8 * time.Second)
			if !w.g.Evicted(9) || w.g.Evicted(7) {
				t.Errorf("alone: %+v", w.events)
			}
		}
	}
}

// A jump ahead or back, or counters that run backwards, make no delivery, once; what goes on from them does.
func TestGroupJumps(t *testing.T) {
	base := Report{ID: 1, From: groupAddr(1), Lead: 1000, Clock: 1e6, Bytes: 10000, Heard: 500, Loss: -1}
	for name, jump := range map[string]func(*Report){
		"clock ahead":     func(r *Report) { r.Lead += 10; r.Clock += 3600e6 - 1<<31 },
		"clock far ahead": func(r *Report) { r.Lead += 10; r.Clock += 20e6 },
		"clock back":      func(r *Report) { r.Lead += 10; r.Clock -= 5 },
		"bytes back":      func(r *Report) { r.Lead += 10; r.Clock += 5; r.Bytes -= 1 },
		"heard back":      func(r *Report) { r.Lead += 10; r.Clock += 5; r.Heard -= 1 },
		"heard far ahead": func(r *Report) { r.Lead += 10; r.Clock += 5; r.Heard += 1e6 },
		"lead back":       func(r *Report) { r.Lead -= 10; r.Clock += 5 },
		"clock alone":     func(r *Report) { r.Clock += 5 },
	} {
		g := NewGroup(GroupConfig{})
		g.Report(mono.Time(time.Second), base)
		r := base
		jump(&r)
		if d, acker := g.Report(mono.Time(2*time.Second), r); acker || d != (Delivery{}) || g.Stats().Odd != 1 {
			t.Errorf("%s: %+v, %v, %+v", name, d, acker, g.Stats())
		}
		r.Lead, r.Clock, r.Bytes, r.Heard = r.Lead+10, r.Clock+1000, r.Bytes+200, r.Heard+9
		want := Delivery{Lead: r.Lead, Expected: 10, Came: 9, Bytes: 200 * 64, Over: time.Millisecond}
		if d, acker := g.Report(mono.Time(2*time.Second), r); !acker || d != want {
			t.Errorf("%s: then %+v, %v, want %+v", name, d, acker, want)
		}
	}
	// A forged report far ahead does not silence the receiver for long.
	g := NewGroup(GroupConfig{})
	forged := base
	forged.Lead, forged.Clock, forged.Heard = base.Lead+1e6, base.Clock+1e9, base.Heard+1e6
	g.Report(mono.Time(time.Second), base)
	g.Report(mono.Time(time.Second), forged)
	lost := 0
	for i := range uint32(10) {
		r := base
		r.Lead, r.Clock, r.Heard = r.Lead.Add(int(10*i)), r.Clock+1000*i, r.Heard+10*i
		if _, acker := g.Report(mono.Time(time.Second), r); !acker {
			lost++
		}
	}
	if lost > groupOldMost+1 {
		t.Errorf("%d reports lost by one that was forged", lost)
	}
}

// The acker that lies can hold the group to what it says, but not below Floor, and not by saying that it gets more than others.
func TestGroupLiars(t *testing.T) {
	// It says that nearly nothing comes.
	w := newCrowd(Slow{}, 10*Mbps, &listener{link: 20 * Kbps}, &listener{}, &listener{})
	w.run(10 * time.Second)
	if w.acker() == 1 || w.g.Follows(w.all[0].from) {
		t.Errorf("the acker is the one below Floor: %v", w.events)
	}
	// It says that all comes at once.
	w = newCrowd(Slow{}, 10*Mbps, &listener{boast: 1000}, &listener{link: 5 * Mbps}, &listener{})
	w.follow = true
	w.run(3 * time.Second)
	if w.acker() != 2 {
		t.Errorf("acker %d: %v", w.acker(), w.events)
	}
}

// The acker leaves while a flood of invented receivers goes on: who has reported before takes its place, and none of those that would have to
// fall silent one by one.
func TestGroupElectsProven(t *testing.T) {
	g := NewGroup(GroupConfig{})
	now, lead := mono.Time(0), seq.Num(0)
	report := func(id int) {
		g.Report(now, Report{ID: uint64(id), From: groupAddr(id), Lead: lead, Clock: uint32(now / 1000), Heard: uint32(lead), Bytes: uint32(24 * lead), Loss: -1})
	}
	for i := range 100 {
		now, lead = now.Add(10*time.Millisecond), lead.Add(20)
		report(1)
		if i%20 == 0 {
			report(2)
		}
		report(1000 + i)
	}
	if id, ok := g.Acker(); !ok || id != 1 {
		t.Fatalf("the acker is %d", id)
	}
	g.Silent(now)
	if id, ok := g.Acker(); !ok || id != 2 {
		t.Errorf("after it the acker is %d, want 2", id)
	}
}
