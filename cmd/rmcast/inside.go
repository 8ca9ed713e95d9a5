package main

import (
	"bytes"
	"context"
	"errors"
	"expvar"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/rmcast/rmcast/capture"
	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
	"github.com/rmcast/rmcast/metrics"
	"github.com/rmcast/rmcast/trace"
	"github.com/rmcast/rmcast/transport"
)

// insideFlags are the options of commands that hold sessions: what shows their inside while they run.
func insideFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "metrics", Category: categoryInside, Usage: "counters, at http://`ADDR`/metrics; a port is on loopback"},
		&cli.StringFlag{Name: "trace", Category: categoryInside, Usage: "the protocol's events as JSON lines, into `FILE` (-: stderr)"},
		&cli.StringFlag{Name: "capture", Category: categoryInside, Usage: "the session's packets, into `FILE`: pcapng, for rmcast dump"},
	}
}

// inside is what shows the inside of a command's sessions: nothing, if it was not asked for. It never ends a command: what can no longer be written is told, once.
type inside struct {
	e       *env
	metrics metrics.Metrics
	server  *http.Server  // of metrics; nil: nobody can ask
	served  chan struct{} // closed when it has ended
	tracer  *trace.Tracer // nil: none
	traced  *record
	file    *capture.File // nil: none
	kept    *record       // what file writes into
}

// look begins what the options of insideFlags ask for.
func look(e *env, c *cli.Command) (*inside, error) {
	in := &inside{e: e}
	if err := in.begin(c); err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

// begin is look; what has begun when it fails is for close.
func (in *inside) begin(c *cli.Command) (err error) {
	addr, traceName, captureName := c.String("metrics"), c.String("trace"), c.String("capture")
	if captureName == "-" {
		return misuse("Give the name of a file; tshark -r and rmcast dump read it while it grows.", "-capture - is no file")
	}
	if addr != "" {
		if err := in.serve(addr); err != nil {
			return err
		}
	}
	if traceName != "" {
		if in.traced, err = newRecord(in.e, "trace", traceName); err != nil {
			return err
		}
		in.tracer = trace.New(in.traced, nil)
	}
	if captureName != "" {
		if in.kept, err = newRecord(in.e, "capture", captureName); err != nil {
			return err
		}
		if in.file, err = capture.New(in.kept, nil); err != nil {
			return err
		}
	}
	return nil
}

// config adds to a session's Config what looks inside it.
func (in *inside) config(id string, cfg transport.Config) *transport.Config {
	if in.tracer != nil {
		cfg.Trace = in.tracer.Hook(id)
	}
	if in.file != nil {
		cfg.Network = in.file.Network(cfg.Network)
	}
	return &cfg
}

// close ends it, after the sessions, and tells what has become of it.
func (in *inside) close() {
	if in.server != nil {
		_ = in.server.Close()
		<-in.served
	}
	if in.tracer != nil {
		_ = in.tracer.Close() // in.traced tells
		in.traced.close(in.tracer.Dropped())
	}
	if in.file != nil {
		_ = in.file.Close() // in.kept tells
		s := in.file.Stats()
		in.kept.close(s.Dropped)
		in.e.tell.say("capture", fmt.Sprintf("captured %s: rmcast dump %s shows them", human.Count(int(s.Packets), "packet"), quote(in.kept.name)),
			fields{"file": in.kept.name, "packets": s.Packets, "dropped": s.Dropped})
	}
}

// record is a file that is written to beside what a command does.
type record struct {
	e      *env
	what   string // "trace", "capture"
	name   string
	w      io.Writer
	file   *os.File // nil: standard error
	failed bool
}

// newRecord creates a file; "-" is standard error, between the lines that are told there.
func newRecord(e *env, what, name string) (*record, error) {
	r := &record{e: e, what: what, name: name}
	if name == "-" {
		r.w = &wholeLines{tell: e.tell, w: e.err}
		e.errTTY = false // no progress bar there
		return r, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, explain("cannot write the "+what, pathError(name, err))
	}
	r.file, r.w = f, f
	return r, nil
}

// Write writes, and tells the first error.
func (r *record) Write(b []byte) (int, error) {
	n, err := r.w.Write(b)
	r.check(err)
	return n, err
}

// check tells the first error of writing.
func (r *record) check(err error) {
	if err == nil || r.failed {
		return
	}
	r.failed = true
	r.e.tell.warn("warning", fmt.Sprintf("the %s %s ends here: %v. The command itself goes on; make room, or name a file elsewhere, before the next", r.what, r.name, cause(err)), fields{"file": r.name})
}

// close closes the file. dropped is how much is not in it.
func (r *record) close(dropped uint64) {
	if r.file != nil {
		r.check(r.file.Close())
	}
	if dropped > 0 && !r.failed {
		r.e.tell.warn("warning", fmt.Sprintf("the %s %s is not all: %s had no room (it takes 256 MiB, as fast as the disk does)", r.what, r.name, human.Number(int64(dropped))), fields{"file": r.name, "dropped": dropped})
	}
}

// wholeLines writes whole lines between those that are told.
type wholeLines struct {
	tell *teller
	w    io.Writer
	rest []byte // a line that is not whole
}

func (l *wholeLines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	whole := bytes.LastIndexByte(l.rest, '\n') + 1
	l.tell.mu.Lock()
	_, err := l.w.Write(l.rest[:whole])
	l.tell.mu.Unlock()
	l.rest = append(l.rest[:0], l.rest[whole:]...)
	return len(b), err
}

// serve answers questions for metrics, over HTTP.
func (in *inside) serve(given string) error {
	addr, err := metricsAddr(given)
	if err != nil {
		return err
	}
	listen := in.e.web
	if listen == nil {
		listen = func(ctx context.Context, addr string) (net.Listener, error) {
			return (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		}
	}
	l, err := listen(in.e.ctx, addr)
	if err != nil {
		return fail(err, metricsAdvice(err), "cannot show metrics at %s: %v", addr, cause(err))
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", &in.metrics)
	mux.HandleFunc("GET /debug/vars", in.vars)
	in.server = &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 1 << 14,
		ErrorLog: log.New(io.Discard, "", 0)}
	in.served = make(chan struct{})
	go func() {
		defer close(in.served)
		_ = in.server.Serve(l) // it ends by Close
	}()
	url := "http://" + l.Addr().String()
	in.e.tell.say("metrics", fmt.Sprintf("metrics at %s/metrics (Prometheus) and %s/debug/vars (JSON)", url, url), fields{"url": url})
	return nil
}

// metricsAddr reads ADDR: without an address, or with a port alone, it is this machine's loopback.
func metricsAddr(given string) (string, error) {
	host, port, err := net.SplitHostPort(given)
	if !strings.Contains(given, ":") {
		host, port, err = "", given, nil
	}
	if _, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil {
		return "", misuse("It is a port of this machine, like 9100 (0: any that is free), or an address and a port, like 192.0.2.7:9100.", "-metrics %s is no address to listen on", given)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// metricsAdvice is what to do about an address that cannot be listened on.
func metricsAdvice(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "Another program has that port, maybe another rmcast: take another, or -metrics 0 for any that is free."
	case errors.Is(err, fs.ErrPermission):
		return "Ports below 1024 need a right: take a higher one."
	}
	return "Take a port alone, like -metrics 9100; 0.0.0.0:9100 is all addresses of this machine."
}

// cause is an error of the system without what was called.
func cause(err error) error {
	var number syscall.Errno
	if errors.As(err, &number) {
		return number
	}
	return err
}

// vars writes what package expvar has, and the metrics.
func (in *inside) vars(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	fmt.Fprintf(w, "{\n\"rmcast\": %s", &in.metrics)
	expvar.Do(func(v expvar.KeyValue) { fmt.Fprintf(w, ",\n%q: %s", v.Key, v.Value) })
	fmt.Fprintf(w, "\n}\n")
}
