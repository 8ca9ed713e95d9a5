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

// bulk is a transfer over a switch of this machine, of a link with a rate or of none.
type bulk struct {
	receivers int
	loss      float64
	link      flow.Rate // of the sender; 0: as fast as this machine is
	bytes     int64
}

// rates are those that are tried by hand.
func (b bulk) rates() (all []flow.Rate) {
	if b.link == 0 {
		for _, m := range []flow.Rate{300, 600, 1000, 1500, 2200, 3000} {
			all = append(all, m*flow.Mbps)
		}
		return all
	}
	for _, percent := range []flow.Rate{85, 95, 100} {
		all = append(all, b.link/100*percent)
	}
	return all
}

func (b bulk) String() string {
	link := "not shaped"
	if b.link > 0 {
		link = compact(b.link)
	}
	return fmt.Sprintf("%d-%s%%-%s", b.receivers, short(100*b.loss), link)
}

// bulkCases are transfers with the default configuration against the best rate set by hand. Loss is made by the packet filters of
// receivers, which need single packets: with it the links are slow enough for this machine to carry them.
func (o *options) bulkCases() (all []Case) {
	add := func(b bulk) {
		all = append(all, Case{
			Kind: "bulk", Name: b.String(), text: fmt.Sprintf("%d MB with the default configuration, and with rates set by hand", b.bytes/1e6),
			run: func(ctx context.Context, r *Result) error { return o.bulk(ctx, r, b) },
		})
	}
	for _, n := range []int{1, 4} {
		add(bulk{n, 0, 0, 400e6})
	}
	for _, n := range []int{1, 4, 16} {
		link := 100 * flow.Mbps
		if n > 4 {
			link = 25 * flow.Mbps
		}
		for _, loss := range []float64{0, 0.01, 0.05, 0.2} {
			add(bulk{n, loss, link, link.Bytes(5 * time.Second)})
		}
	}
	return all
}

// bulk compares transfers.
func (o *options) bulk(ctx context.Context, r *Result, b bulk) error {
	rates := append(b.rates(), 0)
	goodput := make([][]float64, len(rates))
	for range o.runs {
		for i, rate := range rates {
			v, err := o.transfer(ctx, b, rate)
			switch {
			case err == nil:
			case rate == 0 || ctx.Err() != nil:
				return err
			default:
				v = 0 // a rate that this machine cannot take
			}
			goodput[i] = append(goodput[i], v)
		}
	}
	best := 0
	for i := range rates[1 : len(rates)-1] {
		if median(goodput[i+1]) > median(goodput[best]) {
			best = i + 1
		}
	}
	own := goodput[len(rates)-1]
	r.median("goodput", own, "Mbit/s", "", 0)
	r.median("best set by hand", goodput[best], "Mbit/s", "", 0)
	r.note("which is", megarate(rates[best]), "Mbit/s")
	r.need("ratio", 100*median(own)/median(goodput[best]), "%", least, 90)
	return nil
}

// transfer returns the goodput of the last receiver, in Mbit/s of payload.
func (o *options) transfer(ctx context.Context, b bulk, rate flow.Rate) (v float64, err error) {
	lab, err := netem.NewLab(netem.LabConfig{Receivers: b.receivers, Rate: int64(b.link), Loss: b.loss, Wire: b.loss > 0})
	if err != nil {
		return 0, err
	}
	m := &match{at: lab, o: o}
	defer func() {
		if e := m.end(); err == nil {
			err = e
		}
		err = errors.Join(err, lab.Close())
	}()
	job := Job{Role: receiveRmcast, Group: "[ff15::8000:1]:7500", Bytes: b.bytes, Rate: rate}
	for i := range b.receivers {
		m.to = append(m.to, m.start(ctx, netem.Node(i), job))
	}
	job.Role = sendRmcast
	m.from = append(m.from, m.start(ctx, netem.Sender, job))
	if m.err != nil {
		return 0, m.err
	}
	if err := m.begin(); err != nil {
		return 0, err
	}
	limit := 10*time.Second + 20*patienceFor(b)
	var end int64
	for _, p := range m.to {
		got, err := p.wait(ctx, limit)
		if err != nil {
			return 0, err
		}
		end = max(end, got.End)
	}
	sent, err := m.from[0].wait(ctx, limit)
	if err != nil {
		return 0, err
	}
	for _, p := range m.to {
		if !slices.Equal(p.report.SHA256, sent.SHA256) {
			return 0, fmt.Errorf("%s read %d bytes that are not the %d that were sent", p.name, p.report.Bytes, sent.Bytes)
		}
	}
	return float64(b.bytes) * 8e3 / float64(end-sent.Start), nil
}

// patienceFor is how long a transfer takes if all is well, about.
func patienceFor(b bulk) time.Duration {
	rate := b.link
	if rate == 0 {
		rate = 300 * flow.Mbps
	}
	return rate.Duration(b.bytes)
}
