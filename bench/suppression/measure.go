package main

import (
	"context"
	"fmt"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/nack"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/sim"
	"github.com/rmcast/rmcast/wire"
)

// Result is what was measured in a cell.
type Result struct {
	Cell
	Packets  int           // data packets sent, the first ones of a cold start included
	First    Costs         // of the first Cold loss events
	Costs    Costs         // of the others
	Recovery Spread        // from when the packet would have come to when the data came
	Asked    Spread        // from when it was found missing to when the data came
	Excess   time.Duration // p99 of a recovery less three of the receiver's own round trips
	T        time.Duration // the backoff interval in force at the end
	GRTT     time.Duration // told to the group at the end
	Group    float64       // the same
	Probes   int           // SPMs that ask for round trip samples
	ACKs     int           // answers to them
	MostACKs int           // the most that one probe got
	Unfixed  uint64        // packets that were never repaired
	Took     time.Duration
	Engines  int // of receivers, at the end
}

// Costs are sums over loss events.
type Costs struct {
	Events   int
	Losers   int // receivers that lost the packet, in all
	NAKs     int // sent
	MostNAKs int // for one event
	NCFs     int // numbers in them
	Repairs  int
	Extra    int // repairs beyond the first
	Idle     int // repairs that nobody needed
}

// per returns what one event cost of what n counts in all.
func (c Costs) per(n int) float64 { return float64(n) / float64(max(c.Events, 1)) }

func (c *Costs) add(p *packet) {
	c.Events++
	c.Losers += p.losers
	c.NAKs += p.naks
	c.MostNAKs = max(c.MostNAKs, p.naks)
	c.NCFs += p.ncfs
	c.Repairs += len(p.repairs)
	c.Extra += max(len(p.repairs)-1, 0)
	for _, r := range p.repairs {
		if !r.used {
			c.Idle++
		}
	}
}

// packet is one data packet and what it cost.
type packet struct {
	sent               time.Duration
	losers, naks, ncfs int
	repairs            []repair
	recovery, asked    []sample // while it counts for the cold start or not is not known: see lab.settle
}

type repair struct {
	at   time.Duration
	used bool
}

type sample struct{ d, rtt time.Duration }

// lab is a cell at work.
type lab struct {
	cell    Cell
	n       *sim.Network
	src     *sim.Source
	groups  []*sim.Group
	delay   []time.Duration // by group, one way
	branch  *sim.Switch     // nil without a shared link
	packets []packet
	missing map[uint64]time.Duration // since when, by host and number
	result  Result
	probe   int // ACKs since the latest probe
	settled int // packets whose costs are summed up
	events  int

	recovery, asked, excess histogram
}

const warmUp = 5 * time.Second // for sessions to begin and the first probes

// measure runs a cell.
func measure(ctx context.Context, c Cell) (Result, error) {
	began := time.Now()
	l := &lab{cell: c, missing: map[uint64]time.Duration{}, result: Result{Cell: c}}
	l.build()
	if err := l.n.Run(warmUp); err != nil {
		return l.result, err
	}
	send := l.single
	if c.Stream {
		send = l.stream
	}
	if err := send(ctx); err != nil {
		return l.result, err
	}
	l.settle(len(l.packets))
	r := &l.result
	st := l.src.Stats()
	r.Packets, r.Took = len(l.packets), time.Since(began)
	r.Recovery, r.Asked, r.Excess = l.recovery.spread(), l.asked.spread(), l.excess.quantile(0.99)
	r.GRTT, r.Group = flow.DecodeGRTT(flow.EncodeGRTT(st.GRTT)), flow.DecodeGroupSize(flow.EncodeGroupSize(st.GroupSize))
	if r.T = c.Backoff; r.T == 0 {
		r.T = nack.Interval(r.GRTT, r.Group)
	}
	r.MostACKs = max(r.MostACKs, l.probe)
	for _, g := range l.groups {
		s := g.Stats()
		r.Unfixed += s.Lost
		if int(s.Sessions.Accepted) != s.Receivers {
			return *r, fmt.Errorf("%v: %d of %d receivers know the source", c, s.Sessions.Accepted, s.Receivers)
		}
	}
	r.Unfixed += uint64(len(l.missing))
	r.Engines = l.n.Stats().Engines
	return *r, nil
}

// build makes the network.
func (l *lab) build() {
	c := l.cell
	l.n = sim.New(sim.Config{Seed: c.Seed, Kinds: sim.Of(sim.Sent, sim.Engine), Trace: l.trace})
	l.src = l.n.Source(sim.SourceConfig{Engine: func(s *session.SourceConfig) {
		s.Rate = c.rate()
		s.Slots = 4096
		if c.link() {
			s.InitialGRTT, s.InitialGroup = 10*time.Millisecond, 10 // as transport has it for hop limit 1
		}
		if c.Law != Estimated { // the estimate reads NAKs by the other law
			s.GroupSize = float64(c.Receivers)
		}
	}})
	own, rest := lossRate, l.n.Root()
	if c.Loss != Independent {
		own = 0
		l.branch = l.n.Branch(nil, netem.Impairment{Loss: lossRate}, netem.Impairment{})
		rest = l.branch
	}
	if c.Loss == Half {
		rest = l.n.Root()
	}
	delays, counts := c.delays()
	before := 0
	for i, d := range delays {
		if c.Loss == Half {
			behind := (before+counts[i]+1)/2 - (before+1)/2
			before += counts[i]
			l.add(l.branch, d, behind, own)
			counts[i] -= behind
		}
		l.add(rest, d, counts[i], own)
	}
}

// add makes receivers that are d away.
func (l *lab) add(at *sim.Switch, d time.Duration, count int, loss float64) {
	if count == 0 {
		return
	}
	c, group := l.cell, len(l.groups)
	l.delay = append(l.delay, d)
	link := netem.Impairment{Delay: d, Loss: loss}
	l.groups = append(l.groups, l.n.Receivers(count, sim.GroupConfig{
		Switch: at, Down: link, Up: link, Hollow: true, Shared: true,
		Engine: func(p *session.PeersConfig) {
			p.UniformBackoff, p.NAKBackoff = c.Law == Uniform, c.Backoff
			p.MaxWindow = 4096
			if c.link() {
				p.HopLimit = 1
			}
		},
		Deliver: func(e *sim.Event) { l.delivered(e, group) },
	}))
}

// single sends single packets until enough of them were loss events.
func (l *lab) single(ctx context.Context) error {
	payload := make([]byte, 100)
	for range l.cell.packets() {
		if l.events >= l.cell.Cold+l.cell.Events {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if l.branch != nil {
			l.branch.SetLinks(netem.Impairment{Loss: 1}, netem.Impairment{})
			l.n.At(l.n.Now()+1, func() { l.branch.SetLinks(netem.Impairment{Loss: lossRate}, netem.Impairment{}) })
		}
		l.src.WriteMessage(payload)
		if err := l.n.Run(l.cell.spacing()); err != nil {
			return err
		}
		l.settle(len(l.packets))
	}
	return nil
}

const streamStep = 100 * time.Millisecond

// stream sends packets as the rate allows, until enough of them were loss events, and waits for the last repairs.
func (l *lab) stream(ctx context.Context) error {
	long := 3*l.cell.spacing() + 2*time.Second // until nothing more comes for a packet
	for len(l.packets) < l.cell.packets() && l.events < l.cell.Cold+l.cell.Events {
		if err := ctx.Err(); err != nil {
			return err
		}
		l.src.Stream(l.cell.rate().Bytes(streamStep) * 9 / 10) // SPMs and repairs take the rest
		if err := l.n.Run(streamStep); err != nil {
			return err
		}
		old := l.settled
		for old < len(l.packets) && l.packets[old].sent < l.n.Now()-long {
			old++
		}
		l.settle(old)
	}
	return l.n.Run(long)
}

// settle sums up the packets before the given one, for which nothing more will come.
func (l *lab) settle(before int) {
	for ; l.settled < before && l.events < l.cell.Cold+l.cell.Events; l.settled++ {
		p := &l.packets[l.settled]
		if p.losers == 0 {
			continue
		}
		l.events++
		if l.events <= l.cell.Cold {
			l.result.First.add(p)
		} else {
			l.result.Costs.add(p)
			for _, s := range p.recovery {
				l.recovery.add(s.d)
				l.excess.add(s.d - 3*s.rtt)
			}
			for _, s := range p.asked {
				l.asked.add(s.d)
			}
		}
		p.recovery, p.asked = nil, nil
	}
}

// trace takes what the network tells.
func (l *lab) trace(e *sim.Event) {
	if e.Kind == sim.Engine {
		l.engine(e)
		return
	}
	switch p := e.Packet; p.Type {
	case wire.TypeODATA:
		l.packets = append(l.packets, packet{sent: e.At})
	case wire.TypeRDATA:
		k := &l.packets[p.Sqn]
		k.repairs = append(k.repairs, repair{at: e.At})
	case wire.TypeNAK:
		for _, n := range p.Numbers(nil) {
			l.packets[n].naks++
		}
	case wire.TypeNCF:
		for _, n := range p.Numbers(nil) {
			l.packets[n].ncfs++
		}
	case wire.TypeACK:
		l.result.ACKs++
		l.probe++
	case wire.TypeSPM:
		if p.Options.Peer.Flags&1 != 0 {
			l.result.Probes++
			l.result.MostACKs = max(l.result.MostACKs, l.probe)
			l.probe = 0
		}
	}
}

// engine takes what a receiver's engine tells of a number.
func (l *lab) engine(e *sim.Event) {
	r := e.Session.Range
	switch e.Session.Kind {
	case session.EventMissing:
		for n := r.From; n != r.To; n++ {
			l.missing[uint64(e.Host)<<32|uint64(n)] = e.At
			if l.cell.Stream {
				l.packets[n].losers++
			}
		}
	case session.EventRepaired:
		key := uint64(e.Host)<<32 | uint64(r.From)
		p := &l.packets[r.From]
		d := l.oneWay(e.Host)
		p.asked = append(p.asked, sample{e.At - l.missing[key], 2 * d})
		delete(l.missing, key)
		if l.cell.Stream {
			l.recovered(p, e.At, d)
		}
	}
}

// oneWay returns how far a receiver is.
func (l *lab) oneWay(host int) time.Duration {
	for i, g := range l.groups {
		if host < g.Host(0)+g.Len() {
			return l.delay[i]
		}
	}
	panic("BUG: a receiver in no group")
}

// delivered takes what an application reads, packet for packet, in time or late.
func (l *lab) delivered(e *sim.Event, group int) {
	if l.cell.Stream {
		return // in order, behind what is missing: of no use here
	}
	p := &l.packets[len(l.packets)-1]
	if e.At > p.sent+l.delay[group] {
		p.losers++
		l.recovered(p, e.At, l.delay[group])
	}
}

// recovered books the data that came at last to a receiver d away.
func (l *lab) recovered(p *packet, at, d time.Duration) {
	p.recovery = append(p.recovery, sample{at - d - p.sent, 2 * d})
	for i := range p.repairs {
		if p.repairs[i].at == at-d {
			p.repairs[i].used = true
		}
	}
}
