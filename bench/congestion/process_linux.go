package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rmcast/rmcast/netem"
)

// roleEnv makes this program an endpoint.
const roleEnv = "RMCAST_CONGESTION_ENDPOINT"

// enter makes this process what it is to be: an endpoint, or the benchmark, in a user namespace if it needs one.
func enter() (done bool) {
	if os.Getenv(roleEnv) == "" {
		if slices.ContainsFunc(os.Args[1:], func(a string) bool { return strings.TrimLeft(a, "-") == "netns" }) {
			netem.EnterUser()
		}
		return false
	}
	if err := child(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// nodes is where processes can be started: a Lab or a Relay.
type nodes interface {
	Start(n netem.Node, cmd *exec.Cmd) error
	Close() error
}

// process is an endpoint as its parent sees it.
type process struct {
	name   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	stderr bytes.Buffer
	ready  chan struct{}
	gone   chan struct{} // closed when it says no more
	mu     sync.Mutex
	ticks  []Tick
	report *Report
}

// startProcess starts an endpoint in a node's namespace, and waits until it is ready.
func startProcess(ctx context.Context, at nodes, n netem.Node, job Job) (*process, error) {
	p := &process{name: fmt.Sprintf("%s at %v", job.Role, n), ready: make(chan struct{}), gone: make(chan struct{})}
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
	if err := at.Start(n, p.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	go p.listen(out)
	if err := json.NewEncoder(p.in).Encode(job); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", p.name, err), p.end())
	}
	select {
	case <-p.ready:
		return p, nil
	case <-p.gone:
	case <-time.After(15 * time.Second):
	case <-ctx.Done():
	}
	err = p.end()
	return nil, fmt.Errorf("%s is not ready: %s", p.name, p.why(err))
}

// why tells what is known of why it ended.
func (p *process) why(err error) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.report != nil && p.report.Error != "" {
		return p.report.Error
	}
	return fmt.Sprint(err, " ", strings.TrimSpace(p.stderr.String()))
}

func (p *process) listen(out io.Reader) {
	defer close(p.gone)
	lines, ready := json.NewDecoder(out), false
	for {
		var e Event
		if lines.Decode(&e) != nil {
			return
		}
		p.mu.Lock()
		if e.Tick != nil {
			p.ticks = append(p.ticks, *e.Tick)
		}
		p.report = e.Report
		p.mu.Unlock()
		if e.Ready && !ready {
			ready = true
			close(p.ready)
		}
		if e.Report != nil {
			return
		}
	}
}

// begin says go.
func (p *process) begin() error {
	_, err := io.WriteString(p.in, "\n")
	return err
}

// wait waits for the report.
func (p *process) wait(ctx context.Context, patience time.Duration) (*Report, error) {
	select {
	case <-p.gone:
	case <-time.After(patience):
		return nil, fmt.Errorf("%s has no report after %v", p.name, patience)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.report == nil:
		return nil, fmt.Errorf("%s ended without a report", p.name)
	case p.report.Error != "":
		return p.report, fmt.Errorf("%s: %s", p.name, p.report.Error)
	}
	return p.report, nil
}

// kill ends it by SIGKILL.
func (p *process) kill() error { return p.cmd.Process.Kill() }

// end closes its input, which ends it.
func (p *process) end() error {
	p.in.Close()
	timer := time.AfterFunc(3*time.Second, func() { p.cmd.Process.Kill() })
	defer timer.Stop()
	<-p.gone
	return p.cmd.Wait()
}

// at returns how many bytes connection i had at an instant, between two ticks by the rule of three.
func (p *process) at(i int, t int64) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := Tick{At: t - 1}
	for _, k := range p.ticks {
		if k.At >= t {
			if last.Bytes == nil {
				return 0
			}
			a, b := float64(last.Bytes[i]), float64(k.Bytes[i])
			return a + (b-a)*float64(t-last.At)/float64(k.At-last.At)
		}
		last = k
	}
	if last.Bytes == nil {
		return 0
	}
	return float64(last.Bytes[i])
}

// between returns what connection i had per second between two instants, in Mbit/s.
func (p *process) between(i int, from, to int64) float64 {
	return (p.at(i, to) - p.at(i, from)) * 8e3 / float64(to-from)
}
