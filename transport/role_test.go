package transport

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/wire"
)

// Some tests need endpoints that are processes. These are the test binary itself, started again with roleEnv set: TestMain
// then plays the role in place of the tests. It prints one event a line, which the test reads.
const (
	roleEnv   = "RMCAST_TEST_ROLE"
	scriptEnv = "RMCAST_TEST_SCRIPT"
)

// script is what a role is told.
type script struct {
	Network, Group string
	Rate           flow.Rate
	GSI            wire.GSI
	Bytes          int
	Join           Join
}

// play plays a role and returns the process's exit status.
func play(name string) int {
	var sc script
	err := json.Unmarshal([]byte(os.Getenv(scriptEnv)), &sc)
	if err == nil {
		switch name {
		case "source":
			err = sc.source()
		case "receiver":
			err = sc.receiver()
		default:
			err = errors.New("no such role")
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "role %s: %v\n", name, err)
		return 1
	}
	return 0
}

// source sends Bytes bytes of counted words once it is told to. It prints its port, and what it repaired.
func (sc *script) source() error {
	s, err := Dial(sc.Network, sc.Group, &Config{Rate: sc.Rate, GSI: sc.GSI, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	fmt.Println("port", s.LocalAddr().(*Addr).Host().Port())
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
		return err
	}
	if _, err := io.Copy(s, &words{end: sc.Bytes}); err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	fmt.Println("repaired", s.Stats().Repairs)
	return nil
}

// receiver prints where it begins, how far it has come whenever it has read all there is, what it lost, and the end.
func (sc *script) receiver() error {
	l, err := Listen(sc.Network, sc.Group, &Config{Join: sc.Join, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	fmt.Println("listening", 0)
	r, err := l.AcceptReceiver()
	if err != nil {
		return err
	}
	buf := bufio.NewReaderSize(r, 64<<10)
	next, begun := uint64(0), false
	for {
		var word [8]byte
		_, err := io.ReadFull(buf, word[:])
		var loss *LossError
		switch {
		case err == io.EOF:
			fmt.Println("end", next)
			return nil
		case errors.As(err, &loss):
			fmt.Println("lost", loss.Lost.Len())
			begun = false
			continue
		case err != nil:
			return err
		}
		at := binary.BigEndian.Uint64(word[:])
		if at < next || begun && at != next {
			return fmt.Errorf("the word at %d is %d", next, at)
		}
		if !begun {
			fmt.Println("begin", at)
			begun = true
		}
		if next = at + 8; buf.Buffered() == 0 {
			fmt.Println("at", next)
		}
	}
}

// words reads as 8-byte words, each of which is its own position in bytes, up to end: whoever reads some of them can tell which
// they are.
type words struct{ next, end int }

func (w *words) Read(b []byte) (n int, err error) {
	if w.next == w.end {
		return 0, io.EOF
	}
	for ; n+8 <= len(b) && w.next < w.end; n += 8 {
		binary.BigEndian.PutUint64(b[n:], uint64(w.next))
		w.next += 8
	}
	return n, nil
}

// child is a process that plays a role.
type child struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	events chan event
	errors bytes.Buffer // what it printed to standard error, whole once events is closed
}

// event is a line that a child printed.
type event struct {
	what string
	n    int
}

// start starts a role in a node of the lab.
func (l *lab) start(n netem.Node, role string, sc script) *child {
	l.t.Helper()
	sc.Network, sc.Group = l.network, l.group
	b, err := json.Marshal(sc)
	if err != nil {
		l.t.Fatal(err)
	}
	c := &child{t: l.t, cmd: exec.Command("/proc/self/exe"), events: make(chan event, 1<<16)}
	c.cmd.Env = append(os.Environ(), roleEnv+"="+role, scriptEnv+"="+string(b))
	c.cmd.Stderr = &c.errors
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		c.in, err = c.cmd.StdinPipe()
	}
	if err == nil {
		err = l.lab.Start(n, c.cmd)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var e event
			fmt.Sscan(lines.Text(), &e.what, &e.n)
			c.events <- e
		}
		c.cmd.Wait()
		close(c.events)
	}()
	return c
}

// until passes over events up to one for which stop is true, and returns that.
func (c *child) until(what string, stop func(event) bool) event {
	c.t.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case e, ok := <-c.events:
			if !ok {
				c.t.Fatalf("a process ended before %s: %v %s", what, c.cmd.ProcessState, strings.TrimSpace(c.errors.String()))
			}
			if e.what == "lost" && what != "lost" {
				c.t.Errorf("before %s, %d packets were lost", what, e.n)
			}
			if stop(e) {
				return e
			}
		case <-timeout:
			c.t.Fatalf("no %s after a minute", what)
		}
	}
}

// want waits for an event by its name and returns its number.
func (c *child) want(what string) int {
	c.t.Helper()
	return c.until(what, func(e event) bool { return e.what == what }).n
}

// tell tells a source to begin.
func (c *child) tell() {
	c.t.Helper()
	if _, err := c.in.Write([]byte("\n")); err != nil {
		c.t.Fatal(err)
	}
}

// reach waits until a receiver has read everything before position n.
func (c *child) reach(n int) {
	c.t.Helper()
	c.until(fmt.Sprintf("byte %d", n), func(e event) bool { return e.what == "at" && e.n >= n })
}

// kill ends the process with SIGKILL and waits until it is gone.
func (c *child) kill() {
	c.t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	for range c.events {
	}
	if c.cmd.ProcessState.Exited() {
		c.t.Fatalf("the process had ended by itself: %s", strings.TrimSpace(c.errors.String()))
	}
}
