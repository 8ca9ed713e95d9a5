package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
)

// A quiet group lets Close end before Linger: after 250 ms without a NAK.
func TestCloseEndsEarly(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{}, Config{})
		start := time.Now()
		w.closing(s)
		if got := time.Since(start); got < 250*time.Millisecond || got > 300*time.Millisecond {
			t.Errorf("Close took %v, want 250ms and little more", got)
		}
		w.wantEOF(r)
		w.closing(r, l)
	})
}

func TestLinger(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		for _, linger := range []time.Duration{-1, 50 * time.Millisecond} {
			s, l, r := w.pair(Config{Linger: linger}, Config{})
			start := time.Now()
			w.closing(s)
			least := max(linger, 0) // and the first FIN waits for HeartbeatMin after the SPM before it
			if got := time.Since(start); got < least || got > least+defaultHeartbeatMin {
				t.Errorf("Linger %v: Close took %v", linger, got)
			}
			w.wantEOF(r)
			w.closing(r, l)
		}
	})
}

// The context ends the linger, and that is no error.
func TestCloseContextEndsLinger(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{}, Config{})
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
		defer cancel()
		start := time.Now()
		if err := s.CloseContext(ctx); err != nil {
			t.Error(err)
		}
		if got := time.Since(start); got != 30*time.Millisecond {
			t.Errorf("CloseContext took %v, want 30ms", got)
		}
		w.wantEOF(r)
		w.closing(r, l)
	})
}

// A source that must close before it has sent what was written resets the session.
func TestReset(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{Rate: flow.Mbps}, Config{})
		if _, err := s.Write(make([]byte, 100_000)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		wantError(t, s.CloseContext(ctx), "close", context.Canceled)
		var reset *ResetError
		for {
			n, err := r.Read(make([]byte, 4000))
			if err != nil {
				if !errors.As(err, &reset) || reset.TSI != r.TSI() || reset.Code != abortCode {
					t.Errorf("Read: %v, want a reset with code %d", err, abortCode)
				}
				break
			}
			if n == 0 {
				t.Fatal("Read of nothing without an error")
			}
		}
		_, err := r.Read(make([]byte, 10))
		wantError(t, err, "read", reset) // it stays
		w.closing(r, l)
	})
}

func TestExpiry(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{}, Config{Expiry: 5 * time.Second})
		time.Sleep(10 * time.Second) // an idle source is not a lost one
		w.message(s, "here")
		w.wantMessage(r, "here")
		w.host(2).SetIngress(netem.Impairment{Loss: 1})
		start := time.Now()
		for range 2 {
			_, err := r.Read(make([]byte, 10))
			wantError(t, err, "read", ErrSourceLost)
			if got := time.Since(start); got != 5*time.Second {
				t.Errorf("the source was lost after %v of silence, want 5s", got)
			}
		}
		w.closing(s, r, l)
	})
}

// Accepted receivers survive their listener, sources that nobody accepted do not.
func TestListenerCloseLeavesReceivers(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{}, Config{})
		other := w.dial(Config{})
		w.message(other, "nobody hears")
		time.Sleep(2 * time.Second) // the listener has accepted other, the application has not
		w.closing(l)
		w.message(s, "still there")
		w.wantMessage(r, "still there")
		third := w.dial(Config{})
		w.message(third, "too late")
		time.Sleep(2 * time.Second)
		if st := l.Stats(); st.Accepted != 2 || st.Refused.TooMany == 0 {
			t.Errorf("the closed listener has accepted %d sources and refused %d packets of others", st.Accepted, st.Refused.TooMany)
		}
		w.closing(s, other, third)
		w.wantEOF(r)
		w.closing(r) // ends the goroutines: the bubble would complain
	})
}

// A receiver that was closed does not come back from Accept while its source goes on.
func TestReceiverCloseIsFinal(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{}, Config{})
		w.closing(r)
		w.message(s, "to nobody")
		if err := l.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if again, err := l.Accept(); err == nil {
			t.Errorf("accepted %v again", again.RemoteAddr())
		}
		w.closing(s, l)
	})
}

func TestBacklog(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		l := w.listen(2, Config{})
		const sources = backlog + 20
		open := make([]io.Closer, 0, sources)
		seen := map[string]bool{}
		for range sources {
			s := w.dial(Config{})
			w.message(s, "hello")
			open = append(open, s)
		}
		time.Sleep(3 * time.Second)
		st := l.Stats()
		if st.Accepted != backlog || st.Sources != sources || st.Refused.TooMany == 0 {
			t.Errorf("%d accepted of %d known, %d packets refused", st.Accepted, st.Sources, st.Refused.TooMany)
		}
		for range sources { // once there is room, the others come too
			r := w.accept(l)
			if seen[r.TSI().String()] {
				t.Errorf("%v was accepted twice", r.TSI())
			}
			seen[r.TSI().String()] = true
			open = append(open, r)
		}
		for _, c := range open {
			if s, ok := c.(*Source); ok {
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				if err := s.CloseContext(ctx); err != nil {
					t.Error(err)
				}
				continue
			}
			w.closing(c)
		}
		w.closing(l)
	})
}

func TestAddrs(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{}, Config{})
		tsi := s.TSI().String()
		for _, c := range []struct {
			what string
			got  net.Addr
			want string
		}{
			{"Source.LocalAddr", s.LocalAddr(), tsi + "@[fd00::1]:7500"},
			{"Source.RemoteAddr", s.RemoteAddr(), "[ff15::8000:1%eth0]:7500"},
			{"Listener.Addr", l.Addr(), "[ff15::8000:1%eth0]:7500"},
			{"Receiver.LocalAddr", r.LocalAddr(), "[ff15::8000:1%eth0]:7500"},
			{"Receiver.RemoteAddr", r.RemoteAddr(), tsi + "@fd00::1"},
		} {
			if c.got.String() != c.want || c.got.Network() != "udp" {
				t.Errorf("%s: %s %s, want udp %s", c.what, c.got.Network(), c.got, c.want)
			}
		}
		if again, err := Listen("udp", l.Addr().String(), w.on(3, Config{})); err != nil {
			t.Errorf("Listen on a Listener's Addr: %v", err)
		} else {
			w.closing(again)
		}
		a := r.RemoteAddr().(*Addr)
		if a.TSI() != s.TSI() || a.Host().Addr() != w.host(1).Addr() || a.Group().Port() != 7500 || s.TSI() != r.TSI() {
			t.Errorf("the receiver's source is %v at %v in %v", a.TSI(), a.Host(), a.Group())
		}
		if _, err := r.Write(nil); !strings.Contains(err.Error(), tsi) {
			t.Errorf("the error %q does not name the session", err)
		}
		w.closing(s, r, l)
	})
}
