package sim

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
)

// adaptive lets a source find its rate, at first guesses of a group of hop limit 1 or beyond.
func adaptive(near bool, edit func(*session.SourceConfig)) func(*session.SourceConfig) {
	return func(c *session.SourceConfig) {
		c.Rate = flow.Unlimited
		c.Congestion = &session.CongestionConfig{Start: 10 * flow.Mbps}
		if near {
			c.Congestion.Start = 100 * flow.Mbps
			c.InitialGRTT, c.InitialGroup = 10*time.Millisecond, 10
		}
		if edit != nil {
			edit(c)
		}
	}
}

// bottleneck is a link with a queue of max(1 BDP, 32 packets).
func bottleneck(rate flow.Rate, rtt time.Duration) netem.Impairment {
	return netem.Impairment{Rate: int64(rate), Delay: rtt / 2, Limit: int(max(rate.Bytes(rtt)/1480, 32))}
}

// One receiver behind one bottleneck: the source fills it, and loses little.
func TestPaceAlone(t *testing.T) {
	for _, tt := range []struct {
		rate flow.Rate
		rtt  time.Duration
		near bool
	}{
		{flow.Mbps, 100 * time.Millisecond, false}, {10 * flow.Mbps, 20 * time.Millisecond, false}, {100 * flow.Mbps, 20 * time.Millisecond, false},
		{100 * flow.Mbps, time.Millisecond, true}, {1000 * flow.Mbps, time.Millisecond, true},
	} {
		n := New(Config{Seed: 1})
		src := n.Source(SourceConfig{Engine: adaptive(tt.near, nil)})
		g := n.Receivers(1, GroupConfig{Down: bottleneck(tt.rate, tt.rtt), Up: netem.Impairment{Delay: tt.rtt / 2}, Hollow: true})
		src.Stream(1 << 40)
		const settle, long = 6 * time.Second, 6 * time.Second
		if err := n.Run(settle); err != nil {
			t.Fatal(err)
		}
		read, before := g.Stats().Bytes, src.Stats()
		if err := n.Run(long); err != nil {
			t.Fatal(err)
		}
		st := src.Stats()
		used := float64(g.Stats().Bytes-read) * 1480 / 1408 / float64(tt.rate.Bytes(long))
		if used < 0.85 || g.Stats().Lost > 0 {
			t.Errorf("%v, %v: %.1f %% of the link, %d lost: %+v", tt.rate, tt.rtt, 100*used, g.Stats().Lost, st)
		}
		if acks := st.ACKs - before.ACKs; acks < 100 || acks > uint64(long/time.Millisecond)*11/10 {
			t.Errorf("%v, %v: %d ACKs in %v", tt.rate, tt.rtt, acks, long)
		}
		t.Logf("%v, %v: %.1f %% of the link, rate %v (%v, %v), %d packets, %d repairs, %d ACKs, %d SPMs in %v", tt.rate, tt.rtt, 100*used, st.Rate, st.Phase,
			st.Why, st.Packets-before.Packets, st.Repairs-before.Repairs, st.ACKs-before.ACKs, st.SPMs-before.SPMs, long)
	}
}

// A window of less than four round trips fills the link where nothing is lost: packets leave it as soon as two NAKs of a receiver could have
// come, and what it lets through in that time leaves evenly. In bursts there would be a queue, and in the round trip times of that a longer hold.
func TestPaceWindow(t *testing.T) {
	const rate, rtt = 100 * flow.Mbps, 140 * time.Millisecond // 4096 packets are 3.5 of these
	n := New(Config{Seed: 1})
	src := n.Source(SourceConfig{Engine: adaptive(false, func(c *session.SourceConfig) { c.Slots = 4096 })})
	g := n.Receivers(1, GroupConfig{Down: bottleneck(rate, rtt), Up: netem.Impairment{Delay: rtt / 2}, Hollow: true})
	src.Stream(1 << 40)
	const settle, long = 10 * time.Second, 10 * time.Second
	if err := n.Run(settle); err != nil {
		t.Fatal(err)
	}
	read := g.Stats().Bytes
	if err := n.Run(long); err != nil {
		t.Fatal(err)
	}
	used := float64(g.Stats().Bytes-read) * 1480 / 1408 / float64(rate.Bytes(long))
	t.Logf("%.1f %% of the link: %+v", 100*used, src.Stats())
	if used < 0.9 || g.Stats().Lost > 0 {
		t.Errorf("%.1f %% of the link, %d lost: %+v", 100*used, g.Stats().Lost, src.Stats())
	}
}

// paced is a network with an adaptive source at the root, which streams for ever, and groups behind links of their own.
type paced struct {
	*Network
	t      *testing.T
	src    *Source
	events []session.Event
}

func newPaced(t *testing.T, edit func(*session.SourceConfig)) *paced {
	n := &paced{Network: New(Config{Seed: 1}), t: t}
	n.src = n.Source(SourceConfig{Engine: adaptive(true, func(c *session.SourceConfig) {
		c.Trace = func(e session.Event) {
			if e.Kind >= session.EventSlow {
				n.events = append(n.events, e)
			}
		}
		if edit != nil {
			edit(c)
		}
	})})
	n.src.Stream(1 << 40)
	return n
}

// behind adds receivers, each behind a bottleneck of its own, with a round trip of 10 ms.
func (n *paced) behind(count int, rate flow.Rate, edit func(*session.PeersConfig)) *Group {
	const rtt = 10 * time.Millisecond
	return n.Receivers(count, GroupConfig{Down: bottleneck(rate, rtt), Up: netem.Impairment{Delay: rtt / 2}, Hollow: true, Engine: edit})
}

func (n *paced) run(d time.Duration) {
	n.t.Helper()
	if err := n.Run(d); err != nil {
		n.t.Fatal(err)
	}
}

// reads returns what each of g reads within d, in bit/s of IP packets.
func (n *paced) reads(g *Group, d time.Duration) flow.Rate {
	before := g.Stats().Bytes
	n.run(d)
	return flow.Rate(float64(g.Stats().Bytes-before) * 8 * 1480 / 1408 / d.Seconds() / float64(g.Len()))
}

func (n *paced) count(kind session.EventKind) (c int) {
	for _, e := range n.events {
		if e.Kind == kind {
			c++
		}
	}
	return c
}

// The slowest is followed; when it leaves without a word, the rate is full again soon.
func TestPaceLeaves(t *testing.T) {
	n := newPaced(t, nil)
	fast, slow := n.behind(3, 100*flow.Mbps, nil), n.behind(1, 10*flow.Mbps, nil)
	n.run(4 * time.Second)
	if r := n.reads(fast, time.Second); r < 8500*flow.Kbps || r > 11*flow.Mbps {
		t.Errorf("with one behind 10 Mbit/s all read %v", r)
	}
	slow.Leave(0)
	n.run(530 * time.Millisecond)
	if r := n.reads(fast, 500*time.Millisecond); r < 80*flow.Mbps {
		t.Errorf("530 ms after it left they read %v", r)
	}
	if st := n.src.Stats(); st.Receivers != 3 || st.Why == flow.WhySilence {
		t.Errorf("%+v", st)
	}
	slow.Restart(0)
	n.run(4 * time.Second)
	if r := n.reads(fast, time.Second); r < 8*flow.Mbps || r > 12*flow.Mbps {
		t.Errorf("with it back all read %v", r)
	}
}

// Who does not read holds the source up, for a while and not for good; nothing is lost by it.
func TestPaceStalled(t *testing.T) {
	n := newPaced(t, nil)
	g := n.behind(2, 100*flow.Mbps, func(c *session.PeersConfig) { c.MaxWindow = 1024 })
	n.run(time.Second)
	g.SetStalled(0, true)
	n.run(200 * time.Millisecond)
	if r := n.reads(g, 300*time.Millisecond); r > 0 {
		t.Errorf("with a full window at one they read %v", r)
	}
	g.SetStalled(0, false)
	n.run(200 * time.Millisecond)
	if r := n.reads(g, 500*time.Millisecond); r < 80*flow.Mbps {
		t.Errorf("with room again they read %v", r)
	}
	if st := g.Stats(); st.Lost > 0 || n.count(session.EventSlow) > 0 {
		t.Errorf("%d lost, events %v", st.Lost, n.events)
	}
	g.SetStalled(0, true)
	n.run(2500 * time.Millisecond)
	if r := n.reads(g, time.Second); r < 40*flow.Mbps || n.count(session.EventSlow) != 1 {
		t.Errorf("with one that stands still for good they read %v; events %v", r, n.events)
	}
}

// The slow one is ignored, or sent away; the others have the rate.
func TestPacePolicies(t *testing.T) {
	for _, mode := range []flow.SlowMode{flow.Ignore, flow.Evict} {
		n := newPaced(t, func(c *session.SourceConfig) {
			c.Congestion.Slow = flow.Slow{Mode: mode}
			if mode == flow.Evict {
				c.Congestion.Slow.Floor = 20 * flow.Mbps
			}
		})
		fast, slow := n.behind(4, 100*flow.Mbps, nil), n.behind(1, 10*flow.Mbps, nil)
		n.run(5 * time.Second)
		if r := n.reads(fast, 2*time.Second); r < 80*flow.Mbps {
			t.Errorf("%v: the others read %v", mode, r)
		}
		st, theirs := n.src.Stats(), slow.Stats()
		if fast.Stats().Lost > 0 || float64(st.Repairs)*5 > float64(st.Packets) {
			t.Errorf("%v: %d lost at the others, %d repairs of %d packets", mode, fast.Stats().Lost, st.Repairs, st.Packets)
		}
		if mode == flow.Evict {
			if n.count(session.EventEvicted) != 1 || st.Evicted != 1 || theirs.Broken != 1 {
				t.Errorf("evicted: %+v, events %v", theirs, n.events)
			}
			continue
		}
		if st.Slow != 1 || theirs.Lost == 0 || theirs.Broken > 0 {
			t.Errorf("ignored: %+v, %+v", theirs, st)
		}
	}
}

// What was heard of one that is not followed any more, from behind its queue, does not make packets stay in the window for longer: the rate
// is that of the path to the others at once.
func TestPaceForgets(t *testing.T) {
	for _, mode := range []flow.SlowMode{flow.FollowSlowest, flow.Evict} {
		n := newPaced(t, func(c *session.SourceConfig) {
			c.Slots, c.GroupSize = 8192, 1000 // at 100 Mbit/s the window lasts for a second
			c.Congestion.Slow = flow.Slow{Mode: mode, Floor: 5 * flow.Mbps}
		})
		fast := n.behind(4, 100*flow.Mbps, nil)
		n.behind(1, 2*flow.Mbps, nil)
		left := func() bool { return n.count(session.EventSlow)+n.count(session.EventEvicted) > 0 }
		for i := 0; i < 100 && !left(); i++ {
			n.run(100 * time.Millisecond)
		}
		if !left() {
			t.Fatalf("%v: it is followed for 10 s", mode)
		}
		n.run(500 * time.Millisecond)
		if r := n.reads(fast, 2*time.Second); r < 90*flow.Mbps {
			t.Errorf("%v: the others read %v", mode, r)
		}
	}
}

// Transfers end, whole, with loss both ways, tiny windows, and messages with pauses.
func TestPaceEnds(t *testing.T) {
	for _, tt := range []struct {
		name        string
		loss        float64
		slots, most int
		bytes       int64
	}{{"loss", 0.2, 32768, 65536, 20 << 20}, {"tiny windows", 0.01, 16, 8, 200 << 10}, {"narrow", 0, 256, 64, 4 << 20}} {
		n := New(Config{Seed: 3})
		src := n.Source(SourceConfig{Engine: adaptive(true, func(c *session.SourceConfig) { c.Slots = tt.slots })})
		down, up := bottleneck(100*flow.Mbps, 10*time.Millisecond), netem.Impairment{Delay: 5 * time.Millisecond, Loss: tt.loss}
		down.Loss = tt.loss
		g := n.Receivers(4, GroupConfig{Down: down, Up: up, Engine: func(c *session.PeersConfig) { c.MaxWindow = tt.most }})
		src.Stream(tt.bytes / 2)
		src.Flush()
		n.At(5*time.Second, func() {
			src.Stream(tt.bytes / 2)
			src.Finish()
		})
		if err := n.Run(40 * time.Second); err != nil {
			t.Fatal(err)
		}
		if st := g.Stats(); st.Complete != 4 || st.Lost > 0 || st.Bytes != uint64(4*tt.bytes) || !src.Finished() {
			t.Errorf("%s: %+v, %+v", tt.name, st, src.Stats())
		}
	}
}

// In a large group the acker reports, and few others: also while writers wait for slots, and the round trip is asked for.
func TestPaceFewReport(t *testing.T) {
	n := newPaced(t, func(c *session.SourceConfig) { c.Slots, c.InitialGroup = 512, 1000 })
	g := n.behind(300, 100*flow.Mbps, nil)
	n.run(2 * time.Second)
	before := n.src.Stats().ACKs
	n.run(2 * time.Second)
	every := 2500 * time.Microsecond
	if acks := n.src.Stats().ACKs - before; acks > uint64(2*time.Second/every)+300 || g.Stats().Lost > 0 {
		t.Errorf("%d ACKs within 2 s: %+v", acks, n.src.Stats())
	}
}
