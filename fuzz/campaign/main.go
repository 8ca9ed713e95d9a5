// Command campaign runs every fuzz target of the module for its share of a given time and says what came of it.
//
//	go run ./fuzz/campaign -time 30m                     all targets
//	go run ./fuzz/campaign -time 5m -run 'session|wire'  those whose package or name matches
//	go run ./fuzz/campaign -each 20s -at-once 2          all, so long each, two at a time
//	go run ./fuzz/campaign -list                         only their names
//
// It is run from the root of the module. Targets run one after the other, or as many -at-once, each with -parallel workers. What go test finds
// interesting stays in its cache and is where the next campaign begins; an input that fails is kept under testdata/fuzz of the
// target's package, where every later test run tries it, and named in the report. The exit code is 1 when a target failed, could
// not be built or stood still, 2 for wrong flags.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

type options struct {
	total    time.Duration
	each     time.Duration // 0: its share of total
	run      *regexp.Regexp
	atOnce   int
	parallel int
	minimize string
	list     bool
	verbose  bool
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("campaign", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.DurationVar(&o.total, "time", 10*time.Minute, "how long all targets take together, about")
	f.DurationVar(&o.each, "each", 0, "fuzzing time of each target; 0: its share of -time")
	f.IntVar(&o.atOnce, "at-once", 1, "targets that run at a time")
	f.IntVar(&o.parallel, "parallel", 1, "workers of each target")
	f.StringVar(&o.minimize, "minimize", "10x", "how long to shrink an input, as go test's -fuzzminimizetime")
	f.BoolVar(&o.list, "list", false, "only name the targets")
	f.BoolVar(&o.verbose, "v", false, "show what go test says")
	pattern := f.String("run", "", "only targets whose package/name matches this `regexp`")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 || o.total <= 0 || o.each < 0 || o.atOnce < 1 || o.parallel < 1 {
		return o, fmt.Errorf("campaign: -time, -at-once and -parallel are positive, -each is not negative, and there are no arguments")
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	share := max(o.total*time.Duration(o.atOnce)/time.Duration(len(targets)), time.Second)
	if o.each > 0 {
		share = o.each
	}
	fmt.Fprintf(stdout, "%d targets, %v each, %d at a time\n", len(targets), share.Round(time.Second), o.atOnce)
	return report(stdout, fuzzAll(ctx, targets, share, o, stdout))
}

// fuzzAll runs the targets and returns the results of those that had begun when ctx ended.
func fuzzAll(ctx context.Context, targets []target, share time.Duration, o options, stdout io.Writer) []result {
	results := make([]result, len(targets))
	var begun, ended int
	var mu sync.Mutex // for all that follows
	say := func(format string, a ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(stdout, format, a...)
	}
	begin := func() (i int, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if begun == len(targets) || ctx.Err() != nil {
			return 0, false
		}
		begun++
		return begun - 1, true
	}
	end := func(i int, r result) {
		mu.Lock()
		defer mu.Unlock()
		results[i] = r
		ended++
		fmt.Fprintf(stdout, "%d/%d %s\n", ended, len(targets), r)
		if r.bad() {
			fmt.Fprint(stdout, r.said)
		}
	}
	var workers sync.WaitGroup
	for range o.atOnce {
		workers.Go(func() {
			for i, ok := begin(); ok; i, ok = begin() {
				end(i, fuzz(ctx, targets[i], share, o, say))
			}
		})
	}
	workers.Wait()
	return results[:begun]
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
