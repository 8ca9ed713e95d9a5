package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// child is the life of an endpoint in a process of its own: the job comes over stdin, events leave over stdout, and the
// process ends when stdin does, whatever happened to the parent.
func child() error {
	lines := json.NewDecoder(bufio.NewReader(os.Stdin))
	var job Job
	if err := lines.Decode(&job); err != nil {
		return fmt.Errorf("job: %w", err)
	}
	if job.Send && job.Messages == nil {
		payload, err := mapFile(job.File, job.Bytes)
		if err != nil {
			return fmt.Errorf("bytes to send: %w", err)
		}
		job.payload = payload
	}
	ctx, stop := context.WithCancelCause(context.Background())
	start := make(chan struct{})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if err := obey(lines, start, stop); err != io.EOF {
			fmt.Fprintln(os.Stderr, "bench endpoint: commands:", err)
		}
		stop(io.ErrUnexpectedEOF)
	}()
	events := &eventWriter{w: json.NewEncoder(os.Stdout)}
	c := &control{ready: func() { events.say(Event{Ready: true}) }, start: start}
	finished := make(chan struct{})
	go func() {
		for {
			select {
			case <-finished:
				return
			case <-time.After(progressEvery):
				if n := c.bytes.Load(); n > 0 {
					events.say(Event{Bytes: n})
				}
			}
		}
	}()
	before, err := readCounters(job.Interface)
	if err != nil {
		return err
	}
	rep := job.run(ctx, c)
	after, err := readCounters(job.Interface)
	if err != nil {
		return err
	}
	rep.Network = after.sub(before)
	close(finished)
	events.say(Event{Report: &rep})
	select {
	case <-gone:
	case <-time.After(time.Minute): // the parent is stuck
	}
	return nil
}

// obey carries out commands until the end of input.
func obey(lines *json.Decoder, start chan struct{}, stop context.CancelCauseFunc) error {
	var once sync.Once
	for {
		var c Command
		if err := lines.Decode(&c); err != nil {
			return err
		}
		if c.Go {
			once.Do(func() { close(start) })
		}
		if c.Stop {
			stop(errStopped)
		}
	}
}

// eventWriter writes whole lines from several goroutines.
type eventWriter struct {
	mu sync.Mutex
	w  *json.Encoder
}

func (e *eventWriter) say(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.w.Encode(ev); err != nil {
		os.Exit(1) // nobody listens any more
	}
}

// mapFile maps the first bytes of an inherited file.
func mapFile(fd int, bytes int64) ([]byte, error) {
	return unix.Mmap(fd, 0, int(bytes), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
}
