package transport

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/internal/invariant"
	"github.com/rmcast/rmcast/netem"
)

func (w *world) options() dgram.Options { return dgram.Options{} }

// Each join mode, with a source that still holds its first packet and with one that does not.
func TestJoin(t *testing.T) {
	for _, c := range []struct {
		name  string
		join  Join
		age   time.Duration // of the source's window
		first string
	}{
		{"start held", JoinStart, time.Minute, "0"},
		{"start gone", JoinStart, time.Second, "20"},
		{"now", JoinNow, time.Minute, "20"},
		{"trail held", JoinTrail, time.Minute, "0"},
		{"trail gone", JoinTrail, time.Second, "10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				s := w.dial(Config{WindowAge: c.age})
				for i := range 20 { // 0 to 9 now, 10 to 19 one and a half seconds later
					if i == 10 {
						time.Sleep(1500 * time.Millisecond)
					}
					w.message(s, fmt.Sprint(i))
				}
				time.Sleep(time.Millisecond)
				l := w.listen(2, Config{Join: c.join})
				time.Sleep(200 * time.Millisecond)
				for i := 20; i < 30; i++ {
					w.message(s, fmt.Sprint(i))
				}
				r := w.accept(l)
				w.closing(s)
				var first int
				fmt.Sscan(c.first, &first)
				for i := first; i < 30; i++ {
					w.wantMessage(r, fmt.Sprint(i))
				}
				w.wantEOF(r)
				if st := r.Stats(); st.Lost != 0 {
					t.Errorf("what came before is counted as %d lost", st.Lost)
				}
				w.closing(r, l)
			})
		})
	}
}

// A receiver that comes in the middle of a long message begins with the next one.
func TestJoinInMessage(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.dial(Config{Rate: flow.Mbps})
		go func() { // takes 180 ms
			if err := s.WriteMessage(random(1, 22000)); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(80 * time.Millisecond)
		l := w.listen(2, Config{Join: JoinNow})
		time.Sleep(200 * time.Millisecond)
		w.message(s, "whole")
		r := w.accept(l)
		w.wantMessage(r, "whole")
		w.closing(s)
		w.wantEOF(r)
		w.closing(r, l)
	})
}

// Eight receivers that start while the source starts miss nothing, whatever the network does.
func TestJoinAtStart(t *testing.T) {
	const receivers, messages = 8, 20
	runs := 200
	if testing.Short() || invariant.Enabled {
		runs = 20
	}
	for seed := range uint64(runs) {
		bubble(t, func(t *testing.T, w *world) {
			w.fabric = netem.NewFabric(netem.FabricConfig{Seed: seed})
			rng := rand.New(rand.NewPCG(seed, 0))
			start := func() time.Duration { return time.Duration(rng.Int64N(int64(5 * time.Millisecond))) }
			var wg sync.WaitGroup
			for i := range byte(receivers) {
				w.host(i + 2).SetIngress(netem.Impairment{Loss: 0.2, Delay: time.Millisecond, Jitter: time.Millisecond})
				after := start()
				wg.Go(func() {
					time.Sleep(after)
					l := w.listen(i+2, Config{})
					r := w.accept(l)
					for n := range messages {
						w.wantMessage(r, fmt.Sprint(n))
					}
					w.wantEOF(r)
					w.closing(r, l)
				})
			}
			time.Sleep(start())
			s := w.dial(Config{})
			for n := range messages {
				w.message(s, fmt.Sprint(n))
			}
			w.closing(s)
			wg.Wait()
		})
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
}

// Two sources on one host and port share the group and do not disturb each other.
func TestTwoSources(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.host(2).SetIngress(netem.Impairment{Loss: 0.05})
		l := w.listen(2, Config{})
		a, b := w.dial(Config{}), w.dial(Config{})
		if a.TSI() == b.TSI() {
			t.Fatalf("both are %v", a.TSI())
		}
		for i := range 100 {
			w.message(a, fmt.Sprint("a", i))
			w.message(b, fmt.Sprint("b", i))
		}
		for range 2 {
			r := w.accept(l)
			name := "a"
			if r.TSI() == b.TSI() {
				name = "b"
			}
			for i := range 100 {
				w.wantMessage(r, fmt.Sprint(name, i))
			}
			w.closing(r)
		}
		w.closing(a, b, l)
	})
}

// Hosts that have only link-local addresses repair too, and so does a source whose port another process has.
func TestLinkLocalAndTakenPort(t *testing.T) {
	for name, prepare := range map[string]func(w *world) (sender, receiver *netem.Host){
		"link-local": func(w *world) (sender, receiver *netem.Host) {
			return w.fabric.Host("fe80::1"), w.fabric.Host("fe80::2")
		},
		"taken": func(w *world) (sender, receiver *netem.Host) {
			w.host(1).Take(7500)
			return w.host(1), w.host(2)
		},
		"raw IP": nil,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				network := "udp6"
				sender, receiver := w.host(1), w.host(2)
				if prepare != nil {
					sender, receiver = prepare(w)
				} else {
					network = "ip6:pgm"
				}
				receiver.SetIngress(netem.Impairment{Loss: 0.2})
				l, err := Listen(network, group6, w.on(2, Config{Network: receiver}))
				if err != nil {
					t.Fatal(err)
				}
				s, err := Dial(network, group6, w.on(1, Config{Network: sender}))
				if err != nil {
					t.Fatal(err)
				}
				for i := range 200 {
					w.message(s, fmt.Sprint(i))
				}
				r := w.accept(l)
				for i := range 200 {
					w.wantMessage(r, fmt.Sprint(i))
				}
				if st := r.Stats(); st.Repairs == 0 || st.NAKs == 0 {
					t.Errorf("%d repairs after %d NAKs", st.Repairs, st.NAKs)
				}
				w.closing(s)
				w.wantEOF(r)
				w.closing(r, l)
			})
		})
	}
}
