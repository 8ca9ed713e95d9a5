package flow

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
)

// A source whose application sends little, or nothing for a while, makes nobody slow, whatever is lost by chance; nor does a steep ramp,
// where whoever reports of an earlier time got less.
func TestGroupLittleSent(t *testing.T) {
	for _, mode := range []SlowMode{FollowSlowest, Ignore, FollowQuantile, Evict} {
		w := newCrowd(Slow{Mode: mode, Grace: -1}, 20*Kbps, &listener{}, &listener{loss: 0.2}, &listener{away: 60 * time.Millisecond}, &listener{}, &listener{loss: 0.1})
		w.cap = Gbps
		w.g.SetPace(Gbps)
		w.run(20 * time.Second)
		w.rate = 1 * Kbps // so good as nothing
		w.run(10 * time.Second)
		for w.rate = 100 * Kbps; w.rate < 50*Mbps; w.rate *= 2 {
			w.run(100 * time.Millisecond)
		}
		was := w.g.Stats().Switches
		w.run(time.Second)
		for _, k := range []GroupEventKind{GroupSlow, GroupEvicted, GroupRecovered} {
			if n, id := w.count(k); n > 0 {
				t.Errorf("%v: %d events %v, the last of %d", mode, n, k, id)
			}
		}
		if s := w.g.Stats(); s.Slow > 0 || mode.floors() && s.Switches > was {
			t.Errorf("%v: %+v", mode, s)
		}
	}
}

// A ramp alone changes no acker.
func TestGroupRamp(t *testing.T) {
	w := newCrowd(Slow{}, 100*Kbps, &listener{}, &listener{away: 50 * time.Millisecond}, &listener{loss: 0.05}, &listener{})
	w.every = 30 * time.Millisecond
	for range 3 {
		for w.rate = 100 * Kbps; w.rate < 60*Mbps; w.rate = w.rate * 5 / 4 {
			w.run(20 * time.Millisecond)
		}
		w.run(200 * time.Millisecond)
	}
	if s := w.g.Stats(); s.Switches != 1 {
		t.Errorf("%v", w.events)
	}
}

// When the acker falls silent another one takes its place at once, and the slowest of those that are left sets the pace soon; when all do,
// nobody does.
func TestGroupAckerDies(t *testing.T) {
	w := newCrowd(Slow{}, 40*Mbps, &listener{link: 4 * Mbps}, &listener{}, &listener{}, &listener{link: 20 * Mbps})
	w.follow = true
	w.run(3 * time.Second)
	if w.acker() != 1 {
		t.Fatalf("acker %d", w.acker())
	}
	w.all[0].mute = true
	w.run(110 * time.Millisecond) // and 100 are the silence
	if got := w.acker(); got < 2 {
		t.Errorf("acker %d", got)
	}
	w.run(3 * time.Second)
	if w.acker() != 4 || w.rate < 18*Mbps || w.rate > 23*Mbps {
		t.Errorf("acker %d, rate %v: %v", w.acker(), w.rate, w.events)
	}
	for _, l := range w.all {
		l.mute = true
	}
	w.run(time.Second)
	if _, ok := w.g.Acker(); ok {
		t.Error("an acker that is dead")
	}
	w.all[2].mute = false
	w.run(300 * time.Millisecond)
	if w.acker() != 3 {
		t.Errorf("acker %d, though 3 reports again", w.acker())
	}
}

// Who was left behind is followed again after keeping up for Grace, longer each time; a dip shorter than Grace leaves nobody behind.
func TestGroupRecovers(t *testing.T) {
	for _, slow := range []Slow{{Floor: 2 * Mbps}, {Mode: Ignore}, {Mode: FollowQuantile, Quantile: 0.3}, {Mode: FollowNamed, Named: []uint64{2, 3}}} {
		bad := &listener{}
		w := newCrowd(slow, 20*Mbps, bad, &listener{}, &listener{}, &listener{})
		w.every = 40 * time.Millisecond
		w.run(time.Second)
		bad.link = 500 * Kbps
		w.run(500 * time.Millisecond)
		if n, _ := w.count(GroupSlow); n > 0 {
			t.Errorf("%v: slow after half of Grace", slow.Mode)
		}
		w.run(2 * time.Second)
		if n, id := w.count(GroupSlow); n != 1 || id != 1 || w.g.Follows(bad.from) {
			t.Errorf("%v: %v", slow.Mode, w.events)
		}
		bad.link, bad.free = 0, 0
		w.run(500 * time.Millisecond)
		if n, _ := w.count(GroupRecovered); n > 0 {
			t.Errorf("%v: recovered after half of Grace", slow.Mode)
		}
		w.run(2 * time.Second)
		if n, id := w.count(GroupRecovered); n != 1 || id != 1 || !w.g.Follows(bad.from) {
			t.Errorf("%v: %v", slow.Mode, w.events)
		}
		bad.link = 500 * Kbps
		w.run(3 * time.Second)
		bad.link, bad.free = 0, 0
		w.run(1500 * time.Millisecond)
		if n, _ := w.count(GroupRecovered); n > 1 {
			t.Errorf("%v: the second time it takes no longer", slow.Mode)
		}
		w.run(3 * time.Second)
		if n, _ := w.count(GroupRecovered); n != 2 {
			t.Errorf("%v: the second time %v", slow.Mode, w.events)
		}
	}
}

// Where most are slow, Ignore follows them; a quantile follows all but its part.
func TestGroupManySlow(t *testing.T) {
	for _, c := range []struct {
		slow       Slow
		thin, size int
		left       int
	}{
		{Slow{Mode: Ignore}, 6, 10, 0},
		{Slow{Mode: Ignore}, 4, 10, 4},
		{Slow{Mode: FollowQuantile, Quantile: 0.3}, 3, 10, 3},
		{Slow{Mode: FollowQuantile, Quantile: 0.3}, 5, 10, 0}, // those who set the pace are not slower than it
	} {
		all := make([]*listener, c.size)
		for i := range all {
			all[i] = &listener{}
			if i >= c.size-c.thin {
				all[i].link = 2 * Mbps
			}
		}
		w := newCrowd(c.slow, 20*Mbps, all...)
		w.every = 50 * time.Millisecond
		w.run(1500 * time.Millisecond) // before any trial
		if s := w.g.Stats(); s.Slow != c.left || (w.acker() > uint64(c.size-c.thin)) != (c.left < c.thin) {
			t.Errorf("%v, %d of %d slow: %+v", c.slow.Mode, c.thin, c.size, s)
		}
	}
}

// Where nothing of it changes, a report allocates nothing.
func TestGroupAllocs(t *testing.T) {
	g, now, r := NewGroup(GroupConfig{}), mono.Time(0), [8]Report{}
	for i := range r {
		r[i] = Report{ID: uint64(i + 1), From: groupAddr(i + 1), Loss: -1, Room: 100}
	}
	step := func() {
		now = now.Add(time.Millisecond)
		for i := range r {
			r[i].Lead, r[i].Clock, r[i].Heard, r[i].Bytes = r[i].Lead+10, r[i].Clock+1000, r[i].Heard+10, r[i].Bytes+220
			r[i].Behind = now%2 == 0
			g.Report(now, r[i])
		}
		g.Room(now)
		g.Slow()
		g.Deadline()
	}
	for range 1000 {
		step()
	}
	g.Events(nil)
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkGroupReport(b *testing.B) {
	const n = 1024
	g, now, r := NewGroup(GroupConfig{Max: n}), mono.Time(0), [n]Report{}
	for i := range r {
		r[i] = Report{ID: uint64(i + 1), From: groupAddr(i + 1), Loss: -1, Room: 100}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(10 * time.Microsecond)
		q := &r[i%n]
		q.Lead, q.Clock, q.Heard, q.Bytes = q.Lead+100, q.Clock+10000, q.Heard+100, q.Bytes+2200
		g.Report(now, *q)
	}
}
