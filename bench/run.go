package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// world makes networks: of namespaces, or in memory.
type world interface {
	// open makes the cell's network with a sender and its receivers, none of which runs yet.
	open(ctx context.Context, c *Cell) (network, error)
	about() string // where the endpoints live, for the head of the report
	has(s Scheme) bool
}

// network is one sender and some receivers behind a link.
type network interface {
	// start starts the sender (index < 0) or a receiver.
	start(index int, job Job) (*remote, error)
	// job says how to reach the network's places: what start's caller completes.
	job(index int, s Scheme) Job
	losses() (Losses, error) // by the rules that make the loss, since the network was made
	close() error
}

// Losses is what the network itself threw away.
type Losses struct {
	Passed  uint64 `json:"passed"`  // packets that reached receivers, summed
	Dropped uint64 `json:"dropped"` // packets that the cell's loss took from receivers, summed
	Queue   uint64 `json:"queue"`   // packets that the sender's full queue dropped
}

// remote is an endpoint as its parent sees it.
type remote struct {
	name     string
	events   <-chan Event // Ready, then the Report; closed when the endpoint is gone
	send     func(Command) error
	progress func() int64 // bytes sent or received so far
	close    func() error // ends the endpoint and returns why it failed, if it did; may be called again
	report   *Report
}

// Run is one scheme measured once in one cell.
type Run struct {
	Cell      Cell          `json:"cell"`
	Scheme    Scheme        `json:"scheme"`
	Round     int           `json:"round"`
	Want      string        `json:"sha256"` // of what was to arrive
	WasCut    bool          `json:"cut"`
	Sender    Report        `json:"sender"`
	Receivers []Report      `json:"receivers"`
	Machine   Machine       `json:"machine"`
	Losses    Losses        `json:"losses"`
	Setup     time.Duration `json:"setup_ns"`
}

const (
	readyPatience  = 12 * time.Second // a lost SYN and SYN-ACK cost seconds each
	reportPatience = 5 * time.Second
)

// runner measures cells in a world.
type runner struct {
	world    world
	payload  *payload
	control  string // TCP congestion control
	verbose  bool
	progress func(c *Cell, s Scheme, share float64, elapsed time.Duration, goodput float64)
}

// measure runs one scheme once. The run is good for the report even if not all arrived; an error means there is nothing
// to report.
func (r *runner) measure(ctx context.Context, cell Cell, s Scheme) (run *Run, err error) {
	begin := time.Now()
	net, err := r.world.open(ctx, &cell)
	if err != nil {
		return nil, fmt.Errorf("network for %v: %w", &cell, err)
	}
	defer func() { err = errors.Join(err, net.close()) }()
	run = &Run{Cell: cell, Scheme: s}
	if cell.Messages == nil {
		if run.Want, err = r.payload.sha256(cell.Bytes); err != nil {
			return nil, err
		}
	}
	var remotes []*remote
	defer func() {
		for _, rem := range remotes {
			err = errors.Join(err, rem.close())
		}
	}()
	for i := range cell.Receivers {
		rem, err := net.start(i, r.complete(net.job(i, s), run))
		if err != nil {
			return nil, err
		}
		remotes = append(remotes, rem)
	}
	if err := awaitReady(ctx, remotes); err != nil {
		return nil, err
	}
	sender, err := net.start(-1, r.complete(net.job(-1, s), run))
	if err != nil {
		return nil, err
	}
	remotes = append(remotes, sender)
	if err := awaitReady(ctx, remotes[cell.Receivers:]); err != nil {
		return nil, err
	}
	run.Setup = time.Since(begin)
	return run, r.transfer(ctx, run, net, sender, remotes[:cell.Receivers])
}

// complete adds to a job what does not depend on the place.
func (r *runner) complete(j Job, run *Run) Job {
	j.Rate, j.Bytes, j.Messages = run.Cell.Rate, run.Cell.Bytes, run.Cell.Messages
	j.Control, j.Verbose = r.control, r.verbose
	return j
}

// awaitReady waits until every endpoint has its sockets.
func awaitReady(ctx context.Context, remotes []*remote) error {
	patience := time.NewTimer(readyPatience)
	defer patience.Stop()
	for _, rem := range remotes {
		select {
		case ev, ok := <-rem.events:
			if !ok || ev.Report != nil {
				return fmt.Errorf("%s ended before it was ready: %w", rem.name, rem.failure(ev))
			}
		case <-patience.C:
			return fmt.Errorf("%s is not ready after %v", rem.name, readyPatience)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// failure tells why an endpoint ended.
func (rem *remote) failure(ev Event) error {
	if ev.Report != nil && ev.Report.Error != "" {
		return errors.New(ev.Report.Error)
	}
	if err := rem.close(); err != nil {
		return err
	}
	return errors.New("no reason given")
}

// transfer says Go and collects the reports. When all receivers have theirs the sender is told to stop; when the cell's
// time is up all are.
func (r *runner) transfer(ctx context.Context, run *Run, net network, sender *remote, receivers []*remote) error {
	before, err := readMachine()
	if err != nil {
		return err
	}
	for _, rem := range append(receivers[:len(receivers):len(receivers)], sender) {
		if err := rem.send(Command{Go: true}); err != nil {
			return fmt.Errorf("%s: %w", rem.name, err)
		}
	}
	if err := r.collect(ctx, run, sender, receivers); err != nil {
		return err
	}
	after, err := readMachine()
	if err != nil {
		return err
	}
	run.Machine = after.sub(before)
	if run.Losses, err = net.losses(); err != nil {
		return err
	}
	run.Sender = *sender.report
	if run.Cell.Messages != nil {
		run.Want = run.Sender.SHA256
	}
	for _, rem := range receivers {
		run.Receivers = append(run.Receivers, *rem.report)
	}
	return nil
}

// incoming is an event with its endpoint.
type incoming struct {
	from *remote
	Event
}

// collect waits for every endpoint's report.
func (r *runner) collect(ctx context.Context, run *Run, sender *remote, receivers []*remote) error {
	everyone := append(receivers[:len(receivers):len(receivers)], sender)
	done := make(chan struct{})
	defer close(done)
	events := make(chan incoming)
	for _, rem := range everyone {
		go forward(rem, events, done)
	}
	begin := time.Now()
	cut := time.NewTimer(run.Cell.Cut[run.Scheme])
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	defer cut.Stop()
	receiving, sending, stopping := len(receivers), true, false
	stop := func(who []*remote) {
		stopAll(who)
		stopping = true
		cut.Reset(reportPatience)
	}
	for receiving > 0 || sending {
		select {
		case ev := <-events:
			if ev.Report == nil {
				return fmt.Errorf("%s ended without a report: %w", ev.from.name, ev.from.failure(Event{}))
			}
			ev.from.report = ev.Report
			if ev.from == sender {
				sending = false
			} else {
				receiving--
			}
			switch {
			case sending && receiving == 0:
				stop(everyone)
			case !sending && receiving > 0 && ev.Report.Error != "" && !stopping:
				stop(receivers)
			}
		case <-tick.C:
			r.tell(run, receivers, time.Since(begin))
		case <-cut.C:
			if stopping {
				return fmt.Errorf("%v, %s: no report %v after the end", &run.Cell, run.Scheme, reportPatience)
			}
			run.WasCut = true
			stop(receivers) // and the sender when they have reported: its farewell is not for them
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// forward passes the endpoint's next event on; none, if it is gone.
func forward(rem *remote, events chan<- incoming, done <-chan struct{}) {
	ev := <-rem.events
	select {
	case events <- incoming{rem, ev}:
	case <-done:
	}
}

// stopAll tells those who have not reported to do so; one that is gone shows by its closed events.
func stopAll(remotes []*remote) {
	for _, rem := range remotes {
		if rem.report == nil {
			_ = rem.send(Command{Stop: true})
		}
	}
}

// tell passes on how far the slowest receiver is.
func (r *runner) tell(run *Run, receivers []*remote, elapsed time.Duration) {
	if r.progress == nil {
		return
	}
	total := run.bytes()
	least := total
	for _, rem := range receivers {
		if rem.report == nil {
			least = min(least, rem.progress())
		}
	}
	r.progress(&run.Cell, run.Scheme, float64(least)/float64(total), elapsed, float64(least)*8/elapsed.Seconds())
}
