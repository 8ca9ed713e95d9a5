package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/internal/measuring"
)

// maxReceivers keeps the number of processes in bounds.
const maxReceivers = 64

// group is where the multicast goes: a transient group of admin-local scope that only the lab's networks ever see.
const group = "[ff14::7263%eth0]:7500"

func main() {
	if code, done := enter(); done {
		os.Exit(code)
	}
	measuring.Main("bench", func(ctx context.Context, args []string, _, _ io.Writer) error {
		return run(ctx, args, os.Stdout, os.Stderr) // files: progress shows on a terminal only
	}, syscall.SIGHUP)
}

// options are the flags.
type options struct {
	plan     planOptions
	file     string
	seed     uint64
	json     bool
	html     string
	delay    bool
	delayFor time.Duration
	messages []flow.Rate   // their paces with -delay; nil: as delayPlan says
	rtt      time.Duration // with -delay
	runs     int
	memory   bool
	control  string
	verbose  bool
}

// parse reads the command line.
func parse(args []string, stderr io.Writer) (o options, err error) {
	o.plan = planOptions{link: 200 * flow.Mbps, shaped: true, unshaped: true}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, "Usage: go run ./bench [flags]\n\nBrings the same bytes to R receivers by rmcast and by TCP fan-out, and prints what it took.\n\n")
		f.PrintDefaults()
	}
	f.TextVar(&o.plan.link, "link", o.plan.link, "`rate` the sender's link is shaped to")
	f.TextVar(&o.plan.rate, "rate", flow.Rate(0), "`rate` that rmcast is fixed at; 0: it finds its own; with -fec 97 % of the link, by hand for unshaped rows")
	f.Func("size", "`bytes` to send in each cell, like 64M (default: by setting)", func(s string) (err error) {
		o.plan.size, err = parseSize(s)
		return err
	})
	f.Func("r", "`numbers` of receivers, like 1,8 (default: 1,2,4,8)", measuring.List(&o.plan.receivers, func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err == nil && (n < 1 || n > maxReceivers) {
			err = fmt.Errorf("%d is not between 1 and %d", n, maxReceivers)
		}
		return n, err
	}))
	f.Func("loss", "`percentages` of packets lost at each receiver, like 0,10 (default: 0 and 10, and 1, 5, 20 for 8 receivers)",
		measuring.List(&o.plan.loss, func(s string) (float64, error) {
			p, err := strconv.ParseFloat(s, 64)
			if err == nil && !(p >= 0 && p <= 90) {
				err = fmt.Errorf("%v %% is not between 0 and 90", p)
			}
			return p / 100, err
		}))
	only := f.String("only", "", "measure one `scheme` only: rmcast or tcp")
	f.Func("fec", "measure these `ways` of rmcast to repair and no TCP: replay, demand (the default of rmcast), proactive=8 (or another number of\n"+
		"parity packets with each group of 64), bytes and delay (it decides for itself, for the least of these); all: each of them", func(s string) error {
		if s == "all" {
			o.plan.schemes = repairSchemes
			return nil
		}
		return measuring.List(&o.plan.schemes, parseScheme)(s)
	})
	setting := f.String("setting", "both", "`which` networks: shaped, unshaped or both; or netem, with the kernel's sch_netem on the receivers' links")
	impair := f.String("netem", netemText, "what -setting netem does to packets in both directions, beside -loss: an `impairment` in tc's words")
	f.BoolVar(&o.plan.full, "full", false, "measure every cell, each to its end or 15 s")
	f.BoolVar(&o.plan.quick, "quick", false, "a smoke test of a few seconds")
	f.DurationVar(&o.plan.cut, "cut", 15*time.Second, "stop a run after this `time` and count what has arrived")
	f.DurationVar(&o.plan.lossyCut, "cut-lossy-tcp", 0, "the same for TCP under loss (default: 8s, or as -cut with -full)")
	f.StringVar(&o.file, "file", "", "send this `file` and not random bytes (up to -size of it)")
	f.Uint64Var(&o.seed, "seed", 1, "`number` the random bytes follow from")
	f.BoolVar(&o.json, "json", false, "print everything as JSON and no table")
	f.StringVar(&o.html, "html", "", "write a report with plots to this `file`")
	f.BoolVar(&o.delay, "delay", false, "measure the delay of paced messages and not goodput")
	f.DurationVar(&o.delayFor, "delay-for", 5*time.Second, "how `long` messages are sent with -delay")
	f.Func("messages", "`paces` of messages with -delay: rates of their bytes, or so many a second, like 40M,10/s (default: 40M)",
		measuring.List(&o.messages, parsePace))
	f.DurationVar(&o.rtt, "rtt", 0, "round trip `time` with -delay, made by links in user space (default: the machine's own)")
	f.IntVar(&o.runs, "runs", 1, "`rounds` over all cells; the table shows each one's median, and how multicast schemes compare round by round")
	f.BoolVar(&o.memory, "memory", false, "run in memory even where there are namespaces")
	f.StringVar(&o.control, "tcp", "", "TCP congestion `control` (default: the system's)")
	f.BoolVar(&o.verbose, "v", false, "show what the endpoints log")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if *setting == "netem" {
		err = o.setNetem(f, *impair)
	} else if *impair != netemText {
		err = errors.New("-netem says something about -setting netem only")
	}
	if err != nil {
		return o, err
	}
	return o, o.check(f, *only, *setting)
}

// check fills what the flags say in words, and refuses nonsense.
func (o *options) check(f *flag.FlagSet, only, setting string) error {
	o.plan.fec = o.plan.schemes != nil
	switch {
	case o.plan.fec && only != "":
		return errors.New("-only and -fec exclude each other")
	case o.plan.fec:
	case only == "":
		o.plan.schemes = []Scheme{Rmcast, FanOut}
	case only == string(Rmcast) || only == string(FanOut):
		o.plan.schemes = []Scheme{Scheme(only)}
	default:
		return fmt.Errorf("-only %q: there are rmcast and tcp", only)
	}
	switch setting {
	case "both":
		o.plan.unshaped = !o.plan.quick
	case "netem":
	case "shaped", "unshaped":
		o.plan.shaped, o.plan.unshaped = setting == "shaped", setting == "unshaped"
	default:
		return fmt.Errorf("-setting %q: there are shaped, unshaped, both and netem", setting)
	}
	if o.plan.lossyCut == 0 {
		o.plan.lossyCut = 8 * time.Second
		if o.plan.full {
			o.plan.lossyCut = o.plan.cut
		}
	}
	switch {
	case f.NArg() > 0:
		return fmt.Errorf("what is %q? Flags begin with -", f.Arg(0))
	case o.plan.full && o.plan.quick:
		return errors.New("-full and -quick exclude each other")
	case o.plan.link < flow.Mbps || o.plan.link > 100*flow.Gbps:
		return fmt.Errorf("-link %v is not between 1 Mbit/s and 100 Gbit/s", o.plan.link)
	case o.plan.rate != 0 && o.plan.rate < flow.Mbps:
		return fmt.Errorf("-rate %v is below 1 Mbit/s", o.plan.rate)
	case o.plan.cut < time.Second:
		return fmt.Errorf("-cut %v is below a second", o.plan.cut)
	case o.runs < 1 || o.runs > 1000:
		return fmt.Errorf("-runs %d is not between 1 and 1000", o.runs)
	case (o.rtt != 0 || o.messages != nil) && !o.delay:
		return errors.New("-rtt and -messages go with -delay")
	case o.rtt < 0 || o.rtt > 10*time.Second:
		return fmt.Errorf("-rtt %v is not between 0 and 10s", o.rtt)
	case o.delayFor < 100*time.Millisecond:
		return fmt.Errorf("-delay-for %v is below 100ms", o.delayFor)
	}
	return nil
}

// run is the program behind main.
func run(ctx context.Context, args []string, stdout, stderr *os.File) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	cells := plan(o.plan)
	if o.delay {
		cells = delayPlan(o)
	}
	p, err := preparePayload(&o, cells)
	if err != nil {
		return err
	}
	defer p.close()
	b := bench{options: o, stdout: stdout, stderr: stderr}
	if b.world, err = chooseWorld(&o, p, stderr); err != nil {
		return err
	}
	b.runner = runner{world: b.world, payload: p, control: o.control, verbose: o.verbose}
	err = b.measure(ctx, cells)
	if ctx.Err() != nil && err != nil {
		err = errors.New("interrupted")
	}
	if err == nil && b.bad {
		err = errors.New("not every run brought every byte: see the remarks")
	}
	return errors.Join(b.write(args), err)
}

// preparePayload opens or makes the bytes and fits the cells to them.
func preparePayload(o *options, cells []Cell) (*payload, error) {
	most := int64(1)
	for i := range cells {
		most = max(most, cells[i].Bytes)
	}
	p, err := openPayload(o.file, o.seed, most)
	if err != nil {
		return nil, err
	}
	for i := range cells {
		cells[i].Bytes = min(cells[i].Bytes, p.bytes)
	}
	return p, nil
}

// bench is a whole run of the program.
type bench struct {
	options
	runner
	stdout, stderr *os.File
	results        Results
	bad            bool // a run failed, or rmcast did not bring everything
	made, complete int  // runs, and those among them that brought every byte to every receiver
}

// measure goes over all cells in as many rounds as asked and prints rows as they come.
func (b *bench) measure(ctx context.Context, cells []Cell) error {
	begin := time.Now()
	defer func() { b.results.Took = time.Since(begin) }()
	steps := 0
	for i := range cells {
		cells[i].Schemes = slices.DeleteFunc(slices.Clone(cells[i].Schemes), func(s Scheme) bool { return !b.world.has(s) })
		steps += len(cells[i].Schemes) * b.runs
	}
	line := newProgressLine(b.stderr, steps)
	defer line.clear()
	b.progress = line.at
	t := &table{w: b.stdout}
	if !b.json {
		b.head()
	}
	for round := range b.runs {
		for _, cell := range cells {
			for _, s := range cell.Schemes {
				line.next(&cell, s)
				run, err := b.runner.measure(ctx, cell, s)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				var row Row
				if err != nil {
					row = failed(cell, s, err)
				} else {
					run.Round = round
					row = summarise(run)
					b.results.Runs = append(b.results.Runs, run)
				}
				row.Round = round
				b.made++
				if row.Complete {
					b.complete++
				}
				b.bad = b.bad || err != nil || s.multicast() && !row.Complete
				b.results.Rounds = append(b.results.Rounds, row)
				if b.runs == 1 && !b.delay && !b.json {
					line.clear()
					t.add(&row)
				}
			}
		}
	}
	return nil
}

// head says what is going to happen.
func (b *bench) head() {
	what := fmt.Sprintf("random bytes, seed %d", b.seed)
	if b.file != "" {
		what = "bytes of " + b.file
	}
	title := "rmcast against TCP fan-out"
	if b.plan.fec {
		title = "rmcast's ways to repair"
	}
	fmt.Fprintf(b.stdout, "%s: %s; %s; %d processors\n", title, what, b.world.about(), runtime.NumCPU())
}

// write prints what is printed at the end, also of a run that was interrupted.
func (b *bench) write(args []string) error {
	r := &b.results
	r.Date, r.Command = time.Now(), strings.Join(append([]string{"go run ./bench"}, args...), " ")
	r.Machine, r.Processors, r.World = machine(), runtime.NumCPU(), b.world.about()
	r.Seed, r.File = b.seed, b.file
	for _, run := range r.Runs {
		if t := run.Sender.TCP; t != nil {
			r.Congestion = t.Control
		}
		if m := run.Receivers[0].Rmcast; m != nil {
			r.RecvBuffer = m.RecvBuffer
		}
	}
	rows := medians(r.Rounds)
	if b.delay {
		r.Delays = rows
	} else {
		r.Rows = rows
	}
	if r.Pairs = pairs(r.Rounds); b.runs == 1 {
		r.Rounds, r.Pairs = nil, nil
	}
	if b.json {
		e := json.NewEncoder(b.stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return err
		}
	} else {
		b.printEnd()
	}
	if b.html == "" {
		return nil
	}
	f, err := os.Create(b.html)
	if err != nil {
		return err
	}
	if err := errors.Join(r.writeHTML(f), f.Close()); err != nil {
		return err
	}
	fmt.Fprintf(b.stderr, "report with plots: %s\n", b.html)
	return nil
}

// printEnd prints the tables that need all rounds, and the legend.
func (b *bench) printEnd() {
	r := &b.results
	switch {
	case len(r.Rows)+len(r.Delays) == 0: // interrupted
		return
	case b.delay:
		delayTable(b.stdout, r.Delays)
	default:
		if b.runs > 1 {
			fmt.Fprintf(b.stdout, "\nMedians of %d rounds\n", b.runs)
			t := &table{w: b.stdout}
			for i := range r.Rows {
				t.add(&r.Rows[i])
			}
		}
		pairTable(b.stdout, r.Pairs)
		fmt.Fprint(b.stdout, legend)
	}
	fmt.Fprintf(b.stdout, "\n%d of %d runs brought every byte to every receiver, by SHA-256; took %.0f s", b.complete, b.made, r.Took.Seconds())
	if r.Congestion != "" {
		fmt.Fprintf(b.stdout, "; TCP congestion control: %s", r.Congestion)
	}
	if r.RecvBuffer != 0 {
		fmt.Fprintf(b.stdout, "; UDP receive buffers: %s", size(int64(r.RecvBuffer)))
	}
	fmt.Fprintln(b.stdout)
}

// machine names the system in few words.
func machine() string { return runtime.GOOS + "/" + runtime.GOARCH + ", " + runtime.Version() }
