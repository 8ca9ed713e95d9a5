package main

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
)

// loopback is a world of goroutines over the host's own TCP.
type loopback struct{ t *testing.T }

func (loopback) about() string     { return "loopback" }
func (loopback) has(s Scheme) bool { return s == FanOut }

func (l loopback) open(_ context.Context, c *Cell) (network, error) {
	n := &loopbackNetwork{}
	for range c.Receivers {
		listener, err := net.Listen("tcp", "127.0.0.1:0") // a free port
		if err != nil {
			return nil, err
		}
		n.addresses = append(n.addresses, listener.Addr().String())
		listener.Close()
	}
	if c.Messages == nil {
		n.payload = make([]byte, c.Bytes)
		if _, err := io.ReadFull(randomBytes(3), n.payload); err != nil {
			return nil, err
		}
	}
	return n, nil
}

type loopbackNetwork struct {
	addresses []string
	payload   []byte
}

func (n *loopbackNetwork) job(index int, s Scheme) Job {
	if index < 0 {
		return Job{Scheme: s, Send: true, Addresses: n.addresses, payload: n.payload}
	}
	return Job{Scheme: s, Addresses: n.addresses[index : index+1]}
}

func (n *loopbackNetwork) start(index int, job Job) (*remote, error) {
	return startLocal(endpointName(index), job, func() Counters { return Counters{} }), nil
}

func (n *loopbackNetwork) losses() (Losses, error) { return Losses{}, nil }
func (n *loopbackNetwork) close() error            { return nil }

// testRunner has random bytes of the seed that loopback uses.
func testRunner(t *testing.T, w world, bytes int64) *runner {
	t.Helper()
	p, err := openPayload("", 3, bytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.close() })
	return &runner{world: w, payload: p}
}

func testCell(receivers int, bytes int64) Cell {
	return Cell{Receivers: receivers, Bytes: bytes, Rate: 50 * flow.Mbps,
		Cut: map[Scheme]time.Duration{FanOut: 10 * time.Second, Rmcast: 10 * time.Second}}
}

func streamCell(receivers int, s *Stream) Cell {
	c := testCell(receivers, 1)
	c.Messages = s
	return c
}

func TestFanOutBringsTheBytes(t *testing.T) {
	r := testRunner(t, loopback{t}, 3<<20)
	run, err := r.measure(t.Context(), testCell(3, 3<<20), FanOut)
	if err != nil {
		t.Fatal(err)
	}
	row := summarise(run)
	if !row.Complete || row.Goodput <= 0 || row.Least != 3<<20 {
		t.Errorf("row %+v", row)
	}
	if info := run.Sender.TCP; info != nil && (info.Bytes < 9<<20 || info.Segments == 0) {
		t.Errorf("TCP_INFO %+v", *info)
	}
}

func TestWrongBytesAreNoticed(t *testing.T) {
	r := testRunner(t, loopback{t}, 1<<20)
	r.payload.hashes[1<<20] = "of something else"
	run, err := r.measure(t.Context(), testCell(1, 1<<20), FanOut)
	if err != nil {
		t.Fatal(err)
	}
	if row := summarise(run); row.Complete || len(row.Problems) == 0 {
		t.Errorf("row %+v", row)
	}
}

func TestFanOutBringsMessages(t *testing.T) {
	r := testRunner(t, loopback{t}, 1)
	s := &Stream{Count: 300, Bytes: 1400, Rate: 40 * flow.Mbps}
	run, err := r.measure(t.Context(), streamCell(2, s), FanOut)
	if err != nil {
		t.Fatal(err)
	}
	row := summarise(run)
	if !row.Complete || row.Delay == nil || row.Delay.Count != 600 || row.Delay.P50 <= 0 || row.Delay.Max > 5*time.Second {
		t.Errorf("row %+v, delay %+v", row, row.Delay)
	}
	if took := time.Duration(run.Sender.End - run.Sender.Start); took < 299*s.interval() {
		t.Errorf("%d messages in %v: not paced", s.Count, took)
	}
}

// A run that takes too long is cut, and says how far it came.
func TestCut(t *testing.T) {
	r := testRunner(t, loopback{t}, 1)
	cell := streamCell(1, &Stream{Count: 1e6, Bytes: 1400, Rate: 10 * flow.Mbps}) // 19 minutes
	for cut := 200 * time.Millisecond; ; cut *= 4 {
		cell.Cut[FanOut] = cut
		run, err := r.measure(t.Context(), cell, FanOut)
		if err != nil {
			t.Fatal(err)
		}
		row := summarise(run)
		if !run.WasCut || row.Complete {
			t.Fatalf("cut %v, row %+v", run.WasCut, row)
		}
		if row.Least > 0 {
			return
		}
		if cut > time.Minute { // a busy machine may have brought nothing in a short time
			t.Fatalf("cut after %v, it brought nothing: %+v", cut, row)
		}
	}
}

func TestInterrupt(t *testing.T) {
	r := testRunner(t, loopback{t}, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, err := r.measure(ctx, streamCell(1, &Stream{Count: 1e6, Bytes: 1400, Rate: 10 * flow.Mbps}), FanOut); err == nil {
		t.Error("an interrupted run returned no error")
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v to end", took)
	}
}
