// Command campaign runs every fuzz target of the module for its share of a given time and says what came of it.
//
//	go run ./fuzz/campaign -time 30m                     all targets
//	go run ./fuzz/campaign -time 5m -run 'session|wire'  those whose package or name matches
//	go run ./fuzz/campaign -each 20s                     all, so long each
//	go run ./fuzz/campaign -list                         only their names
//
// It is run from the root of the module. Targets run one after the other, each with -parallel workers. What go test finds
// interesting stays in its cache and is where the next campaign begins; an input that fails is kept under testdata/fuzz of the
// target's package, where every later test run tries it, and named in the report. The exit code is 1 when a target failed, could
// not be built or stood still, 2 for wrong flags.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

type options struct {
	total    time.Duration
	each     time.Duration // 0: its share of total
	run      *regexp.Regexp
	parallel int
	minimize string
	list     bool
	verbose  bool
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("campaign", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.DurationVar(&o.total, "time", 10*time.Minute, "fuzzing time of all targets together")
	f.DurationVar(&o.each, "each", 0, "fuzzing time of each target; 0: its share of -time")
	f.IntVar(&o.parallel, "parallel", 1, "workers of each target")
	f.StringVar(&o.minimize, "minimize", "10x", "how long to shrink an input, as go test's -fuzzminimizetime")
	f.BoolVar(&o.list, "list", false, "only name the targets")
	f.BoolVar(&o.verbose, "v", false, "show what go test says")
	pattern := f.String("run", "", "only targets whose package/name matches this `regexp`")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 || o.total <= 0 || o.each < 0 || o.parallel < 1 {
		return o, fmt.Errorf("campaign: -time and -parallel are positive, and there are no arguments")
	}
	o.run, err = regexp.Compile(*pattern)
	return o, err
}

func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	found, err := findTargets(os.DirFS("."))
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	var targets []target
	for _, t := range found {
		if o.run.MatchString(t.String()) {
			targets = append(targets, t)
		}
	}
	if len(targets) == 0 {
		fmt.Fprintln(stderr, "campaign: no target found; it is run from the root of the module")
		return 2
	}
	if o.list {
		for _, t := range targets {
			fmt.Fprintln(stdout, t)
		}
		return 0
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	share := max(o.total/time.Duration(len(targets)), time.Second)
	if o.each > 0 {
		share = o.each
	}
	fmt.Fprintf(stdout, "%d targets, %v each\n", len(targets), share.Round(time.Second))
	var results []result
	for i, t := range targets {
		r := fuzz(t, share, o, stdout, stop)
		results = append(results, r)
		fmt.Fprintf(stdout, "%d/%d %s\n", i+1, len(targets), r)
		if r.bad() {
			fmt.Fprint(stdout, r.said)
		}
		if r.stopped {
			break
		}
	}
	return report(stdout, results)
}

// report prints the table and returns the exit code.
func report(w io.Writer, results []result) (code int) {
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "target\ttime\texecutions\tnew inputs\tall inputs\tresult")
	var sum result
	failed := 0
	for _, r := range results {
		fmt.Fprintf(tw, "%v\t%v\t%d\t%d\t%d\t%s\n", r.target, r.took.Round(time.Second), r.execs, r.fresh, r.total, r.verdict())
		sum.took += r.took
		sum.execs += r.execs
		sum.fresh += r.fresh
		sum.total += r.total
		if r.bad() {
			failed++
		}
	}
	fmt.Fprintf(tw, "%d targets\t%v\t%d\t%d\t%d\t%d failed\n", len(results), sum.took.Round(time.Second), sum.execs, sum.fresh, sum.total, failed)
	_ = tw.Flush()
	for _, r := range results {
		if r.bad() {
			fmt.Fprintf(w, "\n%v %s\n%s", r.target, r.verdict(), r.said)
			if r.input != "" {
				fmt.Fprintf(w, "the input is kept: %s\nagain: go test ./%s -run '^%s$/%s'\n", r.input, r.target.dir, r.target.name, r.inputName())
			}
			code = 1
		}
		if r.stopped {
			code = 1
		}
	}
	return code
}
