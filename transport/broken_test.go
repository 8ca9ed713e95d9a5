package transport

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/internal/breakable"
)

// errBroken is what a socket says after its interface was pulled out.
var errBroken = errors.New("no such device")

// When a receiver's socket breaks, everybody who waits is told why, and so is who comes later; what had arrived can still be read.
func TestBrokenReceiver(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		network := breakable.New(w.host(2))
		s, l, r := w.pair(Config{}, Config{Network: network})
		if err := l.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		read, accept := make(chan error, 1), make(chan error, 1)
		go func() { _, err := r.Read(make([]byte, 10)); read <- err }()
		go func() { _, err := l.Accept(); accept <- err }()
		synctest.Wait()
		network.Break(errBroken)
		wantError(t, <-read, "read", errBroken)
		wantError(t, <-accept, "accept", errBroken)
		_, err := r.ReadMessage(make([]byte, 10))
		wantError(t, err, "read", errBroken)
		w.closing(s, r, l)
	})
}

func TestBrokenReceiverReadsWhatArrived(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		network := breakable.New(w.host(2))
		s, l, r := w.pair(Config{}, Config{Network: network})
		w.message(s, "arrived")
		time.Sleep(time.Millisecond)
		network.Break(errBroken)
		synctest.Wait()
		w.wantMessage(r, "arrived")
		_, err := r.Read(make([]byte, 10))
		wantError(t, err, "read", errBroken)
		w.closing(s, r, l)
	})
}

func TestBrokenSource(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		network := breakable.New(w.host(1))
		s, l, r := w.pair(Config{Network: network, Rate: flow.Mbps}, Config{Expiry: time.Second})
		calls := map[string]func() error{
			"write": func() error { _, err := s.Write(make([]byte, 1<<20)); return err },
			"flush": s.Flush,
		}
		results := make(chan error, len(calls))
		go func() { results <- calls["write"]() }()
		synctest.Wait()
		network.Break(errBroken)
		wantError(t, <-results, "write", errBroken)
		for op, call := range calls {
			wantError(t, call(), op, errBroken)
		}
		wantError(t, s.WriteMessage([]byte("x")), "write", errBroken)
		wantError(t, s.Close(), "close", errBroken)
		for {
			if _, err := r.Read(make([]byte, 1<<16)); err != nil {
				wantError(t, err, "read", ErrSourceLost)
				break
			}
		}
		w.closing(r, l)
	})
}

// A Flush that waits is told as well.
func TestBrokenFlush(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		network := breakable.New(w.host(1))
		s, l, r := w.pair(Config{Network: network, Rate: flow.Mbps}, Config{})
		if _, err := s.Write(make([]byte, 100_000)); err != nil {
			t.Fatal(err)
		}
		result := make(chan error, 1)
		go func() { result <- s.Flush() }()
		synctest.Wait()
		network.Break(errBroken)
		wantError(t, <-result, "flush", errBroken)
		wantError(t, s.Close(), "close", errBroken)
		w.closing(r, l)
	})
}
