package main

import (
	"context"
	"fmt"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/sim"
)

var (
	gridRates = []flow.Rate{flow.Mbps, 10 * flow.Mbps, 100 * flow.Mbps, flow.Gbps}
	gridRTTs  = []time.Duration{ms, 20 * ms, 100 * ms}
)

const gridLength = time.Minute

// aloneCases are a source and a receiver alone on a bottleneck.
func aloneCases(seed uint64) (all []Case) {
	for _, rate := range gridRates {
		for _, rtt := range gridRTTs {
			p := Path{rate, rtt}
			all = append(all, Case{
				Kind: "alone", Name: fmt.Sprintf("%s-%v", compact(rate), rtt), quick: rate <= 100*flow.Mbps,
				text: fmt.Sprintf("alone on %v, RTT %v, queue of %d packets, for %v", rate, rtt, p.queue()/packetBytes, gridLength),
				run:  func(ctx context.Context, r *Result) error { return alone(ctx, r, p, gridLength, seed) },
			})
		}
	}
	return all
}

// alone measures one source and one receiver on a path.
func alone(ctx context.Context, r *Result, p Path, length time.Duration, seed uint64) error {
	w := newWorld(p, seed)
	src := w.source(0)
	g := w.receivers(1, sim.GroupConfig{Hollow: true})
	src.Stream(endless)
	step := min(max(p.RTT/4, ms/2), 10*ms)
	begin := &watch{Series: Series{Step: step}}
	begin.flow("offered", w.offered)
	queue, longest, steps := 0.0, 0.0, 0
	err := w.run(ctx, length, step, func() {
		if steps++; time.Duration(steps)*step < 20*time.Second {
			begin.sample()
		}
		q := w.queued()
		queue += q
		longest = max(longest, q)
	})
	if err != nil {
		return err
	}
	down, _ := w.neck.LinkStats()
	st := g.Stats()
	used := 100 * megabits(ip(st.Bytes), length) / megarate(p.Rate)
	r.need("utilisation", used, "%", least, 90)
	r.need("loss", 100*float64(down.Overflow)/float64(max(down.Packets, 1)), "%", most, 1)
	full := begin.reaches("offered", 0, max(2*p.RTT, p.Rate.Duration(16*packetBytes)), 0.9*megarate(p.Rate))
	if p.near() && p.Rate >= 100*flow.Mbps {
		r.need("full speed after", seconds(full)/p.RTT.Seconds(), "RTT", most, 10)
	} else {
		r.note("full speed after", seconds(full)/p.RTT.Seconds(), "RTT")
	}
	r.note("queue", queue/float64(steps), "ms")
	r.note("longest", longest, "ms")
	r.need("lost for good", float64(st.Lost), "", most, 0)
	return nil
}
