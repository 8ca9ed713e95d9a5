package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/transport"
	"github.com/rmcast/rmcast/wire"
)

func read(t *testing.T, b []byte) (records []Record) {
	t.Helper()
	for line := range bytes.Lines(b) {
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		var r Record
		if err := d.Decode(&r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		records = append(records, r)
	}
	return records
}

// The trace of a session with loss says what was missing and that it was repaired, at both ends, in order.
func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fabric := netem.NewFabric(netem.FabricConfig{Seed: 1})
		fabric.Host("fd00::2").SetIngress(netem.Impairment{Loss: 0.1})
		name := filepath.Join(t.TempDir(), "session.jsonl")
		tracer, err := Create(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		const group = "[ff15::8000:1]:7500"
		quiet := slog.New(slog.DiscardHandler)
		l, err := transport.Listen("udp", group, &transport.Config{Network: fabric.Host("fd00::2"), Trace: tracer.Hook("in \"1\""), Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		s, err := transport.Dial("udp", group, &transport.Config{Network: fabric.Host("fd00::1"), Trace: tracer.Hook(""), Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if _, err := s.Write(make([]byte, 200e3)); err != nil {
				t.Error(err)
			}
			s.Close()
		}()
		r, err := l.AcceptReceiver()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); n != 200e3 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		time.Sleep(10 * time.Second) // virtual: the source closes
		for _, c := range []io.Closer{r, l, tracer} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		counts := map[string]int{}
		missing, repaired := map[uint32]bool{}, map[uint32]bool{}
		var last time.Time
		for _, r := range read(t, b) {
			counts[r.Name+" "+r.Event]++
			if r.TSI != s.TSI().String() || r.Time.Before(last) || r.Dropped > 0 {
				t.Errorf("%+v", r)
			}
			last = r.Time
			switch r.Event {
			case "missing":
				span(&r, missing)
			case "repaired":
				span(&r, repaired)
			}
		}
		t.Log(counts)
		if len(missing) == 0 || len(missing) != len(repaired) || uint64(len(missing)) != r.Stats().Missing {
			t.Errorf("%d missing, %d repaired, the receiver says %d", len(missing), len(repaired), r.Stats().Missing)
		}
		if counts[`in "1" nak`] == 0 || counts[" ncf"] == 0 || counts[`in "1" accepted`] != 1 || tracer.Dropped() > 0 {
			t.Errorf("%v, %d dropped", counts, tracer.Dropped())
		}
	})
}

func span(r *Record, m map[uint32]bool) {
	for n := *r.From; n != *r.To; n++ {
		m[n] = true
	}
}

// A line says everything that an event has, and nothing that it has not.
func TestLine(t *testing.T) {
	at := time.Date(2026, 11, 30, 9, 30, 12, 123456789, time.UTC)
	all := event{session.Event{At: mono.Time(1503220417), Kind: session.EventNAK, TSI: wire.TSI{Port: 7}, Range: seq.Range{From: 1<<32 - 1, To: 2}, ID: 0xabc}, at, []byte(`"x"`), 0}
	for _, tt := range []struct {
		ev      event
		kind    string
		dropped uint64
		want    string
	}{
		{all, "nak", 3, `{"time":"2026-11-30T09:30:12.123456789Z","name":"x","at":1.503220417,"event":"nak","tsi":"0.0.0.0.0.0.7","from":4294967295,"to":2,"id":"0000000000000abc","dropped":3}`},
		{event{time: at}, "accepted", 0, `{"time":"2026-11-30T09:30:12.123456789Z","at":0,"event":"accepted","tsi":"0.0.0.0.0.0.0"}`},
		{event{session.Event{At: mono.Time(1503220417)}, at, []byte(`"x"`), 0}, "full", 0, `{"time":"2026-11-30T09:30:12.123456789Z","name":"x","at":1.503220417,"event":"full"}`},
		{event{time: at}, "end", 7, `{"time":"2026-11-30T09:30:12.123456789Z","at":0,"event":"end","dropped":7}`},
	} {
		if got := string(appendLine(nil, &tt.ev, tt.kind, tt.dropped)); got != tt.want+"\n" {
			t.Errorf("got  %swant %s", got, tt.want)
		}
	}
}

// overrun returns a Tracer whose writer waits for release, whose queue of ten is full, and which has dropped 90 events.
func overrun(t *testing.T) (*Tracer, *slowWriter, func(session.Event)) {
	w := &slowWriter{release: make(chan bool)}
	tracer := New(w, &Config{Queue: 10})
	hook := tracer.Hook("")
	hook(session.Event{})
	synctest.Wait() // the goroutine is at the disk
	for range 100 {
		hook(session.Event{})
	}
	if n := tracer.Dropped(); n != 90 {
		t.Errorf("%d dropped, want 90", n)
	}
	return tracer, w, hook
}

// A disk that does not keep up costs events, not time, and the next line says how many.
func TestDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracer, w, hook := overrun(t)
		close(w.release)
		synctest.Wait()
		hook(session.Event{})
		if err := tracer.Close(); err != nil {
			t.Error(err)
		}
		hook(session.Event{}) // after Close it is dropped
		records := read(t, w.Bytes())
		if n := len(records); n != 12 || records[11].Dropped != 90 || records[10].Dropped != 0 || tracer.Dropped() != 91 {
			t.Errorf("%d lines, the last with %d dropped, %d in all", n, records[n-1].Dropped, tracer.Dropped())
		}
		if err := tracer.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Close again: %v", err)
		}
	})
}

// So does the last line, where no event came after those that were dropped.
func TestDroppedAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracer, w, _ := overrun(t)
		close(w.release)
		if err := tracer.Close(); err != nil {
			t.Error(err)
		}
		records := read(t, w.Bytes())
		if n := len(records); n != 12 || records[11].Event != eventEnd || records[11].Dropped != 90 {
			t.Errorf("%d lines, the last %+v", n, records[n-1])
		}
	})
}

// slowWriter waits for release.
type slowWriter struct {
	bytes.Buffer
	release chan bool
}

func (w *slowWriter) Write(b []byte) (int, error) {
	<-w.release
	return w.Buffer.Write(b)
}

// At MaxBytes the trace ends and says so.
func TestFull(t *testing.T) {
	var b bytes.Buffer
	tracer := New(&b, &Config{MaxBytes: 10_000, Queue: 1000})
	hook := tracer.Hook(strings.Repeat("x", 100))
	for range 200 {
		hook(session.Event{})
	}
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}
	records := read(t, b.Bytes())
	if n := len(records); b.Len() > 10_000 || b.Len() < 8_000 || records[n-1].Event != "full" || tracer.Dropped() != uint64(200-n+1) || len(records[0].Name) != maxName {
		t.Errorf("%d bytes, %d lines, the last is %q, %d dropped", b.Len(), n, records[n-1].Event, tracer.Dropped())
	}
}

func TestFailingWriter(t *testing.T) {
	r, w := io.Pipe()
	r.Close()
	tracer := New(w, nil)
	tracer.Hook("")(session.Event{})
	if err := tracer.Close(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Close: %v", err)
	}
	if _, err := Create(t.TempDir(), nil); err == nil {
		t.Error("Create takes a directory")
	}
}

func TestHookAllocs(t *testing.T) {
	tracer := newTracer(io.Discard, &Config{Queue: 1000}) // nobody writes
	hook := tracer.Hook("feed")
	if n := testing.AllocsPerRun(100, func() { hook(session.Event{}) }); n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}
