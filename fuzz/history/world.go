package history

import (
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/sim"
)

// Violation is an invariant that did not hold in a history.
type Violation struct {
	Seed uint64        // the history's
	Rule string        // which invariant: copy, gap, ending, nak, source, rate, memory, end, stuck or panic
	At   time.Duration // when
	Step int           // the latest step that was done, from 1; 0: none was
	Who  string        // which source or receiver
	Text string        // what is wrong
}

// Error tells all of it on one line.
func (v *Violation) Error() string {
	return fmt.Sprintf("history: seed %d, step %d, at %v: %s%s: %s", v.Seed, v.Step, v.At, v.Who, v.Rule, v.Text)
}

// Runner runs histories, one after the other, and keeps its memory between them. The zero value is ready. It is not safe for
// concurrent use.
type Runner struct {
	// Watch is called for each event of the network before it is judged; true hides the event from the judge: so one can see
	// that a delivery left out is found. nil sees nothing.
	Watch func(*sim.Event) bool

	ledgers   []ledger
	listeners []listener
	members   []member
}

// world is one history that runs.
type world struct {
	*Runner
	h        *History
	n        *sim.Network
	switches []*sim.Switch
	groups   []*group
	sources  int   // of ledgers, those that are there
	hosts    []int // by host number: index of a source, or -1 - index of a member
	present  int   // of members
	step     int
	fault    *Violation
	counts   Counts
	peak     int // arrivals until memory is looked at
	promises []bool
}

// Run runs h to its end, and adds what happened to c. It returns the first violation, nil if all invariants held.
func (r *Runner) Run(h *History, c *Counts) (fault *Violation) {
	w := &world{Runner: r, h: h}
	defer func() {
		if x := recover(); x != nil {
			w.fails("", fmt.Sprintf("panic: %v\n%s", x, debug.Stack()))
		}
		w.counts[Histories]++
		c.Add(&w.counts)
		fault = w.fault
	}()
	w.prepare()
	for i := range h.Steps {
		s := &h.Steps[i]
		if !w.run(s.At - w.n.Now()) {
			return nil
		}
		w.step = i + 1
		w.do(s)
		w.look()
	}
	w.loose()
	if w.run(w.bound()) {
		w.over()
	}
	return nil
}

func (w *world) prepare() {
	h := w.h
	hosts, srcs, unordered := 0, 0, false
	for i := range h.Steps {
		switch a := h.Steps[i].Args.(type) {
		case *Group:
			hosts += a.count()
			unordered = unordered || a.Unordered
		case *Source:
			srcs++
		}
	}
	w.promises = promises(h)
	w.ledgers = grow(w.ledgers, srcs)
	w.listeners = grow(w.listeners, srcs*hosts)
	w.members = grow(w.members, hosts)
	w.hosts = make([]int, 1, 1+srcs+hosts)
	k := 0
	for i := range h.Steps {
		if a, ok := h.Steps[i].Args.(*Source); ok {
			w.ledgers[k].init(k, a, unordered)
			k++
		}
	}
	kinds := sim.Of(sim.Sent, sim.Arrived, sim.Delivered, sim.Gap, sim.Ended, sim.Engine)
	if w.Watch != nil {
		kinds = sim.AllKinds
	}
	w.n = sim.New(sim.Config{Seed: h.Seed, V4: h.V4, Trace: w.sees, Kinds: kinds})
	w.switches = append(w.switches, w.n.Root())
}

// grow returns s with n elements, of which the old ones keep what they have.
func grow[T any](s []T, n int) []T {
	if n <= cap(s) {
		return s[:n]
	}
	return append(s[:cap(s)], make([]T, n-cap(s))...)
}

// fails books the first violation. text begins with the rule and a colon.
func (w *world) fails(who, text string) {
	if w.fault != nil {
		return
	}
	rule, rest, _ := strings.Cut(text, ": ")
	w.fault = &Violation{Seed: w.h.Seed, Rule: rule, Step: w.step, Who: who, Text: rest}
	if w.n != nil {
		w.fault.At = w.n.Now()
	}
}

// run lets the network work for d. It reports whether all is well.
func (w *world) run(d time.Duration) bool {
	_, err := w.n.RunUntil(d, func() bool { return w.fault != nil })
	if err != nil {
		w.fails("", "stuck: "+err.Error())
	}
	return w.fault == nil
}

// listener returns what receiver i hears of source k.
func (w *world) listener(k, i int) *listener { return &w.listeners[k*len(w.members)+i] }

// bound is how long all may take to come to an end after the last step: each source writes what it has, repairs taking what they may,
// waits for each window as long as it may, and lingers; then receivers wait for what is missing, and forget the source.
func (w *world) bound() time.Duration {
	d := time.Minute
	i := 0
	for k := range w.h.Steps {
		a, ok := w.h.Steps[k].Args.(*Source)
		if !ok {
			continue
		}
		var c session.SourceConfig
		c.Rate, c.Slots, c.WindowAge, c.Linger, c.RepairShare = 100*flow.Mbps, 32768, 2*time.Second, 2*time.Second, flow.DefaultRepairShare
		a.apply(&c, w.h.V4)
		l := &w.ledgers[i]
		i++
		packets := int64(l.written)/400 + int64(len(l.units))
		// A writer that waits for a slot does so for WindowAge and ten seconds at most.
		d += time.Duration(packets/int64(c.Slots)+1) * 2 * (c.WindowAge + 10*time.Second)
		data := c.Rate.Duration((l.written + 100*packets) * 2)
		if a.Parity != 0 {
			data *= 2 // what comes unasked is as much again at most
		}
		d += time.Duration(float64(data) / (1.001 - min(c.RepairShare, 1)))
		d += 6*c.Linger + c.WindowAge
	}
	for _, g := range w.groups {
		d = max(d, d+g.expiry()+g.peers.RepairTimeout)
	}
	return d
}

// name tells a host, with a blank.
func (w *world) name(host int) string {
	if host < 1 || host >= len(w.hosts) {
		return ""
	}
	if k := w.hosts[host]; k >= 0 {
		return fmt.Sprintf("source %d ", k+1)
	}
	m := &w.members[-1-w.hosts[host]]
	for i, g := range w.groups {
		if g == m.g {
			return fmt.Sprintf("receiver %d.%d ", i+1, m.i+1)
		}
	}
	return ""
}
