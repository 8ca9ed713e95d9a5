package main

import (
	"context"
	"fmt"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/sim"
	"github.com/rmcast/rmcast/wire"
)

// scriptPath is that of the scenarios.
var scriptPath = Path{100 * flow.Mbps, 20 * ms}

const scriptStep = 50 * ms

// scriptCases are scenarios that are drawn over time.
func scriptCases(seed uint64) []Case {
	script := func(name, text string, f func(ctx context.Context, r *Result, s *script) error) Case {
		return Case{Kind: "script", Name: name, text: text, quick: true, run: func(ctx context.Context, r *Result) error {
			s := newScript(scriptPath, seed)
			err := f(ctx, r, s)
			r.Series = &s.watch.Series
			return err
		}}
	}
	return []Case{
		script("capacity", "the bottleneck has 100, from 10 s on 30, from 20 s on 100 Mbit/s", capacity),
		script("leave", "three receivers, one behind 20 Mbit/s, which leaves without a word at 10 s", leave),
		script("return", "the same, joining at 5 s and leaving at 15 s", comeAndGo),
		script("two", "a second source from 5 s to 35 s", two),
		script("reader", "the application of one of two receivers stands still from 5 s to 8 s", reader),
		script("loss", "5 % random loss from 5 s to 10 s, 20 % until 15 s", lossy),
		script("hiccups", "each second, for 40 ms, what the receiver sends comes 60 ms late", hiccups),
		script("pause", "the application writes for 3 s, pauses for 3 s, and so on", pause),
	}
}

// script is a world whose source writes without end, with what is seen of it.
type script struct {
	*world
	watch
	src      *sim.Source
	capacity flow.Rate
}

func newScript(p Path, seed uint64) *script {
	s := &script{world: newWorld(p, seed), capacity: p.Rate}
	s.Step = scriptStep
	s.src = s.source(0)
	s.add("capacity", "Mbit/s", func() float64 { return megarate(s.capacity) })
	s.add("rate", "Mbit/s", func() float64 { return megarate(s.src.Stats().Rate) })
	s.flow("sent", s.offered)
	return s
}

// follow adds a track of what receiver i of a group reads.
func (s *script) follow(name string, g *sim.Group, i int) { s.flow(name, read(g, i)) }

// play lets it all happen.
func (s *script) play(ctx context.Context, d time.Duration) error {
	s.add("queue", "ms", s.queued)
	return s.world.run(ctx, d, s.Step, s.sample)
}

// dropped returns the share of packets that the neck's queue did not take, in %.
func (s *script) dropped() float64 {
	packets, dropped := s.queueing()
	return 100 * float64(dropped) / float64(max(packets, 1))
}

// become gives the bottleneck another rate. Its queue stays as long in bytes.
func (s *script) become(rate flow.Rate) {
	s.capacity = rate
	link := s.path.down()
	link.Rate = int64(rate)
	s.set(link)
}

func capacity(ctx context.Context, r *Result, s *script) error {
	g := s.receivers(1, sim.GroupConfig{Hollow: true})
	s.follow("read", g, 0)
	s.src.Stream(endless)
	s.n.At(10*time.Second, func() { s.become(30 * flow.Mbps) })
	s.n.At(20*time.Second, func() { s.become(100 * flow.Mbps) })
	if err := s.play(ctx, 30*time.Second); err != nil {
		return err
	}
	within := func(want float64) func(float64) bool {
		return func(v float64) bool { return v > 0.85*want && v < 1.15*want }
	}
	r.need("used before", s.mean("read", time.Second, 10*time.Second), "%", least, 90)
	r.note("settled after the drop", seconds(s.settles("sent", 10*time.Second, 20*time.Second, 500*ms, within(30))), "s")
	r.need("used while low", s.mean("read", 12*time.Second, 20*time.Second)/0.3, "%", least, 90)
	r.note("loss", s.dropped(), "%")
	r.note("full again after the rise", seconds(s.reaches("sent", 20*time.Second, 200*ms, 90)), "s")
	r.need("used after", s.mean("read", 22*time.Second, 30*time.Second), "%", least, 90)
	return nil
}

// slowOne adds two receivers, and one behind a link of 20 Mbit/s.
func (s *script) slowOne(absent bool) (fast, slow *sim.Group) {
	fast = s.receivers(2, sim.GroupConfig{Hollow: true})
	own := Path{20 * flow.Mbps, s.path.RTT}.down()
	own.Delay = 0
	slow = s.receivers(1, sim.GroupConfig{Hollow: true, Down: own, Absent: absent})
	s.follow("read", fast, 0)
	s.follow("read by the slow one", slow, 0)
	s.src.Stream(endless)
	return fast, slow
}

// mostWait is how long a source may take to be at full speed when what slowed it down is gone.
func mostWait(p Path) time.Duration { return 3*p.RTT + 500*ms }

func leave(ctx context.Context, r *Result, s *script) error {
	_, slow := s.slowOne(false)
	s.n.At(10*time.Second, func() { slow.Leave(0) })
	if err := s.play(ctx, 20*time.Second); err != nil {
		return err
	}
	r.need("used before", s.mean("read by the slow one", 2*time.Second, 10*time.Second)/0.2, "%", least, 90)
	r.need("full after it left", seconds(s.reaches("sent", 10*time.Second, s.Step, 90)), "s", most, mostWait(s.path).Seconds())
	r.need("used after", s.mean("read", 12*time.Second, 20*time.Second), "%", least, 90)
	return nil
}

func comeAndGo(ctx context.Context, r *Result, s *script) error {
	_, slow := s.slowOne(true)
	s.n.At(5*time.Second, slow.Join)
	s.n.At(15*time.Second, func() { slow.Leave(0) })
	if err := s.play(ctx, 20*time.Second); err != nil {
		return err
	}
	near := func(v float64) bool { return v > 18 && v < 22 }
	r.need("settled after it came", seconds(s.settles("sent", 5*time.Second, 15*time.Second, time.Second, near)), "s", most, 2)
	r.need("full after it left", seconds(s.reaches("sent", 15*time.Second, s.Step, 90)), "s", most, mostWait(s.path).Seconds())
	return nil
}

func two(ctx context.Context, r *Result, s *script) error {
	g := s.receivers(1, sim.GroupConfig{Hollow: true}) // hears both
	other := s.source(0)
	for i, src := range []*sim.Source{s.src, other} {
		s.flow([]string{"first", "second"}[i], s.readOf(g, src))
	}
	s.src.Stream(endless)
	s.n.At(5*time.Second, func() { other.Stream(endless) })
	s.n.At(35*time.Second, func() { other.Reset(0) })
	if err := s.play(ctx, 45*time.Second); err != nil {
		return err
	}
	share := func(from, to time.Duration) float64 {
		return jain(s.mean("first", from, to), s.mean("second", from, to))
	}
	sec := time.Second
	r.note("Jain, 5 to 15 s", share(5*sec, 15*sec), "")
	r.need("Jain, 25 to 35 s", share(25*sec, 35*sec), "", least, 0.95)
	r.need("used by both", s.mean("first", 10*sec, 35*sec)+s.mean("second", 10*sec, 35*sec), "%", least, 90)
	r.note("loss", s.dropped(), "%")
	r.note("full after the end of one", seconds(s.reaches("sent", 35*sec, 200*ms, 90)), "s")
	return nil
}

// readOf returns a counter of what receiver 0 of a group has received of a source, in bytes of IP packets.
func (s *script) readOf(g *sim.Group, src *sim.Source) func() uint64 {
	last := uint64(0)
	return func() uint64 {
		g.Sessions(0, func(tsi wire.TSI, st session.ReceiverStats) {
			if tsi == src.TSI() {
				last = ip(st.DeliveredBytes)
			}
		})
		return last
	}
}

func reader(ctx context.Context, r *Result, s *script) error {
	g := s.receivers(2, sim.GroupConfig{Hollow: true})
	s.follow("read", g, 0)
	s.follow("read by the slow one", g, 1)
	s.src.Stream(endless)
	s.n.At(5*time.Second, func() { g.SetStalled(1, true) })
	s.n.At(8*time.Second, func() { g.SetStalled(1, false) })
	if err := s.play(ctx, 15*time.Second); err != nil {
		return err
	}
	st := g.Stats()
	r.need("lost for good", float64(st.Lost), "", most, 0)
	r.note("refused by a full window", float64(st.Sessions.Refused.WindowFull), "")
	r.need("full after it reads again", seconds(s.reaches("sent", 8*time.Second, 200*ms, 90)), "s", most, 2)
	r.need("used after", s.mean("sent", 10*time.Second, 15*time.Second), "%", least, 90)
	return nil
}

func lossy(ctx context.Context, r *Result, s *script) error {
	g := s.receivers(4, sim.GroupConfig{Hollow: true})
	s.follow("read", g, 0)
	s.src.Stream(endless)
	for i, loss := range []float64{0.05, 0.2, 0} {
		s.n.At(time.Duration(i+1)*5*time.Second, func() {
			own := netem.Impairment{Loss: loss}
			g.SetLinks(own, own)
		})
	}
	if err := s.play(ctx, 20*time.Second); err != nil {
		return err
	}
	for i, name := range []string{"rate without loss", "at 5 %", "at 20 %", "without again"} {
		from := time.Duration(i) * 5 * time.Second
		r.need(name, s.mean("sent", from+time.Second/2, from+5*time.Second), "Mbit/s", least, 90)
	}
	r.note("loss at the bottleneck", s.dropped(), "%")
	return nil
}

func hiccups(ctx context.Context, r *Result, s *script) error {
	g := s.receivers(1, sim.GroupConfig{Hollow: true})
	s.follow("read", g, 0)
	s.src.Stream(endless)
	for at := time.Second; at < 20*time.Second; at += time.Second {
		s.n.At(at, func() { g.SetLinks(netem.Impairment{}, netem.Impairment{Delay: 60 * ms}) })
		s.n.At(at+40*ms, func() { g.SetLinks(netem.Impairment{}, netem.Impairment{}) })
	}
	if err := s.play(ctx, 20*time.Second); err != nil {
		return err
	}
	r.need("used", s.mean("read", time.Second, 20*time.Second), "%", least, 90)
	r.need("in the last five seconds", s.mean("read", 15*time.Second, 20*time.Second), "%", least, 90)
	r.note("loss", s.dropped(), "%")
	return nil
}

func pause(ctx context.Context, r *Result, s *script) error {
	g := s.receivers(1, sim.GroupConfig{Hollow: true})
	s.follow("read", g, 0)
	for at := time.Duration(0); at < 18*time.Second; at += 6 * time.Second {
		s.n.At(at, func() { s.src.Stream(int64(float64(s.path.Rate) / 8 * 2.8 * payloadBytes / packetBytes)) }) // 2.8 s of the bottleneck
	}
	if err := s.play(ctx, 18*time.Second); err != nil {
		return err
	}
	for _, from := range []time.Duration{6 * time.Second, 12 * time.Second} {
		r.need(fmt.Sprintf("full after the pause at %v", from), seconds(s.reaches("sent", from, 100*ms, 90)), "s", most, 0.5)
	}
	r.note("loss", s.dropped(), "%")
	return nil
}
