package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/rmcast/rmcast/netem"
)

const (
	// roleEnv makes this program an endpoint.
	roleEnv = "RMCAST_QUORUM_ENDPOINT"
	group   = "[ff14::7263%eth0]:7500"
	tcpPort = "7501"
	// patience is how long an endpoint may take for anything beyond the writes.
	patience = 20 * time.Second
)

// enter makes this process what it is to be: an endpoint, or the benchmark, in a user namespace if it needs one.
func enter() (done bool) {
	if os.Getenv(roleEnv) == "" {
		netem.EnterUser()
		return false
	}
	fmt.Fprintln(os.Stderr, child())
	os.Exit(1)
	return true
}

// Job tells an endpoint what to be.
type Job struct {
	Scheme    string
	Send      bool
	Index     int      // of a receiver
	Addresses []string // TCP: where to connect to, or to listen
	Writes    int
	Size      int
	Receivers int
	Quorum    int
	Spare     int  // receivers that will be killed after half of the writes; 0: none
	Block     bool // and after all writes one more
	Verbose   bool
}

// Event is what an endpoint says: one of these.
type Event struct {
	Ready bool    `json:",omitempty"` // receivers: sockets are open
	Half  bool    `json:",omitempty"` // the sender has half of its writes confirmed
	All   bool    `json:",omitempty"` // all of them, and waits for a line before it goes on
	Done  *Report `json:",omitempty"`
}

// Report is how it ended.
type Report struct {
	Error   string        `json:",omitempty"`
	SHA256  string        // of all messages
	Took    time.Duration // of all writes
	Single  []int64       // ns of each
	Blocked time.Duration // how long the write waited that could not be confirmed,
	Missing []string      // and who was missing
}

// process is an endpoint as its parent sees it.
type process struct {
	name   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	stderr bytes.Buffer
	events chan Event // closed when it is gone
}

func startProcess(relay *netem.Relay, n netem.Node, job Job) (*process, error) {
	p := &process{name: fmt.Sprintf("%s, %v", job.Scheme, n), events: make(chan Event, 8)}
	p.cmd = exec.Command("/proc/self/exe")
	p.cmd.Args[0] = os.Args[0]
	p.cmd.Env = append(os.Environ(), roleEnv+"=1")
	p.cmd.Stderr = &p.stderr
	if job.Verbose {
		p.cmd.Stderr = io.MultiWriter(&p.stderr, os.Stderr)
	}
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := relay.Start(n, p.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	go func() {
		defer close(p.events)
		lines := json.NewDecoder(out)
		for {
			var e Event
			if lines.Decode(&e) != nil {
				return
			}
			p.events <- e
		}
	}()
	return p, json.NewEncoder(p.in).Encode(job)
}

// next waits for the next event.
func (p *process) next(ctx context.Context, most time.Duration) (Event, error) {
	select {
	case e, ok := <-p.events:
		switch {
		case !ok:
			p.in.Close()
			err := p.cmd.Wait()
			return e, fmt.Errorf("%s is gone: %v %s", p.name, err, strings.TrimSpace(p.stderr.String()))
		case e.Done != nil && e.Done.Error != "":
			return e, fmt.Errorf("%s: %s", p.name, e.Done.Error)
		}
		return e, nil
	case <-time.After(most):
		return Event{}, fmt.Errorf("%s says nothing for %v", p.name, most)
	case <-ctx.Done():
		return Event{}, ctx.Err()
	}
}

// kill ends it at once, as a crash would.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.in.Close()
	for range p.events {
	}
	p.cmd.Wait()
}

// measure runs one cell once.
func (o *options) measure(ctx context.Context, c cell, spare int) (out outcome, err error) {
	half := netem.Impairment{Delay: o.rtt / 2, Loss: o.loss / 100}
	relay, err := netem.NewRelay(netem.RelayConfig{Receivers: o.receivers, Topology: netem.Star(half, half), Seed: 1})
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, relay.Close()) }()
	job := Job{Scheme: c.scheme, Writes: o.writes, Size: o.size, Receivers: o.receivers, Quorum: o.quorum, Verbose: o.verbose}
	if c.kill {
		job.Spare, job.Block = spare, c.scheme == rmcast && spare == o.receivers-o.quorum
	}
	var all []*process
	defer func() {
		for _, p := range all {
			p.kill()
		}
	}()
	start := func(n netem.Node, j Job) (*process, error) {
		p, err := startProcess(relay, n, j)
		if p != nil {
			all = append(all, p)
		}
		return p, err
	}
	for i := range o.receivers {
		j := job
		j.Index, j.Addresses = i, []string{net.JoinHostPort(netem.Node(i).Addr6().String(), tcpPort)}
		job.Addresses = append(job.Addresses, j.Addresses[0])
		p, err := start(netem.Node(i), j)
		if err != nil {
			return out, err
		}
		if _, err := p.next(ctx, patience); err != nil {
			return out, err
		}
	}
	job.Send = true
	sender, err := start(netem.Sender, job)
	if err != nil {
		return out, err
	}
	rep, err := o.follow(ctx, job, sender, all[:o.receivers])
	if err != nil {
		return out, err
	}
	return rep.outcome(), nil
}

// follow kills receivers when it is time, and compares what the others read with what was sent.
func (o *options) follow(ctx context.Context, job Job, sender *process, receivers []*process) (*Report, error) {
	most := patience + time.Duration(o.writes)*20*(o.rtt+time.Millisecond)
	alive := receivers
	var rep *Report
	for rep == nil {
		e, err := sender.next(ctx, most)
		switch {
		case err != nil:
			return nil, err
		case e.Half:
			for range job.Spare {
				alive[0].kill()
				alive = alive[1:]
			}
		case e.All && job.Block:
			alive[0].kill()
			alive = alive[1:]
			fallthrough
		case e.All:
			if _, err := io.WriteString(sender.in, "\n"); err != nil {
				return nil, err
			}
		case e.Done != nil:
			rep = e.Done
		}
	}
	for _, p := range alive {
		e, err := p.next(ctx, patience)
		switch {
		case err != nil:
			return nil, err
		case e.Done == nil || e.Done.SHA256 != rep.SHA256:
			return nil, fmt.Errorf("%s did not read what was sent: %+v", p.name, e)
		}
	}
	if job.Block {
		return rep, o.checkBlocked(rep, job.Spare+1)
	}
	return rep, nil
}

// checkBlocked looks at the write that could not be confirmed.
func (o *options) checkBlocked(rep *Report, dead int) error {
	var want []string
	for i := range dead {
		want = append(want, receiverID(i).String())
	}
	for _, id := range want {
		if !strings.Contains(join(rep.Missing), id) {
			return fmt.Errorf("missing are %s; the error names %s", join(want), join(rep.Missing))
		}
	}
	if len(rep.Missing) != dead || rep.Blocked < blocked || rep.Blocked > blocked+time.Second {
		return fmt.Errorf("a write that could not be confirmed waited for %v; missing were %s", rep.Blocked, join(rep.Missing))
	}
	return nil
}
