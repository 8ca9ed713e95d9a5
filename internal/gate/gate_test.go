package gate

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var bg = context.Background()

func TestGateKeepsASignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New()
		g.Set()
		g.Set()
		if err := g.Wait(bg, nil); err != nil {
			t.Fatalf("Wait after Set: %v", err)
		}
		d := new(Deadline)
		d.Set(time.Now().Add(time.Second))
		if err := g.Wait(bg, d); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("second Wait after two Sets: %v, want the deadline", err)
		}
	})
}

func TestGateWakesTheWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, start := New(), time.Now()
		time.AfterFunc(time.Second, g.Set)
		if err := g.Wait(bg, new(Deadline)); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("woken after %v, want 1s", got)
		}
	})
}

func TestGateTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New()
		var wg sync.WaitGroup
		inside, most := 0, 0
		for range 8 {
			wg.Go(func() {
				if err := g.Enter(bg, nil); err != nil {
					t.Error(err)
					return
				}
				inside++
				most = max(most, inside)
				time.Sleep(time.Millisecond)
				inside--
				g.Leave()
			})
		}
		wg.Wait()
		if most != 1 {
			t.Errorf("%d callers had the turn at once", most)
		}
	})
}

func TestGateEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			name string
			end  func(g *Gate, d *Deadline, cancel func())
			want error
		}{
			{"close", func(g *Gate, _ *Deadline, _ func()) { g.Close() }, ErrClosed},
			{"deadline", func(_ *Gate, d *Deadline, _ func()) { d.Set(time.Now()) }, os.ErrDeadlineExceeded},
			{"context", func(_ *Gate, _ *Deadline, cancel func()) { cancel() }, context.Canceled},
			{"all", func(g *Gate, d *Deadline, cancel func()) { cancel(); d.Set(time.Now()); g.Close() }, ErrClosed},
		} {
			g, d := New(), new(Deadline)
			ctx, cancel := context.WithCancel(bg)
			if err := g.Enter(ctx, d); err != nil {
				t.Fatalf("%s: first Enter: %v", c.name, err)
			}
			enter, wait := make(chan error, 1), make(chan error, 1)
			go func() { enter <- g.Enter(ctx, d) }()
			go func() { wait <- g.Wait(ctx, d) }()
			synctest.Wait()
			if len(enter) != 0 || len(wait) != 0 {
				t.Fatalf("%s: a call returned before its time", c.name)
			}
			c.end(g, d, cancel)
			synctest.Wait()
			if e, w := <-enter, <-wait; c.name != "all" && (!errors.Is(e, c.want) || !errors.Is(w, c.want)) {
				t.Errorf("%s: Enter %v, Wait %v, want %v", c.name, e, w, c.want)
			}
			g.Leave() // a free turn and a signal do not beat an end that has come
			g.Set()
			if e, w := g.Enter(ctx, d), g.Wait(ctx, d); !errors.Is(e, c.want) || !errors.Is(w, c.want) {
				t.Errorf("%s, again: Enter %v, Wait %v, want %v", c.name, e, w, c.want)
			}
			cancel()
		}
	})
}

func TestGateLeaveWithoutEnter(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Leave without Enter did not panic")
		}
	}()
	New().Leave()
}

func passed(d *Deadline) bool {
	synctest.Wait()
	select {
	case <-d.Done():
		return true
	default:
		return false
	}
}

func TestDeadlineMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d Deadline
		if passed(&d) {
			t.Error("the zero Deadline has passed")
		}
		early := d.Done()
		d.Set(time.Now().Add(time.Second))
		time.Sleep(999 * time.Millisecond)
		if passed(&d) {
			t.Error("passed 1ms early")
		}
		d.Set(time.Now().Add(time.Second)) // moved while somebody may wait on early
		time.Sleep(999 * time.Millisecond)
		if passed(&d) {
			t.Error("the old deadline held after a move")
		}
		time.Sleep(time.Millisecond)
		if !passed(&d) {
			t.Error("did not pass")
		}
		select {
		case <-early:
		default:
			t.Error("who waited before the moves was not told")
		}
		d.Set(time.Now().Add(time.Second))
		if passed(&d) {
			t.Error("a new deadline in the future has passed")
		}
		d.Set(time.Now().Add(-time.Second))
		if !passed(&d) {
			t.Error("a deadline in the past has not passed")
		}
		d.Set(time.Time{})
		if time.Sleep(time.Hour); passed(&d) {
			t.Error("no deadline passed")
		}
	})
}

// Set may come at the very instant at which the timer fires.
func TestDeadlineSetAsItFires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			var d Deadline
			d.Set(time.Now().Add(time.Millisecond))
			time.Sleep(time.Millisecond)
			d.Set(time.Now().Add(time.Minute))
			if passed(&d) {
				t.Fatal("passed a minute early")
			}
			d.Set(time.Time{})
		}
	})
}

func TestGateAllocs(t *testing.T) {
	g, d := New(), new(Deadline)
	if n := testing.AllocsPerRun(100, func() {
		if g.Enter(bg, d) != nil {
			t.Fatal("Enter failed")
		}
		g.Set()
		if g.Wait(bg, d) != nil {
			t.Fatal("Wait failed")
		}
		g.Leave()
	}); n != 0 {
		t.Errorf("%v allocations a turn", n)
	}
}

func BenchmarkGateTurn(b *testing.B) {
	g, d := New(), new(Deadline)
	b.ReportAllocs()
	for b.Loop() {
		if g.Enter(bg, d) != nil {
			b.Fatal("Enter failed")
		}
		g.Leave()
	}
}
