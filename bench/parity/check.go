package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/internal/measuring"
)

// line is one thing that must hold: schemes in cells, and what is asked of the results of each cell.
type line struct {
	name, text string
	cells      []Cell
	schemes    []Scheme
	judge      func(results map[Scheme]*Result) []measuring.Finding
}

const (
	overMinimum = 1.05 // of the scheme's minimum
	overBest    = 1.1  // of the best fixed scheme
	sameBytes   = 1.05 // times those of adaptive: a scheme that spends no more counts as one that spends as much
)

// acceptance is what has to hold.
func acceptance(seed uint64) []line {
	demand := func(name string, receivers int, loss float64, data flow.Rate) line {
		c := Cell{Receivers: receivers, RTT: 20 * time.Millisecond, Loss: loss, Rate: limit, Data: data, Seed: seed}.sized()
		return line{
			name, fmt.Sprintf("%v: bytes on demand at most %v of the minimum", c, overMinimum),
			[]Cell{c}, []Scheme{Demand}, judgeDemand,
		}
	}
	return []line{
		demand("8", 8, 0.1, pace),
		demand("16", 16, 0.2, pace),
		demand("1k", 1000, 0.05, pace),
		demand("10k", 10_000, 0.05, pace),
		{
			"grid", fmt.Sprintf("the source's choice: least bytes at most %v of the bytes of the best fixed scheme; least delay p99 at most %v of "+
				"the best of those that spend at most %v of its bytes", overBest, overBest, sameBytes),
			grid(seed), schemes, judgeChoice,
		},
	}
}

// repaired is asked of all.
func repaired(results map[Scheme]*Result) (all []measuring.Finding) {
	open := 0
	for _, r := range results {
		open += r.Open
	}
	if open > 0 {
		all = append(all, measuring.AtMost("losses never repaired", float64(open), 0, ""))
	}
	return all
}

func judgeDemand(results map[Scheme]*Result) []measuring.Finding {
	r := results[Demand]
	return append(repaired(results),
		measuring.AtMost("packets per data packet", r.Costs.packets(), overMinimum*r.Minimum, ""),
		measuring.AtMost(fmt.Sprintf("bytes per useful byte (in the first second %.3f)", r.Start.bytes()), r.Costs.bytes(), overMinimum*r.leastBytes(), ""))
}

func judgeChoice(results map[Scheme]*Result) []measuring.Finding {
	b, d := results[LeastBytes], results[LeastDelay]
	var cheapest, soonest *Result
	for _, s := range fixed {
		r := results[s]
		if cheapest == nil || r.Costs.bytes() < cheapest.Costs.bytes() {
			cheapest = r
		}
		if r.Costs.bytes() <= sameBytes*d.Costs.bytes() && (soonest == nil || r.Costs.Recovery.P99 < soonest.Costs.Recovery.P99) {
			soonest = r
		}
	}
	all := append(repaired(results), measuring.AtMost(
		fmt.Sprintf("bytes per useful byte (best is %s)", cheapest.Scheme), b.Costs.bytes(), overBest*cheapest.Costs.bytes(), "",
	))
	if soonest != nil && d.Loss > 0 {
		all = append(all, measuring.AtMost(
			fmt.Sprintf("p99 (best is %s, bytes %.3f to %.3f)", soonest.Scheme, soonest.Costs.bytes(), d.Costs.bytes()),
			measuring.Milliseconds(d.Costs.Recovery.P99), overBest*measuring.Milliseconds(soonest.Costs.Recovery.P99), " ms",
		))
	}
	return all
}

// check judges the lines whose name is only, or all if that is empty, and reports whether all hold. It measures, or takes from known what
// is there.
func check(ctx context.Context, w io.Writer, lines []line, only string, known []Result) (bool, error) {
	total, bad, some := 0, 0, false
	for _, x := range lines {
		if only != "" && x.name != only {
			continue
		}
		some = true
		fmt.Fprintf(w, "%s: %s\n", x.name, x.text)
		for _, c := range x.cells {
			results := map[Scheme]*Result{}
			for _, s := range x.schemes {
				r, err := recall(ctx, c, s, known)
				if err != nil {
					return false, fmt.Errorf("%v, %s, seed %d: %w", c, s, c.Seed, err)
				}
				results[s] = &r
			}
			texts := []string{}
			for _, f := range x.judge(results) {
				total++
				if !f.Holds() {
					bad++
				}
				texts = append(texts, f.String())
			}
			fmt.Fprintf(w, "   %v: %s\n", c, strings.Join(texts, "; "))
		}
	}
	if !some {
		return false, fmt.Errorf("no line is named %q", only)
	}
	fmt.Fprintf(w, "%d of %d hold\n", total-bad, total)
	return bad == 0, nil
}

// recall returns what is known of a scheme in a cell, or measures it.
func recall(ctx context.Context, c Cell, s Scheme, known []Result) (Result, error) {
	for _, r := range known {
		if r.Cell == c && r.Scheme == s {
			return r, nil
		}
	}
	return measure(ctx, c, s)
}
