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

// line is one thing that must hold: schemes in cells, and what is asked of the results of each cell. Those of doubtful, if there is such
// a function, are measured for longer first, as long as it returns any.
type line struct {
	name, text string
	cells      []Cell
	schemes    []Scheme
	judge      func(results map[Scheme]*Result) []measuring.Finding
	doubtful   func(results map[Scheme]*Result) []Scheme
}

const (
	overMinimum = 1.05 // of the scheme's minimum
	overBest    = 1.1  // of the best fixed scheme
	sameBytes   = 1.05 // times those of adaptive: a scheme that spends no more counts as one that spends as much

	longer  = 4  // times the groups, where there is doubt
	longest = 16 // times the groups of the cell
)

// acceptance is what has to hold.
func acceptance(seed uint64) []line {
	demand := func(name string, receivers int, loss float64, data flow.Rate) line {
		c := Cell{Receivers: receivers, RTT: 20 * time.Millisecond, Loss: loss, Rate: limit, Data: data, Seed: seed}.sized()
		return line{
			name, fmt.Sprintf("%v: bytes on demand at most %v of the minimum", c, overMinimum),
			[]Cell{c}, []Scheme{Demand}, judgeDemand, nil,
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
			grid(seed), schemes, judgeChoice, doubtfulDelay,
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

// asCheap returns the fixed schemes that spend as much as the least delay does, or less.
func asCheap(results map[Scheme]*Result) (all []*Result) {
	for _, s := range fixed {
		if r := results[s]; r.Costs.bytes() <= sameBytes*results[LeastDelay].Costs.bytes() {
			all = append(all, r)
		}
	}
	return all
}

// doubtfulDelay returns the schemes on whose p99 the verdict hangs, if chance may turn it: LeastDelay and the ones as cheap that may be
// better than its bound. There are none if its p99 is within the bound, or is not, wherever in their intervals the true ones lie. With
// the p99 at a step of the distribution (a round of repair more or less) the intervals are wide, and samples of a size that does elsewhere
// put it on either side.
func doubtfulDelay(results map[Scheme]*Result) (all []Scheme) {
	d := results[LeastDelay].Costs.Recovery
	low, high := never, never
	for _, r := range asCheap(results) {
		q := r.Costs.Recovery
		low, high = min(low, q.Low), min(high, q.High)
		if float64(d.High) > overBest*float64(q.Low) {
			all = append(all, r.Scheme)
		}
	}
	if len(all) == 0 || float64(d.Low) > overBest*float64(high) {
		return nil
	}
	return append(all, LeastDelay)
}

func judgeChoice(results map[Scheme]*Result) []measuring.Finding {
	b, d := results[LeastBytes], results[LeastDelay]
	var cheapest, soonest *Result
	for _, s := range fixed {
		if r := results[s]; cheapest == nil || r.Costs.bytes() < cheapest.Costs.bytes() {
			cheapest = r
		}
	}
	for _, r := range asCheap(results) {
		if soonest == nil || r.Costs.Recovery.P99 < soonest.Costs.Recovery.P99 {
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
		some = some || len(x.cells) > 0
		fmt.Fprintf(w, "%s: %s\n", x.name, x.text)
		for _, c := range x.cells {
			results, more, err := x.results(ctx, c, known)
			if err != nil {
				return false, err
			}
			texts := []string{}
			for _, f := range x.judge(results) {
				total++
				if !f.Holds() {
					bad++
				}
				texts = append(texts, f.String())
			}
			fmt.Fprintf(w, "   %v%s: %s\n", c, more, strings.Join(texts, "; "))
		}
	}
	if !some {
		return false, fmt.Errorf("no line is named %q, or it has none of these cells", only)
	}
	fmt.Fprintf(w, "%d of %d hold\n", total-bad, total)
	return bad == 0, nil
}

// results measures a cell, and what is doubtful for longer; more tells what that was.
func (x *line) results(ctx context.Context, c Cell, known []Result) (results map[Scheme]*Result, more string, err error) {
	results = map[Scheme]*Result{}
	most := longest * c.Groups
	for some := x.schemes; len(some) > 0 && c.Groups <= most; c.Groups *= longer {
		measured, err := measureAll(ctx, c, some, known)
		if err != nil {
			return nil, "", err
		}
		for i := range measured {
			results[measured[i].Scheme] = &measured[i]
		}
		if c.Groups > most/longest {
			more = fmt.Sprintf(" (%v with %d groups)", some, c.Groups)
		}
		if some = nil; x.doubtful != nil {
			some = x.doubtful(results)
		}
	}
	return results, more, nil
}
