package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/rmcast/rmcast/internal/measuring"
)

func main() {
	if enter() {
		return
	}
	measuring.Main("quorum", run)
}

// options are the flags.
type options struct {
	writes, size, receivers, quorum, runs int
	rtt                                   time.Duration
	loss                                  float64 // percent
	only                                  string
	verbose                               bool
}

// bound is how much longer than TCP fan-out the median run may take.
const bound = 1.5

// blocked is how long a write waits that cannot be confirmed.
const blocked = 2 * time.Second

var errFails = errors.New("a bound does not hold")

func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("quorum", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.writes, "writes", 10000, "`number` of writes, each confirmed before the next")
	f.IntVar(&o.size, "size", 1000, "`bytes` of a write")
	f.IntVar(&o.receivers, "r", 5, "`number` of receivers")
	f.IntVar(&o.quorum, "quorum", 3, "`number` of them that have to confirm")
	f.IntVar(&o.runs, "runs", 3, "`rounds`; the medians count")
	f.DurationVar(&o.rtt, "rtt", time.Millisecond, "round trip `time` of the links")
	f.Float64Var(&o.loss, "loss", 0, "`percentage` of packets lost on the way to each receiver, and back")
	f.StringVar(&o.only, "only", "", "measure one `scheme` only: rmcast or tcp")
	f.BoolVar(&o.verbose, "v", false, "show what the endpoints log")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("what is %q? Flags begin with -", f.Arg(0))
	case o.writes < 10 || o.runs < 1 || o.size < 8 || o.size > 22528:
		return o, errors.New("-writes is at least 10, -runs 1, -size 8 to 22528")
	case o.receivers < 1 || o.receivers > 32 || o.quorum < 1 || o.quorum > o.receivers:
		return o, errors.New("-r is 1 to 32, -quorum 1 to -r")
	case o.rtt < 0 || o.rtt > time.Second || o.loss < 0 || o.loss > 50:
		return o, errors.New("-rtt is 0 to 1s, -loss 0 to 50")
	case o.only != "" && o.only != rmcast && o.only != tcp:
		return o, fmt.Errorf("-only %q: there are rmcast and tcp", o.only)
	}
	return o, nil
}

// cell is a scheme with or without a kill.
type cell struct {
	scheme string
	kill   bool
}

// The schemes.
const (
	rmcast = "rmcast"
	tcp    = "tcp"
)

func (c cell) String() string {
	if c.kill {
		return c.scheme + ", receivers killed"
	}
	return c.scheme
}

// outcome is what one run of a cell took.
type outcome struct {
	took     time.Duration
	p50, p99 time.Duration // of one write
	longest  time.Duration
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	spare := min(o.receivers-o.quorum, 2) // may die
	var cells []cell
	for _, kill := range []bool{false, true} {
		for _, s := range []string{rmcast, tcp} {
			if (o.only == "" || o.only == s) && (!kill || spare > 0) {
				cells = append(cells, cell{s, kill})
			}
		}
	}
	fmt.Fprintf(stdout, "%d writes of %d bytes, each confirmed by %d of %d receivers before the next; links with RTT %v, %v %% loss both ways\n"+
		"(a relay between network namespaces, IPv6); %s/%s, %s, %d processors\n\n",
		o.writes, o.size, o.quorum, o.receivers, o.rtt, o.loss, runtime.GOOS, runtime.GOARCH, runtime.Version(), runtime.NumCPU())
	fmt.Fprintf(stdout, "%5s  %-26s %9s %9s %9s %9s\n", "round", "", "took", "p50", "p99", "longest")
	got := map[cell][]outcome{}
	for round := range o.runs {
		for _, c := range cells {
			out, err := o.measure(ctx, c, spare)
			if err != nil {
				return fmt.Errorf("%v: %w", c, err)
			}
			got[c] = append(got[c], out)
			row(stdout, fmt.Sprint(round+1), c, out)
		}
	}
	fmt.Fprintln(stdout)
	for _, c := range cells {
		row(stdout, "med.", c, middle(got[c]))
	}
	fmt.Fprintln(stdout, "\nEvery receiver that lived had every byte, by SHA-256.")
	return summary(stdout, &o, got)
}

func row(w io.Writer, round string, c cell, o outcome) {
	fmt.Fprintf(w, "%5s  %-26v %8.2fs %7.2fms %7.2fms %7.2fms\n", round, c, o.took.Seconds(),
		measuring.Milliseconds(o.p50), measuring.Milliseconds(o.p99), measuring.Milliseconds(o.longest))
}

// middle takes the median of each figure.
func middle(all []outcome) (m outcome) {
	of := func(f func(o *outcome) *time.Duration) {
		var d []time.Duration
		for i := range all {
			d = append(d, *f(&all[i]))
		}
		slices.Sort(d)
		*f(&m) = d[len(d)/2]
	}
	of(func(o *outcome) *time.Duration { return &o.took })
	of(func(o *outcome) *time.Duration { return &o.p50 })
	of(func(o *outcome) *time.Duration { return &o.p99 })
	of(func(o *outcome) *time.Duration { return &o.longest })
	return m
}

// summary compares medians with bounds.
func summary(w io.Writer, o *options, got map[cell][]outcome) error {
	took := func(scheme string, kill bool) float64 { return middle(got[cell{scheme, kill}]).took.Seconds() }
	var findings []measuring.Finding
	if o.only == "" {
		findings = append(findings, measuring.AtMost("rmcast takes", took(rmcast, false)/took(tcp, false), bound, " x the time of TCP fan-out"))
		if len(got[cell{rmcast, true}]) > 0 {
			findings = append(findings,
				measuring.AtMost("receivers killed: rmcast takes", took(rmcast, true)/took(tcp, true), bound, " x the time of TCP fan-out"),
				measuring.AtMost("receivers killed: rmcast takes", took(rmcast, true)/took(rmcast, false), 1.2, " x its time without"))
		}
	}
	fails := false
	for _, f := range findings {
		fmt.Fprintln(w, f)
		fails = fails || !f.Holds()
	}
	if n := len(got[cell{rmcast, true}]); n > 0 {
		fmt.Fprintf(w, "ok    with %d receivers left a write was not confirmed in %v, and the error named the missing, %d of %d times\n", o.quorum-1, blocked, n, n)
	}
	if fails {
		return errFails
	}
	return nil
}

// join prints names.
func join[T any](all []T) string {
	return strings.Trim(fmt.Sprint(all), "[]")
}
