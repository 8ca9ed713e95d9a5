package transport

import (
	"io"
	"math"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/internal/invariant"
	"github.com/rmcast/rmcast/netem"
)

// In 60 s a source that always has something to send sends what Rate says within a thousandth, counted in IP packets with all
// that the protocol adds: without loss, and where a third of the packets are repairs.
func TestRate(t *testing.T) {
	const rate = 100 * flow.Mbps
	span := time.Minute
	if invariant.Enabled || testing.Short() {
		span = 6 * time.Second
	}
	for _, c := range []struct {
		name string
		loss float64
		span time.Duration
	}{{"no loss", 0, span}, {"loss", 0.3, span / 6}} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.host(2).SetIngress(netem.Impairment{Loss: c.loss})
				l := w.listen(2, Config{})
				s := w.dial(Config{Rate: rate, Fixed: true})
				read, written := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(read)
					r := w.accept(l)
					defer r.Close()
					if _, err := io.Copy(io.Discard, r); err != nil {
						t.Error(err)
					}
				}()
				stop := make(chan struct{})
				go func() {
					defer close(written)
					piece := random(1, 64<<10)
					for {
						select {
						case <-stop:
							return
						default:
						}
						if _, err := s.Write(piece); err != nil {
							t.Error(err)
							return
						}
					}
				}()
				time.Sleep(100 * time.Millisecond) // so that the first burst is over
				before, sent := s.Stats(), w.host(1).Counters().SentBytes
				time.Sleep(c.span)
				after, sentAfter := s.Stats(), w.host(1).Counters().SentBytes
				close(stop)
				<-written
				w.closing(s)
				<-read
				w.closing(l)
				got, want := after.IPBytes-before.IPBytes, float64(rate.Bytes(c.span))
				// In a short span it matters what the bucket held at either end.
				most := max(0.001*want, float64(rate.Bytes(flow.Depth)))
				if math.Abs(float64(got)-want) > most {
					t.Errorf("%d bytes in %v, want %.0f", got, c.span, want)
				}
				// What is counted is what the network saw, but for a run on its way.
				if wire := float64(sentAfter - sent); math.Abs(wire-want) > most {
					t.Errorf("%.0f bytes reached the network in %v, want %.0f", wire, c.span, want)
				}
				if share := float64(after.Repairs) / float64(after.Packets+after.Repairs); (c.loss > 0) != (share > 0.1) {
					t.Errorf("a part of %.2f was repairs", share)
				}
				t.Logf("%d bytes in %v, %.5f of Rate; %d packets, %d repairs", got, c.span, float64(got)/want, after.Packets, after.Repairs)
			})
		})
	}
}
