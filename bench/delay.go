package main

import (
	"time"

	"github.com/rmcast/rmcast/flow"
)

// delayPatience is how long the last messages may take.
const delayPatience = 10 * time.Second

// delayPlan is the cells of -delay: 40 Mbit/s of 1400-byte messages to 4 receivers at 1 and 5 % loss, unless -r, -loss and
// -rate say otherwise. The link is not shaped: what is measured is the wait for repairs.
func delayPlan(o options) ([]Cell, *Stream) {
	s := &Stream{Bytes: 1400, Rate: 40 * flow.Mbps}
	s.Count = max(int(o.delayFor/s.interval()), 1)
	groups, losses, rate := []int{4}, []float64{0.01, 0.05}, 100*flow.Mbps
	if o.plan.receivers != nil {
		groups = o.plan.receivers
	}
	if o.plan.loss != nil {
		losses = o.plan.loss
	}
	if o.plan.rate != 0 {
		rate = o.plan.rate
	}
	var cells []Cell
	for _, r := range groups {
		for _, loss := range losses {
			c := o.plan.finish(Cell{Rate: rate, Receivers: r, Loss: loss, Bytes: 1})
			cut := max(o.plan.cut, o.delayFor+delayPatience)
			c.Cut = map[Scheme]time.Duration{Rmcast: cut, FanOut: cut}
			cells = append(cells, c)
		}
	}
	return cells, s
}
