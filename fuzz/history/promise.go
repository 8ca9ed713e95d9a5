package history

import (
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
)

// A promise says that a receiver can lose nothing of a source, whatever the random numbers are: what fails must fail at least tries times
// in a row, each time with a probability of at most mostLoss, which is less than 1e-12. It holds where
//
//   - the receiver is there before the source, stays, is reliable (neither ReceiveOnly nor MaxDelay), and its windows hold all that the
//     source ever writes, so that it may stall;
//   - the source never resets, has a slot for each packet it ever writes, and a rate that takes half a second for them;
//   - on the way there and back together at most mostLoss of the packets are lost or damaged, independently of each other; outages
//     take at most mostOutage of any second; nothing is too long for a link, and no queue can overflow or grow long;
//   - the way there and back takes at most mostRTT. So a receiver asks at least ten times within the quarter of a second of silence after
//     which a source that has finished may leave, and hears of the end sixteen times (session: quietMin, quietCycles, finSteady);
//   - whatever round trip time the group believes in, RepairTimeout, WindowAge and Linger are long enough for tries rounds, each
//     of a back-off of at most four of them and an interval of at most half a second or two of them (nack.Interval, maxInterval).
const (
	tries      = 10
	mostLoss   = 0.05
	mostOutage = 50 * time.Millisecond
	mostRTT    = 40 * time.Millisecond
)

// cost is what the worst of a link's states does to packets.
type cost struct {
	loss   float64
	delay  time.Duration
	outage time.Duration
	unsure bool // may lose more than the mean
	slow   bool // may delay for long
}

func costOf(i netem.Impairment) cost {
	c := cost{loss: i.Loss + i.Corrupt, delay: i.Delay + i.Jitter}
	if i.Distribution != netem.Uniform {
		c.delay += 5 * i.Jitter // tables end before
	}
	c.unsure = i.LossCorrelation > 0 || i.CorruptCorrelation > 0 || i.GE != nil || i.Markov != nil || i.Every > 0 || i.MTU > 0 ||
		i.LimitBytes > 0 || i.Limit > 0
	c.slow = i.Rate > 0
	for _, o := range i.Down {
		c.outage += o.For
		c.unsure = c.unsure || o.Every > 0 && o.Every < time.Second
	}
	return c
}

// or returns the worse of both in every respect.
func (c cost) or(d cost) cost {
	return cost{max(c.loss, d.loss), max(c.delay, d.delay), max(c.outage, d.outage), c.unsure || d.unsure, c.slow || d.slow}
}

// and returns one after the other.
func (c cost) and(d cost) cost {
	both := c.or(d)
	both.loss, both.delay, both.outage = c.loss+d.loss, c.delay+d.delay, c.outage+d.outage
	return both
}

// ways are the costs of both directions.
type ways struct{ down, up cost }

func waysOf(down, up netem.Impairment) ways { return ways{costOf(down), costOf(up)} }

func (w ways) or(x ways) ways  { return ways{w.down.or(x.down), w.up.or(x.up)} }
func (w ways) and(x ways) ways { return ways{w.down.and(x.down), w.up.and(x.up)} }

// planned is what the steps say of a source or a group, all together.
type planned struct {
	step    int
	source  *Source
	group   *Group
	ways    ways
	bytes   int64
	packets int // at most
	longest int
	reset   bool
	moves   []bool // by member: leaves or restarts
}

// promises returns for each source and receiver whether the receiver can lose nothing: that of source k and receiver i is at
// k*receivers+i.
func promises(h *History) []bool {
	trunks := []ways{{}}
	parents := []int{0}
	var srcs, grps []*planned
	hosts := 0
	for i := range h.Steps {
		s := &h.Steps[i]
		switch a := s.Args.(type) {
		case *Branch:
			trunks, parents = append(trunks, waysOf(a.Down, a.Up)), append(parents, a.On)
		case *Source:
			srcs = append(srcs, &planned{step: i, source: a, ways: waysOf(a.Down, a.Up)})
		case *Group:
			grps = append(grps, &planned{step: i, group: a, ways: waysOf(a.Down, a.Up), moves: make([]bool, a.count())})
			hosts += a.count()
		case *Links:
			if s.Do == ChangeBranch {
				trunks[s.Who] = trunks[s.Who].or(waysOf(a.Down, a.Up))
			} else {
				grps[s.Who-1].ways = grps[s.Who-1].ways.or(waysOf(a.Down, a.Up))
			}
		case *Write:
			p := srcs[s.Who-1]
			p.bytes += int64(a.Bytes) * int64(a.times())
			p.packets += (a.Bytes/400 + 2) * a.times()
			p.longest = max(p.longest, a.Bytes)
		case *Reset:
			srcs[s.Who-1].reset = true
		}
		if s.Do == Leave || s.Do == Restart {
			moves := grps[s.Who-1].moves
			for m := range moves {
				moves[m] = moves[m] || s.Member == 0 || s.Member == m+1
			}
		}
	}
	// From the root to each host, and to all of them.
	route := func(p *planned, on int) {
		for ; on > 0; on = parents[on] {
			p.ways = p.ways.and(trunks[on])
		}
	}
	for _, p := range srcs {
		route(p, p.source.On)
	}
	farthest, slow := time.Duration(0), false
	for _, p := range grps {
		route(p, p.group.On)
		farthest = max(farthest, p.ways.down.delay+p.ways.up.delay)
		slow = slow || p.ways.down.slow || p.ways.up.slow
	}
	out := make([]bool, len(srcs)*hosts)
	for k, s := range srcs {
		i := 0
		for _, g := range grps {
			ok := s.holdsAll() && g.takesAll(s, len(srcs)) && s.reaches(g, farthest, slow)
			for _, moves := range g.moves {
				out[k*hosts+i] = ok && !moves
				i++
			}
		}
	}
	return out
}

// holdsAll reports whether the source keeps all that it writes until the end.
func (p *planned) holdsAll() bool {
	s := p.source
	slots, rate := s.Slots, s.Rate
	if slots == 0 {
		slots = 32768
	}
	if rate == 0 {
		rate = 100 * flow.Mbps
	}
	fair := (s.Repairs == 0 || s.Repairs >= 0.25) && (s.Share == 0 || s.Share >= 0.1) && (s.Ambient == 0 || s.Ambient <= time.Second)
	return !p.reset && 2*p.packets < slots && rate.Duration(p.bytes) < time.Second/2 && fair
}

// takesAll reports whether receivers of the group have room for all of source s, and want all of it.
func (p *planned) takesAll(s *planned, sources int) bool {
	g := p.group
	chunks := int64(s.packets/44+1) + s.bytes>>15 + 4
	return p.step < s.step && !g.ReceiveOnly && g.MaxDelay == 0 && g.Backoff == 0 && g.Repeat == 0 && g.Data == 0 &&
		(g.Window == 0 || g.Window > s.packets) && (g.Memory == 0 || g.Memory > chunks<<16) && (g.MaxMessage == 0 || g.MaxMessage >= s.longest) &&
		(g.MaxSources == 0 || g.MaxSources >= sources) && (g.Expiry == 0 || g.Expiry >= 30*time.Second)
}

// reaches reports whether the network between source p and a group lets repairs through, and the times are long enough for it. farthest is
// the longest round trip time of all receivers but for the source's own link, slow whether a link of theirs may make it any longer.
func (p *planned) reaches(g *planned, farthest time.Duration, slow bool) bool {
	there := p.ways.up.and(g.ways.down)
	back := p.ways.down.and(g.ways.up)
	loop := there.and(back)
	s := p.source
	rate := s.Rate
	if rate == 0 {
		rate = 100 * flow.Mbps
	}
	grtt := max(s.GRTT, 2*(farthest+p.ways.up.delay+p.ways.down.delay))
	if s.GRTT == 0 {
		grtt = max(grtt, 500*time.Millisecond)
	}
	if slow || p.ways.up.slow || p.ways.down.slow {
		return false
	}
	long := tries * (6*grtt + 500*time.Millisecond)
	timeout, age, linger := g.group.Timeout, s.Age, s.Linger
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	return !loop.unsure && loop.loss <= mostLoss && loop.delay <= mostRTT && loop.outage <= mostOutage &&
		timeout >= long && age >= long && linger >= long && rate >= 500*flow.Kbps
}
