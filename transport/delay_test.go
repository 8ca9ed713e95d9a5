package transport

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/wire"
)

// delayRun is a stream of messages at a steady pace to several receivers that lose packets, in virtual time.
type delayRun struct {
	fec       fec.Config
	interval  time.Duration
	count     int
	receivers int
	loss      float64
	rtt       time.Duration
	seed      uint64
}

const delayBytes = 1400

// lost decides on data by receiver and number, so that runs that differ in how they repair lose the same.
func (d *delayRun) lost(to netip.Addr, n uint64) bool {
	host := uint64(to.As16()[15])
	return rand.New(rand.NewPCG(d.seed+host, n)).Float64() < d.loss
}

// run returns the delays of all messages at all receivers from their writing to their reading, and among them those of messages that were
// lost at first, both sorted; and how many packets went out for each message.
func (d *delayRun) run(t *testing.T) (all, lost []time.Duration, sendings float64) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, fabric: netem.NewFabric(netem.FabricConfig{Seed: d.seed})}
		others := atomic.Uint64{}
		w.fabric.SetDrop(func(_, to netip.Addr, b []byte) bool {
			var p wire.Packet
			switch {
			case p.Decode(b) != nil || to.As16()[15] == 1:
				return false
			case p.Type == wire.TypeODATA && p.Flags&wire.FlagParity == 0:
				return d.lost(to, uint64(p.Sqn))
			}
			return d.lost(to, 1<<32+others.Add(1))
		})
		start := time.Now()
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range d.receivers {
			host := w.host(byte(i + 2))
			host.SetIngress(netem.Impairment{Delay: d.rtt / 2})
			host.SetEgress(netem.Impairment{Delay: d.rtt / 2})
			l := w.listen(byte(i+2), Config{})
			addr := netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(i + 2)})
			wg.Go(func() {
				r := w.accept(l)
				b := make([]byte, 2*delayBytes)
				for n := 0; ; n++ {
					size, err := r.ReadMessage(b)
					if err == io.EOF && n == d.count {
						break
					}
					if err != nil || size != delayBytes || binary.BigEndian.Uint64(b) != uint64(n) {
						t.Errorf("receiver %d, message %d: %d bytes, %v", i, n, size, err)
						break
					}
					delay := time.Since(start) - time.Duration(binary.BigEndian.Uint64(b[8:]))
					mu.Lock()
					if all = append(all, delay); d.lost(addr, uint64(n)) {
						lost = append(lost, delay)
					}
					mu.Unlock()
				}
				w.closing(r, l)
			})
		}
		s := w.dial(Config{Rate: 100 * flow.Mbps, Fixed: true, FEC: d.fec})
		m := random(1, delayBytes)
		for i := range d.count {
			time.Sleep(time.Until(start.Add(time.Duration(i) * d.interval)))
			binary.BigEndian.PutUint64(m, uint64(i))
			binary.BigEndian.PutUint64(m[8:], uint64(time.Since(start)))
			if err := s.WriteMessage(m); err != nil {
				t.Error(err)
			}
		}
		w.closing(s)
		wg.Wait()
		st := s.Stats()
		sendings = float64(st.Packets+st.Repairs+st.Ahead) / float64(d.count)
	})
	slices.Sort(all)
	slices.Sort(lost)
	return all, lost, sendings
}

func quantile(d []time.Duration, q float64) time.Duration { return d[int(q*float64(len(d)-1))] }

func mean(d []time.Duration) time.Duration {
	sum := time.Duration(0)
	for _, v := range d {
		sum += v
	}
	return sum / time.Duration(len(d))
}

// Parity must not make messages late: at 10 messages a second and at 40 Mbit/s, 1 % loss and a round trip of 1 ms, 99 of 100 messages
// are there within 2 ms of what replay alone takes. So are 90 of 100 of those that were lost at first, and these are not later on average
// by more than a round trip. (What lies beyond is a handful of lost repairs, each of which holds up
// all messages behind it: 999 of 1000 of 32,000 are two such, and differ by 2 ms between two runs of the same.)
func TestParityDelay(t *testing.T) {
	const spare, meanSpare = 2 * time.Millisecond, time.Millisecond
	for _, c := range []struct {
		name     string
		interval time.Duration
		count    int
	}{
		{"10 a second", 100 * time.Millisecond, 3000},
		{"40 Mbit per s", (40 * flow.Mbps).Duration(delayBytes), 8000},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := delayRun{interval: c.interval, count: c.count, receivers: 4, loss: 0.01, rtt: time.Millisecond, seed: 1}
			var was [3]time.Duration // with replay
			for _, mode := range []struct {
				name string
				fec  fec.Config
			}{{"replay", replay}, {"on demand", fec.Config{}}, {"least delay", fec.Config{Goal: fec.LeastDelay}}} {
				d.fec = mode.fec
				a, l, sendings := d.run(t)
				if len(a) != c.count*d.receivers || len(l) == 0 {
					t.Fatalf("%s: %d messages were read, %d that were lost at first", mode.name, len(a), len(l))
				}
				is := [3]time.Duration{quantile(a, 0.99), quantile(l, 0.9), mean(l)}
				t.Logf("%s: p50 %v, p99 %v, p99.9 %v, max %v; of the %d lost at first p50 %v, p90 %v, max %v, mean %v; %.3f sendings",
					mode.name, quantile(a, 0.5), is[0], quantile(a, 0.999), quantile(a, 1), len(l), quantile(l, 0.5), is[1], quantile(l, 1), is[2], sendings)
				if mode.fec.Off {
					was = is
				} else if is[0] > was[0]+spare || is[1] > was[1]+spare || is[2] > was[2]+meanSpare {
					t.Errorf("%s: p99, p90 and mean of the lost %v; replay %v", mode.name, is, was)
				}
			}
		})
	}
}
