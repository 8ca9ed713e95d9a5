package session

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// ledger knows what a source sent under each number.
type ledger map[seq.Num]struct {
	payload  []byte
	fragment wire.Fragment
}

func (l ledger) spy(p *wire.Packet) {
	if p.Type != wire.TypeODATA || p.Flags&wire.FlagParity != 0 {
		return
	}
	e := l[p.Sqn]
	e.payload = append([]byte(nil), p.Payload...)
	if p.Options.Set.Has(wire.OptFragment) {
		e.fragment = p.Options.Fragment
	}
	l[p.Sqn] = e
}

// message returns the message that starts at n, and the number after it.
func (l ledger) message(n seq.Num) ([]byte, seq.Num) {
	e := l[n]
	b := append([]byte(nil), e.payload...)
	for n++; uint32(len(b)) < e.fragment.Length; n++ {
		b = append(b, l[n].payload...)
	}
	return b, n
}

// auditor reads a session message by message and holds each against the ledger: every number once, as data or as a loss.
type auditor struct {
	ledger  ledger
	ps      *Peers
	r       *Receiver
	stalled func() bool
	next    seq.Num
	begun   bool
	lost    int
	mayLose bool
	why     LossReason
	got     int
	end     error
	fault   string
	buf     []byte
}

func (a *auditor) tick(now mono.Time) {
	if a.r == nil {
		if a.r = a.ps.Accept(); a.r == nil {
			return
		}
	}
	for a.end == nil && a.fault == "" && !a.stalled() {
		if !a.begun {
			a.next = a.r.window.Next()
		}
		n, err := a.r.ReadMessage(now, a.buf)
		var loss *LossError
		switch {
		case err == nil:
			if !a.begun { // the rest of a message that began before us was passed over
				for a.ledger[a.next].fragment.Length > 0 && a.ledger[a.next].fragment.First != a.next {
					a.next++
				}
			}
			a.begun = true
			want, next := a.ledger.message(a.next)
			if !bytes.Equal(a.buf[:n], want) {
				a.fault = fmt.Sprintf("message at %d: %d bytes, want %d others", a.next, n, len(want))
			}
			a.next = next
			a.got++
		case errors.As(err, &loss):
			a.begun = true
			if loss.Lost.From != a.next || loss.Lost.Empty() {
				a.fault = fmt.Sprintf("loss of %v reported at %d", loss.Lost, a.next)
			}
			a.next = loss.Lost.To
			a.lost += loss.Lost.Len()
			a.why = loss.Reason
		case errors.Is(err, ErrWouldBlock):
			return
		default:
			a.end = err
		}
	}
}

// history is one random life of a session: a random network, random settings, random writes, receivers that join and stall.
func history(t *testing.T, seed uint64) {
	n := newNetwork(t, seed)
	rng := rand.New(rand.NewPCG(seed, 7))
	pick := func(of ...float64) float64 { return of[rng.IntN(len(of))] }
	loss := pick(0, 0.01, 0.1, 0.3)
	n.lose(loss)
	n.dup = pick(0, 0, 0.05)
	n.delay = time.Duration(pick(0.05, 1, 20) * float64(time.Millisecond))
	if spread := pick(0, 0, 0.5, 5); spread > 0 {
		n.jitter = func() time.Duration { return time.Duration(n.rng.Float64() * spread * float64(time.Millisecond)) }
	}
	small := rng.IntN(3) == 0 // a window that loss can outrun
	var src *Source
	sn, src := n.source(func(c *SourceConfig) {
		c.First = seq.Num(uint32(pick(0, 0, 1<<32-20)))
		c.Rate = flow.Rate(pick(2e6, 20e6, 200e6))
		if small {
			c.Slots = 16
			c.WindowAge, c.WindowHold = 300*time.Millisecond, 5*time.Millisecond
		} else {
			c.WindowAge = 20 * time.Second
			c.Linger = 20 * time.Second
		}
	})
	book := ledger{}
	n.spy = func(_ *node, p *wire.Packet) { book.spy(p) }
	left := rng.IntN(300_000)
	messages := rng.IntN(2) == 0
	sn.tick = func(now mono.Time) {
		for left > 0 {
			size := min(1+rng.IntN(6000), left, src.MaxMessage())
			if messages {
				if !src.WriteMessage(now, pattern(seed+uint64(left), size)) {
					return
				}
				left -= size
				continue
			}
			took := src.Write(now, pattern(seed+uint64(left), size))
			left -= took
			if took < size {
				return
			}
		}
		src.Finish(now)
	}
	var auditors []*auditor
	for range 1 + rng.IntN(4) {
		rn, ps := n.peers(func(c *PeersConfig) {
			c.Join = Join(rng.IntN(3))
			if rng.IntN(3) == 0 {
				c.MaxWindow = 32
			}
			if rng.IntN(4) == 0 {
				c.MaxDelay = 50 * time.Millisecond
			}
		})
		stallFrom := mono.Time(rng.Int64N(int64(time.Second)))
		stallTo := stallFrom.Add(time.Duration(pick(0, 0, 0.05, 0.3) * float64(time.Second)))
		// A receiver that has no room to ask while it stalls may find the source gone.
		slow := stallTo.Sub(stallFrom) > quietMin && ps.cfg.MaxWindow < 1000
		a := &auditor{mayLose: slow || small || ps.cfg.MaxDelay > 0, ledger: book, ps: ps, buf: make([]byte, 1<<20), stalled: func() bool { return n.now >= stallFrom && n.now < stallTo }}
		rn.tick = a.tick
		auditors = append(auditors, a)
	}
	settled := func() bool {
		for _, a := range auditors {
			if a.fault != "" {
				return true
			}
			if a.end == nil {
				return false
			}
		}
		return true
	}
	// Stalled readers have no deadline of their own: look after them every 50 ms.
	for at := mono.Time(0); at < mono.Time(120*time.Second) && !settled(); at = at.Add(50 * time.Millisecond) {
		n.run(at, settled)
	}
	for i, a := range auditors {
		switch {
		case a.fault != "":
			t.Errorf("seed %d, receiver %d: %s", seed, i, a.fault)
		case a.end == nil:
			t.Errorf("seed %d, receiver %d: no end by %v; next %d of %d, stats %+v", seed, i, n.now, a.next, src.window.Next(), a.r)
		case errors.Is(a.end, io.EOF) && a.next != src.window.Next():
			t.Errorf("seed %d, receiver %d: ends at %d of %d", seed, i, a.next, src.window.Next())
		case !a.mayLose && a.lost > 0:
			t.Errorf("seed %d, receiver %d: %d packets lost though the source held them: %v, at %v, %+v", seed, i, a.lost, a.why, n.now, a.r.Stats())
			t.Logf("source %+v pending %d at %v", src.Stats(), src.repairs.Pending(), src.Deadline())
		case !a.mayLose && !errors.Is(a.end, io.EOF):
			t.Errorf("seed %d, receiver %d: ended with %v", seed, i, a.end)
		}
	}
}

func TestHistories(t *testing.T) {
	for seed := range uint64(fewer(400)) {
		history(t, seed)
		if t.Failed() {
			return
		}
	}
}
