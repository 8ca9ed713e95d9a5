package main

import (
	"context"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/sim"
)

const (
	payloadBytes = 1408                           // of a full packet of a stream
	packetBytes  = payloadBytes + 16 + 8 + 40 + 8 // with PGM, UDP and IPv6 headers
	leastQueue   = 32 * packetBytes               // of a bottleneck
	endless      = int64(1) << 50                 // bytes to write: more than any case lasts
	ms           = time.Millisecond
)

// Path is a way with a bottleneck on it.
type Path struct {
	Rate flow.Rate
	RTT  time.Duration
}

// queue is one bandwidth-delay product, in bytes, and 32 packets at least.
func (p Path) queue() int { return max(int(p.Rate.Bytes(p.RTT)), leastQueue) }

// down is the direction with the bottleneck, up that of what receivers send.
func (p Path) down() netem.Impairment {
	return netem.Impairment{Rate: int64(p.Rate), LimitBytes: p.queue(), Delay: p.RTT / 2}
}
func (p Path) up() netem.Impairment { return netem.Impairment{Delay: p.RTT / 2} }

// near reports whether a path counts as one link, with hop limit 1.
func (p Path) near() bool { return p.RTT <= ms }

// world is a simulated network in which all receivers are behind one bottleneck:
//
//	sources ── root ── neck ── receivers
type world struct {
	n    *sim.Network
	path Path
	neck *sim.Switch
	past netem.LinkStats // of links that the neck had before
}

func newWorld(p Path, seed uint64) *world { return newWorldOf(p, sim.Config{Seed: seed}) }

func newWorldOf(p Path, cfg sim.Config) *world {
	w := &world{n: sim.New(cfg), path: p}
	w.neck = w.n.Branch(nil, p.down(), p.up())
	return w
}

// source adds a source that adapts (fixed 0), or has a fixed rate.
func (w *world) source(fixed flow.Rate, more ...func(*session.SourceConfig)) *sim.Source {
	return w.n.Source(sim.SourceConfig{Engine: func(c *session.SourceConfig) {
		c.Parity = fec.Config{}.WithDefaults()
		if w.path.near() {
			c.InitialGRTT, c.InitialGroup = 10*ms, 10 // as transport has it for hop limit 1
		}
		if c.Rate = fixed; fixed == 0 {
			adapt(c, w.path)
		}
		for _, f := range more {
			f(c)
		}
	}})
}

// receivers adds receivers behind the neck, or elsewhere.
func (w *world) receivers(count int, cfg sim.GroupConfig) *sim.Group {
	if cfg.Switch == nil {
		cfg.Switch = w.neck
	}
	more := cfg.Engine
	cfg.Engine = func(c *session.PeersConfig) {
		if w.path.near() {
			c.HopLimit = 1
		}
		if more != nil {
			more(c)
		}
	}
	return w.n.Receivers(count, cfg)
}

// run lets the network work for d, and calls f after each step.
func (w *world) run(ctx context.Context, d, step time.Duration, f func()) error {
	for end := w.n.Now() + d; w.n.Now() < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.n.Run(min(step, end-w.n.Now())); err != nil {
			return err
		}
		if f != nil {
			f()
		}
	}
	return nil
}

// watch is a Series that is being filled.
type watch struct {
	Series
	probes []func() float64
}

// add adds a track whose values f returns at the end of each step.
func (s *watch) add(name, unit string, f func() float64) {
	s.Tracks = append(s.Tracks, Track{Name: name, Unit: unit})
	s.probes = append(s.probes, f)
}

// flow adds a track of what a counter of bytes gained in each step, in Mbit/s.
func (s *watch) flow(name string, bytes func() uint64) {
	last := bytes()
	s.add(name, "Mbit/s", func() float64 {
		now := bytes()
		v := megabits(now-last, s.Step)
		last = now
		return v
	})
}

func (s *watch) sample() {
	for i, f := range s.probes {
		s.Tracks[i].Values = append(s.Tracks[i].Values, f())
	}
}

func megabits(bytes uint64, over time.Duration) float64 {
	return float64(bytes) * 8 / over.Seconds() / 1e6
}

// megarate is a rate in the unit of figures.
func megarate(r flow.Rate) float64 { return float64(r) / 1e6 }

// ip turns bytes of payload into bytes of full IP packets.
func ip(payload uint64) uint64 { return uint64(float64(payload) / payloadBytes * packetBytes) }

// read returns a counter of what receiver i of a group has read, in bytes of full IP packets.
func read(g *sim.Group, i int) func() uint64 {
	last := uint64(0)
	return func() uint64 {
		if st, ok := g.Receiver(i); ok {
			last = ip(st.Bytes)
		}
		return last
	}
}

// set changes the link of the neck.
func (w *world) set(down netem.Impairment) {
	old, _ := w.neck.LinkStats()
	w.past.Bytes += old.Bytes
	w.past.Packets += old.Packets
	w.past.Overflow += old.Overflow
	w.neck.SetLinks(down, w.path.up())
}

// offered returns a counter of bytes that were given to the neck.
func (w *world) offered() uint64 {
	down, _ := w.neck.LinkStats()
	return w.past.Bytes + down.Bytes
}

// queueing returns counters of packets that were given to the neck, and of those that its queue did not take.
func (w *world) queueing() (packets, dropped uint64) {
	down, _ := w.neck.LinkStats()
	return w.past.Packets + down.Packets, w.past.Overflow + down.Overflow
}

// queued returns how long the queue at the neck is, in ms.
func (w *world) queued() float64 {
	down, _ := w.neck.Backlog()
	return milliseconds(down)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(ms) }
