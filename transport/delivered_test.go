package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/wire"
)

// replica is a receiver that takes part in confirmation, and reads everything.
type replica struct {
	l    *Listener
	r    *Receiver
	done sync.WaitGroup
}

// replicas opens a source on host 1 and count replicas with the ids 1, 2, … on the next ones, on links with a round trip of 1 ms.
func (w *world) replicas(count int, sender Config, imp netem.Impairment) (*Source, []*replica) {
	w.t.Helper()
	imp.Delay = time.Millisecond
	all := make([]*replica, count)
	for i := range all {
		w.host(byte(2 + i)).SetIngress(imp)
		all[i] = &replica{l: w.listen(byte(2+i), Config{ReceiverID: wire.ReceiverID(i + 1)})}
	}
	s := w.dial(sender)
	w.message(s, "hello")
	for _, p := range all {
		p.r = w.accept(p.l)
		p.done.Go(func() { io.Copy(io.Discard, p.r) })
	}
	return s, all
}

// kill ends a replica without a word, as far as the network sees.
func (w *world) kill(all ...*replica) {
	w.t.Helper()
	for _, p := range all {
		if p.r != nil {
			w.closing(p.r, p.l)
			p.done.Wait()
			p.r = nil
		}
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// One write after the other, each confirmed by three of five: a millisecond each. Two die, then three.
func TestWaitDelivered(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, all := w.replicas(5, Config{}, netem.Impairment{})
		ids := []wire.ReceiverID{1, 2, 3, 4, 5}
		if err := s.WaitDelivered(within(t, time.Second), Quorum{Of: ids}); err != nil {
			t.Fatal(err)
		}
		round := func(what string, grace time.Duration) { // to notice that the receiver that sets the pace is dead
			start := time.Now()
			for range 100 {
				w.message(s, string(random(1, 1000)))
				if err := s.WaitDelivered(context.Background(), Quorum{Count: 3}); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(start); took > 101*time.Millisecond+grace {
				t.Errorf("%s: 100 writes took %v, want 100ms", what, took)
			}
		}
		round("all alive", 0)
		w.kill(all[1], all[3])
		round("two dead", 300*time.Millisecond)
		w.kill(all[0])
		w.message(s, "to two")
		start := time.Now()
		err := s.WaitDelivered(within(t, 3*time.Second), Quorum{Count: 3})
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("it returned after %v", took)
		}
		wantError(t, err, "wait", os.ErrDeadlineExceeded)
		var u *UndeliveredError
		if !errors.As(err, &u) || !errors.Is(err, context.DeadlineExceeded) || u.Want != 3 || !slices.Equal(u.Confirmed, ids[2:3]) && !slices.Equal(u.Confirmed, []wire.ReceiverID{3, 5}) ||
			!slices.Equal(u.Missing, []wire.ReceiverID{1, 2, 4}) {
			t.Errorf("%v: %+v", err, u)
		}
		const text = "transport: 2 of 3 receivers have confirmed, missing are 0000000000000001, 0000000000000002, 0000000000000004: context deadline exceeded"
		if u.Error() != text {
			t.Errorf("it says %q", u.Error())
		}
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		err = s.WaitDelivered(ctx, Quorum{Of: []wire.ReceiverID{3, 1}})
		wantError(t, err, "wait", context.Canceled)
		if !errors.As(err, &u) || !slices.Equal(u.Confirmed, ids[2:3]) || !slices.Equal(u.Missing, ids[:1]) {
			t.Errorf("%v: %+v", err, u)
		}
		// It comes back under its name: what is written from now on counts.
		all[0].l = w.listen(2, Config{ReceiverID: 1})
		w.message(s, "again")
		all[0].r = w.accept(all[0].l)
		all[0].done.Go(func() { io.Copy(io.Discard, all[0].r) })
		_ = s.WaitDelivered(within(t, time.Second), Quorum{Of: ids[:1]}) // perhaps it joined after "again"
		w.message(s, "and again")
		if err := s.WaitDelivered(within(t, time.Second), Quorum{Count: 3}); err != nil {
			t.Error(err)
		}
		w.closing(s)
		w.kill(all...)
	})
}

// Many goroutines write and wait, on links that lose a tenth both ways.
func TestWaitDeliveredPipelined(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.host(1).SetIngress(netem.Impairment{Loss: 0.1})
		s, all := w.replicas(3, Config{Rate: 50 * flow.Mbps}, netem.Impairment{Loss: 0.1})
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 50 {
					if err := s.WriteMessage(random(byte(i), 1+(i*50+j)*37%5000)); err != nil {
						t.Error(err)
					}
					if err := s.WaitDelivered(context.Background(), Quorum{Count: 1 + i%3}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if st := s.Stats(); st.Confirming != 3 || st.Confirmations == 0 {
			t.Errorf("Stats say %d receivers, %d confirmations", st.Confirming, st.Confirmations)
		}
		if n := len(s.deliveries); n != 0 {
			t.Errorf("%d waits are left", n)
		}
		w.closing(s)
		w.kill(all...)
	})
}

// A megabyte that is being sent is waited for, and what was confirmed is there to be read after the source is gone.
func TestWaitDeliveredStream(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		l := w.listen(2, Config{ReceiverID: wire.NewReceiverID("replica")})
		s := w.dial(Config{Rate: 50 * flow.Mbps})
		sent := random(1, 1<<20)
		if _, err := s.Write(sent); err != nil {
			t.Fatal(err)
		}
		if err := s.WaitDelivered(context.Background(), Quorum{Of: []wire.ReceiverID{wire.NewReceiverID("replica")}}); err != nil {
			t.Fatal(err)
		}
		w.host(1).SetEgress(netem.Impairment{Loss: 1})
		r := w.accept(l)
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(r, got); err != nil {
			t.Fatal(err)
		}
		same(t, got, sent)
		w.closing(s, r, l)
	})
}

func TestWaitDeliveredEnds(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{}, Config{})
		for _, q := range []Quorum{{}, {Count: -1}, {Of: []wire.ReceiverID{1}, Count: 2}, {Of: []wire.ReceiverID{0}}} {
			var o *net.OpError
			if err := s.WaitDelivered(context.Background(), q); !errors.As(err, &o) || o.Op != "wait" {
				t.Errorf("%+v: %v", q, err)
			}
		}
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		wantError(t, s.WaitDelivered(ended, Quorum{Count: 1}), "wait", context.Canceled)
		results := make(chan error, 3)
		for range 3 {
			go func() { results <- s.WaitDelivered(context.Background(), Quorum{Count: 1}) }()
		}
		time.Sleep(time.Minute)
		if len(results) != 0 {
			t.Fatalf("confirmed by a receiver without a name: %v", <-results)
		}
		w.closing(s)
		synctest.Wait()
		for range 3 {
			wantError(t, <-results, "wait", net.ErrClosed)
		}
		wantError(t, s.WaitDelivered(context.Background(), Quorum{Count: 1}), "wait", net.ErrClosed)
		w.closing(r, l)
	})
}
