package transport

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
)

// A source that adapts fills the narrowest link to its receivers and hardly more; every byte arrives.
func TestAdapt(t *testing.T) {
	for _, c := range []struct {
		name string
		link netem.Impairment
		cap  flow.Rate
		want flow.Rate // goodput, at least; nine tenths of it are asked for
	}{
		{"narrow link", netem.Impairment{Rate: 20_000_000, Limit: 64, Delay: 5 * time.Millisecond}, 0, 20 * flow.Mbps},
		{"cap", netem.Impairment{Rate: 20_000_000, Limit: 64, Delay: 5 * time.Millisecond}, 5 * flow.Mbps, 5 * flow.Mbps},
		{"loss", netem.Impairment{Rate: 20_000_000, Limit: 64, Delay: 5 * time.Millisecond, Loss: 0.05}, 0, 18 * flow.Mbps},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.host(2).SetIngress(c.link)
				s, l, r := w.pair(Config{Rate: c.cap}, Config{})
				content := make([]byte, int(c.want/8)*8) // eight seconds of it
				for i := range content {
					content[i] = byte(rand.Uint32())
				}
				read := make(chan []byte)
				go func() {
					b := make([]byte, len(content))
					n, err := io.ReadFull(r, b)
					if err != nil {
						t.Error(err)
					}
					read <- b[:n]
				}()
				start := time.Now()
				if _, err := s.Write(content); err != nil {
					t.Fatal(err)
				}
				if err := s.Flush(); err != nil {
					t.Fatal(err)
				}
				if got := <-read; !bytes.Equal(got, content) {
					t.Errorf("%d of %d bytes came, or not these", len(got), len(content))
				}
				took := time.Since(start)
				goodput := flow.Rate(float64(len(content)) * 8 / took.Seconds())
				st := s.Stats()
				if headers := 1480. / 1408; float64(goodput)*headers < 0.9*float64(c.want) {
					t.Errorf("%v of payload in %v, with headers less than 0.9 of %v; %+v", goodput, took, c.want, st.SourceStats)
				}
				if most := c.cap; most > 0 && st.Rate > most || st.Acker == 0 || st.Receivers != 1 {
					t.Errorf("rate %v, acker %v, %d receivers", st.Rate, st.Acker, st.Receivers)
				}
				w.closing(s, r, l)
			})
		})
	}
}

// A receiver that cannot take the least rate is told to leave, and why; the other one gets everything at its own rate.
func TestAdaptEvicts(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		slow := netem.Impairment{Rate: 1_000_000, Limit: 32, Delay: time.Millisecond}
		w.host(3).SetIngress(slow)
		l2, l3 := w.listen(2, Config{}), w.listen(3, Config{})
		s := w.dial(Config{Rate: 50 * flow.Mbps, SlowReceivers: flow.Slow{Mode: flow.Evict, Floor: 4 * flow.Mbps}})
		w.message(s, "hello")
		r2, r3 := w.accept(l2), w.accept(l3)
		content := make([]byte, 16<<20)
		evicted := make(chan error)
		go func() {
			for b := make([]byte, 1<<16); ; {
				_, err := r3.Read(b)
				if loss := (*LossError)(nil); err != nil && !errors.As(err, &loss) {
					evicted <- err
					return
				}
			}
		}()
		done := make(chan int64)
		go func() {
			n, err := io.CopyN(io.Discard, r2, int64(len(content)))
			if err != nil {
				t.Error(err)
			}
			done <- n
		}()
		if _, err := s.Write(content); err != nil {
			t.Fatal(err)
		}
		<-done
		var why *EvictedError
		if err := <-evicted; !errors.As(err, &why) || why.Reason != EvictSlow {
			t.Errorf("the slow receiver ends with %v, want an EvictedError", err)
		}
		if st := s.Stats(); st.Evicted != 1 || st.Slowed == 0 || st.Reports == 0 || st.Switches == 0 {
			t.Errorf("%d receivers were evicted, want 1; slow %d times, %d reports, %d ackers", st.Evicted, st.Slowed, st.Reports, st.Switches)
		}
		w.closing(s, r2, r3, l2, l3)
	})
}
