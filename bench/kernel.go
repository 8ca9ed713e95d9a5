package main

import (
	"errors"
	"flag"
	"fmt"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
)

// What -setting netem measures unless flags say otherwise.
const (
	netemText  = "delay 20ms"
	netemLink  = 20 * flow.Mbps
	netemBytes = 8 << 20
)

// setNetem makes the plan one of links with the kernel's netem on them.
func (o *options) setNetem(f *flag.FlagSet, text string) error {
	i, err := netem.ParseImpairment(text)
	if err != nil {
		return fmt.Errorf("-netem: %w", err)
	}
	given := map[string]bool{}
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if !given["link"] {
		o.plan.link = netemLink
	}
	switch {
	case o.memory || o.delay || o.plan.full || o.plan.quick:
		return errors.New("-setting netem does not go with -memory, -delay, -full or -quick")
	case i.MeanLoss() > 0 && o.plan.loss != nil:
		return errors.New("-loss and a loss in -netem exclude each other")
	case i.MeanLoss() > 0.9:
		return fmt.Errorf("-netem %q loses nearly everything", text)
	case i.MeanLoss() > 0:
		o.plan.loss = []float64{i.MeanLoss()}
	}
	o.plan.netem = i.String()
	o.plan.shaped, o.plan.unshaped = false, false
	return nil
}

// netemCells are those of links that do in both directions what -netem says, with a loss of their own on the way to the receivers.
func (o *planOptions) netemCells() []Cell {
	groups, losses := o.receivers, o.loss
	if groups == nil {
		groups = []int{4}
	}
	if losses == nil {
		losses = []float64{0.01, 0.1}
	}
	rate := o.fixed(o.linkRate())
	var cells []Cell
	for _, loss := range losses {
		for _, r := range groups {
			cells = append(cells, o.finish(Cell{Link: o.link, Rate: rate, Receivers: r, Loss: loss, Netem: o.netem, Bytes: o.bytes(netemBytes)}))
		}
	}
	return cells
}

// impairments are what netem does to all that a receiver is sent and to all that it sends.
func (c *Cell) impairments() (in, out netem.Impairment, err error) {
	out, err = netem.ParseImpairment(c.Netem)
	in = out
	if in.MeanLoss() == 0 {
		in.Loss = c.Loss
	}
	return in, out, err
}
