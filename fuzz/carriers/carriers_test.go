package carriers

import (
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/sim"
	"github.com/rmcast/rmcast/transport"
	"github.com/rmcast/rmcast/wire"
)

// scenarios runs every scenario of testdata by run and compares what receivers read with the file.
func scenarios(t *testing.T, run func(t *testing.T, s *sim.Scenario) string) {
	t.Helper()
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if !strings.HasSuffix(path, ".txt") {
			return
		}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s, err := sim.ParseScenario(d.Input)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			return run(t, s)
		})
	})
}

// The simulator says what is expected: -rewrite writes it.
func TestSimulator(t *testing.T) {
	scenarios(t, func(t *testing.T, s *sim.Scenario) string {
		rep, err := s.Run(false)
		if err != nil {
			t.Fatal(err)
		}
		return rep.String()
	})
}

// Package transport in memory, in virtual time.
func TestInMemory(t *testing.T) {
	scenarios(t, func(t *testing.T, s *sim.Scenario) (got string) {
		synctest.Test(t, func(t *testing.T) {
			f := netem.NewFabric(netem.FabricConfig{Seed: s.Seed, Topology: topology(s)})
			r := newRunner(t, s, func(_ netem.Node, do func() error) error { return do() })
			r.configure = func(n netem.Node, c *transport.Config) { c.Network = f.Node(n) }
			f.SetDrop(r.drop)
			got = r.run()
		})
		return got
	})
}

// topology is that of a scenario with one source.
func topology(s *sim.Scenario) netem.Topology {
	src := s.Sources[0]
	t := netem.Topology{Sender: netem.Port{Switch: src.Switch, Down: src.Down, Up: src.Up}}
	for _, b := range s.Branches {
		t.Branch(b.Parent, b.Down, b.Up)
	}
	for _, x := range s.Receivers {
		t.Receivers = append(t.Receivers, netem.Port{Switch: x.Switch, Down: x.Down, Up: x.Up})
	}
	return t
}

// runner runs a scenario by package transport.
type runner struct {
	t         *testing.T
	s         *sim.Scenario
	do        func(n netem.Node, f func() error) error // on a node
	configure func(n netem.Node, c *transport.Config)
	network   string
	group     string

	mu      sync.Mutex
	dropper *sim.Dropper
	people  []*person
	wait    sync.WaitGroup
}

// person is the application at one receiver.
type person struct {
	sim.Reader
	i       int
	li      *transport.Listener
	mu      sync.Mutex
	stalled chan struct{} // closed when it goes on; nil: it reads
	rcv     *transport.Receiver
	heard   bool
	ended   bool
}

func newRunner(t *testing.T, s *sim.Scenario, do func(netem.Node, func() error) error) *runner {
	t.Helper()
	if len(s.Sources) != 1 {
		t.Fatal("carriers other than the simulator have one source")
	}
	r := &runner{t: t, s: s, do: do, dropper: s.NewDropper(), network: "udp6", group: "[ff15::8000:1]:7500"}
	if s.V4 {
		r.network, r.group = "udp4", "239.192.0.9:7500"
	}
	return r
}

// drop is the hook of a Fabric or a Relay.
func (r *runner) drop(from, to netip.Addr, b []byte) bool {
	var p wire.Packet
	if nodeOf(from, 0) != netem.Sender || p.Decode(b) != nil {
		return false
	}
	n := nodeOf(to, len(r.s.Receivers))
	if n == netem.Sender {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropper.Drop(0, int(n), &p)
}

// nodeOf returns the node with an address; the sender if it is no receiver.
func nodeOf(a netip.Addr, receivers int) netem.Node {
	a = a.WithZone("")
	for i := range receivers {
		if n := netem.Node(i); a == n.Addr4() || a == n.Addr6() || a == n.LinkLocal().WithZone("") {
			return n
		}
	}
	return netem.Sender
}

func (r *runner) config(n netem.Node) *transport.Config {
	// Without parity, as the simulator's sources are: it would restore what a scenario loses for good.
	c := &transport.Config{Logger: slog.New(slog.DiscardHandler), FEC: fec.Config{Off: true}}
	if n == netem.Sender {
		src := r.s.Sources[0]
		c.Rate, c.Fixed, c.WindowBytes, c.Linger = src.Rate, true, src.WindowBytes, src.Linger
	} else {
		x := r.s.Receivers[n]
		c.Unordered, c.ReceiveOnly, c.MaxDelay = x.Unordered, x.ReceiveOnly, x.MaxDelay
		c.RepairTimeout, c.MaxWindow = x.RepairTimeout, x.MaxWindow
	}
	if r.configure != nil {
		r.configure(n, c)
	}
	return c
}

// run does what the scenario says and returns what receivers read.
func (r *runner) run() string {
	t, began := r.t, time.Now()
	for i, x := range r.s.Receivers {
		p := &person{i: i}
		p.Receiver, p.Source, p.Messages = x.Name, r.s.Sources[0].Name, x.Unordered
		r.people = append(r.people, p)
		if !x.Absent {
			r.join(p)
		}
	}
	var src *transport.Source
	err := r.do(netem.Sender, func() (err error) {
		src, err = transport.Dial(r.network, r.group, r.config(netem.Sender))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	work := make(chan sim.ScenarioStep, len(r.s.Steps)) // the source's: Write blocks
	r.wait.Go(func() { r.write(src, work) })
	for _, step := range r.s.Steps {
		<-time.After(time.Until(began.Add(step.At)))
		if step.Source >= 0 {
			work <- step
			continue
		}
		p := r.people[step.Receiver]
		switch step.Verb {
		case "stall":
			p.stall()
		case "resume":
			p.resume()
		case "join":
			r.join(p)
		case "leave":
			p.close()
		}
	}
	close(work)
	over := time.After(time.Until(began.Add(r.s.End)))
	for _, p := range r.people {
		for !p.done() {
			select {
			case <-over:
				over = closed
				p.close()
			case <-time.After(time.Millisecond):
			}
		}
	}
	for _, p := range r.people {
		p.resume()
		p.close()
	}
	src.Close()
	r.wait.Wait()
	var b strings.Builder
	for _, p := range r.people {
		if p.heard {
			b.WriteString(p.String() + "\n")
		}
	}
	return b.String()
}

var closed = func() chan time.Time { c := make(chan time.Time); close(c); return c }()

// write is the application at the source.
func (r *runner) write(src *transport.Source, work <-chan sim.ScenarioStep) {
	written := 0
	for step := range work {
		var err error
		b := r.s.Payload(0, written, step.Bytes)
		switch step.Verb {
		case "write":
			_, err = src.Write(b)
		case "message":
			err = src.WriteMessage(b)
		case "flush":
			err = src.Flush()
		case "finish":
			err = src.Close()
		default:
			r.t.Errorf("no %q here", step.Verb)
		}
		written += len(b)
		if err != nil {
			r.t.Errorf("%s: %v", step.Verb, err)
		}
	}
}

// join opens a receiver and lets it read.
func (r *runner) join(p *person) {
	n := netem.Node(p.i)
	err := r.do(n, func() error {
		li, err := transport.Listen(r.network, r.group, r.config(n))
		p.mu.Lock()
		defer p.mu.Unlock()
		p.li = li
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.wait.Go(func() { r.read(p) })
}

// close takes the receiver out of the group.
func (p *person) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.li != nil {
		p.li.Close()
	}
	if p.rcv != nil {
		p.rcv.Close()
	}
}

func (p *person) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled == nil {
		p.stalled = make(chan struct{})
	}
}

func (p *person) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled != nil {
		close(p.stalled)
		p.stalled = nil
	}
}

func (p *person) done() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended || p.li == nil
}

// read is the application at a receiver.
func (r *runner) read(p *person) {
	defer func() {
		p.mu.Lock()
		p.ended = true
		p.mu.Unlock()
	}()
	rcv, err := p.li.AcceptReceiver()
	if err != nil {
		return
	}
	p.mu.Lock()
	p.rcv = rcv
	p.mu.Unlock()
	buf := make([]byte, 65535)
	for {
		p.mu.Lock()
		stalled := p.stalled
		p.mu.Unlock()
		if stalled != nil {
			<-stalled
		}
		n, err := rcv.ReadMessage(buf)
		var loss *session.LossError
		var reset *session.ResetError
		switch {
		case err == nil:
			p.heard = true
			p.Read(buf[:n])
		case errors.As(err, &loss):
			p.heard = true
			r.mu.Lock()
			first := r.dropper.First(rcv.TSI())
			r.mu.Unlock()
			p.Gap(loss, first)
		case errors.Is(err, io.EOF), errors.As(err, &reset), errors.Is(err, session.ErrSourceLost):
			p.heard = true
			p.Finish(err)
			return
		default: // closed under it
			p.Finish(nil)
			return
		}
	}
}
