package demand

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/netem"
)

// Who wants something for as long as it takes to say so leaves again, too: its source does not go on until it times out.
func TestBriefWant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := netem.NewFabric(netem.FabricConfig{Seed: 1})
		w, err := Watch("udp", group, config(f, 1))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var wanting sync.WaitGroup
		wanting.Go(func() {
			if err := Want(ctx, "udp", group, config(f, 2)); !errors.Is(err, context.Canceled) {
				t.Errorf("Want: %v", err)
			}
		})
		if err := w.Wait(context.Background()); err != nil {
			t.Fatal(err)
		}
		start, changed := time.Now(), w.Changed()
		cancel() // the second copy is not said yet
		<-changed
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("wanted for %v after it was left", took)
		}
		wanting.Wait()
		w.Close()
	})
}

// Who begins while others leave, says so as soon as it would else.
func TestWantWhileOthersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := netem.NewFabric(netem.FabricConfig{Seed: 1})
		for i := byte(4); i < 34; i++ { // one after the other, every 20 ms
			c := config(f, i)
			go func() {
				time.Sleep(time.Duration(i) * 20 * time.Millisecond)
				_ = (&wanting{session: c.session(group), who: uint64(i)}).say(context.Background(), "udp", group, leave)
			}()
		}
		time.Sleep(200 * time.Millisecond)
		w, err := Watch("udp", group, config(f, 1))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var wanting sync.WaitGroup
		start := time.Now()
		wanting.Go(func() { _ = Want(ctx, "udp", group, config(f, 2)) })
		if err := w.Wait(context.Background()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 200*time.Millisecond {
			t.Errorf("heard after %v", took)
		}
		cancel()
		wanting.Wait()
		time.Sleep(time.Second)
		w.Close()
	})
}

// A Watcher that can hear nothing any more says so, and a source does not wait for ever.
func TestWatcherFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := netem.NewFabric(netem.FabricConfig{Seed: 1})
		w, err := Watch("udp", group, config(f, 1))
		if err != nil {
			t.Fatal(err)
		}
		changed := w.Changed()
		why := errors.New("no such device")
		w.end(why) // as the Ear does
		<-changed
		if err := w.Wait(t.Context()); !errors.Is(err, why) || w.Wanted() {
			t.Errorf("Wait: %v, wanted %v", err, w.Wanted())
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if err := w.Wait(t.Context()); !errors.Is(err, why) {
			t.Errorf("Wait after Close: %v", err)
		}
	})
}
