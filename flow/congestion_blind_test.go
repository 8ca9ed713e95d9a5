package flow

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
)

// blindPath is a way to a receiver that tells of losses in NAKs alone, as strangers do, in steps of 10 ms: a drop-tail queue of 50 ms before a
// link of its capacity, and losses at random behind it. NAKs arrive 60 ms after, and are counted over a quarter of a second.
type blindPath struct {
	c        *Congestion
	rng      *rand.Rand
	capacity Rate
	loss     float64

	now         mono.Time
	credit      float64 // of a packet
	queue       float64 // packets
	late        []int   // NAKs under way
	asked, sent int
	told        mono.Time
	gone        float64 // packets sent in all,
	lost        float64 // and lost
}

func newBlindPath(start, capacity Rate, loss float64, seed uint64) *blindPath {
	p := &blindPath{c: NewCongestion(0, CongestionConfig{Start: start}), rng: rand.New(rand.NewPCG(seed, 7)), capacity: capacity, loss: loss}
	p.c.Blind(0)
	return p
}

// run goes on for a time, and returns the mean rate in it and the share that was lost.
func (p *blindPath) run(d time.Duration) (mean Rate, lost float64) {
	p.gone, p.lost = 0, 0
	for end := p.now.Add(d); p.now < end; p.now = p.now.Add(10 * ms) {
		const second, packet = 100, packetBytes * 8
		p.credit += float64(p.c.Rate()) / second / packet
		n := int(p.credit)
		p.credit -= float64(n)
		p.queue = max(p.queue-float64(p.capacity)/second/packet, 0)
		lost := 0
		for range n {
			switch {
			case p.queue >= max(float64(p.capacity)/packet*0.05, 4):
				lost++
				continue
			case p.rng.Float64() < p.loss:
				lost++
			}
			p.queue++
		}
		p.gone, p.lost = p.gone+float64(n), p.lost+float64(lost)
		p.sent += n
		if p.late = append(p.late, lost); len(p.late) > 6 {
			p.asked += p.late[0]
			p.late = p.late[1:]
		}
		p.c.Advance(p.now)
		if n > 0 && p.now.Sub(p.told) >= 250*ms {
			p.c.Lost(p.now, p.asked, p.sent)
			p.asked, p.sent, p.told = 0, 0, p.now
		}
	}
	return Rate(p.gone * packetBytes * 8 / d.Seconds()), p.lost / max(p.gone, 1)
}

// A source that has nothing but NAKs to go by, however slow it begins, is not kept slow for long by losses at random: neither at first, when it
// has to tell them from those of sending too fast, nor afterwards.
func TestCongestionBlindNoise(t *testing.T) {
	for _, start := range []Rate{Mbps, 10 * Mbps, 40 * Mbps, 250 * Mbps} {
		for _, loss := range []float64{0, 0.005, 0.01, 0.02, 0.05, 0.2} {
			for seed := range blindSeeds(start) {
				p := newBlindPath(start, Gbps, loss, seed)
				if r, _ := p.run(time.Minute); float64(r) < 0.25*float64(start) {
					t.Errorf("start %v, loss %v, seed %d: %v in the first minute, %+v", start, loss, seed, r, p.c.blind)
				}
				if r, _ := p.run(2 * time.Minute); float64(r) < 0.6*float64(start) {
					t.Errorf("start %v, loss %v, seed %d: %v after that, %+v", start, loss, seed, r, p.c.blind)
				}
			}
		}
	}
}

// On a slower path it sends what that takes, beside losses at random, too.
func TestCongestionBlindPath(t *testing.T) {
	for _, start := range []Rate{Mbps, 10 * Mbps, 40 * Mbps, 250 * Mbps} {
		for _, share := range []float64{0.02, 0.1, 0.3, 0.8} {
			capacity := Rate(share * float64(start))
			if capacity < DefaultMinRate {
				continue
			}
			for _, loss := range []float64{0, 0.01, 0.05} {
				for seed := range blindSeeds(start) {
					p := newBlindPath(start, capacity, loss, seed)
					p.run(30 * time.Second)
					r, lost := p.run(2 * time.Minute)
					if got := float64(r) / float64(capacity); got < 0.55 || got > 1.3 || lost > loss+0.25 {
						t.Errorf("start %v on %v, loss %v, seed %d: %v, %.3f lost, %+v", start, capacity, loss, seed, r, lost, p.c.blind)
					}
				}
			}
		}
	}
}

// blindSeeds is fewer where there are more packets.
func blindSeeds(start Rate) uint64 {
	return max(2, uint64(100*Mbps/max(start, 10*Mbps)))
}
