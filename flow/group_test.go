package flow

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// groupAddr returns the i-th receiver's address.
func groupAddr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

// listener is a receiver behind a link with a queue, of whom a Group hears.
type listener struct {
	id      uint64
	from    netip.Addr
	link    Rate          // 0: as fast as what comes
	loss    float64       // by chance
	away    time.Duration // one way
	queue   time.Duration // what the link's queue takes
	rng     *rand.Rand
	free    mono.Time // when its link is
	coming  []arrival
	lead    seq.Num
	leadAt  mono.Time
	bytes   int64
	heard   uint32
	began   bool
	mute    bool
	boast   int64 // says so many times the bytes that came
	behind  bool
	room    int
	reports int
}

type arrival struct {
	at mono.Time
	n  seq.Num
}

const arrivalBytes = 1500

// sent gives a packet that was sent at now to t, if it is not lost.
func (t *listener) sent(now mono.Time, n seq.Num) {
	if t.loss > 0 && t.rng.Float64() < t.loss {
		return
	}
	at := now.Add(t.away)
	if t.link > 0 {
		t.free = max(t.free, at)
		if t.free.Sub(at) > t.queue {
			return
		}
		t.free = t.free.Add(t.link.Duration(arrivalBytes))
		at = t.free
	}
	t.coming = append(t.coming, arrival{at, n})
}

// receive takes what has come until now.
func (t *listener) receive(now mono.Time) {
	k := 0
	for ; k < len(t.coming) && t.coming[k].at <= now; k++ {
		t.lead, t.leadAt, t.began = t.coming[k].n, t.coming[k].at, true
		t.bytes += arrivalBytes
		t.heard++
	}
	t.coming = append(t.coming[:0], t.coming[k:]...)
}

// report is what t says at now.
func (t *listener) report(now mono.Time) Report {
	return Report{
		ID: t.id, From: t.from, Lead: t.lead, Held: max(now.Sub(t.leadAt), 0), Clock: uint32(int64(t.leadAt)/1000) + uint32(t.id)*1e9,
		Bytes: uint32(max(t.boast, 1)*t.bytes/64) - 100, Heard: t.heard - 1000, Room: t.room, Loss: -1, RTT: 2 * t.away, Behind: t.behind,
	}
}

// crowd sends at a rate to receivers, of whom a group hears: the acker every few milliseconds, others now and then.
type crowd struct {
	g       *Group
	now     mono.Time
	rate    Rate // what is sent
	follow  bool // rate follows the acker's as a controller would: a quarter above what it got
	cap     Rate
	next    seq.Num
	sentAt  mono.Time
	ackedAt mono.Time
	every   time.Duration // of one receiver that is no acker
	others  []mono.Time
	all     []*listener
	events  []GroupEvent
	acked   int
	heardAt mono.Time // the acker
}

func newCrowd(slow Slow, rate Rate, receivers ...*listener) *crowd {
	w := &crowd{
		g: NewGroup(GroupConfig{Slow: slow}), rate: rate, cap: rate, all: receivers, every: 200 * time.Millisecond, next: 1<<32 - 5000,
		others: make([]mono.Time, len(receivers)),
	}
	for i, t := range receivers {
		if t.id == 0 {
			t.id = uint64(i + 1)
		}
		if !t.from.IsValid() {
			t.from = groupAddr(i + 1)
		}
		t.rng = rand.New(rand.NewPCG(1, uint64(i)))
		t.queue = max(t.queue, 20*time.Millisecond)
		t.away = max(t.away, time.Millisecond)
		t.room = 1000
		w.others[i] = mono.Time(int64(i) * int64(w.every) / int64(len(receivers)))
	}
	return w
}

// run lets time pass.
func (w *crowd) run(d time.Duration) {
	const step = time.Millisecond
	for end := w.now.Add(d); w.now < end; w.now = w.now.Add(step) {
		for w.sentAt <= w.now {
			for _, t := range w.all {
				t.sent(w.sentAt, w.next)
			}
			w.next++
			w.sentAt = w.sentAt.Add(w.rate.Duration(1500))
		}
		if at := w.g.Deadline(); at <= w.now {
			w.g.Advance(w.now)
		}
		_, ok := w.g.Acker()
		if ok && w.now.Sub(w.heardAt) > 100*time.Millisecond {
			w.g.Silent(w.now)
			w.heardAt = w.now
		}
		for i, t := range w.all {
			mine := w.g.acker != nil && w.g.acker.key == groupKey{t.id, t.from}
			t.receive(w.now)
			if !t.began || t.mute || !mine && w.now < w.others[i] || mine && w.now.Sub(w.ackedAt) < 4*time.Millisecond {
				continue
			}
			w.others[i] = w.now.Add(w.every)
			d, paces := w.g.Report(w.now, t.report(w.now))
			t.reports++
			if !paces {
				continue
			}
			w.heardAt, w.ackedAt = w.now, w.now
			w.acked++
			if _, yes := w.g.Switched(); !w.follow || yes || d.Over == 0 {
				continue
			}
			if got := w.g.line.rate(); got > 0 {
				w.rate = min(max(got+got/10, 50*Kbps), w.cap)
				w.g.SetPace(w.rate)
			}
		}
		w.events = w.g.Events(w.events)
	}
}

func (w *crowd) acker() uint64 {
	id, _ := w.g.Acker()
	return id
}

// count returns how many events of a kind there were, and of whom the last one was.
func (w *crowd) count(k GroupEventKind) (n int, id uint64) {
	for _, e := range w.events {
		if e.Kind == k {
			n, id = n+1, e.ID
		}
	}
	return n, id
}

// The receiver with the slowest link sets the pace soon, whoever was first, and stays.
func TestGroupFollowsSlowest(t *testing.T) {
	for slowest := range 4 {
		links := []*listener{{link: 40 * Mbps}, {link: 60 * Mbps}, {link: 80 * Mbps}, {loss: 0.05}}
		links[slowest].link = 10 * Mbps
		w := newCrowd(Slow{}, 100*Mbps, links...)
		w.follow = true
		w.run(1500 * time.Millisecond)
		if got := w.acker(); got != uint64(slowest+1) {
			t.Errorf("slowest %d: acker %d", slowest+1, got)
		}
		was := w.g.Stats().Switches
		w.run(5 * time.Second)
		if s := w.g.Stats(); s.Switches != was || s.AckerRate < 9500*Kbps || s.AckerRate > 10500*Kbps {
			t.Errorf("slowest %d: %d switches more, rate of the acker %v", slowest+1, s.Switches-was, s.AckerRate)
		}
		if slow := w.g.Slow(); slow < 7*Mbps || slow > 8*Mbps {
			t.Errorf("who gets less than %v speaks up", slow)
		}
		if n, _ := w.count(GroupSlow); n > 0 {
			t.Error(fmt.Sprint("slow: ", w.events))
		}
	}
}

// A thousand receivers, one of them behind a thin link and the first to report: each policy does what it says.
func TestGroupPolicies(t *testing.T) {
	const thin = 4 * Mbps
	for _, c := range []struct {
		slow   Slow
		follow bool // the thin one sets the pace
		event  GroupEventKind
	}{
		{Slow{}, true, GroupAcker},
		{Slow{Floor: 8 * Mbps}, false, GroupSlow},
		{Slow{Floor: 8 * Mbps, Mode: Evict}, false, GroupEvicted},
		{Slow{Mode: Ignore}, false, GroupSlow},
		{Slow{Mode: FollowQuantile}, false, GroupSlow},
		{Slow{Mode: FollowQuantile, Quantile: 0.0001}, true, GroupAcker},
		{Slow{Mode: FollowNamed, Named: []uint64{7, 8}}, false, GroupSlow},
		{Slow{Mode: FollowNamed, Named: []uint64{1, 8}}, true, GroupAcker},
	} {
		all := make([]*listener, 1000)
		for i := range all {
			all[i] = &listener{away: 5 * time.Millisecond}
		}
		all[0].link = thin
		all[0].away = time.Millisecond
		w := newCrowd(c.slow, 40*Mbps, all...)
		w.follow, w.every = true, time.Second
		w.g.SetSize(1000)
		w.run(8 * time.Second)
		name := fmt.Sprintf("%v, floor %v", c.slow.Mode, c.slow.Floor)
		if follow := w.acker() == 1; follow != c.follow {
			t.Errorf("%s: acker %d", name, w.acker())
		}
		if want := w.cap; !c.follow && w.rate < want*9/10 || c.follow && (w.rate < thin*9/10 || w.rate > thin*5/4) {
			t.Errorf("%s: rate %v", name, w.rate)
		}
		if n, id := w.count(c.event); n == 0 || id != 1 && c.event != GroupAcker {
			t.Errorf("%s: %d events %v, the last of %d: %v", name, n, c.event, id, w.events)
		}
		if n, _ := w.count(GroupSlow); n > 1 {
			t.Errorf("%s: slow %d times", name, n)
		}
		evicted := c.event == GroupEvicted
		if w.g.Follows(all[0].from) != (c.follow || evicted) || !w.g.Follows(all[1].from) || !w.g.Follows(groupAddr(5000)) || w.g.Evicted(1) != evicted {
			t.Errorf("%s: follows the thin one %v, another %v; evicted %v", name, w.g.Follows(all[0].from), w.g.Follows(all[1].from), w.g.Evicted(1))
		}
		t.Logf("%s: %+v", name, w.g.Stats())
	}
}
