package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/wire"
)

// pipe drives a source and a receiver directly: what is polled is handled, in one clock.
type pipe struct {
	now  mono.Time
	s    *Source
	ps   *Peers
	r    *Receiver
	buf  [RunBytes]byte
	back [RunBytes]byte
	out  []byte
	data []byte
	p    wire.Packet
	loss int // every loss-th data packet is dropped; 0: none
	sent int
}

func newPipe(tb testing.TB) *pipe { return newParityPipe(tb, fec.Config{}) }

func newParityPipe(tb testing.TB, cfg fec.Config) *pipe {
	n := newNetwork(tb, 1)
	p := &pipe{out: make([]byte, 65536), data: make([]byte, 65536)}
	_, p.s = n.source(func(c *SourceConfig) {
		c.Rate, c.Slots = flow.Unlimited, 1024
		if cfg.GroupSize > 0 {
			c.Parity, c.GroupSize = cfg.WithDefaults(), 10
		}
	})
	_, p.ps = n.peers(nil)
	for p.r == nil {
		p.step(nil)
		p.r = p.ps.Accept()
		p.now = p.now.Add(time.Millisecond)
	}
	return p
}

// step writes b and moves packets and time until everything is delivered. It panics if that takes more than ten seconds.
func (p *pipe) step(b []byte) (read int) {
	want := len(b)
	for end := p.now.Add(10 * time.Second); ; {
		if p.now >= end {
			panic(fmt.Sprintf("%d of %d bytes delivered, %d not taken; source %+v, peers %+v", read, want, len(b), p.s.Stats(), p.ps.Stats()))
		}
		b = b[p.s.Write(p.now, b):]
		if len(b) == 0 {
			p.s.Flush(p.now)
		}
		p.s.Advance(p.now)
		p.forward()
		p.ps.Advance(p.now)
		p.backward()
		for p.r != nil {
			n, err := p.r.Read(p.now, p.out)
			if err != nil {
				break
			}
			read += n
		}
		if read >= want && len(b) == 0 {
			return read
		}
		p.now = p.now.Add(100 * time.Microsecond)
	}
}

func (p *pipe) forward() {
	t := Transmit{B: p.buf[:0]}
	for runs := 0; p.s.Poll(p.now, &t); runs++ {
		if runs > 100000 {
			panic(fmt.Sprintf("a source that sends for ever: %+v", p.s.Stats()))
		}
		for b := t.B; len(b) > 0; {
			one := b[:min(t.Segment, len(b))]
			b = b[len(one):]
			if err := p.p.Decode(one); err != nil {
				panic(err)
			}
			if p.p.Type == wire.TypeODATA {
				if p.sent++; p.loss > 0 && p.sent%p.loss == 0 {
					continue
				}
			}
			p.ps.Handle(p.now, Meta{From: p.s.cfg.Path, Multicast: true}, &p.p)
		}
		for p.ps.Ready() != nil {
		}
	}
}

func (p *pipe) backward() {
	t := Transmit{B: p.back[:0]}
	for p.ps.Poll(p.now, &t) {
		if err := p.p.Decode(t.B); err != nil {
			panic(err)
		}
		p.s.Handle(p.now, Meta{From: testGroup}, &p.p)
	}
}

func BenchmarkEngines(b *testing.B) {
	for _, loss := range []int{0, 100, 10} {
		b.Run(fmt.Sprintf("one in %d lost", loss), func(b *testing.B) {
			p := newPipe(b)
			p.loss = loss
			b.SetBytes(int64(len(p.data)))
			b.ReportAllocs()
			for b.Loop() {
				p.step(p.data)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(p.s.stats.Packets), "ns/packet")
		})
	}
}

func TestEnginesAllocs(t *testing.T) {
	for _, loss := range []int{0, 10} {
		p := newPipe(t)
		p.loss = loss
		for range 100 { // windows, queues and pools reach their size
			p.step(p.data)
		}
		if got := testing.AllocsPerRun(100, func() { p.step(p.data) }); got != 0 {
			t.Errorf("one in %d lost: %v allocations for %d packets, want none", loss, got, len(p.data)/1408)
		}
	}
}

// Neither a source that answers with parity, or sends it unasked, nor a receiver that restores what it lost allocates.
func TestParityAllocs(t *testing.T) {
	for name, cfg := range map[string]fec.Config{
		"on demand":       {GroupSize: 64, Goal: fec.LeastBytes},
		"ahead of demand": {GroupSize: 64, Proactive: 8},
		"small groups":    {GroupSize: 8, Goal: fec.LeastBytes},
	} {
		p := newParityPipe(t, cfg)
		p.loss = 13
		for range 200 {
			p.step(p.data)
		}
		before := p.r.Stats().Restored
		if got := testing.AllocsPerRun(100, func() { p.step(p.data) }); got != 0 {
			t.Errorf("%s: %v allocations for %d packets, want none", name, got, len(p.data)/1408)
		}
		if st := p.r.Stats(); st.Restored-before < 100 {
			t.Errorf("%s: too little was restored: %+v", name, st)
		}
	}
}
