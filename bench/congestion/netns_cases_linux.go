package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
)

// againstTCP is our source with TCP flows on one bottleneck, and the flows alone between.
func (o *options) againstTCP(ctx context.Context, r *Result, n int) error {
	var ours, mean, least1, alone, used, dropped, droppedAlone []float64
	fair := megarate(netnsPath.Rate) / float64(n+1)
	for range o.runs {
		base, err := o.run(ctx, contest{flows: n, length: o.length})
		if err != nil {
			return fmt.Errorf("TCP alone: %w", err)
		}
		both, err := o.run(ctx, contest{sources: 1, flows: n, length: o.length})
		if err != nil {
			return err
		}
		alone, droppedAlone = append(alone, sum(base.tcp)), append(droppedAlone, base.dropped)
		ours, mean = append(ours, both.ours[0]), append(mean, sum(both.tcp)/float64(n)/fair)
		least1 = append(least1, slices.Min(both.tcp)/fair)
		used, dropped = append(used, sum(both.tcp)+both.ours[0]), append(dropped, both.dropped)
		r.Series = both.series
	}
	r.median("TCP alone", alone, "Mbit/s", "", 0)
	r.median("ours", ours, "Mbit/s", "", 0)
	share := median(ours) / fair
	r.need("of a fair share", share, "", least, 0.5)
	r.need("and not more than twice", share, "", most, 2)
	r.median("each TCP, of a fair share", mean, "", "", 0)
	r.need("in the worst run", slices.Min(mean), "", least, 0.5)
	r.note("the least TCP flow", slices.Min(least1), "")
	r.median("both", used, "Mbit/s", "", 0)
	r.median("dropped", dropped, "%", "", 0)
	r.median("dropped, TCP alone", droppedAlone, "%", "", 0)
	return nil
}

// twoSources are two of ours on one bottleneck, and one alone between.
func (o *options) twoSources(ctx context.Context, r *Result) error {
	var alone, used, index, dropped []float64
	for range o.runs {
		base, err := o.run(ctx, contest{sources: 1, length: o.length})
		if err != nil {
			return fmt.Errorf("one alone: %w", err)
		}
		both, err := o.run(ctx, contest{sources: 2, length: o.length})
		if err != nil {
			return err
		}
		alone, used = append(alone, base.ours[0]), append(used, sum(both.ours))
		index, dropped = append(index, jain(both.ours...)), append(dropped, both.dropped)
		r.Series = both.series
	}
	r.median("one alone", alone, "Mbit/s", least, 90)
	r.median("both", used, "Mbit/s", "", 0)
	r.median("Jain", index, "", least, 0.95)
	r.median("dropped", dropped, "%", "", 0)
	return nil
}

// randomLoss compares a link with random loss with the clean one, and with TCP on it where loss counts as congestion.
func (o *options) randomLoss(ctx context.Context, r *Result) error {
	kinds := []struct {
		name string
		c    contest
	}{
		{"without loss", contest{sources: 1}},
		{"with it", contest{sources: 1, loss: 0.05}},
		{"LossIsCongestion", contest{sources: 1, loss: 0.05, lossIsCongestion: true}},
		{"TCP", contest{flows: 1, loss: 0.05}},
	}
	got := make([][]float64, len(kinds))
	for range o.runs {
		for i, k := range kinds {
			k.c.length = o.length / 2
			out, err := o.run(ctx, k.c)
			if err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
			got[i] = append(got[i], sum(append(out.ours, out.tcp...)))
		}
	}
	for i, k := range kinds {
		r.median(k.name, got[i], "Mbit/s", "", 0)
	}
	// Of what is sent 5 % is lost and sent again: the rate is compared, not what is left of it.
	r.need("rate, of that without loss", 100*median(got[1])/0.95/median(got[0]), "%", least, 90)
	r.need("LossIsCongestion, of TCP", 100*median(got[2])/median(got[3]), "%", least, 100)
	return nil
}

// killed ends the slowest of three receivers by SIGKILL, and takes the time until the source has its full rate.
func (o *options) killed(ctx context.Context, r *Result) error {
	const (
		slow   = 20 * flow.Mbps
		before = 6 * time.Second
		after  = 4 * time.Second
	)
	var times, paced, was []float64
	for range o.runs {
		took, pace, rate, err := o.killOnce(ctx, r, slow, before, after)
		if err != nil {
			return err
		}
		times, paced, was = append(times, took), append(paced, pace), append(was, rate)
	}
	limit := 1000 * mostWait(netnsPath).Seconds()
	r.median("sent before", was, "Mbit/s", "", 0)
	r.median("rate of 90 Mbit/s after", paced, "ms", "", 0)
	r.median("90 Mbit/s sent after", times, "ms", most, limit)
	return nil
}

// killOnce returns after how many milliseconds 90 % of the bottleneck were sent (over 60 ms), and were the source's rate.
func (o *options) killOnce(ctx context.Context, r *Result, slow flow.Rate, before, after time.Duration) (took, paced, was float64, err error) {
	var top netem.Topology
	right := top.Branch(0, netnsPath.down(), netnsPath.up())
	own := Path{slow, netnsPath.RTT}.down()
	own.Delay = 0
	top.Receivers = []netem.Port{{Switch: right}, {Switch: right}, {Switch: right, Down: own}}
	relay, err := netem.NewRelay(netem.RelayConfig{Topology: top, Seed: o.seed})
	if err != nil {
		return 0, 0, 0, err
	}
	m := &match{at: relay, o: o}
	var dead *process
	defer func() {
		m.all = slices.DeleteFunc(m.all, func(p *process) bool { return p == dead })
		err = errors.Join(err, m.end(), relay.Close())
	}()
	job := Job{Role: receiveRmcast, Group: "[ff15::8000:1]:7500", For: before + after}
	for i := range 3 {
		m.to = append(m.to, m.start(ctx, netem.Node(i), job))
	}
	job.Role = sendRmcast
	m.from = append(m.from, m.start(ctx, netem.Sender, job))
	if m.err != nil {
		return 0, 0, 0, m.err
	}
	if err := m.begin(); err != nil {
		return 0, 0, 0, err
	}
	src := m.from[0]
	select {
	case <-time.After(before):
	case <-ctx.Done():
		return 0, 0, 0, ctx.Err()
	}
	dead = m.to[2]
	at := monotonic()
	err = dead.kill()
	_ = dead.end() // it was killed
	if err != nil {
		return 0, 0, 0, err
	}
	m.to = m.to[:1] // receivers 0 and 1 hear the same
	sent, err := src.wait(ctx, after+patience)
	if err != nil {
		return 0, 0, 0, err
	}
	got, err := m.to[0].wait(ctx, patience)
	if err == nil && got.SHA256[0] != sent.SHA256[0] {
		err = errors.New("what was read is not what was sent")
	}
	if err != nil {
		return 0, 0, 0, err
	}
	r.Series = m.series(before + after)
	r.Series.Tracks = append(r.Series.Tracks, src.rates(before+after))
	took, paced = src.full(at, at+int64(after-500*ms), 0.9*megarate(netnsPath.Rate))
	return took, paced, src.between(0, at-int64(2*time.Second), at), nil
}

// full returns how many milliseconds after from a source has sent at least bound for 60 ms, and its rate was that.
func (p *process) full(from, to int64, bound float64) (sent, rate float64) {
	sent, rate = seconds(never), seconds(never)
	const while = int64(60 * ms)
	for at := from; at+while < to; at += int64(5 * ms) {
		if p.between(0, at, at+while) >= bound {
			sent = float64(at+while-from) / 1e6
			break
		}
	}
	for _, t := range p.ticks {
		if t.At > from && t.Rate >= bound {
			rate = float64(t.At-from) / 1e6
			break
		}
	}
	return sent, rate
}

// rates are a source's, over time.
func (p *process) rates(length time.Duration) Track {
	t, i := Track{Name: "rate", Unit: "Mbit/s"}, 0
	for at := time.Duration(0); at < length; at += seriesStep {
		for i+1 < len(p.ticks) && p.ticks[i].At < p.report.Start+int64(at+seriesStep) {
			i++
		}
		if i < len(p.ticks) {
			t.Values = append(t.Values, p.ticks[i].Rate)
		}
	}
	return t
}
