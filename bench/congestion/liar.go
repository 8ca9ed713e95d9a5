package main

import (
	"context"
	"fmt"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/sim"
	"github.com/rmcast/rmcast/wire"
)

// lie is what a receiver makes of its reports.
type lie func(r *wire.Report)

// rosy says that everything came, ten times as much in the same time, and at once.
func rosy(r *wire.Report) {
	r.Bytes *= 10
	r.Heard = uint32(r.Lead)
	r.Clock /= 10
	r.Held += 1e6
}

// gloomy says that nothing ever comes.
func gloomy(r *wire.Report) { r.Bytes, r.Heard = 0, 0 }

const (
	liarCap  = 50 * flow.Mbps
	liarLink = 20 * flow.Mbps
)

// liarCases have a receiver that lies, beside one that does not or alone: the rate stays within its bounds, the cap and the floor.
func liarCases(seed uint64) (all []Case) {
	for _, c := range []struct {
		name   string
		lie    lie
		honest int
	}{{"rosy", rosy, 0}, {"rosy-of-2", rosy, 1}, {"gloomy", gloomy, 0}, {"gloomy-of-2", gloomy, 1}} {
		all = append(all, Case{
			Kind: "liar", Name: c.name, quick: true,
			text: fmt.Sprintf("a receiver lies, %d do not, on %v with a cap of %v", c.honest, liarLink, liarCap),
			run:  func(ctx context.Context, r *Result) error { return liar(ctx, r, c.lie, c.honest, seed) },
		})
	}
	return all
}

// liar measures between which rates a source moves while its first receiver lies, and what the honest ones get.
func liar(ctx context.Context, r *Result, lie lie, honest int, seed uint64) error {
	var first int // the liar's host
	w := newWorldOf(Path{liarLink, 20 * ms}, sim.Config{Seed: seed, Drop: func(from, _ int, p *wire.Packet) bool {
		if rep := &p.Options.Peer.Report; from == first && rep.On {
			lie(rep) // this is the last that looks at it but for the source
		}
		return false
	}})
	src := w.source(0, func(c *session.SourceConfig) { c.Rate = liarCap })
	g := w.receivers(1+honest, sim.GroupConfig{Hollow: true})
	first = g.Host(0)
	src.Stream(endless)
	low, high, sent := flow.Unlimited, flow.Rate(0), uint64(0)
	err := w.run(ctx, 20*time.Second, 10*ms, func() {
		now := src.Stats().Rate
		low, high = min(low, now), max(high, now)
		sent = w.offered()
	})
	if err != nil {
		return err
	}
	r.need("least rate", megarate(low), "Mbit/s", least, megarate(flow.DefaultMinRate))
	r.need("greatest", megarate(high), "Mbit/s", most, megarate(liarCap))
	r.need("sent", megabits(sent, 20*time.Second), "Mbit/s", most, 1.02*megarate(liarCap))
	if honest > 0 {
		st, _ := g.Receiver(1)
		r.note("read by the other", megabits(ip(st.Bytes), 20*time.Second), "Mbit/s")
	}
	return nil
}
