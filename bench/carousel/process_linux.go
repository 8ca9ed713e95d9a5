package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rmcast/rmcast/netem"
)

// process is a source or a receiver as its parent sees it.
type process struct {
	node   netem.Node
	cmd    *exec.Cmd
	in     io.WriteCloser
	stderr bytes.Buffer
	gone   chan struct{}

	mu    sync.Mutex
	said  map[string]Event // the last of each
	heard chan struct{}    // closed and made anew with each Event but ticks
}

// start starts one in a node's namespace. on is called with each event but ticks, one at a time, as soon as it comes; it may be nil.
func start(l *netem.Lab, n netem.Node, j job, on func(Event)) (*process, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	p := &process{node: n, said: map[string]Event{}, gone: make(chan struct{}), heard: make(chan struct{})}
	p.cmd = exec.Command("/proc/self/exe")
	p.cmd.Args[0] = os.Args[0]
	p.cmd.Env = append(os.Environ(), jobEnv+"="+string(text))
	if os.Getenv("GOMAXPROCS") == "" {
		p.cmd.Env = append(p.cmd.Env, "GOMAXPROCS="+strconv.Itoa(processors(l)))
	}
	p.cmd.Stderr = &p.stderr
	if j.Verbose {
		p.cmd.Stderr = io.MultiWriter(&p.stderr, os.Stderr)
	}
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		p.in, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = l.Start(n, p.cmd)
	}
	if err != nil {
		return nil, fmt.Errorf("start at %v: %w", n, err)
	}
	go p.hear(out, on)
	return p, nil
}

// processors is how many each process has: what is there is shared by all, as if each were a machine of its own. With more of them the runtime spends a
// sixth of the time on looking for work in one another's place.
func processors(l *netem.Lab) int { return max(1, runtime.NumCPU()/(l.Receivers()+1)) }

func (p *process) hear(out io.Reader, on func(Event)) {
	defer close(p.gone)
	for d := json.NewDecoder(out); ; {
		var e Event
		if d.Decode(&e) != nil {
			return
		}
		if on != nil && e.What != saysTick {
			on(e)
		}
		p.mu.Lock()
		p.said[e.What] = e
		if e.What != saysTick {
			close(p.heard)
			p.heard = make(chan struct{})
		}
		p.mu.Unlock()
	}
}

// last returns the last event of that sort.
func (p *process) last(what string) (e Event, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok = p.said[what]
	return e, ok
}

// await waits until it has said something. What it says in the end ends the wait too.
func (p *process) await(ctx context.Context, what string) (Event, error) {
	for {
		p.mu.Lock()
		e, ok := p.said[what]
		end, ended := p.said[saysDone]
		heard := p.heard
		p.mu.Unlock()
		switch {
		case ended && end.Error != "":
			return end, fmt.Errorf("%v: %s", p.node, end.Error)
		case ok:
			return e, nil
		case ended:
			return end, fmt.Errorf("%v: done and not %s", p.node, what)
		}
		select {
		case <-heard:
		case <-p.gone:
			if _, ok := p.last(what); !ok {
				return e, fmt.Errorf("%v: %w: %s", p.node, errSilent, strings.TrimSpace(p.stderr.String()))
			}
		case <-ctx.Done():
			t, _ := p.last(saysTick)
			return e, fmt.Errorf("%v is not %s in time: has %d of %d packets", p.node, what, t.Got.Held, t.Got.Symbols)
		}
	}
}

// begin gives the word.
func (p *process) begin() error {
	_, err := p.in.Write([]byte{'\n'})
	return err
}

// kill ends it by SIGKILL.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.gone
	_ = p.cmd.Wait()
}

// end stops it.
func (p *process) end() error {
	p.in.Close()
	timer := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	<-p.gone
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%v: %w: %s", p.node, err, strings.TrimSpace(p.stderr.String()))
	}
	return nil
}
