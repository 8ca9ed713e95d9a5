package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/sim"
)

var (
	noiseLosses = []float64{0, 0.01, 0.05, 0.1, 0.2}
	noiseSizes  = []int{1, 4, 16}
	noiseRTTs   = []time.Duration{ms, 20 * ms}
	handSet     = []float64{0.8, 0.9, 0.95, 1} // of the bottleneck
)

const noiseBytes = 40 << 20

// noiseCases are transfers under random loss, which says nothing of the rate: as fast as with the best rate set by hand.
func noiseCases(seed uint64) (all []Case) {
	for _, rtt := range noiseRTTs {
		for _, loss := range noiseLosses {
			for _, n := range noiseSizes {
				p := Path{100 * flow.Mbps, rtt}
				all = append(all, Case{
					Kind: "noise", Name: fmt.Sprintf("%v-%s%%-%d", rtt, short(100*loss), n), quick: n == 4 && rtt > ms,
					text: fmt.Sprintf("%d MiB to %d receivers over %v, RTT %v, each losing %s %%", noiseBytes>>20, n, p.Rate, rtt, short(100*loss)),
					run:  func(ctx context.Context, r *Result) error { return noise(ctx, r, p, loss, n, seed) },
				})
			}
		}
	}
	return append(all, idleLossCase(seed))
}

// noise compares a source that adapts with the best rate of several.
func noise(ctx context.Context, r *Result, p Path, loss float64, n int, seed uint64) error {
	best, at := time.Duration(0), 0.0
	for _, share := range handSet {
		took, err := transfer(ctx, p, loss, n, flow.Rate(share*float64(p.Rate)), noiseBytes, seed)
		if err != nil {
			return fmt.Errorf("at %s of the bottleneck: %w", short(share), err)
		}
		if best == 0 || took < best {
			best, at = took, share
		}
	}
	took, err := transfer(ctx, p, loss, n, 0, noiseBytes, seed)
	if err != nil {
		return err
	}
	r.note("goodput", megabits(noiseBytes, took), "Mbit/s")
	r.note("best set by hand", megabits(noiseBytes, best), "Mbit/s")
	r.note("which is", 100*at, "% of the link")
	r.need("ratio", 100*best.Seconds()/took.Seconds(), "%", least, 90)
	return nil
}

// transfer returns how long it takes until all have everything, which is checked to the byte.
func transfer(ctx context.Context, p Path, loss float64, n int, fixed flow.Rate, bytes int64, seed uint64) (time.Duration, error) {
	w := newWorld(p, seed)
	src := w.source(fixed)
	at, wrong, ended := make([]int64, n), 0, 0
	var g *sim.Group
	own := netem.Impairment{Loss: loss}
	g = w.receivers(n, sim.GroupConfig{Down: own, Up: own, Deliver: func(e *sim.Event) {
		i := e.Host - g.Host(0)
		switch e.Kind {
		case sim.Delivered:
			if !src.Verify(at[i], e.Data) {
				wrong++
			}
			at[i] += int64(e.Bytes)
		case sim.Gap:
			wrong++
		case sim.Ended:
			if e.Err != io.EOF || at[i] != bytes {
				wrong++
			}
			ended++
		}
	}})
	src.Stream(bytes)
	src.Finish()
	for limit := 5 * time.Minute; ended < n; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		done, err := w.n.RunUntil(100*ms, func() bool { return ended == n })
		if err != nil {
			return 0, err
		}
		if !done && w.n.Now() > limit {
			return 0, fmt.Errorf("%d of %d receivers have it after %v; %v", ended, n, limit, at)
		}
	}
	if wrong > 0 {
		return 0, fmt.Errorf("%d reads were wrong, or told of loss", wrong)
	}
	return w.n.Now(), nil
}

// idleLossCase asks that loss alone does not slow a source.
func idleLossCase(seed uint64) Case {
	p, length := Path{100 * flow.Mbps, 20 * ms}, 20*time.Second
	return Case{
		Kind: "noise", Name: "idle-5%", quick: true,
		text: fmt.Sprintf("the rate on an idle link of %v, RTT %v, with 5 %% random loss against none, for %v", p.Rate, p.RTT, length),
		run: func(ctx context.Context, r *Result) error {
			var sent, got [2]float64
			for i, loss := range []float64{0, 0.05} {
				w := newWorld(p, seed)
				src := w.source(0)
				own := netem.Impairment{Loss: loss}
				g := w.receivers(1, sim.GroupConfig{Down: own, Up: own, Hollow: true})
				src.Stream(endless)
				if err := w.run(ctx, length, 100*ms, nil); err != nil {
					return err
				}
				sent[i], got[i] = megabits(w.offered(), length), megabits(g.Stats().Bytes, length)
			}
			r.note("rate without loss", sent[0], "Mbit/s")
			r.note("with 5 %", sent[1], "Mbit/s")
			r.need("ratio", 100*sent[1]/sent[0], "%", least, 90)
			r.note("goodput", 100*got[1]/got[0], "%")
			return nil
		},
	}
}
