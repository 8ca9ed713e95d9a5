package sim

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/internal/invariant"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

// Links that are replaced at one instant lose independently of each other, and of those before.
func TestSetLinksIndependent(t *testing.T) {
	got := map[int][]string{}
	n := New(Config{Seed: 1, Kinds: Of(Arrived), Trace: func(e *Event) { got[e.Host] = append(got[e.Host], fmt.Sprint(e.Packet.Type, e.Packet.Sqn)) }})
	src := n.Source(SourceConfig{Engine: func(c *session.SourceConfig) { c.HeartbeatMin, c.HeartbeatMax = time.Second, time.Second }})
	var branches []*Switch
	var groups []*Group
	half := netem.Impairment{Loss: 0.5}
	for range 3 {
		branches = append(branches, n.Branch(nil, half, half))
		groups = append(groups, n.Receivers(1, GroupConfig{Switch: branches[len(branches)-1], Engine: func(c *session.PeersConfig) { c.ReceiveOnly = true }}))
	}
	for range 4 {
		clear(got)
		for _, b := range branches {
			b.SetLinks(half, half)
		}
		src.Stream(1408 * 50)
		if err := n.Run(time.Second); err != nil {
			t.Fatal(err)
		}
		for i, g := range groups {
			for _, h := range groups[:i] {
				if a, b := got[g.Host(0)], got[h.Host(0)]; len(a) == 0 || slices.Equal(a, b) {
					t.Errorf("%d and %d both get %v", g.Host(0), h.Host(0), a)
				}
			}
		}
	}
}

// So do the receivers' own links, in both directions.
func TestSetLinksAnew(t *testing.T) {
	var lost [2][]bool
	n := New(Config{Seed: 1})
	half := netem.Impairment{Loss: 0.5}
	g := n.Receivers(1, GroupConfig{Up: half})
	for k := range lost {
		g.SetLinks(half, half)
		for range 64 {
			lost[k] = append(lost[k], g.upLink(0).Send(n.Now(), 100).N == 0)
		}
	}
	if slices.Equal(lost[0], lost[1]) {
		t.Error("the second link loses what the first lost")
	}
}

// Many packets of one instant, as a duplicating link makes them: each receiver misses those that its own link loses, and no others.
func TestManyAtOneInstant(t *testing.T) {
	lost, arrived := map[string]bool{}, 0
	n := New(Config{Seed: 1, Kinds: Of(Lost, Arrived), Trace: func(e *Event) {
		if e.Kind == Lost {
			lost[fmt.Sprint(e.Host, e.Packet.Type, e.Packet.Sqn)] = true
		} else if e.Packet.Type == wire.TypeODATA {
			arrived++
		}
	}})
	src := n.Source(SourceConfig{Engine: rate(flow.Unlimited)})
	b := n.Branch(nil, netem.Impairment{Duplicate: 1}, netem.Impairment{})
	n.Receivers(300, GroupConfig{Switch: b, Down: netem.Impairment{Loss: 0.5}})
	for range 46 {
		src.WriteMessage(make([]byte, 100))
	}
	if err := n.Run(0); err != nil {
		t.Fatal(err)
	}
	if got, want := arrived+int(n.Stats().Lost), 2*46*300+2*300; got > want || got < 2*46*300 {
		t.Errorf("%d packets came or did not, of %d", got, want)
	}
	if most := 46 * 300 * 2 * 6 / 10; arrived > most {
		t.Errorf("%d packets came, half of %d should", arrived, 46*300*2)
	}
}

// What a host sends to the group is nothing that it does not get.
func TestOwnPackets(t *testing.T) {
	for _, down := range []netem.Impairment{{}, {Loss: 0.2}, {Loss: 0.2, Jitter: time.Millisecond, Delay: time.Millisecond}, {MTU: 60}} {
		n := New(Config{Seed: 1, Kinds: Of(Lost, Arrived), Trace: func(e *Event) {
			if e.From == e.Host {
				t.Errorf("%+v: %v", down, e)
			}
		}})
		src := n.Source(SourceConfig{Engine: func(c *session.SourceConfig) { c.HeartbeatMin = time.Second }})
		src.Stream(1408)
		g := n.Receivers(5, GroupConfig{Down: down, Absent: true, Engine: func(c *session.PeersConfig) { c.Join = session.JoinNow }})
		n.At(10*time.Millisecond, g.Join) // no SPM for a while: they ask the group for one
		n.At(11*time.Millisecond, func() { src.Stream(1408) })
		if err := n.Run(5 * time.Second); err != nil {
			t.Fatal(err)
		}
		if down.MTU == 0 && g.Stats().Sessions.Total.ACKs == 0 {
			t.Errorf("%+v: %+v", down, g.Stats())
		}
	}
}

// A packet that a link loses to somebody who is not there is not lost to anybody.
func TestLostToPresent(t *testing.T) {
	for _, down := range []netem.Impairment{{Loss: 1}, {MTU: 60}, {Loss: 1, Jitter: time.Millisecond, Delay: time.Millisecond}} {
		n, told := New(Config{}), 0
		n.cfg.Trace, n.watched, n.cfg.Kinds = func(e *Event) { told++ }, Of(Lost), Of(Lost)
		src := n.Source(SourceConfig{})
		g := n.Receivers(10, GroupConfig{Down: down})
		for i := range 7 {
			g.Leave(i)
		}
		src.Stream(1408)
		if err := n.Run(time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if got := n.Stats().Lost; got != 2*3 || told != 2*3 { // an SPM and a packet
			t.Errorf("%+v: %d lost, %d told", down, got, told)
		}
	}
}

// A hundred thousand receivers with an engine each.
func TestHundredThousand(t *testing.T) {
	count := 100_000
	if invariant.Enabled {
		count = 5000 // everything is walked over all the time
	}
	n := New(Config{Seed: 1})
	src := n.Source(SourceConfig{})
	d := netem.Impairment{Delay: 10 * time.Millisecond}
	g := n.Receivers(count, GroupConfig{Hollow: true, Down: netem.Impairment{Loss: 0.0003, Delay: 10 * time.Millisecond}, Up: d})
	src.Stream(20_000)
	src.Finish()
	err := n.Run(10 * time.Second)
	done := g.Complete() == count
	if st := g.Stats(); !done || err != nil || st.Bytes != uint64(count)*20_000 || st.Lost > 0 || st.Sessions.Total.NAKs == 0 {
		t.Errorf("%v, %+v", err, st)
	}
	if st := n.Stats(); st.Engines != count {
		t.Errorf("%+v", st)
	}
}

// Looking on, and stopping in between, changes nothing.
func TestLookingOn(t *testing.T) {
	var sums []uint64
	for _, watch := range []bool{false, true} {
		cfg, told := Config{Seed: 1, Hash: true}, 0
		group := GroupConfig{Down: netem.Impairment{Loss: 0.1, Delay: time.Millisecond}, Up: netem.Impairment{Loss: 0.1, Jitter: time.Millisecond}}
		if watch {
			cfg.Trace, cfg.Kinds = func(e *Event) { told += len(e.String()) }, AllKinds
			group.Deliver = func(*Event) { told++ }
		}
		n := New(cfg)
		src := n.Source(SourceConfig{})
		g := n.Receivers(20, group)
		src.Stream(200_000)
		src.Finish()
		for range 1000 {
			if watch {
				n.At(n.Now()+1234, func() { told += g.Stats().Complete })
			}
			step := 10 * time.Second
			if watch {
				step /= 1000
			}
			if err := n.Run(step); err != nil {
				t.Fatal(err)
			}
			if !watch {
				break
			}
		}
		if g.Complete() != 20 || watch && told == 0 {
			t.Errorf("%+v", g.Stats())
		}
		sums = append(sums, n.TraceHash())
	}
	if sums[0] != sums[1] {
		t.Errorf("%#x without looking on, %#x with", sums[0], sums[1])
	}
}

// Sums differ where nothing but the session differs.
func TestTraceHashSource(t *testing.T) {
	sum := func(tsi wire.TSI, kind Kind) uint64 {
		e := &Event{Kind: kind, Host: 2, Source: tsi, Bytes: 5, Err: io.EOF, Session: session.Event{TSI: tsi}}
		return e.digest()
	}
	a, b := wire.TSI{Port: 1}, wire.TSI{Port: 2}
	for _, k := range []Kind{Delivered, Gap, Ended, Engine} {
		if sum(a, k) == sum(b, k) {
			t.Errorf("%v of two sources have one hash", k)
		}
	}
}

// Time does not go back.
func TestRunBackwards(t *testing.T) {
	n := New(Config{})
	if err := n.Run(time.Second); err != nil {
		t.Fatal(err)
	}
	if err := n.Run(-time.Second); err != nil || n.Now() != time.Second {
		t.Errorf("it is %v, %v", n.Now(), err)
	}
	called := time.Duration(0)
	n.At(0, func() { called = n.Now() })
	if err := n.Run(0); err != nil || called != time.Second {
		t.Errorf("called at %v, %v", called, err)
	}
}

// Sources have sessions of their own however many hosts there are.
func TestSourceTSIs(t *testing.T) {
	n := New(Config{})
	a := n.Source(SourceConfig{})
	n.Receivers(49_999, GroupConfig{Absent: true})
	if b := n.Source(SourceConfig{}); a.TSI() == b.TSI() {
		t.Errorf("hosts %d and %d both have %v", a.Host(), b.Host(), a.TSI())
	}
}

// Packets that were damaged on the way reach nobody, and Drop is not asked about them.
func TestDamaged(t *testing.T) {
	n := New(Config{Seed: 1, Drop: func(_, _ int, p *wire.Packet) bool {
		if p.DestinationPort != port && p.SourcePort != port {
			t.Errorf("Drop is asked about %+v", p)
		}
		return false
	}})
	a := n.Source(SourceConfig{Up: netem.Impairment{Corrupt: 0.5}})
	n.Source(SourceConfig{})
	g := n.Receivers(3, GroupConfig{})
	a.Stream(1 << 20)
	a.Finish()
	if err := n.Run(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	if st := g.Stats(); st.Complete < 3 || st.Bytes != 3<<20 || n.Stats().Corrupt == 0 {
		t.Errorf("%+v\n%+v", st, n.Stats())
	}
}

// A group of nobody is none: the host after it has its own packets.
func TestEmptyGroup(t *testing.T) {
	n := New(Config{})
	empty := []*Group{n.Receivers(0, GroupConfig{}), n.Receivers(0, GroupConfig{Shared: true})}
	src := n.Source(SourceConfig{})
	g := n.Receivers(2, GroupConfig{Down: netem.Impairment{Loss: 0.3}})
	src.Stream(100_000)
	src.Finish()
	if err := n.Run(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	if g.Stats().Complete != 2 {
		t.Errorf("%+v", g.Stats())
	}
	for _, g := range empty {
		g.Join()
		if g.Stats() != (GroupStats{}) || g.Complete() != 0 {
			t.Errorf("%+v", g.Stats())
		}
	}
}

// What is written after the end is thrown away: the application is idle.
func TestWriteAfterFinish(t *testing.T) {
	n := New(Config{})
	src := n.Source(SourceConfig{})
	g := n.Receivers(1, GroupConfig{})
	src.Write(make([]byte, 100))
	src.Finish()
	src.Write(make([]byte, 100))
	src.Stream(100)
	src.WriteMessage(make([]byte, 100))
	src.Finish()
	if err := n.Run(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	if st := g.Stats(); !src.Idle() || !src.Finished() || st.Bytes != 100 || st.Complete != 1 {
		t.Errorf("idle %v, finished %v, %+v", src.Idle(), src.Finished(), st)
	}
}

// A mistake in the program that builds a network panics, saying what it is.
func TestMistakes(t *testing.T) {
	other := New(Config{}).Branch(nil, netem.Impairment{}, netem.Impairment{})
	var good netem.Impairment
	bad := netem.Impairment{Loss: 2}
	for _, c := range []struct {
		want string
		f    func(n *Network)
	}{
		{"sim: -1 receivers", func(n *Network) { n.Receivers(-1, GroupConfig{}) }},
		{"sim: more than 16777214 hosts", func(n *Network) { n.Receivers(1<<24, GroupConfig{Absent: true}) }},
		{"sim: a Switch of another Network", func(n *Network) { n.Receivers(1, GroupConfig{Switch: other}) }},
		{"sim: a Switch of another Network", func(n *Network) { n.Source(SourceConfig{Switch: other}) }},
		{"sim: a Switch of another Network", func(n *Network) { n.Branch(other, good, good) }},
		{"sim: nothing is above the root", func(n *Network) { n.Root().SetLinks(good, good) }},
		{"netem: Loss is 2, not a probability from 0 to 1", func(n *Network) { n.Receivers(1, GroupConfig{Down: bad}) }},
		{"netem: Loss is 2, not a probability from 0 to 1", func(n *Network) { n.Receivers(1, GroupConfig{Up: bad}) }},
		{"netem: Loss is 2, not a probability from 0 to 1", func(n *Network) { n.Source(SourceConfig{Up: bad}) }},
		{"netem: Loss is 2, not a probability from 0 to 1", func(n *Network) { n.Branch(nil, good, bad) }},
		{"sim: MaxWindow 100 is not a power of two from 2 to 2^30", func(n *Network) {
			n.Receivers(1, GroupConfig{Engine: func(c *session.PeersConfig) { c.MaxWindow = 100 }})
		}},
		{"sim: Slots 0 is not a power of two from 2 to 2^30", func(n *Network) {
			n.Source(SourceConfig{Engine: func(c *session.SourceConfig) { c.Slots = 0 }})
		}},
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); got != c.want {
					t.Errorf("panic %q, want %q", got, c.want)
				}
			}()
			c.f(New(Config{}))
		}()
	}
}

// A packet to one host goes to it alone, wherever it is, unless it has left, then or in the meantime.
func TestToOneHost(t *testing.T) {
	for _, shared := range []bool{false, true} {
		var got []int
		n := New(Config{Seed: 1, Kinds: Of(Arrived), Trace: func(e *Event) {
			if e.Packet.Type == wire.TypeNCF {
				got = append(got, e.Host)
			}
		}})
		b := n.Branch(n.Branch(nil, netem.Impairment{Delay: time.Millisecond}, netem.Impairment{}), netem.Impairment{}, netem.Impairment{})
		c := n.Branch(nil, netem.Impairment{}, netem.Impairment{})
		src := n.Source(SourceConfig{Switch: c})
		groups := []*Group{
			n.Receivers(5, GroupConfig{Switch: b, Shared: shared, Down: netem.Impairment{Delay: time.Millisecond}}),
			n.Receivers(5, GroupConfig{Shared: shared, Down: netem.Impairment{Delay: time.Millisecond, Jitter: time.Microsecond}}),
		}
		p := wire.Packet{Type: wire.TypeNCF, DestinationPort: port, SourcePort: 1, Source: n.Addr(1), Group: n.Group()}
		raw := p.Append(nil)
		var want []int
		for _, g := range groups {
			g.Leave(2)
			for _, host := range []int{g.Host(0), g.Host(2), g.Host(3), g.Host(4), 1000, src.Host()} {
				n.emit(&session.Transmit{B: raw, Segment: len(raw), To: netip.AddrPortFrom(n.Addr(host), port)}, src.Host(), src.up, src.at)
			}
			n.At(500*time.Microsecond, func() { g.Leave(3) })
			want = append(want, g.Host(0), g.Host(4))
		}
		if err := n.Run(time.Second); err != nil {
			t.Fatal(err)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%v get it, want %v", got, want)
		}
	}
}

// What time cannot pass is an error, and stays one.
func TestStuck(t *testing.T) {
	n := New(Config{})
	n.most = 1000
	var again func()
	again = func() { n.At(0, again) }
	n.At(time.Second, again)
	for range 2 {
		if err := n.Run(2 * time.Second); !errors.Is(err, ErrStuck) || n.Now() != time.Second {
			t.Errorf("%v at %v", err, n.Now())
		}
	}
}

// A network that runs on and on takes no more memory.
func TestNoGrowth(t *testing.T) {
	for _, shared := range []bool{false, true} {
		n := New(Config{Seed: 1})
		rough := netem.Impairment{Loss: 0.02, Delay: time.Millisecond}
		src := n.Source(SourceConfig{Engine: rate(flow.Mbps)})
		g := n.Receivers(50, GroupConfig{Shared: shared, Hollow: true, Down: rough, Up: rough})
		rougher := rough
		rougher.Jitter, rougher.Duplicate = 100*time.Microsecond, 0.1
		n.Receivers(10, GroupConfig{Shared: shared, Hollow: true, Down: rougher, Up: rougher})
		size := func() int {
			total := len(n.free) + len(n.events.Items) + len(n.alarms.Items) + cap(g.own) + cap(g.fresh) + len(g.up) + cap(src.queue) + len(n.classes)
			for _, e := range n.free {
				total += cap(e.pkts) + cap(e.lost)
			}
			return total
		}
		run := func() {
			for range 50 {
				src.Stream(5000)
				if err := n.Run(100 * time.Millisecond); err != nil {
					t.Fatal(err)
				}
				g.Restart(3)
				g.SetStalled(4, true)
				g.SetStalled(4, false)
			}
		}
		run()
		before := size()
		for range 4 {
			run()
		}
		if after := size(); after > before+before/2+100 {
			t.Errorf("shared %v: it grew from %d to %d", shared, before, after)
		}
	}
}

// A shared link with a rate has a queue, whose length and losses can be seen.
func TestBranchQueue(t *testing.T) {
	n := New(Config{Seed: 1})
	src := n.Source(SourceConfig{Engine: rate(20 * flow.Mbps)})
	b := n.Branch(nil, netem.Impairment{Rate: 10_000_000, LimitBytes: 125_000}, netem.Impairment{})
	g := n.Receivers(1, GroupConfig{Switch: b})
	src.Stream(10 << 20)
	if err := n.Run(time.Second); err != nil {
		t.Fatal(err)
	}
	down, up := b.LinkStats()
	if down.Overflow == 0 || down.Packets-down.Overflow != down.Arrived || down.Arrived < 800 {
		t.Errorf("twice what the link can carry for a second: %+v", down)
	}
	if q, none := b.Backlog(); q < 90*time.Millisecond || q > 100*time.Millisecond || none != 0 {
		t.Errorf("a queue of 100 ms is %v long, and none %v", q, none)
	}
	if up != (netem.LinkStats{}) || g.Stats().Bytes == 0 {
		t.Errorf("a perfect link counts %+v; %d bytes came", up, g.Stats().Bytes)
	}
	b.SetLinks(netem.Impairment{}, netem.Impairment{})
	if down, _ := b.LinkStats(); down != (netem.LinkStats{}) {
		t.Errorf("a new link begins with %+v", down)
	}
}
