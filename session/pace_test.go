package session

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// adapts makes a source find its rate.
func adapts(c *SourceConfig) {
	c.Rate = 200 * flow.Mbps
	c.Congestion = &CongestionConfig{Start: 50 * flow.Mbps}
}

// With 10 % of all packets lost, repeated and delayed, everything comes to everybody, with parity and without.
func TestPaceDelivers(t *testing.T) {
	for seed := range uint64(6) {
		n := newNetwork(t, seed)
		nd, s := n.source(func(c *SourceConfig) {
			adapts(c)
			if seed%2 == 1 {
				c.Parity = fec.Config{GroupSize: 16}.WithDefaults()
			}
		})
		data := pattern(seed, 2<<20)
		nd.tick = writer(s, data)
		var readers []*reader
		for range 3 {
			rn, ps := n.peers(nil)
			rd, tick := collect(ps)
			rn.tick, readers = tick, append(readers, rd)
		}
		n.lose(0.1)
		n.dup = 0.05
		n.jitter = func() time.Duration { return time.Duration(n.rng.IntN(int(2 * time.Millisecond))) }
		n.run(mono.Time(time.Minute), s.Finished)
		for i, rd := range readers {
			if rd.end != errEOF || len(rd.errs) > 0 || string(rd.got) != string(data) {
				t.Errorf("seed %d: receiver %d read %d bytes, %v, then %v", seed, i, len(rd.got), rd.errs, rd.end)
			}
		}
		if st := s.Stats(); st.Receivers != 3 || st.Acker == 0 {
			t.Errorf("seed %d: %d receivers are known, the acker is %v", seed, st.Receivers, st.Acker)
		}
		if n.now > mono.Time(20*time.Second) {
			t.Errorf("seed %d: it took %v", seed, n.now)
		}
	}
}

// Receivers that do not report (foreign ones, old ones) get everything all the same, at a rate that their NAKs bear.
func TestPaceMute(t *testing.T) {
	n := newNetwork(t, 1)
	nd, s := n.source(adapts)
	data := pattern(1, 4<<20)
	nd.tick = writer(s, data)
	rn, ps := n.peers(nil)
	rd, tick := collect(ps)
	rn.tick = tick
	n.change = func(to *node, p *wire.Packet) bool {
		p.Options.Peer.Pace, p.Options.Peer.Report = wire.Pace{}, wire.Report{}
		return true
	}
	n.lose(0.05)
	least := flow.Unlimited
	n.run(mono.Time(5*time.Minute), func() bool {
		least = min(least, s.Stats().Rate)
		return s.Finished()
	})
	if rd.end != errEOF || len(rd.errs) > 0 || string(rd.got) != string(data) {
		t.Errorf("read %d bytes, %v, then %v", len(rd.got), rd.errs, rd.end)
	}
	if st := s.Stats(); st.Acker != 0 || st.Phase != flow.Blind || least >= 50*flow.Mbps {
		t.Errorf("%v of loss left the rate at %v at least: %+v", 0.05, least, st)
	}
}

// A source that nobody hears sends all it has, and ends.
func TestPaceNobody(t *testing.T) {
	n := newNetwork(t, 1)
	nd, s := n.source(adapts)
	nd.tick = writer(s, pattern(1, 4<<20))
	n.run(mono.Time(time.Minute), s.Finished)
	if st := s.Stats(); !s.Finished() || st.Bytes != 4<<20 || n.now > mono.Time(5*time.Second) {
		t.Errorf("at %v: %+v", n.now, st)
	}
}

var zeros = make([]byte, 1<<18)

// liar plays receivers against a source.
type liar struct {
	s   *Source
	rng *rand.Rand
	now mono.Time
	buf []byte
}

// work lets the source do what it has to until the instant end.
func (l *liar) work(t *testing.T, end mono.Time) {
	for still := 0; ; {
		l.s.Write(l.now, zeros)
		l.s.Advance(l.now)
		tr := Transmit{B: l.buf}
		for l.s.Poll(l.now, &tr) {
			l.s.Write(l.now, zeros)
			tr = Transmit{B: l.buf}
		}
		at := min(l.s.Deadline(), end)
		if at <= l.now {
			if still++; still > 3 {
				t.Fatalf("time stands still at %v", l.now)
			}
			at = l.now
		} else {
			still = 0
		}
		if l.now = at; at == end {
			return
		}
	}
}

func (l *liar) say(id wire.ReceiverID, from int, q wire.Report, flags uint8) {
	p := wire.Packet{Type: wire.TypeACK, GSI: l.s.cfg.TSI.GSI, SourcePort: testPort, DestinationPort: l.s.cfg.TSI.Port}
	p.Options.Set = p.Options.Set.With(wire.OptPeer)
	q.On, q.ID = true, id
	p.Options.Peer = wire.Peer{Flags: flags, Time: l.rng.Uint32(), Report: q}
	if l.rng.IntN(2) == 0 {
		p.Options.Peer.Time = micros(l.now) - l.rng.Uint32N(1000)
	}
	l.s.Handle(l.now, Meta{From: newNetwork(nil, 0).addr(from)}, &p)
}

// Whatever receivers say, the rate stays within its bounds, memory too, and the source goes on.
func TestPaceLies(t *testing.T) {
	const least, most = 2 * flow.Mbps, 300 * flow.Mbps
	for seed := range uint64(15) {
		l := &liar{rng: rand.New(rand.NewPCG(seed, 5)), buf: make([]byte, 0, RunBytes)}
		cfg := testSourceConfig(newNetwork(nil, 0).addr(1))
		adapts(&cfg)
		cfg.Rate, cfg.Congestion.Min = most, least
		cfg.Congestion.Slow.Mode = flow.SlowMode(seed % 5)
		if cfg.Congestion.Slow.Mode == flow.FollowNamed {
			cfg.Congestion.Slow.Named = []uint64{1, 2, 3}
		}
		l.s = NewSource(0, cfg)
		perfect, sent := seed%3, uint32(0)
		for range 1000 {
			next := l.s.window.Next()
			q := wire.Report{Lead: next.Add(-1 - l.rng.IntN(50)), Held: l.rng.Uint32N(100), Clock: micros(l.now), Room: 1 << 20, Heard: uint32(next), Bytes: uint32(next) * 23}
			switch perfect {
			case 1: // all of it lost
				q.Heard, q.Bytes = 1, 0
			case 2:
				switch l.rng.IntN(8) {
				case 0:
					q.Lead = seq.Num(l.rng.Uint32())
				case 1:
					q.Clock = l.rng.Uint32()
				case 2:
					q.Bytes = l.rng.Uint32()
				case 3:
					q.Heard = l.rng.Uint32()
				case 4:
					q.Held = l.rng.Uint32()
				case 5:
					q.Room = l.rng.Uint32() >> l.rng.IntN(32)
				}
			}
			l.say(wire.ReceiverID(1+l.rng.IntN(5)), 2+l.rng.IntN(3), q, uint8(l.rng.IntN(8)))
			l.work(t, l.now.Add(time.Duration(l.rng.IntN(int(4*time.Millisecond)))))
			if r := l.s.Stats().Rate; r < least || r > most {
				t.Fatalf("seed %d: a rate of %v", seed, r)
			}
			sent++
		}
		st := l.s.Stats()
		if st.Receivers > 15 || st.Packets < 100 {
			t.Errorf("seed %d: %+v", seed, st)
		}
	}
}

// A flood of invented ids leaves a bounded table, and does not stop the source.
func TestPaceFlood(t *testing.T) {
	l := &liar{rng: rand.New(rand.NewPCG(1, 5)), buf: make([]byte, 0, RunBytes)}
	cfg := testSourceConfig(newNetwork(nil, 0).addr(1))
	adapts(&cfg)
	l.s = NewSource(0, cfg)
	l.work(t, mono.Time(10*time.Millisecond))
	for i := range 20000 {
		next := l.s.window.Next()
		l.say(wire.ReceiverID(l.rng.Uint64()), 2+i/30, wire.Report{Lead: next.Add(-1), Clock: micros(l.now), Heard: 1, Bytes: 23, Room: uint32(l.rng.IntN(100))}, peerBehind)
		if i%10 == 0 {
			l.work(t, l.now.Add(time.Millisecond))
		}
	}
	sent := l.s.Stats().Packets
	l.work(t, l.now.Add(30*time.Second))
	if st := l.s.Stats(); st.Receivers > 1024 || st.Packets < sent+10000 {
		t.Errorf("%d packets within 30 s after the flood: %+v", st.Packets-sent, st)
	}
}

// Reports, data and SPMs of a source that adapts cost no memory.
func TestPaceAllocs(t *testing.T) {
	l := &liar{rng: rand.New(rand.NewPCG(1, 5)), buf: make([]byte, 0, RunBytes)}
	cfg := testSourceConfig(newNetwork(nil, 0).addr(1))
	adapts(&cfg)
	l.s = NewSource(0, cfg)
	b := make([]byte, 1<<16)
	p := wire.Packet{Type: wire.TypeACK, GSI: cfg.TSI.GSI, SourcePort: testPort, DestinationPort: cfg.TSI.Port}
	p.Options.Set = p.Options.Set.With(wire.OptPeer)
	from := Meta{From: newNetwork(nil, 0).addr(2)}
	step := func() {
		l.now = l.now.Add(time.Millisecond)
		l.s.Write(l.now, b)
		l.s.Advance(l.now)
		tr := Transmit{B: l.buf}
		for l.s.Poll(l.now, &tr) {
			tr = Transmit{B: l.buf}
		}
		if next := l.s.window.Next(); next > 0 {
			p.Options.Peer = wire.Peer{Time: micros(l.now) - 500, Report: wire.Report{On: true, ID: 1, Lead: next - 1, Clock: micros(l.now), Heard: uint32(next),
				Bytes: uint32(next) * 23, Room: 1000}}
			l.s.Handle(l.now, from, &p)
		}
		l.s.Deadline()
	}
	for range 5000 {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n > 0 {
		t.Errorf("%v allocations for a report", n)
	}
	if st := l.s.Stats(); st.Acker != 1 || st.Packets < 10000 {
		t.Errorf("the test tests nothing: %+v", st)
	}
}

// SPMs say who sets the rate, at once when that changes.
func TestPaceTells(t *testing.T) {
	n := newNetwork(t, 1)
	n.delay = 500 * time.Microsecond
	nd, s := n.source(adapts)
	data := make([]byte, 64<<20)
	nd.tick = writer(s, data)
	for i := range 3 {
		rn, ps := n.peers(func(c *PeersConfig) { c.ID = wire.ReceiverID(i + 1) })
		_, rn.tick = collect(ps)
	}
	var chosen, told mono.Time
	var who wire.ReceiverID
	s.cfg.Trace = func(e Event) {
		if e.Kind == EventAcker && chosen == 0 {
			chosen, who = e.At, e.ID
		}
	}
	n.spy = func(from *node, p *wire.Packet) {
		if from != nd || p.Type != wire.TypeSPM {
			return
		}
		if !p.Options.Peer.Pace.On || p.Options.Peer.Pace.Every == 0 {
			t.Fatal("an SPM without Pace")
		}
		if told == 0 && p.Options.Peer.Pace.Acker != 0 {
			told = n.now
			if p.Options.Peer.Pace.Acker != who {
				t.Errorf("told %v, chosen is %v", p.Options.Peer.Pace.Acker, who)
			}
		}
	}
	n.run(mono.Time(time.Second), never)
	if chosen == 0 || told != chosen || chosen > mono.Time(5*time.Millisecond) {
		t.Errorf("the acker was chosen at %v and told at %v", chosen, told)
	}
	if st := s.Stats(); st.Acker != who || st.Receivers != 3 || st.RTTMin < time.Millisecond || st.RTTMax > 4*time.Millisecond || fmt.Sprint(st.Why) == "unknown" {
		t.Errorf("%+v", st)
	}
}
