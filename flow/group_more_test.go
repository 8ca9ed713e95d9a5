package flow

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// Where the acker's own link gets thin, those who report besides show it at once, and it is left behind without a trial.
func TestGroupAckerGetsSlow(t *testing.T) {
	for _, slow := range []Slow{{Mode: Ignore}, {Mode: FollowQuantile, Quantile: 0.3}} {
		w := newCrowd(slow, 20*Mbps, &listener{}, &listener{}, &listener{}, &listener{})
		w.every = 30 * time.Millisecond
		w.run(500 * time.Millisecond)
		was := w.g.acker.key
		for _, l := range w.all {
			if l.id == was.id {
				l.link = Mbps
			}
		}
		w.run(time.Second) // trials begin after two
		if w.g.Follows(was.from) || w.g.acker.key == was {
			t.Errorf("%v: %v", slow.Mode, w.events)
		}
	}
}

// Of a large group few report, most of them because they lose: the silent ones are no worse than the acker.
func TestGroupSilentMajority(t *testing.T) {
	for _, size := range []float64{0, 1000} {
		w := newCrowd(Slow{Mode: Ignore}, 20*Mbps, &listener{}, &listener{link: Mbps}, &listener{link: Mbps})
		w.every = 50 * time.Millisecond
		w.g.SetSize(size)
		w.run(1500 * time.Millisecond)
		if left, want := w.g.Stats().Slow, int(min(size, 2)); left != want {
			t.Errorf("a group of %v: %d left behind, want %d", size, left, want)
		}
	}
}

// Whose application is behind, with less room than the acker, sets the pace after two intervals.
func TestGroupTighter(t *testing.T) {
	w := newCrowd(Slow{}, 20*Mbps, &listener{}, &listener{}, &listener{})
	w.run(time.Second)
	was := w.acker()
	other := w.all[was%3]
	other.behind, other.room = true, 10
	w.run(2 * time.Second)
	if w.acker() != other.id {
		t.Errorf("acker %d, want %d", w.acker(), other.id)
	}
}

// In a full table, who reported once makes room before who reported more often and has been silent for longer.
func TestGroupYields(t *testing.T) {
	g := NewGroup(GroupConfig{Max: 4})
	say := func(at time.Duration, id int, n uint32) {
		g.Report(mono.Time(at), Report{ID: uint64(id), From: groupAddr(id), Lead: seq.Num(n), Clock: n, Heard: n})
	}
	for id := 1; id <= 3; id++ {
		say(0, id, 1)
		say(1, id, 2)
	}
	say(time.Second/2, 4, 1)
	say(time.Second+1, 5, 1) // the three may go, 4 is too fresh
	if g.Stats().Heard != 4 || g.members[groupKey{4, groupAddr(4)}] == nil || g.members[groupKey{5, groupAddr(5)}] == nil {
		t.Errorf("4 and 5 are not known: %+v", g.Stats())
	}
	say(2*time.Second, 6, 1) // 4 now
	if g.members[groupKey{4, groupAddr(4)}] != nil || g.members[groupKey{6, groupAddr(6)}] == nil || g.Stats().Heard != 4 {
		t.Error("who reported once is known still, and is the oldest of those")
	}
}
