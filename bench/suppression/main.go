package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/rmcast/rmcast/internal/measuring"
)

func main() { measuring.Main("suppression", run) }

// options are the flags.
type options struct {
	check, quick, full, stream, json, csv, markdown bool
	only, from, svg, html                           string
	seed                                            uint64
	sizes                                           []int
	rtts                                            []RTT
	losses                                          []Loss
	laws                                            []Law
	events, cold                                    int
	backoff                                         time.Duration
}

var errFails = errors.New("an acceptance line does not hold")

// parse reads the command line.
func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("suppression", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, "Usage: go run ./bench/suppression [flags]\n\nMeasures NAKs, repairs and recovery of lost packets in groups of up to a million receivers.\n\n")
		f.PrintDefaults()
	}
	f.BoolVar(&o.check, "check", false, "measure the acceptance lines and fail if one does not hold")
	f.StringVar(&o.only, "only", "", "of these, those with this `text` in their name")
	f.BoolVar(&o.quick, "quick", false, "a few small cells")
	f.BoolVar(&o.full, "full", false, "every size, round trip, loss and law")
	f.Func("n", "`sizes` of groups, like 8,1k,1M", measuring.List(&o.sizes, parseSize))
	f.Func("rtt", "round trip `times`, like 10ms,20ms-100ms or mixed (default mixed)", measuring.List(&o.rtts, parseRTT))
	f.Func("loss", "who loses together: `patterns` of independent, shared, half (default independent)", measuring.List(&o.losses, parseWord(losses)))
	f.Func("law", "`laws` of uniform, known, estimated (default all)", measuring.List(&o.laws, parseWord(laws)))
	f.BoolVar(&o.stream, "stream", false, "with -n: packets one after the other, not single ones")
	f.IntVar(&o.events, "events", 0, "with -n: loss `events` to count (default by size)")
	f.IntVar(&o.cold, "cold", -1, "with -n: loss `events` to count apart before (default by size)")
	f.DurationVar(&o.backoff, "backoff", 0, "with -n: a fixed backoff `interval`, in place of the default, which adapts")
	f.Uint64Var(&o.seed, "seed", 1, "`number` that everything random follows from; 0: a fresh one")
	f.BoolVar(&o.json, "json", false, "print results as JSON and no table")
	f.BoolVar(&o.csv, "csv", false, "print results as CSV and no table")
	f.BoolVar(&o.markdown, "markdown", false, "print results as a Markdown table")
	f.StringVar(&o.from, "from", "", "measure nothing; take results from this JSON `file`, or files with commas between")
	f.StringVar(&o.svg, "svg", "", "write plots into this `directory`")
	f.StringVar(&o.html, "html", "", "write a page with plots and table to this `file`")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected %q", f.Arg(0))
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	return o, nil
}

// plan returns the cells that the flags name.
func (o *options) plan() ([]Cell, error) {
	switch {
	case o.quick:
		return quick(o.seed), nil
	case o.full:
		return full(o.seed), nil
	case o.sizes == nil:
		return standard(o.seed), nil
	}
	if o.rtts == nil {
		o.rtts = []RTT{mixed}
	}
	if o.losses == nil {
		o.losses = []Loss{Independent}
	}
	if o.laws == nil {
		o.laws = laws
	}
	var plan []Cell
	for _, rtt := range o.rtts {
		for _, loss := range o.losses {
			for _, n := range o.sizes {
				plan = add(plan, n, rtt, loss, o.laws, o.stream)
			}
		}
	}
	for i := range plan {
		c := &plan[i]
		c.Backoff = o.backoff
		if o.events > 0 {
			c.Events = o.events
		}
		if o.cold >= 0 {
			c.Cold = o.cold
		}
	}
	if len(plan) == 0 {
		return nil, errors.New("that would take hours: half a million receivers and more cannot lose together under the uniform law")
	}
	return seeded(plan, o.seed), nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.check {
		good, err := check(ctx, stdout, acceptance(o.seed), o.only)
		if err == nil && !good {
			err = errFails
		}
		return err
	}
	var results []Result
	if o.from != "" {
		results, err = measuring.Load[Result](o.from)
	} else {
		results, err = o.measureAll(ctx, stderr)
	}
	if err != nil {
		return err
	}
	return o.show(stdout, results, args)
}

// measureAll measures the plan, and tells on the way how far it is.
func (o *options) measureAll(ctx context.Context, stderr io.Writer) ([]Result, error) {
	plan, err := o.plan()
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(stderr, "seed %d, %d cells\n", o.seed, len(plan))
	var results []Result
	for i, c := range plan {
		r, err := measure(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("%v, seed %d: %w", c, c.Seed, err)
		}
		results = append(results, r)
		fmt.Fprintf(stderr, "%d/%d %v: %s NAKs, p99 %s ms, %.1f s\n", i+1, len(plan), c, measuring.Short(r.Costs.per(r.Costs.NAKs)), measuring.Short(measuring.Milliseconds(r.Recovery.P99)), r.Took.Seconds())
	}
	return results, nil
}

// show prints results in the form wanted, and writes plots.
func (o *options) show(w io.Writer, results []Result, args []string) error {
	if o.svg != "" {
		if err := writeSVGs(o.svg, results); err != nil {
			return err
		}
	}
	if o.html != "" {
		f, err := os.Create(o.html)
		if err != nil {
			return err
		}
		command := strings.Join(append([]string{"go run ./bench/suppression"}, args...), " ")
		if err := errors.Join(writeHTML(f, results, command, time.Now()), f.Close()); err != nil {
			return err
		}
	}
	switch {
	case o.json:
		e := json.NewEncoder(w)
		e.SetIndent("", "\t")
		return e.Encode(results)
	case o.csv:
		return writeCSV(w, results)
	case o.markdown:
		writeMarkdown(w, results, "receivers", "RTT", "loss", "law", "traffic", "losers", "first NAKs", "NAKs", "most", "NCFs", "repairs", "dup", "idle",
			"p50", "p99", "max", "asked p50", "T", "N told", "ACKs")
		return nil
	}
	return writeTable(w, results)
}
