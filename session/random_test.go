package session

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime/debug"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

func anyNumber(rng *rand.Rand, base seq.Num) seq.Num {
	switch rng.IntN(20) {
	case 0:
		return base + 1<<31
	case 1:
		return seq.Num(rng.Uint32())
	case 2:
		return base.Add(rng.IntN(3000))
	}
	return base.Add(rng.IntN(60) - 10)
}

func believedPackets(seed uint64) (msg string) {
	defer func() {
		if x := recover(); x != nil {
			msg = fmt.Sprintf("seed %d: %v\n%s", seed, x, debug.Stack())
		}
	}()
	rng := rand.New(rand.NewPCG(seed, 7))
	cfg := testPeersConfig()
	cfg.MaxWindow = []int{16, 64, 4096}[rng.IntN(3)]
	cfg.WindowBytes = []int64{1, 256 << 10, 96 << 20}[rng.IntN(3)]
	cfg.Unordered = rng.IntN(2) == 0
	cfg.Join = Join(rng.IntN(3))
	cfg.ReceiveOnly = rng.IntN(4) == 0
	cfg.MaxMessage = 20000
	ps := NewPeers(0, cfg, rng)
	base := seq.Num(rng.Uint32())
	now := mono.Time(0)
	spm := seq.Num(0)
	var r *Receiver
	tr := Transmit{B: make([]byte, 0, RunBytes)}
	buf := make([]byte, 5000)
	for range 600 {
		switch k := rng.IntN(14); {
		case k < 8:
			typ := wire.TypeODATA
			if rng.IntN(3) == 0 {
				typ = wire.TypeRDATA
			}
			p := forged(typ, anyNumber(rng, base))
			p.Trail = base.Add(rng.IntN(20) - 20)
			size := rng.IntN(200)
			if rng.IntN(10) == 0 {
				size = rng.IntN(60000)
			}
			p.Payload = make([]byte, size)
			if rng.IntN(2) == 0 {
				p.Options.Set = p.Options.Set.With(wire.OptFragment)
				back := rng.IntN(4)
				p.Options.Fragment = wire.Fragment{First: p.Sqn.Add(-back), Offset: uint32(back * 100), Length: uint32(rng.IntN(500))}
				if rng.IntN(2) == 0 {
					p.Payload = make([]byte, 100)
					f := p.Sqn &^ 3
					p.Options.Fragment = wire.Fragment{First: f, Offset: uint32(p.Sqn-f) * 100, Length: 400}
				}
			}
			ps.Handle(now, forgedMeta, p)
		case k < 10:
			p := forgedSPM(spm, base.Add(rng.IntN(20)-20), base.Add(rng.IntN(40)))
			if rng.IntN(10) == 0 {
				p.Lead = anyNumber(rng, base)
				p.Trail = anyNumber(rng, base)
			}
			spm += seq.Num(rng.IntN(3))
			if rng.IntN(2) == 0 {
				p.Options.Set = p.Options.Set.With(wire.OptJoin)
				p.Options.Join = p.Trail
			}
			if rng.IntN(2) == 0 {
				p.Options.Set = p.Options.Set.With(wire.OptPeer)
				p.Options.Peer = wire.Peer{GRTT: uint8(rng.IntN(256)), GroupSize: uint8(rng.IntN(256)), Window: rng.Uint32() >> rng.IntN(32), Flags: uint8(rng.IntN(2))}
			}
			if rng.IntN(200) == 0 {
				p.Options.Set = p.Options.Set.With(wire.OptFIN)
			}
			ps.Handle(now, forgedMeta, p)
		case k == 10:
			p := forged(wire.TypeNCF, anyNumber(rng, base))
			ps.Handle(now, forgedMeta, p)
			p = forged(wire.TypeNAK, anyNumber(rng, base))
			p.SourcePort, p.DestinationPort = testPort, 1000
			ps.Handle(now, forgedMeta, p)
		case k == 11:
			base = base.Add(rng.IntN(10))
			now = now.Add(time.Duration(rng.IntN(int(100 * time.Millisecond))))
			if rng.IntN(100) == 0 {
				now = now.Add(20 * time.Second)
			}
		default:
			if r == nil {
				r = ps.Accept()
			}
			if r != nil {
				for range 1 + rng.IntN(10) {
					var err error
					if rng.IntN(2) == 0 {
						_, err = r.Read(now, buf[:rng.IntN(len(buf))])
					} else {
						_, err = r.ReadMessage(now, buf)
					}
					if errors.Is(err, ErrWouldBlock) {
						break
					}
				}
			}
		}
		for ps.Ready() != nil {
		}
		n := 0
		for ps.Advance(now); ps.Poll(now, &tr); ps.Advance(now) {
			if n++; n > 10000 {
				return fmt.Sprintf("seed %d: Poll without end", seed)
			}
		}
		if d := ps.Deadline(); d <= now {
			return fmt.Sprintf("seed %d: deadline %v at %v", seed, d, now)
		}
	}
	if r != nil && !r.closed {
		// silence: the session must come to its end
		for range 1000 {
			now = max(now+1, min(ps.Deadline(), now.Add(400*time.Second)))
			ps.Advance(now)
			for ps.Poll(now, &tr) {
			}
		}
		now = now.Add(400 * time.Second)
		ps.Advance(now)
		for i := range 200000 {
			_, err := r.Read(now, buf)
			var loss *LossError
			if err == nil || errors.As(err, &loss) {
				if i > 30000 {
					if d := r.lead.Sub(r.window.Next()); d > 10000000 {
						break
					}
					return fmt.Sprintf("seed %d: reads without end, unordered %v, lead %d next %d", seed, cfg.Unordered, r.lead, r.window.Next())
				}
				continue
			}
			if errors.Is(err, ErrWouldBlock) {
				return fmt.Sprintf("seed %d: hang at the end, unordered %v, MaxWindow %d, lead %d, next %d run %d end %d, state %v", seed, cfg.Unordered, cfg.MaxWindow, r.lead, r.window.Next(), r.window.Run(), r.window.End(), r.window.State(r.window.Next()))
			}
			break
		}
	}
	return ""
}

// Random packets in a source's own name, random reads, then silence: no panic, no spinning, and every session ends.
func TestBelievedPackets(t *testing.T) { believe(t, believedPackets) }

// Random requests to a source that writes at random, then Finish: no panic, no spinning, and an end.
func TestBelievedNAKs(t *testing.T) { believe(t, believedNAKs) }

func believe(t *testing.T, run func(seed uint64) string) {
	for seed := range uint64(fewer(200)) {
		if fault := run(seed); fault != "" {
			t.Fatal(fault)
		}
	}
}

func believedNAKs(seed uint64) (msg string) {
	defer func() {
		if x := recover(); x != nil {
			msg = fmt.Sprintf("seed %d: %v\n%s", seed, x, debug.Stack())
		}
	}()
	rng := rand.New(rand.NewPCG(seed, 7))
	cfg := testSourceConfig(netip.MustParseAddr("fd00::1"))
	cfg.Slots = []int{2, 16, 256}[rng.IntN(3)]
	cfg.First = seq.Num(rng.Uint32())
	cfg.Rate = []flow.Rate{flow.Mbps / 10, 10 * flow.Mbps, flow.Gbps, flow.Unlimited}[rng.IntN(4)]
	if rng.IntN(3) == 0 {
		cfg.First = seq.Num(0).Add(-20)
	}
	s := NewSource(0, cfg)
	now := mono.Time(0)
	tr := Transmit{B: make([]byte, 0, RunBytes)}
	for range 500 {
		switch k := rng.IntN(200); {
		case k < 60:
			s.Write(now, make([]byte, rng.IntN(10000)))
		case k < 80:
			s.WriteMessage(now, make([]byte, 1+rng.IntN(min(s.MaxMessage(), 60000))))
		case k < 85:
			s.Flush(now)
		case k < 150:
			p := forged([]wire.Type{wire.TypeNAK, wire.TypeNAK, wire.TypeNAK, wire.TypeACK, wire.TypeSPMR, wire.TypeNNAK}[rng.IntN(6)], 0)
			p.GSI, p.SourcePort, p.DestinationPort = cfg.TSI.GSI, testPort, cfg.TSI.Port
			at := anyNumber(rng, s.window.Trail())
			var nums []seq.Num
			for range 1 + rng.IntN(63) {
				nums = append(nums, at)
				at = at.Add(rng.IntN(5) - 1)
			}
			setNumbers(p, nums)
			if rng.IntN(2) == 0 {
				p.Options.Set = p.Options.Set.With(wire.OptPeer)
				p.Options.Peer.Time = micros(now) - uint32(rng.IntN(1e6))
			}
			s.Handle(now, Meta{From: netip.MustParseAddr(fmt.Sprintf("fd00::%x", 2+rng.IntN(2000)))}, p)
		case k == 150 && rng.IntN(4) == 0:
			s.Finish(now)
		case k == 151 && rng.IntN(4) == 0:
			s.Reset(now, 3)
		default:
			now = now.Add(time.Duration(rng.IntN(int(5 * time.Millisecond))))
			if rng.IntN(50) == 0 {
				now = now.Add(3 * time.Second)
			}
		}
		n := 0
		for s.Advance(now); s.Poll(now, &tr); s.Advance(now) {
			if n++; n > 10000 {
				return fmt.Sprintf("seed %d: Poll without end", seed)
			}
		}
		if d := s.Deadline(); d <= now {
			return fmt.Sprintf("seed %d: spin: deadline %v at %v: partial %v spm %v reclaim %v finish %v", seed, d, now, s.partialAt, s.spm.deadline(), s.reclaimAt(), s.finishAt())
		}
	}
	s.Finish(now)
	for i := 0; !s.Finished(); i++ {
		if i > 200000 {
			return fmt.Sprintf("seed %d: no end", seed)
		}
		now = max(now, s.Deadline())
		if now == mono.Never {
			return fmt.Sprintf("seed %d: never ends", seed)
		}
		s.Advance(now)
		for s.Poll(now, &tr) {
		}
	}
	return ""
}
