package flow

import (
	"encoding/binary"
	"hash"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
)

// The same calls with the same seed give the same bits on every architecture: assembly in package math, fused multiplication and
// addition, and conversions out of range may not show. Each hash is over all that a long random history returned; that of
// amd64 stands here, and the other architectures must meet it. A change of behaviour changes the hash: the failure prints the new one.
func TestExact(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(rng *rand.Rand, h *trace)
		want uint64
	}{
		{"Pacer", exactPacer, 0xd58c426f5218a718},
		{"Limiter", exactLimiter, 0xbf1ff06bc84e0223},
		{"RTT", exactRTT, 0xd085c732584998cd},
		{"GRTT", exactGRTT, 0x27bd07a6644de9b3},
		{"bytes", exactBytes, 0x8fa36ae096cfc9f9},
		{"Rate", exactRate, 0x704fde41766bbbad},
		{"costs", exactCosts, 0x2f86f986462f7932},
		{"Parity", exactParity, 0x502338ff9a6c6e95},
		{"Group", exactGroup, 0x414bf0365ca71249},
		{"Congestion", exactCongestion, 0x4411e9099779aaa7},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &trace{fnv.New64a()}
			c.run(rand.New(rand.NewPCG(6298, 5740)), h)
			if got := h.Sum64(); got != c.want {
				t.Errorf("the history hashes to %#x, want %#x", got, c.want)
			}
		})
	}
}

// trace hashes numbers.
type trace struct{ hash.Hash64 }

func (h *trace) add(values ...uint64) {
	var b [8]byte
	for _, v := range values {
		binary.BigEndian.PutUint64(b[:], v)
		h.Write(b[:])
	}
}

func (h *trace) float(v float64) { h.add(math.Float64bits(v)) }

func (h *trace) truth(v bool) {
	if v {
		h.add(1)
	} else {
		h.add(0)
	}
}

// below returns a number less than n.
func below(rng *rand.Rand, n int) int { return int(rng.Uint64() % uint64(n)) }

// someTime returns a duration of any magnitude up to 2^bits ns.
func someTime(rng *rand.Rand, bits int) time.Duration {
	return time.Duration(rng.Uint64() >> (64 - bits) >> below(rng, bits))
}

// someRate returns a rate of any magnitude from 1 bit/s to 2^bits.
func someRate(rng *rand.Rand, bits int) Rate {
	return 1 + Rate(rng.Uint64()>>(64-bits)>>below(rng, bits))
}

func exactPacer(rng *rand.Rand, h *trace) {
	for range 100 {
		now := mono.Time(someTime(rng, 60))
		p := NewPacer(someRate(rng, 40), below(rng, 100000), now)
		for range 1000 {
			switch below(rng, 8) {
			case 0:
				now = now.Add(someTime(rng, 27))
			case 1, 2:
				now = min(p.OpenAt(now), now.Add(time.Minute))
			case 3:
				p.Take(now.Add(-someTime(rng, 20)), below(rng, 100000))
			case 4:
				if below(rng, 50) == 0 {
					p.SetRate(now, someRate(rng, 40))
				}
			default:
				if p.Open(now) {
					p.Take(now, below(rng, MaxRunBytes))
				}
			}
			h.truth(p.Open(now))
			h.add(uint64(now), uint64(p.OpenAt(now)), uint64(p.OpenAt(now-1000)))
		}
		h.add(uint64(p.Rate()), uint64(p.Burst()))
	}
}

func exactLimiter(rng *rand.Rand, h *trace) {
	for range 40 {
		now := mono.Time(someTime(rng, 60))
		l := NewLimiter(LimiterConfig{Rate: 100000 + someRate(rng, 34), RepairShare: rng.Float64()}, now)
		for range 3000 {
			data := below(rng, 2) == 0
			switch below(rng, 10) {
			case 0:
				now = now.Add(someTime(rng, 22))
			case 1, 2:
				now = l.DataAt(now)
			case 3:
				now = l.RepairAt(now, data)
			case 4:
				if l.Control(now) {
					l.TookControl(now, below(rng, 200))
				}
			case 5, 6:
				if l.Repair(now, data) {
					l.TookRepair(now, below(rng, MaxRunBytes))
				}
			case 7:
				if below(rng, 100) == 0 {
					l.SetRate(now, 100000+someRate(rng, 34))
				}
			default:
				if l.Data(now) {
					l.TookData(now, below(rng, MaxRunBytes))
				}
			}
			h.add(uint64(now), uint64(l.DataAt(now)), uint64(l.RepairAt(now, true)), uint64(l.RepairAt(now, false)), uint64(l.ControlAt(now)))
			h.truth(l.Data(now))
			h.truth(l.Repair(now, true))
			h.truth(l.Control(now))
		}
		h.add(uint64(l.RunPackets(1480)))
	}
}

func exactRTT(rng *rand.Rand, h *trace) {
	var r RTT
	for range 100000 {
		r.Sample(someTime(rng, 45))
		h.add(uint64(r.Smoothed()), uint64(r.Var()), uint64(r.Timeout(2*time.Millisecond)))
	}
}

func exactGRTT(rng *rand.Rand, h *trace) {
	var g GRTT
	now := mono.Time(0)
	for range 100000 {
		if below(rng, 1000) == 0 {
			g.Init(someTime(rng, 40))
		}
		g.Sample(now, someTime(rng, 36))
		now = now.Add(someTime(rng, 30))
		h.add(uint64(g.Value(now)), uint64(EncodeGRTT(g.Value(now))))
	}
}

func exactBytes(rng *rand.Rand, h *trace) {
	for q := range 256 {
		h.add(uint64(DecodeGRTT(uint8(q))))
		h.float(DecodeGroupSize(uint8(q)))
	}
	for range 100000 {
		h.add(uint64(EncodeGRTT(someTime(rng, 50))))
		size := rng.Float64()
		for range below(rng, 55) {
			size *= 2
		}
		h.add(uint64(EncodeGroupSize(size)))
	}
}

func exactRate(rng *rand.Rand, h *trace) {
	for range 100000 {
		r := someRate(rng, 62)
		h.add(uint64(r.Bytes(someTime(rng, 62))), uint64(r.Duration(int64(someTime(rng, 50)))), uint64(r.scale(rng.Float64())))
		again, err := ParseRate(r.String())
		h.add(uint64(again))
		h.truth(err == nil)
	}
}
