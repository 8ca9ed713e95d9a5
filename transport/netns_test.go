//go:build netns

package transport

import (
	"crypto/sha256"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/wire"
)

// stream sends size random bytes to all receivers and compares hashes, not bytes: it holds no copy. It returns the source,
// the time from the first byte to the last of the slowest receiver, and how many packets the receivers missed in all.
func (l *lab) stream(size int64) (s *Source, took time.Duration, missing uint64) {
	t := l.t
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		start time.Time
	)
	want := sha256.New()
	io.CopyN(want, rand.NewChaCha8([32]byte{1}), size)
	for i, li := range l.open() {
		wg.Go(func() {
			defer li.Close()
			r, err := li.AcceptReceiver()
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			got := sha256.New()
			n, err := io.Copy(got, r)
			mu.Lock()
			took = max(took, time.Since(start))
			missing += r.Stats().Missing
			mu.Unlock()
			if err != nil || n != size || string(got.Sum(nil)) != string(want.Sum(nil)) {
				t.Errorf("receiver %d: %d of %d bytes, %v, hash right: %v", i, n, size, err, string(got.Sum(nil)) == string(want.Sum(nil)))
			}
			st := r.Stats()
			t.Logf("receiver %d: %d packets missing, %d NAKs for %d numbers, %d suppressed, %d dropped by the kernel, RTT %v",
				i, st.Missing, st.NAKs, st.NAKNumbers, st.Suppressed, st.Socket.KernelDrops, st.RTT)
		})
	}
	s = l.dial()
	mu.Lock()
	start = time.Now()
	mu.Unlock()
	if n, err := io.Copy(s, io.LimitReader(rand.NewChaCha8([32]byte{1}), size)); err != nil {
		t.Errorf("sent %d bytes: %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	return s, took, missing
}

// Eight receivers that lose a tenth each cost little more on the wire than replay must.
func TestLabEightReceivers(t *testing.T) {
	const (
		size    = 20 << 20
		minimum = 1.656 // replay's for 8 receivers at 10 %: each packet is sent until the last of them has it
	)
	l := newLab(t, netem.LabConfig{Receivers: 8, Rate: 200e6, Loss: 0.1, Wire: true})
	l.cfg.Rate = 190 * flow.Mbps
	s, took, missing := l.stream(size)
	st := s.Stats()
	room, err := wire.NewRoom(1500, true, false)
	if err != nil {
		t.Fatal(err)
	}
	packet := float64(room.Stream()+wire.HeadData+room.Overhead()) / float64(room.Stream())
	cost := float64(st.IPBytes) / size
	t.Logf("%v: %.3f IP bytes a byte, minimum %.3f; %d packets, %d repairs, %d NCFs, %d NAKs for %d numbers (%d merged, %d held off)",
		took, cost, minimum*packet, st.Packets, st.Repairs, st.NCFs, st.NAKs, st.NAKNumbers, st.NAKsMerged, st.NAKsHeldOff)
	t.Logf("%.2f NAKs, for %.2f numbers, reached the source for each packet that a receiver missed",
		float64(st.NAKs)/float64(missing), float64(st.NAKNumbers)/float64(missing))
	if cost > 1.10*minimum*packet {
		t.Errorf("%.3f IP bytes were sent for each byte, limit %.3f", cost, 1.10*minimum*packet)
	}
}

// Without loss and shaping, one receiver gets a gigabyte at a Rate of 2.5 Gbit/s, as fast as the machine can.
func TestLabFast(t *testing.T) {
	const size = 1 << 30
	l := newLab(t, netem.LabConfig{})
	l.cfg.Rate = 2500 * flow.Mbps
	s, took, _ := l.stream(size)
	st := s.Stats()
	t.Logf("%.2f Gbit/s; %d packets, %d repairs", size*8/took.Seconds()/1e9, st.Packets, st.Repairs)
}

// BenchmarkRate measures what a Rate of 100 Mbit/s puts on the wire in 5 s, in IP packets as the sender's interface counts them.
// It reports the median over the runs: -benchtime 5x makes five.
func BenchmarkRate(b *testing.B) {
	const rate = 100 * flow.Mbps
	netem.NeedLab(b)
	n, err := netem.NewLab(netem.LabConfig{Wire: true}) // without offloads the interface counts every header
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	var s *Source
	err = n.Do(netem.Sender, func() (err error) {
		s, err = Dial("udp6", "[ff15::8000:1%eth0]:7500", &Config{Rate: rate, Logger: slog.New(slog.DiscardHandler), Linger: -1})
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for piece := random(1, 64<<10); ; {
			if _, err := s.Write(piece); err != nil {
				return // closed
			}
		}
	}()
	look := func() (at time.Time, ipBytes uint64) {
		c, err := n.Counters(netem.Sender)
		if err != nil {
			b.Fatal(err)
		}
		return time.Now(), c.TxBytes - 14*c.TxPackets
	}
	time.Sleep(200 * time.Millisecond)
	var rates []float64
	for b.Loop() {
		from, before := look()
		time.Sleep(5 * time.Second)
		to, after := look()
		rates = append(rates, float64(after-before)*8/to.Sub(from).Seconds()/1e6)
	}
	s.Close()
	<-done
	slices.Sort(rates)
	b.Logf("Mbit/s: %.3f", rates)
	b.ReportMetric(rates[len(rates)/2], "Mbit/s")
	b.ReportMetric(0, "ns/op")
}
