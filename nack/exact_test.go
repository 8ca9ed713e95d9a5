package nack

import (
	"encoding/binary"
	"hash"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
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
		{"Wait", exactWait, 0x372d5b35c40c29b7},
		{"UniformWait", exactUniformWait, 0x80b329d0bd168732},
		{"Interval", exactInterval, 0xbfbdc0e1f243927e},
		{"group", exactGroup, 0xf32848e190d14c94},
		{"requesters", exactRequesters, 0xda1e65223f13fbb3},
		{"Scheduler", exactScheduler, 0x77170e0670d87ea8},
		{"Repairs", exactRepairs, 0xeb6b5f5551cce067},
		{"Shorten", exactShorten, 0xd16a7467c52aba01},
		{"Hold", exactHold, 0x7c09da1c20e01613},
		{"Parity", exactParity, 0x1c03908f1745f042},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &trace{fnv.New64a()}
			c.run(rand.New(rand.NewPCG(3208, 5401)), h)
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

func (h *trace) nums(nums []seq.Num) {
	for _, n := range nums {
		h.add(uint64(n))
	}
}

// below returns a number less than n.
func below(rng *rand.Rand, n int) int { return int(rng.Uint64() % uint64(n)) }

// someTime returns a duration of any magnitude up to 2^bits ns.
func someTime(rng *rand.Rand, bits int) time.Duration {
	return time.Duration(rng.Uint64() >> (64 - bits) >> below(rng, bits))
}

// someSize returns a group size from 0.5 to 4e6, many of them no whole number.
func someSize(rng *rand.Rand) float64 {
	size := 0.5 + float64(rng.Float64()*7.5)
	for range below(rng, 20) {
		size *= 2
	}
	return size
}

func exactWait(rng *rand.Rand, h *trace) {
	for range 200000 {
		top, n := someTime(rng, 63), someSize(rng)
		if below(rng, 4) == 0 {
			n = 1
		}
		h.add(uint64(Wait(rng, top, n)))
	}
}

func exactUniformWait(rng *rand.Rand, h *trace) {
	for range 100000 {
		h.add(uint64(UniformWait(rng, someTime(rng, 63))))
	}
}

func exactInterval(rng *rand.Rand, h *trace) {
	for range 100000 {
		h.add(uint64(Interval(someTime(rng, 61), someSize(rng))))
	}
}

func exactGroup(rng *rand.Rand, h *trace) {
	for range 100 {
		e := groupEstimate{size: clampGroup(someSize(rng))}
		for range 500 {
			switch below(rng, 10) {
			case 0:
				e.setGroup(someTime(rng, 34), someTime(rng, 34), someSize(rng))
			case 1:
				e.setGroup(someTime(rng, 34), someTime(rng, 34), e.size)
			case 2:
				e.sample(1 + below(rng, 10000))
			default:
				e.sample(1 + below(rng, 8))
			}
			h.float(e.size)
			h.float(e.g)
			h.float(e.expect(e.size))
		}
	}
}

func exactRequesters(rng *rand.Rand, h *trace) {
	for range 50 {
		table := newRequesters(16, int64(rng.Uint64()>>24>>below(rng, 38)))
		now := mono.Time(0)
		for range 2000 {
			now = now.Add(someTime(rng, 26))
			q := table.get(now, addr(below(rng, 20)))
			h.truth(table.within(now, q))
			h.truth(table.take(now, q, below(rng, 3000)))
			if below(rng, 200) == 0 {
				table.share = int64(rng.Uint64() >> 24 >> below(rng, 38))
			}
			h.add(q.id)
		}
	}
}

func exactScheduler(rng *rand.Rand, h *trace) {
	for i := range 40 {
		draws := rand.New(rand.NewPCG(uint64(i), 1))
		s := NewScheduler(draws, Timing{Backoff: 20 * time.Millisecond, GroupSize: 100, Limit: 3 * time.Second, Uniform: i%4 == 3})
		now, lead := mono.Time(0), seq.Num(0).Add(-100)
		var asked []seq.Num
		for range 2000 {
			n := lead.Add(-below(rng, 60))
			switch below(rng, 12) {
			case 0, 1:
				from := lead.Add(1)
				lead = lead.Add(2 + below(rng, 8))
				s.Missing(now, seq.Range{From: from, To: lead}, lead)
			case 2:
				lead++
				s.Progress(now, lead)
			case 3, 4:
				wait, ok := s.Found(now, n)
				h.add(uint64(wait))
				h.truth(ok)
			case 5:
				rtt, ok := s.NCF(now, n)
				h.add(uint64(rtt))
				h.truth(ok)
			case 6:
				s.NAKHeard(now, n)
			case 7:
				grtt, size := someTime(rng, 26), someSize(rng)
				timing := s.Timing()
				timing.Backoff, timing.GroupSize = Interval(grtt, size), size
				timing.Repeat, timing.Data = 2*grtt+1, 3*grtt+1
				s.SetTiming(timing)
				if below(rng, 4) == 0 {
					s.Hurry(now)
				}
			case 8:
				now = now.Add(someTime(rng, 24))
			default:
				now = max(now, min(s.Deadline(), now.Add(time.Second)))
				for r, ok := s.Expired(now); ok; r, ok = s.Expired(now) {
					h.add(uint64(r.From), uint64(r.To))
				}
				asked = s.Due(now, asked[:0])
				h.nums(asked)
			}
			h.add(uint64(now), uint64(s.Deadline()), uint64(s.Len()), uint64(s.Ranges()), s.Suppressed())
		}
	}
}

func exactRepairs(rng *rand.Rand, h *trace) {
	for i := range 40 {
		r := NewRepairs(RepairsConfig{MaxQueued: 200, MaxRequesters: 32, ReceiverShare: int64(i) * 100000, GroupSize: 1 + float64(i*i)})
		now, trail := mono.Time(0), seq.Num(0).Add(-1000)
		grtt := 10 * time.Millisecond
		var nums []seq.Num
		for range 3000 {
			switch below(rng, 10) {
			case 0, 1, 2, 3:
				h.add(uint64(r.NAK(now, addr(below(rng, 40)), trail.Add(below(rng, 100)), 100+below(rng, 1400))))
			case 4:
				nums = r.NCFs(now, nums[:0])
				h.nums(nums)
			case 5:
				trail++
				r.Trim(trail)
			case 6:
				if below(rng, 5) == 0 {
					grtt = someTime(rng, 28) + 1
					r.SetHoldOff(grtt)
				}
				r.SetGroup(grtt, grtt/2, r.GroupSize())
			case 7:
				now = now.Add(someTime(rng, 24))
			default:
				if q, ok := r.Next(now); ok {
					h.add(uint64(q.N))
					r.Sent(now, q.N)
				}
			}
			h.float(r.GroupSize())
			h.add(uint64(r.Pending()))
		}
		st := r.Stats()
		h.add(st.Queued, st.Merged, st.HeldOff, st.Refused, st.NCFs, st.Sent)
	}
}

func exactShorten(rng *rand.Rand, h *trace) {
	for range 100000 {
		h.add(uint64(Shorten(someTime(rng, 63), below(rng, 130), below(rng, 130))))
	}
}

func exactHold(rng *rand.Rand, h *trace) {
	for i := range 40 {
		draws := rand.New(rand.NewPCG(uint64(i), 2))
		s := NewScheduler(draws, Timing{Backoff: 20 * time.Millisecond, GroupSize: 100, Limit: 3 * time.Second, Uniform: i%4 == 3})
		now, lead := mono.Time(0), seq.Num(0).Add(-100)
		var asked []seq.Num
		for range 2000 {
			from := lead.Add(-below(rng, 100))
			r := seq.Range{From: from, To: from.Add(below(rng, 65))}
			switch below(rng, 10) {
			case 0, 1:
				from := lead.Add(1)
				lead = lead.Add(2 + below(rng, 8))
				s.Missing(now, seq.Range{From: from, To: lead}, lead)
			case 2:
				s.Found(now, from)
			case 3:
				s.NCF(now, from)
			case 4:
				s.NAKHeard(now, from)
			case 5:
				s.Hold(r, mono.Never)
			case 6:
				s.Hold(r, now.Add(someTime(rng, 26)))
			case 7:
				s.Resume(now, r)
			default:
				now = max(now, min(s.Deadline(), now.Add(100*time.Millisecond)))
				for r, ok := s.Expired(now); ok; r, ok = s.Expired(now) {
					h.add(uint64(r.From), uint64(r.To))
				}
				asked = s.Due(now, asked[:0])
				h.nums(asked)
			}
			h.add(uint64(now), uint64(s.Deadline()), uint64(s.Len()), uint64(s.Ranges()), s.Suppressed(), uint64(s.Held(r)))
		}
	}
}

func exactParity(rng *rand.Rand, h *trace) {
	for i := range 40 {
		const k = 64
		r := NewRepairs(RepairsConfig{HoldOff: 10 * time.Millisecond, MaxQueued: 20, MaxRequesters: 32, ReceiverShare: int64(i) * 1000000})
		now, trail := mono.Time(0), seq.Num(0).Add(-100*k)
		var nums []seq.Num
		for range 3000 {
			base := trail.Add(k * below(rng, 30))
			switch below(rng, 10) {
			case 0, 1, 2:
				from := addr(below(rng, 40))
				seen := now.Add(-someTime(rng, 26))
				h.add(uint64(r.ParityNAK(now, from, base, 1+below(rng, k), seen, 100+below(rng, 1400))))
			case 3:
				h.add(uint64(r.NAK(now, addr(below(rng, 40)), base.Add(below(rng, 2)), 1400)))
			case 4:
				nums = r.ParityNCFs(now, nums[:0])
				h.nums(nums)
			case 5:
				if below(rng, 20) == 0 {
					trail = trail.Add(k)
					r.Trim(trail)
				}
			case 6:
				r.ParitySent(now, base, 1+below(rng, 4))
			case 7:
				now = now.Add(someTime(rng, 24))
			default:
				if q, ok := r.Next(now); ok && q.Parity {
					h.add(uint64(q.N), uint64(q.Count))
					r.ParitySent(now, q.N, min(q.Count, 1+below(rng, 20)))
				} else if ok {
					h.add(uint64(q.N))
					r.Sent(now, q.N)
				}
			}
			h.float(r.GroupSize())
			h.add(uint64(r.Pending()))
		}
		st := r.Stats()
		h.add(st.ParityQueued, st.ParityMerged, st.ParityHeldOff, st.ParityRefused, st.ParityNCFs, st.ParitySent)
	}
}
