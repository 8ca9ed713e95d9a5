package main

import (
	"context"
	"fmt"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/sim"
	"github.com/rmcast/rmcast/wire"
)

// Tree is a group of which one receiver is behind a slow link of its own.
type Tree struct {
	Receivers  int
	Link, Slow flow.Rate
	RTT        time.Duration
	Policy     policy
	For        time.Duration
}

// policy is what the source does about slow receivers.
type policy string

const (
	followSlowest  policy = "follow"
	followFloor    policy = "floor" // follow, but nobody slower than twice what the slow one gets
	followQuantile policy = "quantile"
	followNamed    policy = "named"
	ignoreSlow     policy = "ignore"
	evictSlow      policy = "evict"
)

var policies = []policy{followSlowest, followFloor, followQuantile, followNamed, ignoreSlow, evictSlow}

// named is the receiver that followNamed names.
const named = wire.ReceiverID(77)

// treeCases are a thousand receivers, one of them slow, for each policy: on a tree of 1 Gbit/s with the slow one behind 10 Mbit/s, and on
// one of 100 Mbit/s with the slow one behind 1 Mbit/s.
func treeCases(seed uint64) (all []Case) {
	add := func(t Tree) {
		name := fmt.Sprintf("%s-%s", t.Policy, compact(t.Link))
		all = append(all, Case{
			Kind: "tree", Name: name,
			text: fmt.Sprintf("%d receivers on %v, one behind %v, RTT %v: %s", t.Receivers, t.Link, t.Slow, t.RTT, t.Policy),
			run:  func(ctx context.Context, r *Result) error { return t.measure(ctx, r, seed) },
		})
	}
	for _, p := range policies {
		full := 3500 * ms
		switch p {
		case followSlowest, followFloor, evictSlow: // who find their rate, or have patience first
			full = 8 * time.Second
		}
		add(Tree{1000, flow.Gbps, 10 * flow.Mbps, 20 * ms, p, full})
	}
	for _, p := range policies {
		add(Tree{1000, 100 * flow.Mbps, flow.Mbps, 20 * ms, p, 8 * time.Second})
	}
	return all
}

// tree is a Tree at work.
type tree struct {
	*world
	watch
	src        *sim.Source
	slowNeck   *sim.Switch
	fast, slow *sim.Group
	told       string // what the slow one read last that is no message
}

// build makes the network; without the slow one if that is false.
func (t Tree) build(seed uint64, receivers int, slow bool) *tree {
	x := &tree{world: newWorld(Path{t.Link, t.RTT}, seed)}
	x.Step = 50 * ms
	x.src = x.source(0, func(c *session.SourceConfig) { t.Policy.set(c, t) })
	x.add("capacity", "Mbit/s", func() float64 { return megarate(t.Link) })
	x.add("rate", "Mbit/s", func() float64 { return megarate(x.src.Stats().Rate) })
	x.flow("sent", x.offered)
	first := x.receivers(1, sim.GroupConfig{Hollow: true, Engine: func(c *session.PeersConfig) { nameReceiver(c, named) }})
	x.flow("read", read(first, 0))
	if receivers > 2 {
		x.fast = x.receivers(receivers-2, sim.GroupConfig{Hollow: true})
	}
	if slow {
		own := Path{t.Slow, t.RTT}.down()
		own.Delay = 0
		x.slowNeck = x.n.Branch(x.neck, own, Path{}.up())
		x.slow = x.receivers(1, sim.GroupConfig{Switch: x.slowNeck, Hollow: true, Deliver: func(e *sim.Event) {
			if e.Kind == sim.Ended || e.Kind == sim.Gap {
				x.told = e.Err.Error()
			}
		}})
		x.flow("read by the slow one", read(x.slow, 0))
	}
	x.src.Stream(endless)
	return x
}

// settleTime is how long a source may take to find the rate of the slowest.
func settleTime(rtt time.Duration) time.Duration { return max(20*rtt, 2*time.Second) }

// measure runs the tree, and for the rate that the others would have without the slow one a small group without it.
func (t Tree) measure(ctx context.Context, r *Result, seed uint64) error {
	without := t.build(seed, 4, false)
	if err := without.run(ctx, t.For, without.Step, without.sample); err != nil {
		return err
	}
	x := t.build(seed, t.Receivers, true)
	x.add("queue", "ms", x.queued)
	err := x.run(ctx, t.For, x.Step, x.sample)
	r.Series = &x.Series
	if err != nil {
		return err
	}
	from := max(settleTime(t.RTT), t.For-2*time.Second)
	clean, others := without.mean("read", from, t.For), x.mean("read", from, t.For)
	slow := x.mean("read by the slow one", from, t.For)
	st := x.src.Stats()
	r.note("others without it", clean, "Mbit/s")
	r.note("others", others, "Mbit/s")
	r.note("slow one", slow, "Mbit/s")
	r.note("repairs", 100*float64(st.Repairs)/float64(max(st.Packets, 1)), "% of packets")
	want := megarate(t.Slow)
	switch t.Policy {
	case followSlowest:
		near := func(v float64) bool { return v > 0.9*want && v < 1.1*want }
		while := max(25*t.RTT, 500*ms)
		r.need("settled within 10 %", seconds(x.settles("sent", 0, t.For, while, near)), "s", most, settleTime(t.RTT).Seconds())
		r.need("sent, of the slow link", 100*x.mean("sent", from, t.For)/want, "%", least, 90)
	default:
		r.need("others, of without it", 100*others/clean, "%", least, 98)
		full := 0.9 * without.mean("sent", from, t.For)
		r.note("full after", seconds(x.reaches("sent", 0, 100*ms, full)), "s")
	}
	if t.Policy == evictSlow && x.told == "" {
		return fmt.Errorf("the slow receiver was not told that it was evicted")
	}
	return nil
}
