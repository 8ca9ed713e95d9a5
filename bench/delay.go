package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rmcast/rmcast/flow"
)

const (
	// delayPatience is how long the last messages may take.
	delayPatience = 10 * time.Second
	delayBytes    = 1400 // of a message
)

// parsePace reads an element of -messages: a rate of message bytes, or "10/s", so many messages a second.
func parsePace(text string) (flow.Rate, error) {
	number, ok := strings.CutSuffix(text, "/s")
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil {
		r, err := flow.ParseRate(text)
		if err == nil && (r < flow.Kbps || r > flow.Gbps) {
			err = fmt.Errorf("%v is not between 1 kbit/s and 1 Gbit/s", r)
		}
		return r, err
	}
	if !(n >= 0.1 && n <= 10000) {
		return 0, fmt.Errorf("%v messages a second are not between 0.1 and 10000", n)
	}
	return flow.Rate(n * 8 * delayBytes), nil
}

const delayRate = 100 * flow.Mbps // of the source where ways to repair are compared

// delayPlan is the cells of -delay: 40 Mbit/s of 1400-byte messages to 4 receivers at 1 and 5 % loss, unless -messages, -r, -loss and
// -rate say otherwise. The link is not shaped: what is measured is the wait for repairs.
func delayPlan(o options) []Cell {
	paces, groups, losses := []flow.Rate{40 * flow.Mbps}, []int{4}, []float64{0.01, 0.05}
	if o.messages != nil {
		paces = o.messages
	}
	if o.plan.receivers != nil {
		groups = o.plan.receivers
	}
	if o.plan.loss != nil {
		losses = o.plan.loss
	}
	var cells []Cell
	for _, pace := range paces {
		s := &Stream{Bytes: delayBytes, Rate: pace}
		s.Count = max(int(o.delayFor/s.interval()), 1)
		for _, r := range groups {
			for _, loss := range losses {
				c := o.plan.finish(Cell{Rate: o.plan.fixed(delayRate), Receivers: r, Loss: loss, RTT: o.rtt, Bytes: 1, Messages: s})
				for scheme := range c.Cut {
					c.Cut[scheme] = max(o.plan.cut, time.Duration(s.Count)*s.interval()+delayPatience)
				}
				cells = append(cells, c)
			}
		}
	}
	return cells
}
