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
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/internal/measuring"
)

func main() {
	if enter() {
		return
	}
	measuring.Main("carousel", run)
}

// options are the flags.
type options struct {
	quick, check, json, markdown, verbose bool
	only, from, dir                       string
	size                                  int64
	rate                                  flow.Rate
	loss, besideLoss                      []float64
	receivers, kills                      int
	seed                                  uint64
}

const (
	acceptance = 1e9
	quickSize  = 16e6
	sizeLeast  = 1e6
	sizeMost   = 1e11
)

// parse reads the command line.
func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("carousel", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, "Usage: go run ./bench/carousel [flags]\n\nMeasures objects sent in a loop, between network namespaces, and beside UFTP and udpcast where installed.\n\n")
		f.PrintDefaults()
	}
	o.loss, o.besideLoss = []float64{0, 0.1, 0.4}, []float64{0, 0.01, 0.05, 0.2}
	rate := f.Float64("rate", 200, "`Mbit/s` of the sender's link")
	f.Func("size", "`bytes` of the objects: 16M, 1G (default 1G)", func(s string) (err error) { o.size, err = parseSize(s); return err })
	f.Func("loss", "`percent` that receivers lose, commas between (default 0,10,40; beside others 0,1,5,20)", func(s string) error {
		err := measuring.List(&o.loss, parsePercent)(s)
		o.besideLoss = o.loss
		return err
	})
	f.IntVar(&o.receivers, "receivers", 4, "`number` of receivers")
	f.IntVar(&o.kills, "kills", 20, "`times` that the receiver of the case killed is, of half the size")
	f.BoolVar(&o.quick, "quick", false, "16 MB, one case of each sort")
	f.BoolVar(&o.check, "check", false, "fail if an acceptance line does not hold")
	f.StringVar(&o.only, "only", "", "the cases with one of these `words` in their names, commas between: silent/zeros, late, killed, beside/UFTP")
	f.StringVar(&o.dir, "dir", os.TempDir(), "make files in this `directory`; where it is a disk its speed is measured too")
	f.Uint64Var(&o.seed, "seed", 1, "`number` that everything random follows from; 0: a fresh one")
	f.BoolVar(&o.json, "json", false, "print results as JSON and no table")
	f.BoolVar(&o.markdown, "markdown", false, "print results as Markdown tables")
	f.StringVar(&o.from, "from", "", "take results from this JSON `file`, or files with commas between; measure nothing")
	f.BoolVar(&o.verbose, "v", false, "what the endpoints say")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.rate = flow.Rate(*rate * 1e6)
	if o.size == 0 {
		o.size = acceptance
		if o.quick {
			o.size = quickSize
		}
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	return o, o.validate(f.Args())
}

func (o *options) validate(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected %q", rest[0])
	case o.size < sizeLeast || o.size > sizeMost:
		return errors.New("-size is not from 1M to 100G")
	case o.rate < flow.Mbps || o.rate > 10*flow.Gbps:
		return errors.New("-rate is not from 1 to 10000")
	case o.receivers < 1 || o.receivers > 64:
		return errors.New("-receivers is not from 1 to 64")
	case o.kills < 0 || o.kills > 1000:
		return errors.New("-kills is not from 0 to 1000")
	}
	return nil
}

// parseSize reads 16M or 1G, powers of ten.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "kMG")
	unit, ok := map[string]float64{"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[s[len(digits):]]
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil || !ok || !(v > 0 && v*unit <= sizeMost) {
		return 0, fmt.Errorf("%q is not a size like 16M or 1G", s)
	}
	return int64(v * unit), nil
}

func parsePercent(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0 && v <= 90) {
		return 0, fmt.Errorf("%q is not a loss from 0 to 90 %%", s)
	}
	return v / 100, nil
}

func percent(loss float64) string { return measuring.Short(100*loss) + " %" }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	var results []Result
	if o.from != "" {
		results, err = measuring.Load[Result](o.from)
	} else {
		results, err = o.measure(ctx, stderr)
	}
	if err != nil {
		return err
	}
	if o.json {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "\t")
		err = e.Encode(results)
	} else {
		err = write(stdout, results, o.markdown)
	}
	if err == nil && o.check {
		err = judge(stderr, results)
	}
	return err
}

// Case is one thing that is measured.
type Case struct {
	Kind, Name string
	quick      bool
	run        func(ctx context.Context, r *Result) error
}

// The kinds of cases, and figures that they have in common.
const (
	kindSilent = "silent"
	kindLate   = "late"
	kindKilled = "killed"
	kindBeside = "beside"
	kindLayers = "layers"

	layersTogether = "together"
	layersAlone    = "alone"

	figureTime = "last receiver"
	figureWire = "on the wire"
)

// some are the cases that the flags name.
func (o *options) some(all []Case) (some []Case, err error) {
	for _, c := range all {
		named := slices.ContainsFunc(strings.Split(o.only, ","), func(word string) bool { return strings.Contains(c.Kind+"/"+c.Name, word) })
		if named && (c.quick || !o.quick) {
			some = append(some, c)
		}
	}
	if len(some) == 0 {
		return nil, fmt.Errorf("no case is named %q", o.only)
	}
	return some, nil
}

// measure runs the cases, and tells of each as soon as it is done.
func (o *options) measure(ctx context.Context, stderr io.Writer) (results []Result, err error) {
	b, err := o.newBench()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	cases, err := o.some(b.cases())
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(stderr, "seed %d, %d cases, files in %s\n", o.seed, len(cases), o.dir)
	for i, c := range cases {
		r, began := Result{Kind: c.Kind, Name: c.Name}, time.Now()
		err := c.run(ctx, &r)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, errMissing):
			r.Missing, r.Error = true, err.Error()
		case err != nil:
			r.Error = err.Error()
		}
		r.Took = time.Since(began)
		results = append(results, r)
		fmt.Fprintf(stderr, "%d/%d %s (%.1f s)\n%s\n", i+1, len(cases), r.id(), r.Took.Seconds(), &r)
	}
	return results, nil
}

var errMissing = errors.New("not installed")
