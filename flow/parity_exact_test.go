package flow

import (
	"math/rand/v2"

	"github.com/rmcast/rmcast/mono"
)

func exactCosts(rng *rand.Rand, h *trace) {
	for range 5000 {
		p, r := rng.Float64(), rng.Float64()
		p *= p
		for range below(rng, 20) {
			r *= 3
		}
		k := 1 + below(rng, 128)
		h.float(ReplayCost(p, r))
		h.float(ParityCost(k, p, r))
		h.float(parityCost(k, below(rng, 30), p, r))
		h.float(ln(1 + r))
	}
}

func exactParity(rng *rand.Rand, h *trace) {
	for range 60 {
		p := NewParity(ParityConfig{
			GroupSize: 2 << below(rng, 7), Goal: ParityGoal(below(rng, 3)), Within: rng.Float64(), Proactive: below(rng, 3), Interleave: below(rng, 4),
		})
		now, gap, loss := mono.Time(0), someTime(rng, 23), 0.3*rng.Float64()
		for range 100 {
			switch below(rng, 4) {
			case 0:
				p.Loss(float64(loss * rng.Float64()))
			case 1:
				now = now.Add(someTime(rng, 25))
			case 2:
				if below(rng, 20) == 0 {
					gap, loss = someTime(rng, 23), 0.3*rng.Float64()
				}
			}
			for range below(rng, 100) {
				p.Sent(now, 1+below(rng, 3))
				now = now.Add(gap)
			}
			r := 1 + float64(below(rng, 1000))
			plan := p.Plan(someTime(rng, 28), someTime(rng, 28), r)
			h.float(p.Estimate())
			h.add(uint64(p.Fill()), uint64(plan.Proactive), uint64(plan.Hold))
			if p.Fill() > 0 {
				m := newDelayModel(p.cfg, p.key)
				replay := m.replay()
				h.float(replay.tail())
				h.float(m.rescued(&replay, 3))
				h.float(m.patient(plan.Proactive))
			}
		}
	}
}
