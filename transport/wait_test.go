package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
)

// waiting are the calls that can wait, on a source whose window is full of unsent bytes and a receiver with nothing to read.
func waiting(s *Source, l *Listener, r *Receiver) map[string]func() error {
	return map[string]func() error{
		"write":          func() error { _, err := s.Write(make([]byte, 1<<20)); return err },
		"write message":  func() error { return s.WriteMessage(make([]byte, 2000)) },
		"flush":          s.Flush,
		"read":           func() error { _, err := r.Read(make([]byte, 10)); return err },
		"read message":   func() error { _, err := r.ReadMessage(make([]byte, 10)); return err },
		"accept":         func() error { _, err := l.Accept(); return err },
		"accept session": func() error { _, err := l.AcceptReceiver(); return err },
	}
}

// op is the Op of the errors of a call in waiting.
func op(name string) string {
	for _, o := range []string{"write", "flush", "read", "accept"} {
		if len(name) >= len(o) && name[:len(o)] == o {
			return o
		}
	}
	return name
}

// stuck opens a pair whose source cannot send: its link is at a standstill with a full queue, and so is the engine.
func (w *world) stuck() (*Source, *Listener, *Receiver) {
	s, l, r := w.pair(Config{}, Config{Expiry: -1})
	w.host(1).SetEgress(netem.Impairment{Rate: 1})
	if err := s.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		w.t.Fatal(err)
	}
	if _, err := s.Write(make([]byte, 4<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		w.t.Fatalf("a source that cannot send took 4 MB: %v", err)
	}
	if err := errors.Join(s.SetWriteDeadline(time.Time{}), l.SetDeadline(time.Time{})); err != nil {
		w.t.Fatal(err)
	}
	return s, l, r
}

func TestDeadlines(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.stuck()
		set := func(at time.Time) {
			for _, f := range []func(time.Time) error{s.SetDeadline, l.SetDeadline, r.SetDeadline} {
				if err := f(at); err != nil {
					t.Fatal(err)
				}
			}
		}
		for name, call := range waiting(s, l, r) {
			set(time.Now().Add(time.Second)) // ahead
			start := time.Now()
			wantError(t, call(), op(name), os.ErrDeadlineExceeded)
			if got := time.Since(start); got != time.Second {
				t.Errorf("%s: a deadline of 1s came after %v", name, got)
			}
			wantError(t, call(), op(name), os.ErrDeadlineExceeded) // and it stays
			if got := time.Since(start); got != time.Second {
				t.Errorf("%s: a deadline that has passed took %v more", name, got-time.Second)
			}
			set(time.Time{}) // none, then set while the call waits
			done := make(chan error, 1)
			go func() { done <- call() }()
			time.Sleep(time.Minute)
			if len(done) != 0 {
				t.Fatalf("%s: returned without a deadline: %v", name, <-done)
			}
			set(time.Now())
			wantError(t, <-done, op(name), os.ErrDeadlineExceeded)
		}
		w.host(1).SetEgress(netem.Impairment{})
		set(time.Time{})
		w.closing(r, l, s)
	})
}

func TestReadDeadlineThenData(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{}, Config{})
		if err := r.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		w.message(s, "late")
		time.Sleep(time.Second)
		if _, err := r.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read past the deadline with data there: %v", err)
		}
		if err := r.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		w.wantMessage(r, "late")
		w.closing(s, r, l)
	})
}

func TestCloseWakesWaiters(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.stuck()
		results := map[string]chan error{}
		for name, call := range waiting(s, l, r) {
			c := make(chan error, 2)
			results[name] = c
			for range 2 { // one has the turn, one waits for it
				go func() { c <- call() }()
			}
		}
		time.Sleep(time.Minute)
		for name, c := range results {
			if len(c) != 0 {
				t.Errorf("%s returned too early: %v", name, <-c)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		wantError(t, s.CloseContext(ctx), "close", os.ErrDeadlineExceeded)
		w.closing(l, r)
		synctest.Wait()
		for name, c := range results {
			if len(c) != 2 {
				t.Fatalf("%s: %d of 2 calls returned after Close", name, len(c))
			}
			wantError(t, <-c, op(name), net.ErrClosed)
			wantError(t, <-c, op(name), net.ErrClosed)
		}
		for name, call := range waiting(s, l, r) {
			wantError(t, call(), op(name), net.ErrClosed)
		}
		for name, c := range map[string]func() error{"source": s.Close, "listener": l.Close, "receiver": r.Close} {
			if err := c(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("second Close of the %s: %v", name, err)
			}
		}
		for _, f := range []func(time.Time) error{
			s.SetDeadline, s.SetReadDeadline, s.SetWriteDeadline, l.SetDeadline, r.SetDeadline, r.SetReadDeadline, r.SetWriteDeadline,
		} {
			wantError(t, f(time.Now()), "set", net.ErrClosed)
		}
	})
}

// Everything at once from many goroutines; nothing may hang, race or panic.
func TestConcurrentUse(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{Rate: 20 * flow.Mbps}, Config{})
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				b := random(byte(i), 5000)
				for {
					if _, err := s.Write(b); err != nil {
						return
					}
					if err := s.WriteMessage(b); err != nil {
						return
					}
					s.Stats()
					if s.Flush() != nil {
						return
					}
				}
			})
			wg.Go(func() {
				b := make([]byte, 6000)
				for {
					if _, err := r.Read(b[:100]); err != nil {
						return
					}
					if _, err := r.ReadMessage(b); err != nil {
						return
					}
					r.Stats()
					l.Stats()
				}
			})
		}
		time.Sleep(500 * time.Millisecond)
		for range 2 {
			wg.Go(func() { s.Close() })
		}
		time.Sleep(5 * time.Second)
		for range 2 {
			wg.Go(func() { r.Close() })
			wg.Go(func() { l.Close() })
		}
		wg.Wait()
	})
}

func TestWrongDirection(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{}, Config{})
		_, err := s.Read(make([]byte, 1))
		wantError(t, err, "read", ErrSendOnly)
		_, err = r.Write(make([]byte, 1))
		wantError(t, err, "write", ErrReceiveOnly)
		if err := errors.Join(s.SetReadDeadline(time.Now()), r.SetWriteDeadline(time.Now())); err != nil {
			t.Error(err)
		}
		w.message(s, "still works")
		w.wantMessage(r, "still works")
		w.closing(s, r, l)
	})
}

func TestEmptyReadAndWrite(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{}, Config{})
		if n, err := s.Write(nil); n != 0 || err != nil {
			t.Errorf("Write of nothing: %d, %v", n, err)
		}
		w.message(s, "x")
		time.Sleep(time.Millisecond)
		if n, err := r.Read(nil); n != 0 || err != nil {
			t.Errorf("Read into nothing: %d, %v", n, err)
		}
		w.wantMessage(r, "x")
		w.closing(s, r, l)
	})
}

// failingReader gives some bytes and then an error.
type failingReader struct {
	b   []byte
	err error
}

func (f *failingReader) Read(b []byte) (int, error) {
	if len(f.b) == 0 {
		return 0, f.err
	}
	n := copy(b, f.b)
	f.b = f.b[n:]
	if len(f.b) == 0 {
		return n, f.err // bytes and error together, as io.Reader allows
	}
	return n, nil
}

func TestReadFrom(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{Rate: flow.Gbps}, Config{})
		sent := random(9, 300_000)
		broken := errors.New("broken pipe")
		if n, err := s.ReadFrom(&failingReader{sent, broken}); n != int64(len(sent)) || err != broken {
			t.Errorf("ReadFrom: %d, %v; want %d, %v", n, err, len(sent), broken)
		}
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("read %v", err)
		}
		w.closing(s)
		n, err := s.ReadFrom(bytes.NewReader(sent))
		if n != 0 {
			t.Errorf("a closed source took %d bytes", n)
		}
		wantError(t, err, "write", net.ErrClosed)
		w.closing(r, l)
	})
}

func TestDialContextEnds(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := DialContext(ctx, "udp", group6, w.on(1, Config{}))
		wantError(t, err, "dial", context.Canceled)
		_, err = ListenContext(ctx, "udp", group6, w.on(1, Config{}))
		wantError(t, err, "listen", context.Canceled)
	})
}
