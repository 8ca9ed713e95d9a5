package netem_test

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/netem"
	"pgregory.net/rapid"
)

// nodes is a Fabric made from a Topology, with a group over it.
type nodes struct {
	fabric *netem.Fabric
	source dgram.Conn
	conns  []dgram.Conn
}

func newNodes(cfg netem.FabricConfig, receivers int) *nodes {
	n := &nodes{fabric: netem.NewFabric(cfg)}
	n.source = must(n.fabric.Node(netem.Sender).OpenSource(context.Background(), "udp", group4, dgram.Options{}))
	for i := range receivers {
		h := n.fabric.Node(netem.Node(i))
		n.conns = append(n.conns, must(h.OpenReceiver(context.Background(), "udp", group4, dgram.Options{})))
	}
	return n
}

// arrival is a datagram's number, and when it arrived.
type arrival struct {
	n  int
	at time.Duration
}

// arrivals reads what arrives at each of conns within a minute from start, and closes them.
func arrivals(start time.Time, conns ...dgram.Conn) [][]arrival {
	all := make([][]arrival, len(conns))
	var wg sync.WaitGroup
	for i, c := range conns {
		time.AfterFunc(time.Until(start.Add(time.Minute)), func() { c.Close() })
		wg.Go(func() {
			for r := newReader(c); ; {
				n, _, err := r.next()
				if err != nil {
					return
				}
				all[i] = append(all[i], arrival{n, time.Since(start)})
			}
		})
	}
	wg.Wait()
	return all
}

func numbers(a []arrival) (n []int) {
	for _, x := range a {
		n = append(n, x.n)
	}
	return n
}

// survivors returns the numbers from 0 to n-1 that pass a chain of links, one packet of size bytes a step.
func survivors(n, size int, step time.Duration, links ...*netem.Link) (numbers []int) {
packets:
	for i := range n {
		now := time.Duration(i) * step
		for _, l := range links {
			f := l.Send(now, size)
			if f.N == 0 {
				continue packets
			}
			now = f.Copy[0].At
		}
		numbers = append(numbers, i)
	}
	return numbers
}

// TestFabricSharedLoss: what a branch loses, all behind it lose, and nobody else; losses of their own come on top.
func TestFabricSharedLoss(t *testing.T) {
	const packets, size = 2000, 100
	var top netem.Topology
	left := top.Branch(0, netem.Impairment{Loss: 0.2}, netem.Impairment{})
	below := top.Branch(left, netem.Impairment{Loss: 0.1}, netem.Impairment{})
	right := top.Branch(0, netem.Impairment{Loss: 0.3}, netem.Impairment{})
	top.Receivers = []netem.Port{
		{Switch: left}, {Switch: left}, {Switch: left, Down: netem.Impairment{Loss: 0.05}},
		{Switch: below}, {Switch: below}, {Switch: right}, {},
	}
	synctest.Test(t, func(t *testing.T) {
		cfg := netem.FabricConfig{Seed: 5, Topology: top}
		n := newNodes(cfg, len(top.Receivers))
		defer n.source.Close()
		for i := range packets / 40 {
			n.source.WriteRun(numbered(40*i, 40, size), size, netip.AddrPort{}, 0)
		}
		var at [][]int
		for _, a := range arrivals(time.Now(), n.conns...) {
			at = append(at, numbers(a))
		}
		if !slices.Equal(at[0], at[1]) || !slices.Equal(at[3], at[4]) {
			t.Error("two receivers behind one lossy branch lost different packets")
		}
		if len(at[6]) != packets {
			t.Errorf("%d of %d arrived where no link loses", len(at[6]), packets)
		}
		// Each is what the links on the way make of it.
		down := func(i int) *netem.Link { l, _ := top.BranchLinks(i-1, cfg.Seed); return l }
		own, _ := top.HostLinks(2, cfg.Seed)
		for i, links := range map[int][]*netem.Link{
			0: {down(left)}, 2: {down(left), own}, 3: {down(left), down(below)}, 5: {down(right)},
		} {
			if want := survivors(packets, size+28, 0, links...); !slices.Equal(at[i], want) {
				t.Errorf("receiver %d got %d packets, the links let %d pass, or others", i, len(at[i]), len(want))
			}
		}
		if slices.Equal(at[0], at[5]) {
			t.Error("two branches lost the same packets")
		}
		// One Send a packet, however many are behind.
		c := n.fabric.Switch(left).Counters()
		if c.Down.Packets != packets || c.Down.Bytes != packets*(size+28) || c.Down.Lost != uint64(packets-len(at[0])) || c.Up.Packets != 0 {
			t.Errorf("the branch counted %+v", c)
		}
		if c := n.fabric.Switch(below).Counters(); c.Down.Packets != uint64(len(at[0])) {
			t.Errorf("the branch below counted %+v, and %d came there", c, len(at[0]))
		}
	})
}

// TestFabricUp: packets from below pass the shared link up once each, reach the source by unicast, and neighbours past that link.
func TestFabricUp(t *testing.T) {
	const packets, size = 1000, 100
	var top netem.Topology
	left := top.Branch(0, netem.Impairment{Delay: time.Second}, netem.Impairment{Loss: 0.25, Delay: 20 * time.Millisecond})
	up := netem.Impairment{Delay: 3 * time.Millisecond}
	top.Receivers = []netem.Port{{Switch: left, Up: up}, {Switch: left, Up: up}, {}}
	top.Sender = netem.Port{Down: netem.Impairment{Delay: 500 * time.Microsecond}}
	synctest.Test(t, func(t *testing.T) {
		cfg := netem.FabricConfig{Seed: 7, Topology: top}
		n := newNodes(cfg, 3)
		defer n.source.Close()
		start := time.Now()
		for i := range packets {
			n.conns[i%2].WriteRun(numbered(i, 1, size), 0, n.source.LocalAddr(), 0)
		}
		_, lossy := top.BranchLinks(left-1, cfg.Seed)
		want := survivors(packets, size+28, 0, lossy)
		r := newReader(n.source)
		for _, w := range want {
			if g, _, err := r.next(); err != nil || g != w {
				t.Fatalf("the source got %d, %v; want %d", g, err, w)
			}
		}
		if took := time.Since(start); took != 23500*time.Microsecond {
			t.Errorf("it took %v to the source, want 3 + 20 + 0.5 ms", took)
		}
		if c := n.fabric.Switch(left).Counters(); c.Up.Packets != packets || c.Down.Packets != 0 {
			t.Errorf("the branch counted %+v", c)
		}
		// By multicast to the group: the neighbour on the switch after 3 ms, the one at the root after 23.
		lost := 0
		for i := range 40 {
			n.conns[0].WriteRun(numbered(i, 1, size), 0, group4, 0)
			if lossy.Send(0, size+28).N == 0 {
				lost++
			}
		}
		for i, a := range arrivals(time.Now(), n.conns...) {
			want := []time.Duration{0, 3 * time.Millisecond, 23 * time.Millisecond}[i]
			if count := []int{40, 40, 40 - lost}[i]; len(a) != count || a[0].at != want || a[count-1].at != want {
				t.Errorf("receiver %d got %d packets, want %d after %v: %v", i, len(a), count, want, a)
			}
		}
	})
}

// TestFabricBranchKeepsRuns: runs stay whole over perfect links between switches.
func TestFabricBranchKeepsRuns(t *testing.T) {
	f := netem.NewFabric(netem.FabricConfig{})
	deep := f.Branch(f.Branch(nil, netem.Impairment{}, netem.Impairment{}), netem.Impairment{}, netem.Impairment{})
	source := must(f.Host("10.0.0.1").OpenSource(t.Context(), "udp", group4, dgram.Options{}))
	f.Host("10.0.0.2").Attach(deep)
	receiver := must(f.Host("10.0.0.2").OpenReceiver(t.Context(), "udp", group4, dgram.Options{}))
	source.WriteRun(numbered(0, 40, 1400), 1400, netip.AddrPort{}, 0)
	d := []dgram.Datagrams{{B: make([]byte, 0, dgram.BufferSize)}, {B: make([]byte, 0, dgram.BufferSize)}}
	if n, err := receiver.ReadBatch(d); n != 1 || err != nil || len(d[0].B) != 40*1400 || d[0].Segment != 1400 {
		t.Errorf("read %d runs, %v, the first of %d bytes", n, err, len(d[0].B))
	}
}

// TestFabricAttach: a host that moves keeps its groups, and what is under way to it follows.
func TestFabricAttach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := netem.NewFabric(netem.FabricConfig{})
		a := f.Branch(nil, netem.Impairment{Delay: time.Millisecond}, netem.Impairment{Delay: time.Millisecond})
		b := f.Branch(nil, netem.Impairment{Delay: time.Second}, netem.Impairment{Loss: 1})
		source := must(f.Host("10.0.0.1").OpenSource(context.Background(), "udp", group4, dgram.Options{}))
		h := f.Host("10.0.0.2")
		h.Attach(a)
		receiver := must(h.OpenReceiver(context.Background(), "udp", group4, dgram.Options{}))
		defer source.Close()
		defer receiver.Close()
		r := newReader(receiver)
		for i, want := range []time.Duration{time.Millisecond, time.Second, 0} {
			start := time.Now()
			source.WriteRun(numbered(i, 1, 100), 0, netip.AddrPort{}, 0)
			if n, _, err := r.next(); n != i || err != nil || time.Since(start) != want {
				t.Errorf("got %d, %v after %v; want %d after %v", n, err, time.Since(start), i, want)
			}
			if i == 0 {
				h.Attach(b)
			} else {
				h.Attach(f.Switch(0))
			}
		}
		// When the host leaves b, unicast to it that is there already goes after it; for multicast nobody is left there.
		b.SetUp(netem.Impairment{Delay: time.Minute})
		h.Attach(b)
		source.WriteRun(numbered(3, 1, 100), 0, netip.AddrPort{}, 0)
		source.WriteRun(numbered(4, 1, 100), 0, netip.AddrPortFrom(h.Addr(), 1), 0)
		h.Attach(a)
		time.Sleep(2 * time.Second)
		if c := b.Counters(); c.Down.Packets != 3 || c.Up.Packets != 1 {
			t.Errorf("b counted %+v, want three down and the unicast one up again", c)
		}
	})
}

func TestFabricChangesBranch(t *testing.T) {
	f := netem.NewFabric(netem.FabricConfig{})
	s := f.Branch(nil, netem.Impairment{Loss: 1}, netem.Impairment{})
	source := must(f.Host("10.0.0.1").OpenSource(t.Context(), "udp", group4, dgram.Options{}))
	f.Host("10.0.0.2").Attach(s)
	receiver := must(f.Host("10.0.0.2").OpenReceiver(t.Context(), "udp", group4, dgram.Options{}))
	source.WriteRun(numbered(1, 1, 100), 0, netip.AddrPort{}, 0)
	s.SetDown(netem.Impairment{})
	source.WriteRun(numbered(2, 1, 100), 0, netip.AddrPort{}, 0)
	if n, _, _ := newReader(receiver).next(); n != 2 {
		t.Errorf("got %d, want what was sent after the link was mended", n)
	}
	defer func() {
		if recover() == nil {
			t.Error("the root has a link up")
		}
	}()
	f.Switch(0).SetUp(netem.Impairment{})
}

// TestFabricTreeModel: in any tree each member gets each packet of another once, after the sum of the delays on the way.
func TestFabricTreeModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			delay := rapid.Custom(func(t *rapid.T) netem.Impairment { // 0 is a perfect link
				return netem.Impairment{Delay: time.Duration(rapid.IntRange(0, 3).Draw(t, "delay")) * time.Millisecond}
			})
			var top netem.Topology
			for range rapid.IntRange(0, 6).Draw(t, "branches") {
				top.Branch(rapid.IntRange(0, len(top.Branches)).Draw(t, "parent"), delay.Draw(t, "down"), delay.Draw(t, "up"))
			}
			port := rapid.Custom(func(t *rapid.T) netem.Port {
				return netem.Port{
					Switch: rapid.IntRange(0, len(top.Branches)).Draw(t, "switch"),
					Down:   delay.Draw(t, "down"), Up: delay.Draw(t, "up"),
				}
			})
			top.Sender = port.Draw(t, "sender")
			top.Receivers = rapid.SliceOfN(port, 1, 6).Draw(t, "receivers")
			from := netem.Node(rapid.IntRange(-1, len(top.Receivers)-1).Draw(t, "from"))
			multicast := rapid.Bool().Draw(t, "multicast") // else to the sender

			n := newNodes(netem.FabricConfig{Topology: top}, len(top.Receivers))
			conns := append([]dgram.Conn{n.source}, n.conns...)
			to := group4
			if !multicast {
				to = n.source.LocalAddr()
			}
			if err := conns[from+1].WriteRun(numbered(1, 3, 100), 100, to, 0); err != nil {
				t.Fatal(err)
			}
			for i, got := range arrivals(time.Now(), conns...) {
				node := netem.Node(i - 1)
				var want []arrival
				if (node == netem.Sender) != multicast {
					at := way(top, from, node)
					want = []arrival{{1, at}, {2, at}, {3, at}}
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%v got %v from %v, want %v", node, got, from, want)
				}
			}
		})
	})
}

// way is the sum of the delays between two nodes.
func way(top netem.Topology, from, to netem.Node) time.Duration {
	if from == to {
		return 0 // the loop
	}
	a, b := top.Port(from), top.Port(to)
	sum := a.Up.Delay + b.Down.Delay
	for x, y := a.Switch, b.Switch; x != y; { // the later one is not above the other
		if x > y {
			sum += top.Branches[x-1].Up.Delay
			x = top.Branches[x-1].Parent
		} else {
			sum += top.Branches[y-1].Down.Delay
			y = top.Branches[y-1].Parent
		}
	}
	return sum
}

func TestTopologyValidate(t *testing.T) {
	bad := netem.Impairment{Loss: 2}
	for i, top := range []netem.Topology{
		{Branches: []netem.Branch{{Parent: 1}}},
		{Branches: []netem.Branch{{Parent: -1}}},
		{Branches: []netem.Branch{{Up: bad}}},
		{Sender: netem.Port{Switch: 1}},
		{Sender: netem.Port{Down: bad}},
		netem.Star(netem.Impairment{}, bad),
		{Branches: []netem.Branch{{}}, Receivers: []netem.Port{{Switch: 1}, {Switch: 2}}},
	} {
		if top.Validate() == nil {
			t.Errorf("case %d is taken: %+v", i, top)
		}
	}
	top := netem.Star(netem.Impairment{Loss: 0.1}, netem.Impairment{})
	if err := top.Validate(); err != nil {
		t.Error(err)
	}
	if p := top.Port(1000); p.Down.Loss != 0.1 {
		t.Errorf("the thousandth receiver of a star has %+v", p)
	}
}
