package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

const group = "239.192.0.9:7505"

// cluster is a network that loses a tenth, and files.
type cluster struct {
	t      *testing.T
	fabric *netem.Fabric
	dir    string
}

func newCluster(t *testing.T) *cluster {
	return &cluster{t, netem.NewFabric(netem.FabricConfig{Seed: 1}), t.TempDir()}
}

func (c *cluster) config(i int) *transport.Config {
	h := c.fabric.Host(fmt.Sprintf("10.0.0.%d", i))
	h.SetIngress(netem.Impairment{Loss: 0.1})
	return &transport.Config{Network: h, Logger: slog.New(slog.DiscardHandler)}
}

func (c *cluster) open(name string) *os.File {
	f, err := os.OpenFile(filepath.Join(c.dir, name), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { f.Close() })
	return f
}

func (c *cluster) read(name string) string {
	b, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		c.t.Error(err)
	}
	return string(b)
}

// Two of three followers confirm each entry; the third comes when half is written, and has all of them too.
func TestReplicate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		var all sync.WaitGroup
		join := func(i int) {
			name := fmt.Sprint("follower", i)
			if err := follow(t.Context(), group, c.config(2+i), name, c.open(name)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		all.Go(func() { join(0) })
		all.Go(func() { join(1) })
		in, out := io.Pipe()
		var said bytes.Buffer
		leader := make(chan error)
		go func() { leader <- lead(t.Context(), group, c.config(1), 2, c.open("leader"), in, &said) }()
		var want, committed strings.Builder
		const entries = 40
		for i := range entries {
			fmt.Fprintf(&want, "entry %d\n", i)
			fmt.Fprintf(&committed, "committed %d\n", i)
			fmt.Fprintf(out, "entry %d\n", i) // waits until the one before is committed
			if i == entries/2 {
				all.Go(func() { join(2) })
				time.Sleep(5 * time.Second)
			}
		}
		out.Close()
		if err := <-leader; err != nil {
			t.Error(err)
		}
		all.Wait()
		if said.String() != committed.String() {
			t.Errorf("the leader said %q", said.String())
		}
		for _, name := range []string{"leader", "follower0", "follower1", "follower2"} {
			if got := c.read(name); got != want.String() {
				t.Errorf("%s has %d lines: %q", name, strings.Count(got, "\n"), got)
			}
		}
	})
}

// A follower whose file ends before what the leader begins with says so, and writes nothing; without a quorum nothing is committed.
func TestBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		if _, err := c.open("leader").WriteString("old 0\nold 1\n"); err != nil {
			t.Fatal(err)
		}
		follower := make(chan error)
		go func() { follower <- follow(t.Context(), group, c.config(2), "ada", c.open("ada")) }()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var said bytes.Buffer
		// The only follower leaves at once, and the second entry finds nobody.
		err := lead(ctx, group, c.config(1), 1, c.open("leader"), strings.NewReader("new 2\nnew 3\n"), &said)
		if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(said.String(), "committed 3") {
			t.Errorf("the leader: %v, said %q", err, said.String())
		}
		if err := <-follower; err == nil || !strings.Contains(err.Error(), "ends at entry 0 and the leader goes on with 2") || c.read("ada") != "" {
			t.Errorf("the follower: %v, wrote %q", err, c.read("ada"))
		}
	})
}

// What was being written when the power went is not an entry, and the next one does not continue it.
func TestTorn(t *testing.T) {
	c := newCluster(t)
	if _, err := c.open("log").WriteString("one\ntwo\nthr"); err != nil {
		t.Fatal(err)
	}
	f := c.open("log")
	if n, err := entries(f); n != 2 || err != nil {
		t.Errorf("%d entries, %v", n, err)
	}
	if err := write(f, []byte("three")); err != nil {
		t.Fatal(err)
	}
	if got := c.read("log"); got != "one\ntwo\nthree\n" {
		t.Errorf("%q", got)
	}
}

// A line that is too long for a message ends the leader, and says why.
func TestLongEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		follower := make(chan error)
		go func() { follower <- follow(t.Context(), group, c.config(2), "ada", c.open("ada")) }()
		err := lead(t.Context(), group, c.config(1), 1, c.open("leader"), strings.NewReader(strings.Repeat("x", 1<<17)), io.Discard)
		if !errors.Is(err, bufio.ErrTooLong) {
			t.Error(err)
		}
		if err := <-follower; err != nil {
			t.Error(err)
		}
	})
}
