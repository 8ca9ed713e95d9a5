package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// chunk is what one Write or Read handles.
const chunk = 256 << 10

// endpoints finds the endpoint for a job.
func (j *Job) endpoint() (endpoint, error) {
	switch {
	case j.Scheme == FanOut && j.Send:
		return sendTCP, nil
	case j.Scheme == FanOut:
		return receiveTCP, nil
	}
	if _, ok := j.Scheme.fec(); !ok {
		return nil, fmt.Errorf("no endpoint for scheme %q", j.Scheme)
	}
	if j.Send {
		return sendRmcast, nil
	}
	return receiveRmcast, nil
}

// run runs the job's endpoint and adds to its report what is the same for all.
func (j *Job) run(ctx context.Context, c *control) Report {
	run, err := j.endpoint()
	if err != nil {
		return Report{Error: err.Error()}
	}
	var (
		start        int64
		user, system = cpu()
	)
	c.begun = func() {
		start = monotonic()
		user, system = cpu()
	}
	rep, err := run(ctx, j, c)
	rep.Start = start
	if rep.End == 0 {
		rep.End = monotonic()
	}
	u, s := cpu()
	rep.User, rep.System = u-user, s-system
	if err != nil && !errors.Is(err, errStopped) {
		rep.Error = err.Error()
	}
	return rep
}

// errStopped is the cause of a context that ended because the parent said Stop.
var errStopped = errors.New("stopped by the parent")

// send writes all of payload in chunks; progress counts them.
func send(ctx context.Context, w io.Writer, payload []byte, c *control) error {
	for rest := payload; len(rest) > 0 && ctx.Err() == nil; {
		n, err := w.Write(rest[:min(len(rest), chunk)])
		c.bytes.Add(int64(n))
		rest = rest[n:]
		if err != nil {
			return stopped(ctx, err)
		}
	}
	return context.Cause(ctx)
}

// skipped reports whether err tells of a gap behind which reading goes on, and notes the first one.
func (rep *Report) skipped(err error, gap func(error) bool) bool {
	if gap == nil || !gap(err) {
		return false
	}
	if rep.Loss == "" {
		rep.Loss = err.Error()
	}
	return true
}

// receive reads r to its end, hashes it and fills the report. Errors that are gaps are passed over.
func receive(ctx context.Context, r io.Reader, c *control, rep *Report, gap func(error) bool) error {
	sum := sha256.New()
	b := make([]byte, chunk)
	for {
		n, err := r.Read(b)
		sum.Write(b[:n])
		rep.Bytes += int64(n)
		c.bytes.Store(rep.Bytes)
		if err == nil || rep.skipped(err, gap) {
			continue
		}
		rep.End = monotonic()
		rep.SHA256 = hex.EncodeToString(sum.Sum(nil))
		rep.Complete = err == io.EOF
		if rep.Complete {
			return nil
		}
		return stopped(ctx, err)
	}
}

// stopped returns why ctx ended if that is what made err.
func stopped(ctx context.Context, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
