package flow

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// room is what somebody says of its window.
func room(id uint64, lead seq.Num, room int, behind bool) Report {
	return Report{ID: id, From: groupAddr(int(id)), Lead: lead, Clock: uint32(lead), Heard: uint32(lead), Room: room, Behind: behind, Loss: -1}
}

func wantRoom(t *testing.T, g *Group, now mono.Time, lead seq.Num, room int, ok bool) {
	t.Helper()
	if gotLead, gotRoom, gotOK := g.Room(now); gotOK != ok || ok && (gotLead != lead || gotRoom != room) {
		t.Errorf("at %v: %d beyond %d %v, want %d beyond %d %v", now, gotRoom, gotLead, gotOK, room, lead, ok)
	}
}

// The acker's window holds the source while it reports, those of others while their applications are behind.
func TestGroupRoom(t *testing.T) {
	g := NewGroup(GroupConfig{})
	wantRoom(t, g, 0, 0, 0, false)
	g.Report(0, room(1, 100, 50, false))
	wantRoom(t, g, 0, 100, 50, true)
	g.Report(0, room(2, 90, 20, false))
	wantRoom(t, g, 0, 100, 50, true)
	g.Report(0, room(2, 95, 20, true))
	wantRoom(t, g, 0, 95, 20, true)
	g.Report(0, room(3, 99, 10, true)) // one packet, which anybody may have invented
	wantRoom(t, g, 0, 95, 20, true)
	g.Report(0, room(3, 100, 10, true))
	wantRoom(t, g, 0, 100, 10, true)
	g.Report(0, room(3, 101, 10, false))
	wantRoom(t, g, 0, 95, 20, true)
	wantRoom(t, g, mono.Time(5*time.Second), 95, 20, true) // it said that it is behind, and will say when not
	g.Report(1, room(2, 99, 60, false))
	wantRoom(t, g, 1, 100, 50, true)
	wantRoom(t, g, mono.Time(groupRoomAge), 0, 0, false) // no word of the acker
	g.Report(mono.Time(groupRoomAge), room(1, 1<<32-1-1<<20+100, 5, false))
}

// Ignore does not wait for less than half of the receivers, a quantile not for those it leaves behind, named receivers wait for nobody else.
func TestGroupRoomOfFew(t *testing.T) {
	for _, c := range []struct {
		slow Slow
		size float64
		want [6]int // room that holds with so many behind, of five receivers; -1: the acker's
	}{
		{Slow{}, 0, [6]int{-1, 1, 1, 1, 1, 1}},
		{Slow{Mode: Evict}, 0, [6]int{-1, 1, 1, 1, 1, 1}},
		{Slow{Mode: Ignore}, 0, [6]int{-1, -1, -1, 3, 3, 3}},
		{Slow{Mode: Ignore}, 100, [6]int{-1, -1, -1, -1, -1, -1}},
		{Slow{Mode: FollowQuantile, Quantile: 0.2}, 0, [6]int{-1, -1, 2, 2, 2, 2}},
		{Slow{Mode: FollowNamed, Named: []uint64{2, 9}}, 0, [6]int{-1, -1, 2, 2, 2, 2}},
	} {
		for behind := range 6 {
			g := NewGroup(GroupConfig{Slow: c.slow})
			g.SetSize(c.size)
			g.Report(0, room(9, 0, 100, false)) // the acker, if it may
			for id := range uint64(5) {
				for range 2 {
					g.Report(0, room(id+1, 0, int(id+1), int(id) < behind))
				}
			}
			want, ok := c.want[behind], true
			switch {
			case want == -1:
				want = 100
			case want == 0:
				ok = false
			}
			if _, got, has := g.Room(0); has != ok || ok && got != want {
				t.Errorf("%v, %d behind: room %d %v, want %d %v", c.slow.Mode, behind, got, has, want, ok)
			}
		}
	}
}

// An application that stands still while the source waits for it holds the group for Grace; then its receiver is left behind, and followed
// again when it has kept up for some time.
func TestGroupStall(t *testing.T) {
	for _, mode := range []SlowMode{FollowSlowest, Evict} {
		g := NewGroup(GroupConfig{Slow: Slow{Mode: mode, Grace: 3 * time.Second}})
		g.Report(0, room(1, 100, 50, false))
		g.Report(0, room(2, 99, 20, true))
		g.Report(0, room(2, 100, 20, true))
		now := mono.Time(time.Minute) // nothing was to be sent: that is nobody's fault
		g.members[groupKey{2, groupAddr(2)}].heard = now - 1
		if g.Advance(now); !g.Follows(groupAddr(2)) {
			t.Fatalf("%v: left behind while nothing waits", mode)
		}
		g.Blocked(now)
		g.Blocked(now.Add(time.Second))
		if at := g.Deadline(); at != now.Add(3*time.Second) {
			t.Fatalf("%v: deadline %v", mode, at)
		}
		now = now.Add(2 * time.Second)
		g.Report(now, room(2, 105, 20, true)) // it moves
		g.Room(now)
		if at := g.Deadline(); at == now.Add(time.Second) {
			t.Fatalf("%v: the wait goes on where something moved", mode)
		}
		g.Blocked(now)
		g.Report(now.Add(time.Second), room(2, 106, 19, true)) // this is not moving
		now = now.Add(3*time.Second - 1)
		if g.Advance(now); !g.Follows(groupAddr(2)) {
			t.Errorf("%v: left behind before Grace", mode)
		}
		now++
		g.Advance(now)
		events := g.Events(nil)
		last := events[len(events)-1]
		if mode == Evict {
			if last.Kind != GroupEvicted || last.ID != 2 || !g.Evicted(2) {
				t.Errorf("evict: %v", events)
			}
			continue
		}
		if last.Kind != GroupSlow || last.ID != 2 || g.Follows(groupAddr(2)) {
			t.Errorf("%v", events)
		}
		g.Room(now)
		if g.Blocked(now); g.stallEnd() != mono.Never {
			t.Error("the acker, which is not behind, is taken for a stall")
		}
	}
}
