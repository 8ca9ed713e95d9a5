// Command soak runs random histories of whole networks (package history), each from its own seed and on one goroutine, with all invariants
// on, until a number of them or a time is over. It stops at the first violation, looks for the shortest history that violates the same
// invariant, and prints that, what happened last in it, and how to see it again.
//
//	go run ./fuzz/soak                       for a minute, seeds nobody has tried
//	go run ./fuzz/soak -n 1000000            a million histories
//	go run ./fuzz/soak -long -time 1h        larger networks, longer sessions
//	go run ./fuzz/soak -from 17              the history of seed 17, with its text and its trace if it fails
//	go run ./fuzz/soak -file failed.txt      a history that was printed before
//
// The exit code is 0 without a violation, 1 with one, 2 for wrong arguments.
package main

import (
	"crypto/rand"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rmcast/rmcast/fuzz/history"
	"github.com/rmcast/rmcast/sim"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, nil)) }

// options are the arguments.
type options struct {
	n        uint64
	time     time.Duration
	seed     uint64
	from     uint64
	file     string
	workers  int
	long     bool
	shrink   time.Duration
	lines    int
	progress time.Duration
	hang     time.Duration

	one bool // -from was given
}

// run is main with its arguments. watch, if not nil, sees and hides events: history.Runner has it.
func run(args []string, out io.Writer, watch func(*sim.Event) bool) int {
	o, code := parse(args, out)
	if code >= 0 {
		return code
	}
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(400)) // histories are all garbage, and small
	}
	switch {
	case o.file != "":
		return replayFile(o, out, watch)
	case o.one:
		return replay(o, out, watch)
	}
	return soak(o, out, watch)
}

// parse reads the arguments; code is what to exit with, -1 to go on.
func parse(args []string, out io.Writer) (o options, code int) {
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.SetOutput(out)
	f.Uint64Var(&o.n, "n", 0, "how many `histories` to run; 0: as many as -time allows")
	f.DurationVar(&o.time, "time", 0, "how long to run; 0: a minute, or without end where -n is given")
	f.Uint64Var(&o.seed, "seed", 0, "the first `seed`: history i has seed+i; without it, one that nobody has tried")
	f.Uint64Var(&o.from, "from", 0, "run the one history of this `seed`, and print it")
	f.StringVar(&o.file, "file", "", "run the history whose text is in this `file`")
	f.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "how many histories run at once")
	f.BoolVar(&o.long, "long", false, "larger networks and longer sessions; needed again with -from")
	f.DurationVar(&o.shrink, "shrink", 30*time.Second, "how long to look for the shortest history that fails; 0: not at all")
	f.IntVar(&o.lines, "lines", 60, "how many `events` before a violation to print")
	f.DurationVar(&o.progress, "progress", 10*time.Second, "how often to tell how far it is")
	f.DurationVar(&o.hang, "hang", 2*time.Minute, "how long one history may run before that counts as a violation")
	f.Usage = func() {
		fmt.Fprint(out, usage)
		f.PrintDefaults()
	}
	switch err := f.Parse(args); {
	case err == flag.ErrHelp:
		return o, 0
	case err != nil:
		return o, 2
	}
	given := map[string]bool{}
	f.Visit(func(x *flag.Flag) { given[x.Name] = true })
	o.one = given["from"]
	if f.NArg() > 0 || o.workers < 1 || o.lines < 1 || o.progress <= 0 || o.hang <= 0 || o.one && o.file != "" {
		fmt.Fprintln(out, "soak: wrong arguments; -h tells which there are")
		return o, 2
	}
	if !given["seed"] {
		var b [8]byte
		rand.Read(b[:])
		o.seed = binary.LittleEndian.Uint64(b[:]) >> 16 // short enough to type
	}
	if o.n == 0 && o.time == 0 {
		o.time = time.Minute
	}
	return o, -1
}

const usage = `usage: soak [flags]

Runs random histories of multicast networks, each from a seed: random trees of links that lose, delay, duplicate, reorder and damage
packets, sources that write, flush, finish and reset, receivers that join, stall, restart and leave. In each, these invariants hold, or it
stops, prints the shortest history that it can find and how to repeat it, and exits with 1:

  copy     what is read is an exact copy of what was written, every number once, as data or in a loss report, in order;
           unordered: whole messages, each at most once
  gap      a loss has a reason that can be, and there is none where the network lets repairs through
  ending   a session ends with io.EOF when all was read or told, with a reset or a lost source only when that is so
  nak      a NAK asks for what the receiver knows of and has not got, and NAKs are within their rate
  source   what is sent is what was written; repairs are what was sent; SPMs tell the truth
  rate     data and repairs are within rate x time + burst, control packets within their share
  memory   windows and tables are within their bounds
  end      everything comes to an end in a time that the settings bound, and is forgotten
  stuck    time goes on; panic: nobody panics

`

func (o *options) size() history.Size {
	if o.long {
		return history.Long
	}
	return history.Short
}

// repeat is the command that runs the history of a seed again.
func (o *options) repeat(seed uint64) string {
	s := fmt.Sprintf("go run ./fuzz/soak -from %d", seed)
	if o.long {
		s += " -long"
	}
	return s
}

func replayFile(o options, out io.Writer, watch func(*sim.Event) bool) int {
	text, err := os.ReadFile(o.file)
	if err != nil {
		fmt.Fprintln(out, "soak:", err)
		return 2
	}
	h, err := history.ParseHistory(string(text))
	if err != nil {
		fmt.Fprintln(out, "soak:", err)
		return 2
	}
	return one(o, out, h, watch, "go run ./fuzz/soak -file "+o.file)
}

func replay(o options, out io.Writer, watch func(*sim.Event) bool) int {
	h := history.Generate(o.from, o.size())
	fmt.Fprint(out, h)
	return one(o, out, h, watch, o.repeat(o.from))
}

// one runs one history.
func one(o options, out io.Writer, h *history.History, watch func(*sim.Event) bool, repeat string) int {
	r := &history.Runner{Watch: watch}
	var c history.Counts
	if v := r.Run(h, &c); v != nil {
		return tell(o, out, r, h, v, repeat)
	}
	fmt.Fprintf(out, "no violation\n%v\n", &c)
	return 0
}

// tell prints a violation, the shortest history with the same, and how to repeat it.
func tell(o options, out io.Writer, r *history.Runner, h *history.History, v *history.Violation, repeat string) int {
	fmt.Fprintf(out, "\nVIOLATION %v\nrepeat it: %s\n", v, repeat)
	short := h
	if o.shrink > 0 {
		fmt.Fprintf(out, "looking for a shorter history for at most %v ...\n", o.shrink)
		short, _ = r.Shrink(h, v, o.shrink)
	}
	fmt.Fprintf(out, "\nthe shortest found, of %d steps instead of %d; saved to a file, -file runs it (lines from seed on):\n\n%s", len(short.Steps), len(h.Steps), r.Report(short, o.lines))
	return 1
}

// campaign is a soak that runs.
type campaign struct {
	options
	out   io.Writer
	watch func(*sim.Event) bool
	began time.Time
	next  atomic.Uint64 // index of the next history
	over  atomic.Bool
	busy  []worker

	mu     sync.Mutex
	counts history.Counts
	fault  *history.Violation
}

// worker is what one goroutine is at: a seed since an instant, 0 if at none.
type worker struct{ seed, since atomic.Int64 }

const batch = 16 // histories between two looks at the clock

func soak(o options, out io.Writer, watch func(*sim.Event) bool) int {
	c := &campaign{options: o, out: out, watch: watch, began: time.Now(), busy: make([]worker, o.workers)}
	fmt.Fprintf(out, "seed %d, %d workers\n", o.seed, o.workers)
	var all sync.WaitGroup
	for i := range c.busy {
		all.Go(func() { c.work(&c.busy[i]) })
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	if code := c.wait(done); code > 0 {
		return code
	}
	fmt.Fprintln(out, c.line())
	c.summary()
	if v := c.fault; v != nil {
		return tell(o, out, &history.Runner{Watch: watch}, history.Generate(v.Seed, o.size()), v, o.repeat(v.Seed))
	}
	fmt.Fprintf(out, "no violation (seed %d)\n", o.seed)
	return 0
}

// wait tells the progress until all work is done; it returns a code if a history does not end.
func (c *campaign) wait(done chan struct{}) int {
	tick := time.NewTicker(c.progress)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return 0
		case now := <-tick.C:
			fmt.Fprintln(c.out, c.line())
			for i := range c.busy {
				w := &c.busy[i]
				if since := w.since.Load(); since > 0 && now.Sub(time.UnixMicro(since)) > c.hang {
					seed := uint64(w.seed.Load())
					fmt.Fprintf(c.out, "\nVIOLATION history: seed %d: runs for more than %v\nrepeat it: %s\n", seed, c.hang, c.repeat(seed))
					stacks := make([]byte, 1<<16)
					fmt.Fprintf(c.out, "%s\n", stacks[:runtime.Stack(stacks, true)])
					return 1
				}
			}
		}
	}
}

func (c *campaign) work(w *worker) {
	r := history.Runner{Watch: c.watch}
	for !c.over.Load() {
		var counts history.Counts
		var fault *history.Violation
		for range batch {
			i := c.next.Add(1) - 1
			if c.n > 0 && i >= c.n || fault != nil || c.over.Load() {
				c.over.Store(true)
				break
			}
			w.seed.Store(int64(c.seed + i))
			w.since.Store(time.Now().UnixMicro())
			fault = r.Run(history.Generate(c.seed+i, c.size()), &counts)
			w.since.Store(0)
		}
		c.mu.Lock()
		c.counts.Add(&counts)
		if fault != nil && c.fault == nil {
			c.fault = fault
			c.over.Store(true)
		}
		c.mu.Unlock()
		if c.time > 0 && time.Since(c.began) >= c.time {
			c.over.Store(true)
		}
	}
}

// line is the progress.
func (c *campaign) line() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, d := &c.counts, time.Since(c.began)
	return fmt.Sprintf("%6.0f s  %d histories, %.0f/s; %d packets, %d deliveries, %d lost, %d repairs, %d gaps; ended %d EOF, %d reset, %d lost; %d promised",
		d.Seconds(), n[history.Histories], float64(n[history.Histories])/d.Seconds(), n[history.Packets], n[history.Deliveries], n[history.LostInNet],
		n[history.Repairs], n[history.Gaps], n[history.EndEOF], n[history.EndReset], n[history.EndLost], n[history.Promised])
}

// summary tells all counts, in columns.
func (c *campaign) summary() {
	for i, n := range c.counts {
		fmt.Fprintf(c.out, "%16v %-14d", history.Count(i), n)
		if i%4 == 3 || i == len(c.counts)-1 {
			fmt.Fprintln(c.out)
		}
	}
}
