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
	"sync"
	"sync/atomic"
	"time"

	"github.com/rmcast/rmcast/netem"
)

// roleEnv makes this program an endpoint.
const roleEnv = "RMCAST_BENCH_ENDPOINT"

const (
	payloadFD    = 3 // the sender's first inherited file
	tcpPort      = "7501"
	exitPatience = 2 * time.Second
)

// enter turns this process into what it is to be: an endpoint, or the benchmark in a user namespace if it needs one.
func enter() (code int, done bool) {
	if os.Getenv(roleEnv) != "" {
		if err := child(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1, true
		}
		return 0, true
	}
	netem.EnterUser()
	return 0, false
}

// chooseWorld takes namespaces where there are any.
func chooseWorld(o *options, p *payload, stderr io.Writer) (world, error) {
	if o.plan.netem != "" {
		if err := netem.QdiscAvailable(); err != nil {
			return nil, fmt.Errorf("%w; go run ./netem/guest -bench runs this on a kernel that has it", err)
		}
	}
	if !o.memory {
		err := netem.Available()
		if err == nil {
			return namespaces{payload: p, seed: o.seed, verbose: o.verbose}, nil
		}
		fmt.Fprintln(stderr, "bench:", err)
	}
	return memory{payload: p, seed: o.seed}, nil
}

// namespaces is the world of real sockets: the sender and each receiver is a process in a network namespace of its own.
type namespaces struct {
	payload *payload
	seed    uint64 // of a Relay's links
	verbose bool
}

func (namespaces) about() string {
	return "every endpoint a process in a network namespace of its own, joined by veth and a bridge, over IPv6"
}

func (namespaces) has(Scheme) bool { return true }

func (w namespaces) open(_ context.Context, c *Cell) (network, error) {
	if c.RTT > 0 {
		return w.openRelay(c)
	}
	cfg := netem.LabConfig{Receivers: c.Receivers, Rate: int64(c.Link), Wire: !c.Offload}
	if c.Netem == "" {
		cfg.Loss = c.Loss
	}
	lab, err := netem.NewLab(cfg)
	if err != nil {
		return nil, err
	}
	n := &labNetwork{places: places{lab, w, c.Receivers}, lab: lab, qdiscs: c.Netem != ""}
	if n.qdiscs {
		if err := n.setQdiscs(c); err != nil {
			return nil, errors.Join(err, lab.Close())
		}
	}
	return n, nil
}

// places are the namespaces of a Lab or a Relay.
type places struct {
	nodes interface {
		Start(n netem.Node, cmd *exec.Cmd) error
		Close() error
	}
	world     namespaces
	receivers int
}

type labNetwork struct {
	places
	lab    *netem.Lab
	qdiscs bool // make the loss
}

// setQdiscs sets the kernel's netem at the receivers.
func (n *labNetwork) setQdiscs(c *Cell) error {
	in, out, err := c.impairments()
	if err != nil {
		return err
	}
	for i := range netem.Node(n.receivers) {
		if err := n.lab.SetQdisc(i, in, out); err != nil {
			return err
		}
	}
	return nil
}

func (n *places) job(index int, s Scheme) Job {
	j := Job{Scheme: s, Send: index < 0, Interface: netem.LabInterface, Group: group, File: payloadFD}
	for i := range n.receivers {
		if index < 0 || index == i {
			j.Addresses = append(j.Addresses, net.JoinHostPort(netem.Node(i).Addr6().String(), tcpPort))
		}
	}
	return j
}

// start re-executes this program as an endpoint in the node's namespace.
func (n *places) start(index int, job Job) (*remote, error) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), roleEnv+"=1")
	stderr := &tail{}
	cmd.Stderr = stderr
	if n.world.verbose {
		cmd.Stderr = io.MultiWriter(stderr, os.Stderr)
	}
	if job.Send {
		cmd.ExtraFiles = []*os.File{n.world.payload.file} // payloadFD
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.nodes.Start(netem.Node(index), cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", endpointName(index), err)
	}
	p := &process{name: endpointName(index), cmd: cmd, stdin: stdin, stderr: stderr,
		events: make(chan Event, 2), read: make(chan struct{})}
	go p.readEvents(stdout)
	commands := json.NewEncoder(stdin)
	rem := &remote{
		name:     p.name,
		events:   p.events,
		send:     func(c Command) error { return commands.Encode(c) },
		progress: p.bytes.Load,
		close:    sync.OnceValue(p.end),
	}
	if err := commands.Encode(job); err != nil {
		return nil, errors.Join(fmt.Errorf("job of %s: %w", p.name, err), rem.close())
	}
	return rem, nil
}

func (n *labNetwork) losses() (l Losses, err error) {
	for i := range n.receivers {
		if n.qdiscs {
			in, _, err := n.lab.QdiscStats(netem.Node(i))
			if err != nil {
				return l, err
			}
			l.Dropped += in.Dropped
			l.Passed += in.Packets
			continue
		}
		c, err := n.lab.Counters(netem.Node(i))
		if err != nil {
			return l, err
		}
		l.Dropped += c.Lost
		l.Passed += c.RxPackets - c.Lost
	}
	c, err := n.lab.Counters(netem.Sender)
	l.Queue = c.QueueDrops
	return l, err
}

func (n *places) close() error { return n.nodes.Close() }

// openRelay makes a network whose links have the cell's loss on the way to the receivers and half its round trip in each direction.
func (w namespaces) openRelay(c *Cell) (network, error) {
	half := netem.Impairment{Delay: c.RTT / 2}
	down := half
	down.Loss = c.Loss
	relay, err := netem.NewRelay(netem.RelayConfig{Receivers: c.Receivers, Topology: netem.Star(down, half), Seed: w.seed})
	if err != nil {
		return nil, err
	}
	return &relayNetwork{places{relay, w, c.Receivers}, relay}, nil
}

type relayNetwork struct {
	places
	relay *netem.Relay
}

func (n *relayNetwork) losses() (l Losses, err error) {
	for i := range n.receivers {
		in := n.relay.Counters(netem.Node(i)).Ingress
		l.Dropped += in.Lost
		l.Passed += in.Arrived
	}
	t := n.relay.Totals()
	l.Queue = t.TooLate + t.InFlight + t.Refused
	return l, nil
}

// process is an endpoint in a process.
type process struct {
	name   string
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr *tail
	events chan Event
	read   chan struct{} // closed when readEvents is done
	bytes  atomic.Int64
}

// readEvents passes on what the endpoint says, until it says no more. There are two events at most to pass on, and room for
// them.
func (p *process) readEvents(stdout io.Reader) {
	defer close(p.read)
	defer close(p.events)
	lines := json.NewDecoder(stdout)
	for passed := 0; ; {
		var ev Event
		if lines.Decode(&ev) != nil {
			return
		}
		p.bytes.Store(max(p.bytes.Load(), ev.Bytes))
		if (ev.Ready || ev.Report != nil) && passed < cap(p.events) {
			passed++
			p.events <- ev
		}
	}
}

// end closes the endpoint's input, which ends it, and tells why it ended if not for that.
func (p *process) end() error {
	p.stdin.Close()
	var killed atomic.Bool
	kill := time.AfterFunc(exitPatience, func() {
		killed.Store(true)
		p.cmd.Process.Kill()
	})
	<-p.read
	err := p.cmd.Wait()
	kill.Stop()
	switch {
	case killed.Load():
		return fmt.Errorf("%s did not end by itself%s", p.name, p.stderr)
	case err != nil:
		return fmt.Errorf("%s: %w%s", p.name, err, p.stderr)
	}
	return nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 2000

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if n := len(t.text) - tailBytes; n > 0 {
		t.text = bytes.Clone(t.text[n:])
	}
	return len(b), nil
}

// String is the text behind a colon, or nothing.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.text) == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(string(t.text))
}
