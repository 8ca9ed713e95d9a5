package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/rmcast/rmcast/internal/measuring"
)

func main() {
	if enter() {
		return
	}
	measuring.Main("congestion", run)
}

// options are the flags.
type options struct {
	check, quick, netns, json, markdown bool
	only, from, svg                     string
	seed                                uint64
	runs                                int
	length                              time.Duration
	verbose                             bool
}

var errFails = errors.New("an acceptance line does not hold")

// parse reads the command line.
func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("congestion", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, "Usage: go run ./bench/congestion [flags]\n\nMeasures what rate a source finds by itself, what that does to queues and to others, and how long it takes.\n\n")
		f.PrintDefaults()
	}
	f.BoolVar(&o.check, "check", false, "measure the acceptance lines and fail if one does not hold")
	f.BoolVar(&o.netns, "netns", false, "between network namespaces, in real time, against TCP; else in the simulator")
	f.BoolVar(&o.quick, "quick", false, "what takes a second or two each; with -netns one short run of each")
	f.StringVar(&o.only, "only", "", "the cases with one of these `words` in their names, commas between: alone, noise, tree, script, alone/100M, …")
	f.Uint64Var(&o.seed, "seed", 1, "`number` that everything random follows from; 0: a fresh one")
	f.IntVar(&o.runs, "runs", 0, "with -netns: `times` that each case is run, of which the median counts (default 5)")
	f.DurationVar(&o.length, "for", 0, "with -netns: how `long` a run is (default 30s)")
	f.BoolVar(&o.verbose, "v", false, "with -netns: what the endpoints log")
	f.BoolVar(&o.json, "json", false, "print results as JSON and no table")
	f.BoolVar(&o.markdown, "markdown", false, "print results as Markdown tables")
	f.StringVar(&o.from, "from", "", "take results from this JSON `file`, or files with commas between; measure nothing, with -check only what is not there")
	f.StringVar(&o.svg, "svg", "", "write plots of what happened over time into this `directory`")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected %q", f.Arg(0))
	case o.runs < 0 || o.runs > 99 || o.length < 0 || o.length > time.Hour:
		return o, errors.New("-runs is not from 1 to 99, or -for longer than an hour")
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	if o.runs == 0 {
		o.runs = 5
		if o.quick {
			o.runs = 1
		}
	}
	if o.length == 0 {
		o.length = 30 * time.Second
		if o.quick {
			o.length = 10 * time.Second
		}
	}
	return o, nil
}

// cases returns those that the flags name.
func (o *options) cases() (some []Case, err error) {
	var all []Case
	if o.netns {
		if all, err = o.netnsCases(); err != nil {
			return nil, err
		}
	} else {
		all = slices.Concat(aloneCases(o.seed), noiseCases(o.seed), scriptCases(o.seed), liarCases(o.seed), treeCases(o.seed))
	}
	for _, c := range all {
		if (!o.quick || o.netns || c.quick) && o.named(c.id()) {
			some = append(some, c)
		}
	}
	if len(some) == 0 {
		return nil, fmt.Errorf("no case is named %q", o.only)
	}
	return some, nil
}

// named reports whether -only has the name.
func (o *options) named(id string) bool {
	for word := range strings.SplitSeq(o.only, ",") {
		if strings.Contains(id, word) {
			return true
		}
	}
	return false
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	var results []Result
	if o.from != "" {
		if results, err = measuring.Load[Result](o.from); err != nil {
			return err
		}
	}
	if o.from == "" || o.check {
		cases, err := o.cases()
		if err != nil {
			return err
		}
		if results, err = o.measure(ctx, stdout, stderr, cases, results); err != nil {
			return err
		}
	}
	if err := o.show(stdout, results); err != nil {
		return err
	}
	switch {
	case o.check && o.json:
		return judge(stderr, results)
	case o.check:
		return judge(stdout, results)
	}
	return nil
}

// measure runs the cases that are not known. With -check it tells each as soon as it is done.
func (o *options) measure(ctx context.Context, stdout, stderr io.Writer, cases []Case, known []Result) (results []Result, err error) {
	fmt.Fprintf(stderr, "seed %d, %d cases\n", o.seed, len(cases))
	for i, c := range cases {
		r := recall(&c, known)
		if r == nil {
			r = &Result{Kind: c.Kind, Name: c.Name}
			began := time.Now()
			if err := c.run(ctx, r); err != nil {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				r.Error = err.Error()
			}
			r.Took = time.Since(began)
		}
		results = append(results, *r)
		w := stderr
		if o.check && !o.json {
			w = stdout
		}
		fmt.Fprintf(w, "%d/%d %s: %s\n   %s (%.1f s)\n", i+1, len(cases), c.id(), c.text, r, r.Took.Seconds())
	}
	return results, nil
}

// recall returns the known result of a case; nil if there is none.
func recall(c *Case, known []Result) *Result {
	for i := range known {
		if known[i].Kind == c.Kind && known[i].Name == c.Name {
			return &known[i]
		}
	}
	return nil
}

// judge counts what holds.
func judge(w io.Writer, results []Result) error {
	asked, bad := 0, 0
	for i := range results {
		r := &results[i]
		if r.Error != "" {
			asked++
			bad++
			fmt.Fprintf(w, "FAILS %s: %s\n", r.id(), r.Error)
		}
		for _, f := range r.Figures {
			if f.Must == "" {
				continue
			}
			asked++
			if !f.holds() {
				bad++
				fmt.Fprintf(w, "%s: %s\n", r.id(), f)
			}
		}
	}
	fmt.Fprintf(w, "%d of %d hold\n", asked-bad, asked)
	if bad > 0 {
		return errFails
	}
	return nil
}

// show prints results in the form wanted, and writes plots.
func (o *options) show(w io.Writer, results []Result) error {
	if o.svg != "" {
		if err := writeSVGs(o.svg, results); err != nil {
			return err
		}
	}
	switch {
	case o.json:
		e := json.NewEncoder(w)
		e.SetIndent("", "\t")
		return e.Encode(results)
	case o.markdown:
		writeMarkdown(w, results)
	case !o.check:
		return writeTable(w, results)
	}
	return nil
}
