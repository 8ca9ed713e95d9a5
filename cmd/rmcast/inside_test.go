package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/trace"
)

// web is a port for HTTP in memory: a bubble's time does not stand still while somebody waits for a connection to it.
type web struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	addr   string
}

func newWeb() *web { return &web{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (w *web) listen(_ context.Context, addr string) (net.Listener, error) {
	w.addr = addr
	return w, nil
}

func (w *web) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

func (w *web) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}

func (w *web) Addr() net.Addr {
	a, _ := net.ResolveTCPAddr("tcp", w.addr)
	return a
}

// dial is a connection to it.
func (w *web) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case w.conns <- far:
		return near, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

// get asks for a path.
func (w *web) get(path string) (string, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: w.dial}}
	r, err := client.Get("http://rmcast" + path)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = errors.New(r.Status)
	}
	return string(b), err
}

// records reads a trace.
func records(t *testing.T, text string) (list []trace.Record) {
	t.Helper()
	for line := range strings.Lines(text) {
		var r trace.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Time.IsZero() {
			t.Errorf("%q is no line of a trace: %v", line, err)
		}
		list = append(list, r)
	}
	return list
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// The inside of both ends while something is sent: numbers at an address, decisions in a trace, packets in a capture, which dump reads.
func TestInside(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		file := w.file("file", 500_000)
		w.host(2).SetIngress(netem.Impairment{Loss: 0.05})
		sees, hears := newWeb(), newWeb()
		send := w.startWith(1, func(e *env) { e.web = sees.listen }, "send", "-rate", "2M", file, "demo", "-metrics", "9100", "-trace", w.path("send.jsonl"), "-capture", w.path("send.pcapng"))
		recv := w.startWith(2, func(e *env) { e.web = hears.listen }, "recv", "demo", w.path("in"), "-metrics", ":9101", "-trace", w.path("recv.jsonl"), "-capture", w.path("recv.pcapng"))
		time.Sleep(1500 * time.Millisecond)
		for _, c := range []struct {
			web  *web
			want []string
		}{
			{sees, []string{`rmcast_source_packets_total{id="send",group="239.193.147.137:55554",tsi="`, `rmcast_requests_heard_total{id="send"} `}},
			{hears, []string{`rmcast_listener_packets_total{id="recv",`, `rmcast_receiver_missing_packets_total{id="recv",`, `rmcast_inbox_objects_known{id="recv"} 1`}},
		} {
			for _, path := range []string{"/metrics", "/debug/vars"} {
				text, err := c.web.get(path)
				if err != nil {
					t.Errorf("%s: %v", path, err)
				}
				if path == "/debug/vars" {
					var vars struct{ Rmcast []map[string]any }
					if err := json.Unmarshal([]byte(text), &vars); err != nil || len(vars.Rmcast) < 3 {
						t.Errorf("%.200s… is %v, %v", text, vars, err)
					}
					continue
				}
				for _, want := range c.want {
					if !strings.Contains(text, want) {
						t.Errorf("there is no %s in\n%s", want, text)
					}
				}
			}
		}
		if _, err := sees.get("/other"); err == nil {
			t.Error("there is something at /other")
		}
		w.wait(send, exitOK)
		w.wait(recv, exitOK)
		if _, err := sees.get("/metrics"); err == nil {
			t.Error("the metrics are there after the command has ended")
		}
		w.says(send, "metrics at http://127.0.0.1:9100/metrics (Prometheus) and http://127.0.0.1:9100/debug/vars (JSON)", "captured ", "rmcast dump "+w.path("send.pcapng")+" shows them")
		w.says(recv, "metrics at http://127.0.0.1:9101/metrics")
		kinds := map[string]int{}
		for _, r := range records(t, readFile(t, w.path("recv.jsonl"))) {
			if kinds[r.Event]++; r.Name != "recv" {
				t.Errorf("an event of %q", r.Name)
			}
		}
		if kinds["missing"] == 0 || kinds["nak"] == 0 {
			t.Errorf("the receiver's events are %v", kinds)
		}
		records(t, readFile(t, w.path("send.jsonl")))
		for name, more := range map[string][]string{"send": {"session a: rmcast source 10.0.0.1, TSI ", ", ends"}, "recv": {" source 10.0.0.1, TSI "}} {
			code, out, stderr := bare(t, "dump", w.path(name+".pcapng"))
			if code != exitOK {
				t.Errorf("%s: exit %d, %s", name, code, stderr)
			}
			for _, want := range append(more, " SPM ", " ODATA ", " NAK ", " NCF ", " RDATA ") {
				if !strings.Contains(out, want) {
					t.Errorf("the capture of %s has no %q:\n%.1000s", name, want, out)
				}
			}
		}
	})
}

// top shows what a command counts, until that has ended.
func TestTopOfMetrics(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host(2).SetIngress(netem.Impairment{Loss: 0.1})
		port := newWeb()
		recv := w.startWith(2, func(e *env) { e.web = port.listen }, "recv", "demo", w.path("in"), "-metrics", "9100")
		time.Sleep(time.Second)
		top := w.startWith(3, func(e *env) { e.dial = port.dial }, "top", "http://127.0.0.1:9100/metrics", "-json")
		table := w.startWith(3, func(e *env) { e.dial = port.dial }, "top", "http://127.0.0.1:9100")
		bounded := w.startWith(3, func(e *env) { e.dial = port.dial }, "top", "http://127.0.0.1:9100", "-for", "3s")
		send := w.start(1, "send", "-rate", "2M", w.file("file", 1_000_000), "demo")
		w.wait(bounded, exitOK)
		w.wait(send, exitOK)
		w.wait(recv, exitOK)
		w.wait(top, exitOK)
		w.wait(table, exitOK)
		best, loss := 0., 0.
		for _, o := range events(t, top.out.String()) {
			if o["event"] == "done" {
				continue
			}
			if o["event"] != "session" || o["id"] != "recv" || o["kind"] != "listener" {
				t.Errorf("it shows %v", o)
				continue
			}
			best, loss = max(best, o["rate"].(float64)), o["loss"].(float64)
		}
		if best < 1.5e6 || best > 2.2e6 || loss < 0.04 || loss > 0.2 {
			t.Errorf("2 Mbit/s with 10 %% loss are shown as %v bit/s, %v", best, loss)
		}
		if got := table.out.String(); !strings.Contains(got, "as counted at http://127.0.0.1:9100\n") || !strings.Contains(strings.Join(strings.Fields(got), " "), " recv recv gets ") {
			t.Errorf("the table is\n%s", got)
		}
		w.says(table, "there is no more to show: the command has ended")
		none := w.startWith(3, func(e *env) { e.dial = port.dial }, "top", "http://127.0.0.1:9100")
		w.wait(none, exitFailed)
		w.says(none, "http://127.0.0.1:9100 does not answer as rmcast does", "with -metrics and that address")
	})
}

// Every command that holds a session shows it, all its layers and both its ends.
func TestInsideOfEach(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		file := w.file("file", 300_000)
		webs := map[string]*web{}
		start := func(i int, name string, args ...string) *proc {
			webs[name] = newWeb()
			return w.startWith(i, func(e *env) { e.web = webs[name].listen }, append(args, "-metrics", "0", "-trace", w.path(name+".jsonl"), "-capture", w.path(name+".pcapng"))...)
		}
		wants := func(name string, series ...string) {
			t.Helper()
			text, err := webs[name].get("/metrics")
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			for _, s := range series {
				if !strings.Contains(text, s+",") && !strings.Contains(text, s+"}") {
					t.Errorf("%s shows no %s:\n%s", name, s, text)
				}
			}
		}
		loop := start(1, "loop", "loop", file, "layers", "-layers", "2", "-rate", "1M", "-demand", "-for", "30s")
		recv := start(2, "recv", "recv", "layers", w.path("in"), "-layers", "2")
		send := start(1, "cat-send", "cat", "-send", "stream")
		cat := start(2, "cat", "cat", "stream")
		ann, bob := start(1, "ann", "chat", "talk", "-as", "ann"), start(2, "bob", "chat", "talk", "-as", "bob")
		time.Sleep(2 * time.Second)
		io.WriteString(send.in, "begin\n")
		io.WriteString(ann.in, "hello\n")
		time.Sleep(time.Second)
		wants("loop", `rmcast_source_packets_total{id="loop"`, `rmcast_source_packets_total{id="loop layer 1"`, `rmcast_requests_heard_total{id="loop"`, `rmcast_demand_starts_total{id="loop"`)
		wants("recv", `rmcast_listener_packets_total{id="recv"`, `rmcast_inbox_packets_total{id="recv"`)
		wants("cat-send", `rmcast_source_packets_total{id="cat"`)
		wants("cat", `rmcast_listener_packets_total{id="cat"`, `rmcast_receiver_packets_total{id="cat"`)
		wants("bob", `rmcast_listener_packets_total{id="chat"`, `rmcast_receiver_packets_total{id="chat"`, `rmcast_source_packets_total{id="chat"`)
		w.wait(recv, exitOK)
		for _, p := range []*proc{send, ann, bob} {
			p.in.Close()
		}
		for _, p := range []*proc{send, cat, ann, bob, loop} {
			w.wait(p, exitOK)
		}
		for name := range webs {
			records(t, readFile(t, w.path(name+".jsonl")))
			if code, out, stderr := bare(t, "dump", w.path(name+".pcapng")); code != exitOK || !strings.Contains(out, " ODATA ") {
				t.Errorf("%s: exit %d, %s%.500s", name, code, stderr, out)
			}
		}
	})
}

// A trace on standard error comes in whole lines between the others.
func TestTraceToStderr(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host(2).SetIngress(netem.Impairment{Loss: 0.2})
		recv := w.startWith(2, func(e *env) { e.errTTY = true }, "recv", "demo", w.path("in"), "-trace", "-")
		send := w.start(1, "send", "-rate", "8M", w.file("file", 500_000), "demo")
		w.wait(send, exitOK)
		w.wait(recv, exitOK)
		var events strings.Builder
		others := 0
		for line := range strings.Lines(recv.err.String()) {
			if strings.HasPrefix(line, "{") {
				events.WriteString(line)
				continue
			}
			if others++; strings.Contains(line, "{") || strings.Contains(line, "\x1b") {
				t.Errorf("a line is %q", line)
			}
		}
		if n := len(records(t, events.String())); n < 50 || others < 2 {
			t.Errorf("%d events and %d other lines", n, others)
		}
		w.says(recv, "file is there, 500 kB, verified")
	})
}

// What cannot be shown is said before anything is sent, and what to do about it.
func TestInsideErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	for _, c := range []struct {
		name, option, value string
		code                int
		what, do            string
	}{
		{"port taken", "-metrics", taken.Addr().String(), exitFailed, "cannot show metrics at " + taken.Addr().String() + ": ", "-metrics "},
		{"no number", "-metrics", "prometheus", exitUsage, "-metrics prometheus is no address to listen on", "a port of this machine, like 9100"},
		{"no port", "-metrics", "127.0.0.1:", exitUsage, "is no address to listen on", "192.0.2.7:9100"},
		{"too great", "-metrics", "99999", exitUsage, "-metrics 99999 is no address", "a port of this machine"},
		{"no directory", "-trace", filepath.Join(dir, "none", "x"), exitFailed, "cannot write the trace: " + filepath.Join(dir, "none", "x"), "Look at the path"},
		{"no directory", "-capture", filepath.Join(dir, "none", "x"), exitFailed, "cannot write the capture: " + filepath.Join(dir, "none", "x"), "Look at the path"},
		{"directory", "-capture", dir, exitFailed, "cannot write the capture: " + dir + ": ", "name of a file"},
		{"standard output", "-capture", "-", exitUsage, "-capture - is no file", "Give the name of a file"},
	} {
		code, out, stderr := bare(t, "cat", "demo", c.option, c.value)
		if said := strings.Join(strings.Fields(stderr), " "); code != c.code || out != "" || !strings.Contains(said, c.what) || !strings.Contains(said, c.do) {
			t.Errorf("%s: exit %d, %q; want %d, %q and %q", c.name, code, stderr, c.code, c.what, c.do)
		}
	}
	if list, _ := filepath.Glob(filepath.Join(dir, "*")); len(list) != 0 {
		t.Errorf("left behind: %v", list)
	}
	if os.Getuid() > 0 {
		closed := filepath.Join(dir, "closed")
		if err := os.Mkdir(closed, 0o555); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := bare(t, "cat", "demo", "-trace", filepath.Join(closed, "x"))
		if said := strings.Join(strings.Fields(stderr), " "); code != exitFailed || !strings.Contains(said, "permission denied Take a directory that you may write to") {
			t.Errorf("unwritable: exit %d, %q", code, stderr)
		}
	}
}

// full is a disk that is.
type full struct{}

func (full) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
}

// A disk that is full ends a trace or a capture, which is told once, and nothing else.
func TestRecordFull(t *testing.T) {
	var out buffer
	e := &env{tell: &teller{lines: &out, width: func() int { return 500 }}}
	r := &record{e: e, what: "trace", name: "x.jsonl", w: full{}}
	for range 3 {
		if _, err := r.Write([]byte("x")); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("the error is %v", err)
		}
	}
	r.close(7)
	if got, want := out.String(), "the trace x.jsonl ends here: "+syscall.ENOSPC.Error()+". The command itself goes on; make room, or name a file elsewhere, before the next\n"; got != want {
		t.Errorf("it tells %q, want %q", got, want)
	}
	(&record{e: e, what: "capture", name: "y", w: io.Discard}).close(1234)
	if got := out.String(); !strings.HasSuffix(got, "the capture y is not all: 1,234 had no room (it takes 256 MiB, as fast as the disk does)\n") {
		t.Errorf("it tells %q", got)
	}
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here: a whole command with a full disk is not tried")
	}
	inWorld(t, func(t *testing.T, w *world) {
		recv := w.start(2, "recv", "demo", w.path("in"), "-trace", "/dev/full", "-capture", "/dev/full")
		send := w.start(1, "send", w.file("file", 100_000), "demo")
		w.wait(send, exitOK)
		w.wait(recv, exitOK)
		w.says(recv, "the trace /dev/full ends here", "the capture /dev/full ends here", "done: 100 kB")
		sameTree(t, w.path("in/file"), w.path("file"))
	})
}

func TestMetricsAddr(t *testing.T) {
	for given, want := range map[string]string{
		"9100": "127.0.0.1:9100", ":9100": "127.0.0.1:9100", "0": "127.0.0.1:0", "localhost:9100": "localhost:9100", "0.0.0.0:9100": "0.0.0.0:9100", "[::1]:9100": "[::1]:9100",
		"": "", "x": "", "9100:": "", "::1": "", "[::1]": "", "-1": "",
	} {
		if got, err := metricsAddr(given); got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v; want %q", given, got, err, want)
		}
	}
}

// A real port: it answers until the command ends.
func TestMetricsOverTCP(t *testing.T) {
	var out buffer
	in := &inside{e: &env{ctx: t.Context(), tell: &teller{lines: &out, width: func() int { return 500 }}}}
	if err := in.serve("0"); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	_, url, ok := strings.Cut(text, "(Prometheus) and ")
	url, _, _ = strings.Cut(url, "/debug/vars")
	if !ok || !strings.HasPrefix(url, "http://127.0.0.1:") || strings.HasSuffix(url, ":0") {
		t.Fatalf("it tells %q", text)
	}
	for path, want := range map[string]string{"/metrics": "rmcast_metrics_things 0\n", "/debug/vars": `"memstats": {`} {
		r, err := http.Get(url + path)
		if err != nil {
			t.Error(err)
			continue
		}
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || !strings.Contains(string(b), want) || path == "/debug/vars" && !json.Valid(b) {
			t.Errorf("%s: %v, %s", path, err, b)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	in.close() // does not return before the server has ended
	if err := in.server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("the server is not closed: %v", err)
	}
}
