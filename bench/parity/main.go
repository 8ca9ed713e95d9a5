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
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/internal/measuring"
)

func main() { measuring.Main("parity", run) }

// options are the flags.
type options struct {
	check, quick, grid, standard, json, markdown bool
	only, from, svg                              string
	seed                                         uint64
	sizes                                        []int
	rtts                                         []time.Duration
	losses                                       []float64
	schemes                                      []Scheme
	data                                         flow.Rate
	groups                                       int
}

var errFails = errors.New("an acceptance line does not hold")

// parse reads the command line.
func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("parity", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, "Usage: go run ./bench/parity [flags]\n\nMeasures bytes and recovery of lost packets by replay and by parity, in groups of up to 100,000 receivers.\n\n")
		f.PrintDefaults()
	}
	o.data = pace
	f.BoolVar(&o.check, "check", false, "measure the acceptance lines and fail if one does not hold")
	f.StringVar(&o.only, "only", "", "of these, the one of this `name`: 8, 16, 1k, 10k, grid")
	f.BoolVar(&o.quick, "quick", false, "a few small cells")
	f.BoolVar(&o.standard, "standard", false, "the cells of the documentation, which is the default")
	f.BoolVar(&o.grid, "grid", false, "every loss, round trip and number of receivers of the acceptance grid")
	f.Func("n", "`numbers` of receivers, like 8,1k; with -check: only the cells of these, and so -rtt and -loss", measuring.List(&o.sizes, parseSize))
	f.Func("rtt", "with -n or -check: round trip `times` (default 20ms; all with -check)", measuring.List(&o.rtts, parseRTT))
	f.Func("loss", "with -n or -check: `shares` of packets lost, like 0.01,0.1 (default 0.1; all with -check)", measuring.List(&o.losses, parseLoss))
	f.Func("scheme", "`schemes` of replay, demand, ahead=1 to ahead=64, bytes, delay (default all, and of ahead 1,2,4,8,16)", measuring.List(&o.schemes, parseScheme))
	f.Func("data", "with -n: `rate` of the application's packets, like 20Mbps; 0: as fast as 100 Mbit/s let it (default 10Mbps)", func(s string) (err error) {
		if s == "0" {
			o.data = 0
			return nil
		}
		o.data, err = flow.ParseRate(s)
		if err == nil && (o.data < 100*flow.Kbps || o.data > limit) {
			err = errors.New("that is not between 100 kbit/s and 100 Mbit/s")
		}
		return err
	})
	f.IntVar(&o.groups, "groups", 0, "`groups` of 64 packets that count (default by losses)")
	f.Uint64Var(&o.seed, "seed", 1, "`number` that everything random follows from; 0: a fresh one")
	f.BoolVar(&o.json, "json", false, "print results as JSON and no table")
	f.BoolVar(&o.markdown, "markdown", false, "print results as Markdown tables, cells by schemes")
	f.StringVar(&o.from, "from", "", "take results from this JSON `file`, or files with commas between, and measure only what is not there: nothing if no cells are named")
	f.StringVar(&o.svg, "svg", "", "write plots into this `directory`")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected %q", f.Arg(0))
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	if o.schemes == nil {
		o.schemes = schemes
	}
	return o, nil
}

// plan returns the cells that the flags name.
func (o *options) plan() (plan []Cell) {
	switch {
	case o.quick:
		plan = quick(o.seed)
	case o.grid:
		plan = grid(o.seed)
	case o.sizes == nil:
		plan = standard(o.seed)
	default:
		if o.rtts == nil {
			o.rtts = []time.Duration{20 * time.Millisecond}
		}
		if o.losses == nil {
			o.losses = []float64{0.1}
		}
		plan = cells(o.sizes, o.rtts, o.losses, o.data, o.seed)
	}
	for i := range plan {
		if o.groups > 0 {
			plan[i].Groups = o.groups
		}
	}
	return plan
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
	switch {
	case o.check:
		lines := acceptance(o.seed)
		for i := range lines {
			lines[i].cells = slices.DeleteFunc(lines[i].cells, o.leavesOut)
		}
		good, err := check(ctx, stdout, lines, o.only, results)
		if err == nil && !good {
			err = errFails
		}
		return err
	case o.from == "" || o.standard || o.quick || o.grid || o.sizes != nil:
		if results, err = o.measureAll(ctx, stderr, results); err != nil {
			return err
		}
	}
	return o.show(stdout, results)
}

// leavesOut reports whether a cell is not of the sizes, round trips and losses that the flags name.
func (o *options) leavesOut(c Cell) bool {
	return o.sizes != nil && !slices.Contains(o.sizes, c.Receivers) ||
		o.rtts != nil && !slices.Contains(o.rtts, c.RTT) || o.losses != nil && !slices.Contains(o.losses, c.Loss)
}

// measureAll measures what is not known of the plan, and tells on the way how far it is.
func (o *options) measureAll(ctx context.Context, stderr io.Writer, known []Result) ([]Result, error) {
	plan := o.plan()
	fmt.Fprintf(stderr, "seed %d, %d cells\n", o.seed, len(plan))
	var results []Result
	for i, c := range plan {
		some, err := measureAll(ctx, c, o.schemes, known)
		if err != nil {
			return nil, err
		}
		for _, r := range some {
			fmt.Fprintf(stderr, "%d/%d %v, %s: %.3f packets (%.3f), p99 %s ms, %.1f s\n", i+1, len(plan), c, r.Scheme, r.Costs.packets(), r.Minimum,
				measuring.Short(measuring.Milliseconds(r.Costs.Recovery.P99)), r.Took.Seconds())
		}
		results = append(results, some...)
	}
	return results, nil
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
		return nil
	}
	return writeTable(w, results)
}
