package session

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// FuzzPace runs a source that adapts and its receivers over a segment on which all that can happen does: see runPace.
func FuzzPace(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(randomProgram(seed, 40<<(seed%4)))
	}
	f.Fuzz(func(t *testing.T, b []byte) { runPace(t, b) })
}

func randomProgram(seed uint64, n int) []byte {
	rng, b := rand.New(rand.NewPCG(seed, 77)), make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// TestPacePrograms runs more of them than the fuzzer's seeds.
func TestPacePrograms(t *testing.T) {
	count := uint64(60)
	if testing.Short() {
		count = 10
	}
	for seed := range count {
		b := randomProgram(1000+seed, 200)
		t.Logf("seed %d", seed)
		runPace(t, b)
	}
}

// paceListener is an application that reads, or does not.
type paceListener struct {
	nd      *node
	ps      *Peers
	r       *Receiver
	stalled bool
	read    int
	holes   bool
	end     error
}

// runPace runs a program: sizes of windows, policy, parity; then writes, waits, losses, forged packets, applications that stand still and
// receivers that go. No engine may spin, the rate stays within its bounds, the source ends, and whoever stayed reads to an end: all of
// the bytes, unless it was told of losses or left behind.
func runPace(t *testing.T, b []byte) {
	p := &program{b}
	const least, most = flow.Mbps, 80 * flow.Mbps
	n := newNetwork(t, uint64(p.u8()))
	n.delay = pick(p, 100*time.Microsecond, 5*time.Millisecond, 60*time.Millisecond)
	loss := float64(p.u8()%64) / 200
	nd, s := n.source(func(c *SourceConfig) {
		c.Rate, c.Slots = most, pick(p, 16, 256, 4096)
		c.Congestion = &CongestionConfig{Start: pick(p, 2*flow.Mbps, 50*flow.Mbps), Min: least, LossIsCongestion: p.bit()}
		c.Congestion.Slow.Mode = pick(p, flow.FollowSlowest, flow.Ignore, flow.Evict, flow.FollowQuantile)
		if c.Congestion.Slow.Mode == flow.Evict {
			c.Congestion.Slow.Floor = 5 * flow.Mbps
		}
		if p.bit() {
			c.Parity = fec.Config{GroupSize: 8, Goal: fec.LeastBytes}.WithDefaults()
		}
		c.WindowAge = pick(p, 2*time.Second, 100*time.Millisecond)
	})
	var ls []*paceListener
	for i := range 1 + p.u8()%3 {
		l := &paceListener{}
		l.nd, l.ps = n.peers(func(c *PeersConfig) {
			c.MaxWindow, c.ID = pick(p, 8, 64, 65536), wire.ReceiverID(i+1)
			c.Expiry = 20 * time.Second
		})
		l.nd.tick = l.listen
		ls = append(ls, l)
	}
	n.drop = func(_, _ *node, _ *wire.Packet) bool { return loss > 0 && n.rng.Float64() < loss }
	written := 0
	for steps := 0; p.more() && steps < 300; steps++ {
		switch p.u8() % 10 {
		case 0, 1, 2:
			written += s.Write(n.now, make([]byte, p.u16()))
		case 3, 4:
			n.run(n.now.Add(time.Duration(p.u8())*time.Millisecond/4), never)
		case 5:
			n.run(n.now.Add(time.Duration(p.u8())*10*time.Millisecond), never)
		case 6:
			l := ls[int(p.u8())%len(ls)]
			l.stalled = !l.stalled
		case 7:
			ls[int(p.u8())%len(ls)].nd.paused = p.u8()%4 == 0
		case 8:
			forgeReport(n, s, p)
		case 9:
			loss = float64(p.u8()%64) / 200
			if p.u8()%8 == 0 {
				loss = 1
			}
		}
		if r := s.Stats().Rate; r < least || r > most {
			t.Fatalf("a rate of %v", r)
		}
	}
	for _, l := range ls {
		l.stalled = false
	}
	loss = min(loss, 0.1)
	nd.tick = func(now mono.Time) { s.Finish(now) }
	n.run(n.now.Add(10*time.Minute), func() bool {
		for _, l := range ls {
			if l.end == nil && !l.nd.paused {
				return false
			}
		}
		return s.Finished()
	})
	if !s.Finished() {
		t.Fatalf("the source does not end: %+v, deadline %v", s.Stats(), s.Deadline())
	}
	for i, l := range ls {
		switch {
		case l.nd.paused || l.r == nil:
		case l.end == nil:
			t.Fatalf("receiver %d does not end: %+v", i, l.r.Stats())
		case errors.Is(l.end, errEOF) && !l.holes && l.r.start == s.cfg.First && l.read != written, l.read > written:
			t.Fatalf("receiver %d read %d of %d bytes", i, l.read, written)
		}
	}
}

func (l *paceListener) listen(now mono.Time) {
	if l.r == nil {
		if l.r = l.ps.Accept(); l.r == nil {
			return
		}
	}
	var buf [4096]byte
	for l.end == nil && !l.stalled {
		k, err := l.r.Read(now, buf[:])
		l.read += k
		var loss *LossError
		switch {
		case err == nil:
		case errors.Is(err, ErrWouldBlock):
			return
		case errors.As(err, &loss):
			l.holes = true
		default:
			l.end = err
		}
	}
}

// forgeReport has somebody report what the program says.
func forgeReport(n *network, s *Source, p *program) {
	q := wire.Packet{Type: wire.TypeACK, GSI: s.cfg.TSI.GSI, SourcePort: testPort, DestinationPort: s.cfg.TSI.Port}
	q.Options.Set = q.Options.Set.With(wire.OptPeer)
	q.Options.Peer = wire.Peer{Flags: p.u8(), Time: micros(n.now) - uint32(p.u16()), Report: wire.Report{
		On: true, ID: wire.ReceiverID(p.u8() % 8), Lead: s.window.Next().Add(p.near() - 100), Held: uint32(p.u16()), Clock: p.u32(), Bytes: p.u32(),
		Heard: uint32(p.u16()), Room: uint32(p.u16()), Start: seq.Num(p.u8()), Front: s.window.Next(),
	}}
	s.Handle(n.now, Meta{From: n.addr(2 + int(p.u8()%4))}, &q)
}
