package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/sim"
	"github.com/rmcast/rmcast/wire"
)

// Result is what a scheme did in a cell.
type Result struct {
	Cell
	Scheme  Scheme
	Minimum float64 // packets per data packet
	Start   Costs   // of the groups that begin in the first second
	Costs   Costs   // of those after
	Open    int     // losses that were never repaired, of all groups
	Took    time.Duration
}

// Costs are sums over groups.
type Costs struct {
	Groups                 int
	Data                   int // packets, each once
	Replays, Parity, Ahead int // packets: repairs by number, parity that was asked for, parity that was not
	NAKs, NCFs, SPMs       int // packets
	Bytes                  int // of all that the source sent, with headers
	Recovery               Spread
}

// Spread is what a lot of durations come to.
type Spread struct {
	Count         int
	P50, P99, Max time.Duration
	Low, High     time.Duration // p99 of endlessly many lies between these, with 95 %; High is never if there are too few to tell
}

// never is longer than anything takes.
const never = time.Duration(math.MaxInt64)

// recovery is how long one took, of a packet of that group.
type recovery struct {
	took  time.Duration
	group int
}

// packets returns how many packets went out per data packet, and bytes how many bytes per useful byte.
func (c *Costs) packets() float64 {
	return ratio(c.Data+c.Replays+c.Parity+c.Ahead, c.Data)
}
func (c *Costs) bytes() float64         { return ratio(c.Bytes, c.Data*payloadBytes) }
func (c *Costs) perGroup(n int) float64 { return ratio(n, c.Groups) }

// leastBytes is the minimum in bytes per useful byte, of packets as long as data packets.
func (r *Result) leastBytes() float64 { return r.Minimum * dataBytes / payloadBytes }

func ratio(a, b int) float64 { return float64(a) / float64(max(b, 1)) }

// spread sorts d, of so many groups from the first one on.
func spread(d []recovery, first, groups int) Spread {
	n := len(d)
	if n == 0 {
		return Spread{}
	}
	slices.SortFunc(d, func(a, b recovery) int { return cmp.Compare(a.took, b.took) })
	rank := func(r int) time.Duration { return d[min(max(r, 1), n)-1].took }
	s := Spread{Count: n, P50: rank((n + 1) / 2), P99: rank((99*n + 99) / 100), Max: d[n-1].took}

	// The ranks between which the true p99 has its place (Woodruff). Packets of a group are repaired together, and a plan lasts for many
	// groups: as good as that many independent recoveries are n/design of them.
	away := 2 * math.Sqrt(0.99*0.01*design(d, s.P99, first, groups)/float64(n)) * float64(n)
	s.Low, s.High = rank(int(math.Floor(0.99*float64(n)-away))), never
	if r := math.Ceil(0.99*float64(n) + away); r <= float64(n) {
		s.High = rank(int(r))
	}
	return s
}

// mostBatches is how many parts the groups are cut into, to see how much these differ.
const mostBatches = 48

// design returns by how much the share of d that takes longer than x scatters more than that of as many independent ones would, as variances
// and from one batch of groups to the other: at least 1.
func design(d []recovery, x time.Duration, first, groups int) float64 {
	var all, late [mostBatches]float64
	batches, lates := min(groups, mostBatches), 0.0
	for _, r := range d {
		b := (r.group - first) * batches / groups
		all[b]++
		if r.took > x {
			late[b]++
			lates++
		}
	}
	n := float64(len(d))
	share := lates / n
	if batches < 2 || share == 0 {
		return 1
	}
	squares := 0.0
	for b := range batches {
		off := late[b] - share*all[b]
		squares += off * off
	}
	return max(1, squares*float64(batches)/float64(batches-1)/(n*share*(1-share)))
}

// lab is a cell at work.
type lab struct {
	cell   Cell
	n      *sim.Network
	src    *sim.Source
	g      *sim.Group
	total  int             // data packets that will be sent
	sent   []time.Duration // data packets, when
	first  int             // number of the first packet that counts,
	past   int             // and of the first one after them
	costs  [3]Costs        // start-up, what counts, what comes after
	delays [3][]recovery

	missing []uint64 // bits: what links lost and was not recovered, by receiver and number
	open    int      // how many are set
}

const (
	warmUp   = 5 * time.Second // for sessions to begin and the first probes
	step     = 100 * time.Millisecond
	patience = 5 * time.Minute // after the last data
)

// measureAll runs schemes in a cell, as many at a time as there are processors, and takes from known what is there.
func measureAll(ctx context.Context, c Cell, schemes []Scheme, known []Result) ([]Result, error) {
	results, errs := make([]Result, len(schemes)), make([]error, len(schemes))
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	var all sync.WaitGroup
	for i, s := range schemes {
		if at := slices.IndexFunc(known, func(r Result) bool { return r.Cell == c && r.Scheme == s }); at >= 0 {
			results[i] = known[at]
			continue
		}
		free <- struct{}{}
		all.Go(func() {
			if results[i], errs[i] = measure(ctx, c, s); errs[i] != nil {
				errs[i] = fmt.Errorf("%v, %s, seed %d: %w", c, s, c.Seed, errs[i])
			}
			<-free
		})
	}
	all.Wait()
	return results, errors.Join(errs...)
}

// measure runs a scheme in a cell.
func measure(ctx context.Context, c Cell, s Scheme) (Result, error) {
	began := time.Now()
	l := &lab{cell: c}
	l.first = c.startup() * groupSize
	l.past = l.first + c.Groups*groupSize
	l.total = l.past + c.tail()*groupSize
	l.missing = make([]uint64, (c.Receivers*l.total+63)/64)
	l.build(s)
	r := Result{Cell: c, Scheme: s, Minimum: s.minimum(c)}
	if err := l.run(ctx); err != nil {
		return r, err
	}
	r.Start, r.Costs = l.costs[0], l.costs[1]
	r.Start.Groups, r.Costs.Groups = c.startup(), c.Groups
	r.Start.Recovery, r.Costs.Recovery = spread(l.delays[0], 0, c.startup()), spread(l.delays[1], c.startup(), c.Groups)
	r.Open = l.open
	if st := l.g.Stats(); int(st.Sessions.Accepted) != c.Receivers || r.Start.Data != l.first || r.Costs.Data != l.past-l.first {
		return r, fmt.Errorf("%d of %d receivers know the source, %d packets sent of %d", st.Sessions.Accepted, c.Receivers, len(l.sent), l.total)
	}
	r.Took = time.Since(began)
	return r, nil
}

// build makes the network.
func (l *lab) build(s Scheme) {
	c := l.cell
	l.n = sim.New(sim.Config{Seed: c.Seed, Kinds: sim.Of(sim.Sent, sim.Lost, sim.Arrived, sim.Engine), Trace: l.trace})
	l.src = l.n.Source(sim.SourceConfig{Engine: func(e *session.SourceConfig) {
		e.Parity = s.config()
		e.Rate, e.WindowAge = c.Rate, time.Minute // nothing is lost for good
		e.Slots = 1 << 16
		if c.link() {
			e.InitialGRTT, e.InitialGroup = 10*time.Millisecond, 10 // as transport has it for hop limit 1
		}
	}})
	link := netem.Impairment{Delay: c.RTT / 2, Loss: c.Loss}
	l.g = l.n.Receivers(c.Receivers, sim.GroupConfig{Down: link, Up: link, Hollow: true, Engine: func(p *session.PeersConfig) {
		p.RepairTimeout = time.Minute
		if c.link() {
			p.HopLimit = 1
		}
	}})
}

// run sends everything and waits until everybody has it.
func (l *lab) run(ctx context.Context) error {
	if err := l.n.Run(warmUp); err != nil {
		return err
	}
	l.write()
	end := time.Duration(0)
	for l.g.Complete() < l.cell.Receivers {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.n.Run(step); err != nil {
			return err
		}
		switch {
		case len(l.sent) < l.total:
		case end == 0:
			end = l.n.Now()
		case l.n.Now() > end+patience:
			return nil // Open tells
		}
	}
	return nil
}

// write has the application write all it has to.
func (l *lab) write() {
	b := make([]byte, payloadBytes)
	from, spacing := l.n.Now(), l.cell.spacing()
	wrote := 0
	var next func()
	next = func() {
		if wrote == l.total {
			l.src.Finish()
			return
		}
		l.src.WriteMessage(b)
		wrote++
		l.n.At(from+time.Duration(wrote)*spacing, next)
	}
	next()
}

// phase tells what a number belongs to: 0 for the start-up, 1 for what counts, 2 for what comes after.
func (l *lab) phase(n int) int {
	switch {
	case n < l.first:
		return 0
	case n < l.past:
		return 1
	}
	return 2
}

// trace takes what the network tells.
func (l *lab) trace(e *sim.Event) {
	switch e.Kind {
	case sim.Sent:
		l.packet(e)
	case sim.Lost:
		if p := e.Packet; p.Type == wire.TypeODATA && p.Flags&wire.FlagParity == 0 {
			l.miss(e.Host, int(p.Sqn))
		}
	case sim.Arrived: // of what was not found missing yet, nothing more is told
		if p := e.Packet; p.Type == wire.TypeRDATA && p.Flags&wire.FlagParity == 0 {
			l.recovered(e, int(p.Sqn))
		}
	case sim.Engine:
		if e.Session.Kind == session.EventRepaired {
			l.recovered(e, int(e.Session.Range.From))
		}
	}
}

// bit says where it is noted that a receiver misses a number.
func (l *lab) bit(host, n int) (word *uint64, mask uint64) {
	i := (host-l.g.Host(0))*l.total + n
	return &l.missing[i/64], 1 << (i % 64)
}

// miss notes that a receiver's link lost a number.
func (l *lab) miss(host, n int) {
	word, mask := l.bit(host, n)
	*word |= mask
	l.open++
}

// recovered books that a receiver has a number, if it missed it.
func (l *lab) recovered(e *sim.Event, n int) {
	word, mask := l.bit(e.Host, n)
	if *word&mask == 0 {
		return
	}
	*word &^= mask
	l.open--
	k := l.phase(n)
	l.delays[k] = append(l.delays[k], recovery{e.At - l.sent[n] - l.cell.RTT/2, n / groupSize})
}

// packet books a packet that was sent.
func (l *lab) packet(e *sim.Event) {
	p := e.Packet
	parity := p.Flags&wire.FlagParity != 0
	n := int(p.Sqn)
	switch p.Type {
	case wire.TypeODATA:
		if !parity {
			l.sent = append(l.sent, e.At)
		}
	case wire.TypeRDATA, wire.TypeNAK, wire.TypeNCF:
	case wire.TypeSPM:
		if n = len(l.sent); n == 0 {
			return
		}
	default:
		return
	}
	c := &l.costs[l.phase(n)]
	switch p.Type {
	case wire.TypeODATA:
		if parity {
			c.Ahead++
		} else {
			c.Data++
		}
	case wire.TypeRDATA:
		if parity {
			c.Parity++
		} else {
			c.Replays++
		}
	case wire.TypeNCF:
		c.NCFs++
	case wire.TypeSPM:
		c.SPMs++
	case wire.TypeNAK:
		c.NAKs++
		return // no bytes of the source
	}
	c.Bytes += len(e.Raw) + headerBytes
}
