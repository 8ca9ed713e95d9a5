package session

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/window"
	"github.com/rmcast/rmcast/wire"
)

// parityRun is one source that makes parity, and receivers that lose packets.
type parityRun struct {
	*network
	sn      *node
	s       *Source
	book    ledger
	peers   []*Peers
	nodes   []*node
	audits  []*auditor
	refused RefusedStats // by all
}

// parityWrites is what the source of a parityRun writes.
type parityWrites uint8

const (
	writesStream   parityWrites = iota
	writesMessages              // of all lengths, most of them in one packet
	writesFragments
)

// newParityRun has a source write about 600 packets to three receivers that lose a tenth of them.
func newParityRun(t testing.TB, seed uint64, cfg fec.Config, writes parityWrites) *parityRun {
	n := &parityRun{network: newNetwork(t, seed), book: ledger{}}
	n.lose(0.1)
	n.sn, n.s = n.source(func(c *SourceConfig) {
		c.Parity, c.WindowAge, c.Linger = cfg, 20*time.Second, 20*time.Second
		if cfg.GroupSize > 0 {
			c.Parity = cfg.WithDefaults()
		}
	})
	n.spy = func(_ *node, p *wire.Packet) {
		if p.Flags&wire.FlagParity == 0 {
			n.book.spy(p)
		}
	}
	left := 600
	n.sn.tick = func(now mono.Time) {
		for left > 0 {
			b := pattern(seed+uint64(left), 1408)
			switch writes {
			case writesMessages:
				b = b[:1+n.rng.IntN(1400)]
			case writesFragments:
				b = pattern(seed+uint64(left), 1+n.rng.IntN(5000))
			}
			if writes == writesStream {
				if n.s.Write(now, b) == 0 {
					return
				}
			} else if !n.s.WriteMessage(now, b) {
				return
			}
			left--
		}
		n.s.Finish(now)
	}
	for range 3 {
		rn, ps := n.network.peers(nil)
		a := &auditor{ledger: n.book, ps: ps, buf: make([]byte, 1<<20), stalled: func() bool { return false }}
		rn.tick = a.tick
		n.peers, n.nodes, n.audits = append(n.peers, ps), append(n.nodes, rn), append(n.audits, a)
	}
	return n
}

// finish runs to the end of all receivers: nothing is lost, nothing is wrong, nothing takes long.
func (n *parityRun) finish(t *testing.T) {
	t.Helper()
	n.run(mono.Time(15*time.Second), func() bool {
		for _, a := range n.audits {
			if a.end == nil && a.fault == "" {
				return false
			}
		}
		return true
	})
	for i, a := range n.audits {
		if a.fault != "" || a.end != errEOF || a.lost > 0 || a.next != n.s.window.Next() {
			t.Errorf("receiver %d at %v: %s, end %v, %d lost, at %d of %d, %+v", i, n.now, a.fault, a.end, a.lost, a.next, n.s.window.Next(), n.peers[i].Stats())
		}
		n.refused.add(n.peers[i].Stats().Total.Refused)
		n.refused.add(n.peers[i].Stats().Refused)
	}
	if n.now > mono.Time(5*time.Second) {
		t.Errorf("the end is at %v", n.now)
	}
}

// parityFrom begins a packet under the port of parity in the source's name.
func (n *parityRun) parityFrom(typ wire.Type, sqn seq.Num) *wire.Packet {
	cfg := &n.s.cfg
	return &wire.Packet{
		Type: typ, Flags: wire.FlagParity, GSI: cfg.TSI.GSI, SourcePort: cfg.TSI.Port, DestinationPort: testPort + 1,
		Sqn: sqn, Trail: n.s.window.Trail(), Path: cfg.Path, Source: cfg.Path, Group: cfg.Group,
	}
}

// hear has receiver i handle p as from the source.
func (n *parityRun) hear(i int, p *wire.Packet) {
	var q wire.Packet
	if err := q.Decode(p.Append(nil)); err != nil {
		n.t.Fatal(err)
	}
	n.peers[i].Handle(n.now, Meta{From: n.s.cfg.Path, Multicast: true}, &q)
}

// parityData is a parity packet as the source might send it for the group at base.
func (n *parityRun) parityData(base seq.Num, index, cover int, payload []byte) *wire.Packet {
	p := n.parityFrom(wire.TypeRDATA, base.Add(index%64))
	p.Payload = payload
	p.Options.Set = p.Options.Set.With(wire.OptPeer)
	if index >= 64 {
		p.Options.Set = p.Options.Set.With(wire.OptParityGroup)
		p.Options.ParityGroup = uint32(index / 64)
	}
	if cover != 64 {
		p.Options.Set = p.Options.Set.With(wire.OptCurrTGSize)
		p.Options.CurrTGSize = uint32(cover)
	}
	return p
}

// oneRefused is the counter of RefusedStats that grew between two of them, with its name.
func oneRefused(was, is RefusedStats) string {
	is.sub(was)
	return fmt.Sprintf("%+v", is)
}

func refusedAs(r RefusedStats) string { return fmt.Sprintf("%+v", r) }

// What no source should send under the port of parity is counted, changes nothing, and stops nobody: neither for a group that misses
// packets nor for one that is whole, delivered or gone.
func TestParityRefused(t *testing.T) {
	long := make([]byte, 1408)
	with := func(p *wire.Packet, o wire.Option) *wire.Packet {
		p.Options.Set = p.Options.Set.With(o)
		return p
	}
	spm := func(n *parityRun, k uint32) *wire.Packet {
		p := with(with(n.parityFrom(wire.TypeSPM, n.s.spm.sqn), wire.OptParityPRM), wire.OptPeer)
		p.Flags = 0
		p.Lead = n.s.window.Next().Add(-1)
		p.Options.ParityPRM = wire.ParityPRM{OnDemand: true, GroupSize: k}
		return p
	}
	for _, c := range []struct {
		name string
		make func(n *parityRun, base seq.Num) *wire.Packet
		want RefusedStats
	}{
		{"no group size", func(n *parityRun, _ seq.Num) *wire.Packet { return spm(n, 0) }, RefusedStats{Parity: 1}},
		{"group size 1", func(n *parityRun, _ seq.Num) *wire.Packet { return spm(n, 1) }, RefusedStats{Parity: 1}},
		{"group size 48", func(n *parityRun, _ seq.Num) *wire.Packet { return spm(n, 48) }, RefusedStats{Parity: 1}},
		{"group size 256", func(n *parityRun, _ seq.Num) *wire.Packet { return spm(n, 256) }, RefusedStats{Parity: 1}},
		{"group size 2^31", func(n *parityRun, _ seq.Num) *wire.Packet { return spm(n, 1<<31) }, RefusedStats{Parity: 1}},
		{"announced by another's option", func(n *parityRun, _ seq.Num) *wire.Packet {
			p := spm(n, 64)
			p.Options.Set &^= 1 << wire.OptPeer
			return p
		}, RefusedStats{Parity: 1}},
		{"announcement without the option", func(n *parityRun, _ seq.Num) *wire.Packet {
			p := spm(n, 64)
			p.Options.Set &^= 1 << wire.OptParityPRM
			return p
		}, RefusedStats{Parity: 1}},
		{"trail beyond the lead", func(n *parityRun, _ seq.Num) *wire.Packet {
			p := spm(n, 64)
			p.Trail = p.Lead.Add(2)
			return p
		}, RefusedStats{Malformed: 1}},
		{"old announcement", func(n *parityRun, _ seq.Num) *wire.Packet {
			p := spm(n, 64)
			p.Sqn = seq.Num(0).Add(-1000) // the same each time: others in a row would be the truth
			return p
		}, RefusedStats{Stale: 1}},
		{"index 191", func(n *parityRun, b seq.Num) *wire.Packet { return n.parityData(b, 191, 64, long) }, RefusedStats{Parity: 1}},
		{"index 2^38", func(n *parityRun, b seq.Num) *wire.Packet {
			p := with(n.parityData(b, 0, 64, long), wire.OptParityGroup)
			p.Options.ParityGroup = 1<<32 - 1
			return p
		}, RefusedStats{Parity: 1}},
		{"cover 0", func(n *parityRun, b seq.Num) *wire.Packet { return n.parityData(b, 0, 0, long) }, RefusedStats{Parity: 1}},
		{"cover 65", func(n *parityRun, b seq.Num) *wire.Packet { return n.parityData(b, 0, 65, long) }, RefusedStats{Parity: 1}},
		{"cover 2^32-1", func(n *parityRun, b seq.Num) *wire.Packet { return n.parityData(b, 0, -1, long) }, RefusedStats{Parity: 1}},
		{"no payload", func(n *parityRun, b seq.Num) *wire.Packet { return n.parityData(b, 0, 64, nil) }, RefusedStats{Parity: 1}},
		{"a length and nothing else", func(n *parityRun, b seq.Num) *wire.Packet {
			p := n.parityData(b, 0, 64, []byte{1, 2})
			p.Flags |= wire.FlagVarPktLen
			return p
		}, RefusedStats{Parity: 1}},
		{"half a length", func(n *parityRun, b seq.Num) *wire.Packet {
			p := n.parityData(b, 0, 64, []byte{1})
			p.Flags |= wire.FlagVarPktLen
			return p
		}, RefusedStats{Parity: 1}},
		{"no check", func(n *parityRun, b seq.Num) *wire.Packet {
			p := n.parityData(b, 0, 64, long)
			p.Options.Set &^= 1 << wire.OptPeer
			return p
		}, RefusedStats{Parity: 1}},
		{"no parity flag", func(n *parityRun, b seq.Num) *wire.Packet {
			p := n.parityData(b, 0, 64, long)
			p.Flags = 0
			return p
		}, RefusedStats{Parity: 1}},
		{"NCF without parity flag", func(n *parityRun, b seq.Num) *wire.Packet {
			p := n.parityFrom(wire.TypeNCF, b)
			p.Flags = 0
			return p
		}, RefusedStats{Parity: 1}},
		{"a poll", func(n *parityRun, b seq.Num) *wire.Packet {
			p := n.parityFrom(wire.TypePOLL, b)
			p.Flags = 0
			return p
		}, RefusedStats{WrongType: 1}},
		{"under the session's own port", func(n *parityRun, b seq.Num) *wire.Packet {
			p := n.parityData(b, 0, 64, long)
			p.DestinationPort--
			return p
		}, RefusedStats{Parity: 1}},
		{"under the port after", func(n *parityRun, b seq.Num) *wire.Packet {
			p := n.parityData(b, 0, 64, long)
			p.DestinationPort++
			return p
		}, RefusedStats{WrongPort: 1}},
		{"of an unknown session", func(n *parityRun, b seq.Num) *wire.Packet {
			p := n.parityData(b, 0, 64, long)
			p.SourcePort++
			return p
		}, RefusedStats{Parity: 1}},
		{"far ahead", func(n *parityRun, _ seq.Num) *wire.Packet { return n.parityData(1<<20, 0, 64, long) }, RefusedStats{Jump: 1}},
		{"half the numbers ahead", func(n *parityRun, b seq.Num) *wire.Packet { return n.parityData(b^1<<31, 0, 64, long) }, RefusedStats{Jump: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newParityRun(t, 1, fec.Config{GroupSize: 64, Goal: fec.LeastBytes}, writesStream)
			heard := map[string]int{}
			tick := n.nodes[0].tick
			n.nodes[0].tick = func(now mono.Time) {
				tick(now)
				r := n.audits[0].r
				if r == nil || r.parity.shift == 0 || r.closed || n.audits[0].end != nil {
					return
				}
				bases := map[string]seq.Num{"delivered": groupBase(r.window.Next(), 64).Add(-64), "present": groupBase(r.lead, 64), "trimmed": groupBase(r.trail, 64).Add(-128)}
				if r.repair != nil {
					bases["repairing"] = r.repair.groups[0].base
				}
				for _, what := range []string{"delivered", "present", "trimmed", "repairing"} {
					base, ok := bases[what]
					if heard[what] > 50 || !ok {
						continue
					}
					heard[what]++
					was := n.peers[0].Stats()
					n.hear(0, c.make(n, base))
					is := n.peers[0].Stats()
					is.Refused.add(is.Total.Refused)
					was.Refused.add(was.Total.Refused)
					if got, want := oneRefused(was.Refused, is.Refused), refusedAs(c.want); got != want {
						t.Fatalf("of a group %s: refused %s, want %s", what, got, want)
					}
					if is.Total.Missing != was.Total.Missing || is.Total.Repairs != was.Total.Repairs || is.Total.Parity != was.Total.Parity || r.parity.shift != 6 {
						t.Fatalf("of a group %s: it was taken: %+v, before %+v", what, is, was)
					}
				}
			}
			n.finish(t)
			if heard["repairing"] < 10 || n.s.Stats().Parity == 0 {
				t.Errorf("too little happened: %v, %+v", heard, n.s.Stats())
			}
		})
	}
}

// A source that never announced parity, and one that has ceased to be ours: its parity is refused and it is served by number.
func TestParityNeverAnnounced(t *testing.T) {
	n := newParityRun(t, 2, fec.Config{}, writesStream)
	heard := 0
	tick := n.nodes[0].tick
	n.nodes[0].tick = func(now mono.Time) {
		if tick(now); n.audits[0].r == nil || heard >= 100 {
			return
		}
		heard++
		for _, typ := range []wire.Type{wire.TypeODATA, wire.TypeRDATA, wire.TypeNCF} {
			p := n.parityFrom(typ, n.audits[0].r.lead)
			if typ != wire.TypeNCF {
				p.Payload = make([]byte, 1408)
			}
			n.hear(0, p)
		}
	}
	n.finish(t)
	if n.refused != (RefusedStats{Parity: 300, Duplicate: n.refused.Duplicate, Late: n.refused.Late}) || heard != 100 {
		t.Errorf("%d heard; refused %+v", heard, n.refused)
	}
}

// A parity packet that was made wrong, or changed on its way: of what can be told from the packets that are there, nothing is
// delivered, and the group is asked for by number.
func TestParityContradicts(t *testing.T) {
	short := func(n int) func(*wire.Packet) bool {
		return func(p *wire.Packet) bool {
			if len(p.Payload) < n+3 {
				return false
			}
			p.Payload = p.Payload[:len(p.Payload)-n]
			return true
		}
	}
	fragment := func(at int, bits byte) func(*wire.Packet) bool { // of what is encoded of the fragments
		return func(p *wire.Packet) bool {
			p.Options.Encoded[at] ^= bits
			return p.Options.Set.Has(wire.OptFragment)
		}
	}
	for _, c := range []struct {
		name   string
		writes parityWrites
		change func(p *wire.Packet) bool
	}{
		{"shorter by one", writesStream, short(1)},
		{"far shorter", writesStream, short(1000)},
		{"longer", writesStream, func(p *wire.Packet) bool { p.Payload = append(bytes.Clone(p.Payload), 1, 2, 3); return true }},
		{"lengths that do not vary, by its word", writesMessages, func(p *wire.Packet) bool {
			had := p.Flags&wire.FlagVarPktLen != 0
			p.Flags &^= wire.FlagVarPktLen
			return had
		}},
		{"shorter, of varying lengths", writesMessages, short(2)},
		{"no fragments, by its word", writesFragments, func(p *wire.Packet) bool {
			had := p.Options.Set.Has(wire.OptFragment)
			p.Options.Set &^= 1 << wire.OptFragment
			return had
		}},
		{"other fragments", writesFragments, fragment(0, 0x40)},
		{"other beginnings", writesFragments, fragment(1, 0x40)},
		{"other offsets, but not by much", writesFragments, fragment(8, 1)},
		{"other message lengths, but not by much", writesFragments, fragment(12, 1)},
		{"other offsets", writesFragments, fragment(5, 0x40)},
		{"other message lengths", writesFragments, fragment(9, 0x40)},
		{"another check", writesStream, func(p *wire.Packet) bool { p.Options.Peer.Check ^= 1; return true }},
		{"other bytes", writesStream, func(p *wire.Packet) bool {
			p.Payload = bytes.Clone(p.Payload)
			p.Payload[len(p.Payload)/2] ^= 1
			return true
		}},
		{"the group's before", writesMessages, func(p *wire.Packet) bool { p.Sqn = p.Sqn.Add(-64); return true }},
		{"another index", writesMessages, func(p *wire.Packet) bool { p.Sqn ^= 1; return true }},
		{"another check", writesStream, func(p *wire.Packet) bool { p.Options.Peer.Check ^= 1; return true }},
		{"other bytes", writesStream, func(p *wire.Packet) bool {
			p.Payload = bytes.Clone(p.Payload)
			p.Payload[len(p.Payload)/2] ^= 1
			return true
		}},
		{"other lengths", writesMessages, func(p *wire.Packet) bool {
			had := p.Flags&wire.FlagVarPktLen != 0
			if had {
				p.Payload = bytes.Clone(p.Payload)
				p.Payload[len(p.Payload)-1] ^= 1
			}
			return had
		}},
		{"the group's before", writesMessages, func(p *wire.Packet) bool { p.Sqn = p.Sqn.Add(-64); return true }},
		{"another index", writesMessages, func(p *wire.Packet) bool { p.Sqn ^= 1; return true }},
		{"another cover", writesMessages, func(p *wire.Packet) bool {
			if !p.Options.Set.Has(wire.OptCurrTGSize) {
				p.Options.Set = p.Options.Set.With(wire.OptCurrTGSize)
				p.Options.CurrTGSize = 64
			}
			p.Options.CurrTGSize--
			return p.Options.CurrTGSize > 0
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(3) {
				n := newParityRun(t, seed, fec.Config{GroupSize: 64, Goal: fec.LeastBytes}, c.writes)
				changed := 0
				n.change = func(to *node, p *wire.Packet) bool {
					parity := p.Flags&wire.FlagParity != 0 && (p.Type == wire.TypeODATA || p.Type == wire.TypeRDATA)
					if parity && n.rng.IntN(3) == 0 && c.change(p) {
						changed++
						return true
					}
					return false
				}
				n.finish(t)
				if changed < 10 || n.refused.Parity == 0 {
					t.Errorf("seed %d: %d changed; refused %+v", seed, changed, n.refused)
				}
			}
		})
	}
}

// What is no lie that can be told, and useless: it delays nobody for long.
func TestParityUseless(t *testing.T) {
	around := func(base seq.Num, low int) []seq.Num {
		var nums []seq.Num
		for i := range 21 {
			nums = append(nums, base.Add(64*(i-10)+low))
		}
		return nums
	}
	for _, c := range []struct {
		name string
		make func(n *parityRun, r *Receiver, base seq.Num) *wire.Packet
	}{
		{"NCFs for all counts", func(n *parityRun, _ *Receiver, base seq.Num) *wire.Packet {
			p := n.parityFrom(wire.TypeNCF, 0)
			setNumbers(p, around(base, 63))
			return p
		}},
		{"NCFs for counts of one", func(n *parityRun, _ *Receiver, base seq.Num) *wire.Packet {
			p := n.parityFrom(wire.TypeNCF, 0)
			setNumbers(p, around(base, 0))
			return p
		}},
		{"denials", func(n *parityRun, _ *Receiver, base seq.Num) *wire.Packet {
			p := n.parityFrom(wire.TypeNCF, 0)
			setNumbers(p, around(base, 20))
			p.Options.Set = p.Options.Set.With(wire.OptCurrTGSize)
			return p
		}},
		{"NCFs in numbers that do not compare", func(n *parityRun, _ *Receiver, base seq.Num) *wire.Packet {
			p := n.parityFrom(wire.TypeNCF, 0)
			setNumbers(p, []seq.Num{base + 1<<31, base + 1<<30, base - 1<<30, base, base, base + 5})
			return p
		}},
		{"NAKs of others", func(n *parityRun, _ *Receiver, base seq.Num) *wire.Packet {
			p := n.parityFrom(wire.TypeNAK, 0)
			p.SourcePort, p.DestinationPort = testPort+1, n.s.cfg.TSI.Port
			setNumbers(p, around(base, 63))
			return p
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newParityRun(t, 4, fec.Config{GroupSize: 64, Goal: fec.LeastBytes}, writesMessages)
			heard := 0
			for i := range n.peers {
				tick := n.nodes[i].tick
				n.nodes[i].tick = func(now mono.Time) {
					tick(now)
					if r := n.audits[i].r; r != nil && r.repair != nil && now < mono.Time(150*time.Millisecond) {
						for _, g := range r.repair.groups[:1] {
							heard++
							n.hear(i, c.make(n, r, g.base))
						}
					}
				}
			}
			n.finish(t)
			if heard < 100 {
				t.Errorf("%d heard", heard)
			}
		})
	}
}

// A parity packet over none of the missing packets, as when a group that was closed early goes on, does not count among those that a
// receiver has.
func TestParityOverNoneOfTheMissing(t *testing.T) {
	for _, cfg := range []fec.Config{{GroupSize: 64, Goal: fec.LeastBytes}, {GroupSize: 64, Proactive: 2}} {
		n := newParityRun(t, 5, cfg, writesStream)
		heard := 0
		tick := n.nodes[0].tick
		n.nodes[0].tick = func(now mono.Time) {
			tick(now)
			r := n.audits[0].r
			if r == nil || r.repair == nil || heard > 1000 {
				return
			}
			for _, g := range r.repair.groups {
				whole := 0
				for whole < 64 && r.window.State(g.base.Add(whole)) != window.Missing {
					whole++
				}
				if whole == 0 || whole == 64 {
					continue
				}
				p := n.parityData(g.base, heard%191, whole, make([]byte, 1408)) // what it carries does not matter
				heard++
				n.hear(0, p)
				break
			}
		}
		n.finish(t)
		if heard < 50 {
			t.Errorf("%d heard", heard)
		}
	}
}

// A receiver asks for parity as nobody should: the source answers no more than it can, and the others.
func TestParityAbsurdNAKs(t *testing.T) {
	base := func(n *parityRun) seq.Num { return groupBase(n.s.window.Next(), 64) }
	for _, c := range []struct {
		name string
		nums func(n *parityRun) []seq.Num
		want func(s SourceStats) bool
	}{
		{"whole groups, again and again", func(n *parityRun) []seq.Num { return []seq.Num{base(n).Add(-65), base(n).Add(-1)} }, nil},
		{"more than was sent", func(n *parityRun) []seq.Num { return []seq.Num{base(n).Add(63)} }, nil},
		{"what is not sent yet", func(n *parityRun) []seq.Num {
			return []seq.Num{base(n).Add(64), base(n).Add(640), base(n).Add(1<<20 + 3)}
		}, func(s SourceStats) bool { return s.Refused.Malformed > 0 }},
		{"far from everything", func(n *parityRun) []seq.Num { return []seq.Num{base(n) + 1<<31, base(n) + 1<<30, base(n) - 1<<30} },
			func(s SourceStats) bool { return s.Refused.Malformed > 0 && s.NAKsTooLate > 0 }},
		{"the same again in one packet", func(n *parityRun) []seq.Num {
			return []seq.Num{base(n).Add(-60), base(n).Add(-60), base(n).Add(-64), base(n).Add(-1), base(n).Add(-64)}
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newParityRun(t, 6, fec.Config{GroupSize: 64, Goal: fec.LeastBytes}, writesMessages)
			asked := 0
			tick := n.sn.tick
			n.sn.tick = func(now mono.Time) {
				tick(now)
				if asked > 400 || n.s.Finished() {
					return
				}
				asked++
				p := n.parityFrom(wire.TypeNAK, 0)
				p.SourcePort, p.DestinationPort = testPort+1, n.s.cfg.TSI.Port
				setNumbers(p, c.nums(n))
				var q wire.Packet
				if err := q.Decode(p.Append(nil)); err != nil {
					t.Fatal(err)
				}
				n.s.Handle(now, Meta{From: n.addr(77)}, &q)
			}
			n.finish(t)
			st := n.s.Stats()
			if asked < 100 || c.want != nil && !c.want(st) {
				t.Errorf("asked %d times: %+v", asked, st)
			}
			// One group at a time, each count the greatest of all: not the sum of them.
			if most := st.Packets * 8; st.Repairs > most {
				t.Errorf("%d repairs of %d packets", st.Repairs, st.Packets)
			}
		})
	}
}

// A source without parity does not know the port.
func TestParityNAKsWithoutParity(t *testing.T) {
	n := newParityRun(t, 7, fec.Config{}, writesStream)
	p := n.parityFrom(wire.TypeNAK, 0)
	p.SourcePort, p.DestinationPort = testPort+1, n.s.cfg.TSI.Port
	n.s.Handle(0, Meta{From: n.addr(77)}, p)
	p.SourcePort = testPort
	n.s.Handle(0, Meta{From: n.addr(77)}, p)
	if st := n.s.Stats(); st.Refused != (RefusedStats{WrongPort: 1, Parity: 1}) || st.NAKs != 0 {
		t.Errorf("%+v", st)
	}
	with := newParityRun(t, 7, fec.Config{GroupSize: 64}, writesStream)
	for _, q := range []*wire.Packet{with.parityFrom(wire.TypeNAK, 0), with.parityFrom(wire.TypeACK, 0), with.parityFrom(wire.TypeNAK, 0)} {
		q.SourcePort, q.DestinationPort = testPort+1, with.s.cfg.TSI.Port
		if with.s.stats.Refused.WrongPort == 0 {
			q.Flags = 0
		}
		if with.s.stats.Refused.WrongPort == 2 {
			q.Source = with.addr(9)
		}
		with.s.Handle(0, Meta{From: with.addr(77)}, q)
	}
	if st := with.s.Stats(); st.Refused != (RefusedStats{WrongPort: 2, WrongNLA: 1}) || st.NAKs != 0 {
		t.Errorf("%+v", st)
	}
}
