package trace

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rmcast/rmcast/session"
)

// Record is a line of a trace, for those who read one.
type Record struct {
	Time    time.Time `json:"time"`
	Name    string    `json:"name,omitempty"`    // what Hook was given
	At      float64   `json:"at"`                // seconds since the Source or Listener was opened
	Event   string    `json:"event"`             // session.EventKind; or "full": the trace ends here, at its bound; or "end": it was closed, and events were dropped before
	TSI     string    `json:"tsi,omitempty"`     // the session
	From    *uint32   `json:"from,omitempty"`    // first sequence number concerned, where the event has any
	To      *uint32   `json:"to,omitempty"`      // the one after the last
	ID      string    `json:"id,omitempty"`      // receiver concerned
	Dropped uint64    `json:"dropped,omitempty"` // events before this one that had no room in the queue
}

// Config bounds a Tracer. In each field zero means the default that its comment names.
type Config struct {
	// Queue is how many events may wait to be written. Zero, or less: 4096.
	Queue int
	// MaxBytes bounds what is written, in bytes; in less than 1 KiB there is room for nothing but the last line. Negative: nothing does. Zero: 256 MiB.
	MaxBytes int64
}

const (
	defaultQueue    = 4096
	defaultMaxBytes = 256 << 20
	maxName         = 64   // bytes
	reserve         = 1024 // bytes: more than the longest line and the last one
)

// Tracer writes events. Its methods may be called from several goroutines.
type Tracer struct {
	queue   chan event
	max     int64
	gone    chan struct{} // closed when the goroutine has ended
	dropped atomic.Uint64 // all of them

	mu     sync.RWMutex // held to put into queue, and alone to close it
	closed bool

	// The goroutine's own, and after gone Close's:
	w     *bufio.Writer
	close io.Closer
	size  int64
	full  bool
	err   error
}

// event is an event on its way.
type event struct {
	session.Event
	time    time.Time
	name    []byte // as JSON
	dropped uint64 // of all, at that time
}

// Create creates or truncates the named file and writes into it.
func Create(name string, cfg *Config) (*Tracer, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	t := newTracer(f, cfg)
	t.close = f
	go t.loop()
	return t, nil
}

// New writes into w, which is written to by one goroutine until Close has returned, and is not closed.
func New(w io.Writer, cfg *Config) *Tracer {
	t := newTracer(w, cfg)
	go t.loop()
	return t
}

func newTracer(w io.Writer, cfg *Config) *Tracer {
	c := Config{Queue: defaultQueue, MaxBytes: defaultMaxBytes}
	if cfg != nil && cfg.Queue > 0 {
		c.Queue = cfg.Queue
	}
	if cfg != nil && cfg.MaxBytes != 0 {
		c.MaxBytes = cfg.MaxBytes
	}
	return &Tracer{queue: make(chan event, c.Queue), max: c.MaxBytes, gone: make(chan struct{}), w: bufio.NewWriter(w)}
}

// Hook returns a function for transport.Config.Trace. The name, which is cut to 64 bytes and may be empty, tells several apart that
// one Tracer traces.
func (t *Tracer) Hook(name string) func(session.Event) {
	var quoted []byte
	if name != "" {
		quoted, _ = json.Marshal(name[:min(len(name), maxName)]) // of a string it does not fail
	}
	return func(ev session.Event) { t.put(event{Event: ev, time: time.Now(), name: quoted}) }
}

// put never waits: Close, the only one to lock alone, does so for an instant.
func (t *Tracer) put(ev event) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.closed {
		t.dropped.Add(1)
		return
	}
	ev.dropped = t.dropped.Load()
	select {
	case t.queue <- ev:
	default:
		t.dropped.Add(1)
	}
}

// Dropped returns how many events were not written: the queue was full, or the trace was, had failed, or was closed.
func (t *Tracer) Dropped() uint64 { return t.dropped.Load() }

// Close writes what waits and closes the file that Create made. It waits for the disk. It returns the first error of writing; of a Tracer that is closed,
// fs.ErrClosed.
func (t *Tracer) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return fs.ErrClosed
	}
	t.closed = true
	close(t.queue)
	t.mu.Unlock()
	<-t.gone
	if t.close != nil {
		t.err = errors.Join(t.err, t.close.Close())
	}
	if t.err != nil {
		return fmt.Errorf("trace: %w", t.err)
	}
	return nil
}

// loop writes events until there will be no more. What waits in the writer is written whenever there is none for now.
func (t *Tracer) loop() {
	defer close(t.gone)
	var line []byte
	var told uint64
	for ev := range t.queue {
		dropped := ev.dropped - told
		told = ev.dropped
		switch {
		case t.err != nil || t.full:
			t.dropped.Add(1)
			continue
		case t.max > 0 && t.size+reserve > t.max:
			t.full = true
			t.dropped.Add(1)
			line = appendLine(line[:0], &event{time: ev.time, name: ev.name, Event: session.Event{At: ev.At}}, eventFull, dropped)
		default:
			line = appendLine(line[:0], &ev, ev.Kind.String(), dropped)
		}
		t.size += int64(len(line))
		_, t.err = t.w.Write(line)
		if t.err == nil && len(t.queue) == 0 {
			t.err = t.w.Flush()
		}
	}
	if dropped := t.dropped.Load() - told; dropped > 0 && t.err == nil && !t.full { // no event has said so
		_, t.err = t.w.Write(appendLine(line[:0], &event{time: time.Now()}, eventEnd, dropped))
	}
	if t.err == nil {
		t.err = t.w.Flush()
	}
}

// What is no session.EventKind.
const (
	eventFull = "full"
	eventEnd  = "end"
)

// appendLine appends a Record. Nothing in it but the name, which is quoted already, needs quoting.
func appendLine(b []byte, ev *event, kind string, dropped uint64) []byte {
	b = append(b, `{"time":"`...)
	b = ev.time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	if ev.name != nil {
		b = append(append(b, `,"name":`...), ev.name...)
	}
	b = append(b, `,"at":`...)
	b = strconv.AppendFloat(b, float64(ev.At)/1e9, 'f', -1, 64)
	b = append(append(append(b, `,"event":"`...), kind...), '"')
	if kind != eventFull && kind != eventEnd {
		b = append(append(append(b, `,"tsi":"`...), ev.TSI.String()...), '"')
	}
	if !ev.Range.Empty() {
		b = strconv.AppendUint(append(b, `,"from":`...), uint64(ev.Range.From), 10)
		b = strconv.AppendUint(append(b, `,"to":`...), uint64(ev.Range.To), 10)
	}
	if ev.ID != 0 {
		b = append(append(append(b, `,"id":"`...), ev.ID.String()...), '"')
	}
	if dropped > 0 {
		b = strconv.AppendUint(append(b, `,"dropped":`...), dropped, 10)
	}
	return append(b, "}\n"...)
}
