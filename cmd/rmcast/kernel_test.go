//go:build (netns || interop) && linux

package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
)

// The tests of this file's tags run the command as it is installed: a process with the kernel's sockets, in a namespace of its own. The process is this test
// binary once more, which is the command if asCommand is in its environment, after what that says was done to it: see prepared.
const asCommand = "RMCAST_TEST_COMMAND"

func TestMain(m *testing.M) {
	if how := os.Getenv(asCommand); how != "" {
		prepared(how)
		main()
	}
	netem.EnterUser()
	os.Exit(m.Run())
}

// lab makes a network of namespaces.
func lab(t *testing.T, cfg netem.LabConfig) *netem.Lab {
	t.Helper()
	netem.NeedLab(t)
	l, err := netem.NewLab(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// child is a command that runs as a process.
type child struct {
	t        *testing.T
	args     []string
	cmd      *exec.Cmd
	out, err buffer
	ended    chan struct{}
	code     int
}

// soon bounds what takes a moment, also on a machine that is busy.
const soon = time.Minute

// process starts a command in a node of a lab.
func process(t *testing.T, l *netem.Lab, n netem.Node, args ...string) *child {
	t.Helper()
	return processWith(t, l, n, asItIs, args...)
}

func processWith(t *testing.T, l *netem.Lab, n netem.Node, how string, args ...string) *child {
	t.Helper()
	return processIn(t, l, n, os.DevNull, how, args...)
}

// processIn starts one with a file as its standard input.
func processIn(t *testing.T, l *netem.Lab, n netem.Node, input, how string, args ...string) *child {
	t.Helper()
	in, err := os.Open(input)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	c := &child{t: t, args: args, cmd: exec.Command("/proc/self/exe", args...), ended: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), asCommand+"="+how)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = in, &c.out, &c.err
	if err := l.Start(n, c.cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.ended)
		err := c.cmd.Wait()
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit):
			c.code = exit.ExitCode()
		case err != nil:
			c.code = -1
		}
	}()
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		<-c.ended
		if t.Failed() {
			t.Logf("on %v, rmcast %s: exit %d\n%.3000s%.3000s", n, strings.Join(args, " "), c.code, &c.err, &c.out)
		}
	})
	return c
}

// wait waits until the command ends, and checks its exit code.
func (c *child) wait(code int) {
	c.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(soon):
		c.t.Fatalf("%q has not ended", c.args)
	}
	if c.code != code {
		c.t.Errorf("%q ends with %d, want %d", c.args, c.code, code)
	}
}

// says checks what the command told, on either output.
func (c *child) says(texts ...string) {
	c.t.Helper()
	said := flat(&c.err) + " " + flat(&c.out)
	for _, text := range texts {
		if !strings.Contains(said, text) {
			c.t.Errorf("%q does not say %q", c.args, text)
		}
	}
}

// flat is a text with lines that were wrapped put together.
func flat(b *buffer) string { return strings.Join(strings.Fields(b.String()), " ") }

// someFile makes a file of so many bytes.
func someFile(t *testing.T, size int) string {
	t.Helper()
	w := world{t: t, dir: t.TempDir()}
	return w.file("file", size)
}
