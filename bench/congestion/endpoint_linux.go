package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rmcast/rmcast/transport"
)

// config is the library's default but for what the case is about.
func (e *endpoint) config() *transport.Config {
	logger := slog.New(slog.DiscardHandler)
	if e.job.Verbose {
		logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	cfg := &transport.Config{Interface: e.job.Interface, Logger: logger}
	setRate(cfg, e.job.Rate, e.job.LossIsCongestion)
	return cfg
}

// source sends to the group, and serves repairs until all have everything or it is stopped.
func source(ctx context.Context, e *endpoint) (rep Report, err error) {
	src, err := transport.DialContext(ctx, "udp6", e.job.Group, e.config())
	if err != nil {
		return rep, err
	}
	defer src.Close()
	e.tick = func() Tick {
		st := src.Stats()
		return Tick{Bytes: []int64{int64(st.IPBytes)}, Rate: float64(st.Rate) / 1e6}
	}
	done, err := e.await(ctx)
	if err != nil {
		return rep, err
	}
	defer done()
	c := newCounters(1)
	err = e.pump(ctx, src, &c[0].bytes, c[0].sum)
	rep = report(c)
	rep.End = monotonic()
	if err == nil {
		err = src.CloseContext(ctx)
	}
	rep.Stats = src.Stats().SourceStats
	return rep, err
}

// receiver reads the first source that it hears.
func receiver(ctx context.Context, e *endpoint) (rep Report, err error) {
	l, err := transport.ListenContext(ctx, "udp6", e.job.Group, e.config())
	if err != nil {
		return rep, err
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	c := newCounters(1)
	e.tick = func() Tick { return counted(c) }
	done, err := e.await(ctx)
	if err != nil {
		return rep, err
	}
	defer done()
	r, err := l.AcceptReceiver()
	if err != nil {
		return rep, err
	}
	defer r.Close()
	err = drain(struct{ io.Reader }{r}, &c[0].bytes, c[0].sum)
	rep = report(c)
	rep.End = monotonic()
	rep.Stats = r.Stats()
	return rep, err
}

// tcpSender sends over connections of its own, which the kernel's CUBIC controls.
func tcpSender(ctx context.Context, e *endpoint) (rep Report, err error) {
	dialer := net.Dialer{Timeout: 10 * time.Second, Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		return errors.Join(raw.Control(func(fd uintptr) {
			err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic")
		}), err)
	}}
	conns := make([]*net.TCPConn, e.job.Flows)
	for i := range conns {
		c, err := dialer.DialContext(ctx, "tcp", e.job.Address)
		if err != nil {
			return rep, err
		}
		defer c.Close()
		conns[i] = c.(*net.TCPConn)
	}
	all := newCounters(len(conns))
	e.tick = func() Tick { return counted(all) }
	done, err := e.await(ctx)
	if err != nil {
		return rep, err
	}
	defer done()
	errs := make([]error, len(conns))
	var wg sync.WaitGroup
	for i, c := range conns {
		wg.Go(func() { errs[i] = errors.Join(e.pump(ctx, c, &all[i].bytes, all[i].sum), c.CloseWrite()) })
	}
	wg.Wait()
	rep = report(all)
	return rep, errors.Join(errs...)
}

// tcpReceiver reads what comes over all connections.
func tcpReceiver(ctx context.Context, e *endpoint) (rep Report, err error) {
	l, err := net.Listen("tcp", e.job.Address)
	if err != nil {
		return rep, err
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	all := newCounters(e.job.Flows)
	e.tick = func() Tick { return counted(all) }
	done, err := e.await(ctx)
	if err != nil {
		return rep, err
	}
	defer done()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, c := range all {
		conn, err := l.Accept()
		if err != nil {
			return rep, err
		}
		defer conn.Close()
		wg.Go(func() { errs[i] = drain(conn, &c.bytes, c.sum) })
	}
	wg.Wait()
	return report(all), errors.Join(errs...)
}
