package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/netem"
)

// world is one network in memory, in virtual time, with machines on which commands run.
type world struct {
	t      *testing.T
	fabric *netem.Fabric
	dir    string
	procs  []*proc
}

// inWorld runs f in a bubble; at its end every command must have ended.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	dir := t.TempDir() // its removal must not be in the bubble
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, fabric: netem.NewFabric(netem.FabricConfig{Seed: 42}), dir: dir}
		defer func() {
			for _, p := range w.procs {
				p.cancel(&signalled{os.Interrupt})
				p.in.Close()
				<-p.ended
				if t.Failed() {
					t.Logf("%s: exit %d\n%.3000s%.1000s", strings.Join(p.args, " "), p.code, &p.err, &p.out)
				}
			}
		}()
		f(t, w)
	})
}

func (w *world) host(i int) *netem.Host {
	return w.fabric.Host(fmt.Sprintf("10.0.0.%d", i), fmt.Sprintf("fd00::%d", i))
}

// proc is a command that runs.
type proc struct {
	args     []string
	out, err buffer
	in       *io.PipeWriter
	cancel   context.CancelCauseFunc
	ended    chan struct{}
	code     int
	env      *env
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// env is the world of a command on machine i, without its streams.
func (w *world) env(i int) *env {
	return &env{ctx: context.Background(), size: func() (int, int) { return 200, 24 }, network: w.host(i), host: fmt.Sprintf("host%d", i)}
}

// start runs a command on machine i.
func (w *world) start(i int, args ...string) *proc { return w.startWith(i, func(*env) {}, args...) }

func (w *world) startWith(i int, change func(*env), args ...string) *proc {
	r, in := io.Pipe()
	p := &proc{args: args, ended: make(chan struct{}), in: in, env: w.env(i)}
	p.env.ctx, p.cancel = context.WithCancelCause(context.Background())
	p.env.in, p.env.out, p.env.err = r, &p.out, &p.err
	change(p.env)
	w.procs = append(w.procs, p)
	go func() {
		defer close(p.ended)
		p.code = run(p.env, args)
		r.Close()
	}()
	return p
}

// wait waits until a command ends, an hour at most, and checks its exit code.
func (w *world) wait(p *proc, code int) {
	w.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(time.Hour):
		w.t.Fatalf("%q has not ended:\n%s", p.args, &p.err)
	}
	if p.code != code {
		w.t.Errorf("%q ends with %d, want %d:\n%s", p.args, p.code, code, &p.err)
	}
}

// says checks that a command told a text.
func (w *world) says(p *proc, texts ...string) {
	w.t.Helper()
	said := strings.Join(strings.Fields(p.err.String()), " ")
	for _, text := range texts {
		if !strings.Contains(said, text) {
			w.t.Errorf("%q does not say %q:\n%s", p.args, text, &p.err)
		}
	}
}

// path is a path in the world's directory.
func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// file makes a file of so many bytes that do not repeat.
func (w *world) file(name string, size int) string {
	w.t.Helper()
	b := make([]byte, size)
	x := uint64(len(name)) + 1
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = byte(x >> 56)
	}
	path := w.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o666); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// tree reads all files below a path.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		files[rel] = string(b)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return files
}

func sameTree(t *testing.T, got, want string) {
	t.Helper()
	if a, b := tree(t, got), tree(t, want); !maps.Equal(a, b) {
		t.Errorf("%s has %d files, %s %d, and they differ", got, len(a), want, len(b))
	}
}

// events reads JSON lines.
func events(t *testing.T, s string) (list []map[string]any) {
	t.Helper()
	for line := range strings.Lines(s) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(o["time"])); err != nil || o["event"] == nil {
			t.Errorf("%q has no time or no event", line)
		}
		list = append(list, o)
	}
	return list
}

// event returns the last event of a kind.
func event(t *testing.T, list []map[string]any, kind string) map[string]any {
	t.Helper()
	for i := len(list) - 1; i >= 0; i-- {
		if list[i]["event"] == kind {
			return list[i]
		}
	}
	t.Errorf("no event %q in %v", kind, list)
	return nil
}
