package history

import (
	"cmp"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

// Size says how large histories are that Generate makes.
type Size uint8

// The sizes.
const (
	Short Size = iota // some tens of packets and at most eight receivers: a fraction of a millisecond to run
	Long              // some thousand packets, up to forty receivers
)

// Generate returns the history of a seed: the same for ever, until the generator is changed. About half of them are gentle, with
// settings and links such that nothing can be lost.
func Generate(seed uint64, size Size) *History {
	g := &generator{rng: rand.New(rand.NewPCG(seed, 0x6869_7374_6f72_79)), h: &History{Seed: seed}, long: size == Long}
	g.history()
	return g.h
}

type generator struct {
	rng    *rand.Rand
	h      *History
	long   bool
	gentle bool
	span   time.Duration // in which things are done
}

func (g *generator) chance(p float64) bool { return g.rng.Float64() < p }

// between returns a number from low to high, each power of two being as likely.
func (g *generator) between(low, high int64) int64 {
	high = max(low, high)
	base := low << g.rng.IntN(bits.Len64(uint64(high/low)))
	return min(base+g.rng.Int64N(base), high)
}

func (g *generator) duration(low, high time.Duration) time.Duration {
	return max(time.Duration(g.between(int64(low), int64(high))).Round(time.Microsecond), time.Microsecond)
}

// pick returns one of a list.
func pick[T any](g *generator, of ...T) T { return of[g.rng.IntN(len(of))] }

// upTo returns 0 to most: each more with probability p.
func (g *generator) upTo(most int, p float64) int {
	n := 0
	for n < most && g.chance(p) {
		n++
	}
	return n
}

func (g *generator) instant() time.Duration {
	return time.Duration(g.rng.Int64N(int64(g.span))).Round(time.Microsecond)
}

func (g *generator) add(at time.Duration, do Verb, who, member int, args any) {
	g.h.Steps = append(g.h.Steps, Step{At: at, Do: do, Who: who, Member: member, Args: args})
}

func (g *generator) history() {
	g.h.V4 = g.chance(0.4)
	g.gentle = g.chance(0.5)
	g.span = g.duration(5*time.Millisecond, 1500*time.Millisecond)
	most, mostSources, mostGroups := 2, 3, 3
	if g.long {
		g.span *= 4
		most, mostSources, mostGroups = 6, 5, 6
	}
	nb := g.upTo(most, 0.35)
	for i := range nb {
		down, up := g.twoLinks(false)
		g.add(0, AddBranch, i+1, 0, &Branch{On: g.rng.IntN(i + 1), Down: down, Up: up})
	}
	ns, ng := 1+g.upTo(mostSources-1, 0.3), 1+g.upTo(mostGroups-1, 0.4)
	counts := make([]int, ng)
	left := 8
	if g.long {
		left = 40
	}
	type host struct {
		at  time.Duration
		of  Verb
		arg any
	}
	var hosts []host
	for i := range ng {
		counts[i] = 1 + g.upTo(min(left-(ng-i), 7+g.rng.IntN(left)), 0.45)
		left -= counts[i]
		at := time.Duration(0)
		if g.chance(0.2) {
			at = g.instant()
		}
		hosts = append(hosts, host{at, AddGroup, g.group(nb, counts[i])})
	}
	for range ns {
		at := time.Duration(0)
		if g.chance(0.15) {
			at = g.instant()
		}
		hosts = append(hosts, host{at, AddSource, g.source(nb)})
	}
	g.rng.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	if g.gentle {
		slices.SortStableFunc(hosts, func(a, b host) int { return int(b.of) - int(a.of) })
	}
	slices.SortStableFunc(hosts, func(a, b host) int { return cmp.Compare(a.at, b.at) })
	si, gi := 0, 0
	for _, x := range hosts {
		if x.of == AddSource {
			si++
			g.add(x.at, AddSource, si, 0, x.arg)
			g.writes(si, x.at, x.arg.(*Source))
		} else {
			gi++
			g.add(x.at, AddGroup, gi, 0, x.arg)
			g.life(gi, x.at, x.arg.(*Group).Count)
		}
	}
	for i := range nb {
		if g.chance(0.1) {
			down, up := g.twoLinks(false)
			g.add(g.instant(), ChangeBranch, i+1, 0, &Links{Down: down, Up: up})
		}
	}
	slices.SortStableFunc(g.h.Steps, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
}

// twoLinks returns both directions of a link: alike, or not. last says that it is a receiver's.
func (g *generator) twoLinks(last bool) (down, up netem.Impairment) {
	down = g.link(last)
	if g.chance(0.3) {
		return down, g.link(last)
	}
	up = down
	if !g.gentle && g.chance(0.5) {
		up.MTU = 0
	}
	return down, up
}

// link returns one direction. Only those of receivers damage packets: two bits that turn on two links may leave the checksum as it was.
func (g *generator) link(last bool) (i netem.Impairment) {
	if g.chance(0.25) {
		return i
	}
	if g.chance(0.8) {
		i.Delay = g.duration(10*time.Microsecond, 3*time.Millisecond)
		if !g.gentle && g.chance(0.3) {
			i.Delay = g.duration(time.Millisecond, 80*time.Millisecond)
		}
		if g.chance(0.4) {
			i.Jitter = g.duration(time.Microsecond, i.Delay)
			i.Distribution = pick(g, netem.Uniform, netem.Uniform, netem.Uniform, netem.Normal, netem.Pareto, netem.ParetoNormal)
			if g.chance(0.2) {
				i.DelayCorrelation = 0.25
			}
		}
		if g.chance(0.2) {
			i.Reorder = pick(g, 0.01, 0.05, 0.3)
			i.Gap = pick(g, 0, 0, 2, 5)
		}
	}
	if g.chance(0.2) {
		i.Duplicate = pick(g, 0.01, 0.05, 0.2, 1)
	}
	if last && g.chance(0.25) {
		i.Corrupt = pick(g, 0.001, 0.005)
		if !g.gentle {
			i.Corrupt *= 10
		}
	}
	if g.gentle {
		if g.chance(0.6) {
			i.Loss = pick(g, 0.002, 0.005, 0.01, 0.02)
		}
		if g.chance(0.05) {
			i.Down = []netem.Outage{{From: g.instant(), For: g.duration(time.Millisecond, 40*time.Millisecond)}}
		}
		return i
	}
	g.roughen(&i)
	return i
}

// roughen adds what may lose packets for good.
func (g *generator) roughen(i *netem.Impairment) {
	switch g.rng.IntN(8) {
	case 0, 1, 2:
		i.Loss = pick(g, 0.01, 0.05, 0.1, 0.3)
		if g.chance(0.15) {
			i.LossCorrelation = 0.3
		}
	case 3:
		i.GE = &netem.GilbertElliott{P: pick(g, 0.01, 0.05), R: pick(g, 0.1, 0.3, 0.6), H1: pick(g, 0.5, 1), K1: pick(g, 0, 0.001)}
	case 4:
		i.Every = pick(g, 2, 3, 7, 20)
	case 5:
		if g.chance(0.4) {
			i.Markov = &netem.Markov4{P13: 0.05, P31: 0.4, P32: 0.2, P23: 0.5, P14: 0.01}
		}
	}
	if g.chance(0.15) {
		i.Rate = g.between(200e3, 50e6)
		i.Limit = pick(g, 0, 3, 20, 200)
		if g.chance(0.2) {
			i.LimitBytes = pick(g, 3000, 20_000)
		}
	}
	if g.chance(0.03) {
		i.MTU = pick(g, 300, 600, 1499)
	}
	for g.chance(0.12) {
		o := netem.Outage{From: g.instant(), For: g.duration(time.Millisecond, 2*time.Second)}
		if g.chance(0.3) {
			o.Every = o.For + g.duration(10*time.Millisecond, time.Second)
		}
		i.Down = append(i.Down, o)
	}
}

func (g *generator) source(branches int) *Source {
	s := &Source{On: g.rng.IntN(branches + 1)}
	s.Up, s.Down = g.twoLinks(false)
	s.Rate = flow.Rate(g.between(2000, 300_000)) * flow.Kbps
	if g.chance(0.1) {
		s.Rate = flow.Unlimited
	}
	if g.chance(0.3) {
		s.First = pick(g, math.MaxUint32-uint32(g.rng.IntN(40)), 1<<31-uint32(g.rng.IntN(20)), g.rng.Uint32())
	}
	if g.chance(0.2) {
		s.MTU = pick(g, 1280, 1400, 4000, 9000)
		if g.h.V4 && g.chance(0.5) {
			s.MTU = 576
		}
	}
	s.GRTT, s.Group = pick(g, 5*time.Millisecond, 20*time.Millisecond, 50*time.Millisecond), pick(g, 3, 10, 10, 100)
	if g.chance(0.15) {
		s.GRTT, s.Group = 0, 0
	}
	if g.chance(0.1) {
		s.Repairs = pick(g, 0.25, 0.5, 1)
	}
	if g.chance(0.1) {
		s.Share = pick(g, 0.1, 1)
	}
	if g.chance(0.5) {
		g.parity(s)
	}
	if g.gentle {
		s.Slots = pick(g, 1024, 4096, 32768)
		s.Age, s.Linger = 60*time.Second, 60*time.Second
		return s
	}
	s.Slots = 1 << (1 + g.rng.IntN(10))
	s.Age = g.duration(50*time.Millisecond, 10*time.Second)
	s.Linger = g.duration(20*time.Millisecond, 3*time.Second)
	if g.chance(0.3) {
		s.Hold = min(g.duration(time.Millisecond, 200*time.Millisecond), s.Age)
	}
	if g.chance(0.2) {
		s.Ambient = g.duration(20*time.Millisecond, 5*time.Second)
	}
	return s
}

// parity has s make parity.
func (g *generator) parity(s *Source) {
	s.Parity = pick(g, 2, 4, 8, 8, 16, 64, 64, 128)
	s.Goal = g.rng.IntN(3)
	if s.Goal == int(fec.LeastDelay) {
		s.Within = pick(g, 0, 0.1, 0.5, 1)
	}
	if s.Goal != int(fec.LeastBytes) && g.chance(0.5) {
		s.Proactive = int(g.between(1, int64(s.Parity)))
		s.Interleave = pick(g, 0, -1, 2, g.rng.IntN(2*s.Parity+1))
	}
}

func (g *generator) group(branches, count int) *Group {
	p := &Group{On: g.rng.IntN(branches + 1), Count: count}
	p.Down, p.Up = g.twoLinks(true)
	p.Join = pick(g, session.JoinStart, session.JoinStart, session.JoinNow, session.JoinTrail)
	p.Unordered = g.chance(0.2)
	p.Hollow = g.chance(0.2) && !p.Unordered
	p.Shared = g.chance(0.15)
	p.Uniform = g.chance(0.15)
	p.NoParity = g.chance(0.1)
	if g.gentle {
		return p
	}
	p.ReceiveOnly = g.chance(0.1)
	if g.chance(0.25) {
		p.Window = 1 << (1 + g.rng.IntN(7))
	}
	if g.chance(0.15) {
		p.Memory = pick[int64](g, 1, 64<<10, 200<<10, 1<<20)
	}
	if g.chance(0.1) {
		p.MaxMessage = int(g.between(100, 60_000))
	}
	if g.chance(0.1) {
		p.MaxSources, p.Backlog = 1, 1
	}
	if g.chance(0.2) {
		p.MaxDelay = g.duration(time.Millisecond, 500*time.Millisecond)
	}
	if g.chance(0.3) {
		p.Timeout = g.duration(50*time.Millisecond, 10*time.Second)
	}
	if g.chance(0.2) {
		p.Expiry = g.duration(500*time.Millisecond, 10*time.Second)
	}
	if g.chance(0.1) {
		p.Backoff = g.duration(100*time.Microsecond, 100*time.Millisecond)
	}
	if g.chance(0.1) {
		p.Repeat = g.duration(2*time.Millisecond, 200*time.Millisecond)
	}
	if g.chance(0.1) {
		p.Data = g.duration(2*time.Millisecond, 200*time.Millisecond)
	}
	return p
}

// writes is what source who is told to do after it joined.
func (g *generator) writes(who int, from time.Duration, s *Source) {
	pieces := 1 + g.upTo(5, 0.6)
	budget := g.between(1, 60_000)
	if g.long {
		pieces = 5 + g.upTo(40, 0.95)
		budget = g.between(50_000, 3_000_000)
	}
	at := make([]time.Duration, pieces)
	for i := range at {
		at[i] = from + g.instant()
	}
	slices.Sort(at)
	for _, t := range at {
		w := &Write{Bytes: int(g.between(1, min(budget/int64(pieces), biggest)))}
		if g.chance(0.4) {
			w.Times = 1 + g.rng.IntN(max(1, min(int(budget)/pieces/w.Bytes, 12)))
		}
		do := WriteStream
		if g.chance(0.5) {
			do = WriteMessage
		}
		if do == WriteMessage && g.chance(0.15) {
			g.align(w, s)
		}
		g.add(t, do, who, 0, w)
		if g.chance(0.2) {
			g.add(t, Flush, who, 0, nil)
		}
	}
	end := at[pieces-1]
	if g.chance(0.5) {
		end = max(end, from+g.instant())
	}
	switch {
	case g.chance(0.75):
		g.add(end, Finish, who, 0, nil)
		if !g.gentle && g.chance(0.05) {
			g.add(end+g.instant(), ResetSource, who, 0, &Reset{Code: g.rng.IntN(64)})
		}
	case g.chance(0.4):
		g.add(from+g.instant(), ResetSource, who, 0, &Reset{Code: g.rng.IntN(64)})
	}
}

// align makes messages of s just so long that they fill their packets, or a byte more or less.
func (g *generator) align(w *Write, s *Source) {
	mtu := s.MTU
	if mtu == 0 {
		mtu = 1500
	}
	room, err := wire.NewRoom(mtu, !g.h.V4, false)
	if err != nil {
		return // it is for Validate to say so
	}
	part := room.Part(w.Bytes)
	w.Bytes = min(max(1, (w.Bytes+part-1)/part*part+g.rng.IntN(3)-1), biggest)
}

// life is what happens to group who, of count receivers, after it joined.
func (g *generator) life(who int, from time.Duration, count int) {
	some := func() int { return g.rng.IntN(count + 1) }
	if g.chance(0.2) {
		at, member := from+g.instant(), some()
		g.add(at, Stall, who, member, nil)
		if g.chance(0.8) {
			g.add(at+g.instant(), Resume, who, member, nil)
		}
	}
	if g.chance(0.15) {
		g.add(from+g.instant(), Restart, who, some(), nil)
	}
	if g.chance(0.12) {
		at, member := from+g.instant(), some()
		g.add(at, Leave, who, member, nil)
		if g.chance(0.4) {
			g.add(at+g.instant(), Restart, who, member, nil)
		}
	}
	if g.chance(0.1) {
		down, up := g.twoLinks(true)
		g.add(from+g.instant(), ChangeLinks, who, 0, &Links{Down: down, Up: up})
	}
}
