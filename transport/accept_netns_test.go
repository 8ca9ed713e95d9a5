//go:build netns

package transport

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
)

// A reader that stalls over real sockets holds its window and no more, tells its losses when it goes on, and the one beside it
// has every byte.
func TestLabStalledReader(t *testing.T) {
	const (
		window  = 2 << 20
		message = 1400 // a packet each, so that numbers tell positions
	)
	l := newLab(t, netem.LabConfig{Receivers: 2, Loss: 0.02, Wire: true})
	l.cfg.WindowBytes, l.cfg.RepairTimeout = window, time.Second // the last window's packets are asked for when the source is gone
	l.sent = random(3, 16000*message)
	listeners := l.open()
	s := l.dial()
	if err := s.WriteMessage(l.sent[:message]); err != nil {
		t.Fatal(err)
	}
	stalled, err := listeners[0].AcceptReceiver()
	if err != nil {
		t.Fatal(err)
	}
	defer stalled.Close()
	heap := liveHeap()
	var wg sync.WaitGroup
	wg.Go(func() { l.receive(1, listeners[1]) })
	for b := range slices.Chunk(l.sent[message:], message) {
		if err := s.WriteMessage(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	st := stalled.Stats()
	if st.WindowBytes > window || st.Held*message > window || st.Refused.WindowFull == 0 {
		t.Errorf("the stalled reader's window is %d bytes, %d packets of a limit of %d; %d packets found no room",
			st.WindowBytes, st.Held, window, st.Refused.WindowFull)
	}
	// The other's copy is garbage by now; what is left of the session is a window at each end and its slots.
	if grown := liveHeap() - heap; grown > 4*window {
		t.Errorf("the heap has grown by %d bytes", grown)
	} else {
		t.Logf("the stalled reader holds %d bytes; the heap has grown by %d", st.WindowBytes, grown)
	}

	rest, lost := l.sent, 0
	b := make([]byte, 1<<16)
	for err == nil {
		var n int
		n, err = stalled.Read(b)
		if !bytes.HasPrefix(rest, b[:n]) {
			t.Fatalf("wrong bytes, %d before the end", len(rest))
		}
		rest = rest[n:]
		var loss *LossError
		if errors.As(err, &loss) {
			lost += loss.Lost.Len()
			rest, err = rest[min(loss.Lost.Len()*message, len(rest)):], nil
		}
	}
	if err != io.EOF || len(rest) != 0 || lost == 0 {
		t.Errorf("%v, %d bytes neither read nor told lost; %d packets told lost", err, len(rest), lost)
	}
	t.Logf("%d packets told lost", lost)
}

// liveHeap is how many bytes are in use on the heap.
func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Eight receivers that start while the source starts have every byte from the first on, at 20 % loss, each time. The 200 runs
// of TestJoinAtStart are in memory.
func TestLabJoinAtStart(t *testing.T) {
	l := newLab(t, netem.LabConfig{Receivers: 8, Loss: 0.2, SenderLoss: 0.02, Wire: true})
	l.sent = random(5, 64<<10)
	l.cfg.Rate = 50 * flow.Mbps
	rng := rand.New(rand.NewPCG(7, 7))
	for run := range 10 {
		starts := make([]time.Duration, l.lab.Receivers()+1)
		for i := range starts {
			starts[i] = time.Duration(rng.Int64N(int64(20 * time.Millisecond)))
		}
		var wg sync.WaitGroup
		begin := time.Now()
		for i, after := range starts[1:] {
			wg.Go(func() {
				time.Sleep(after - time.Since(begin))
				li, err := l.listen(netem.Node(i))
				if err != nil {
					t.Error(err)
					return
				}
				l.receive(i, li)
			})
		}
		time.Sleep(starts[0] - time.Since(begin))
		s := l.dial()
		if _, err := s.Write(l.sent); err != nil {
			t.Error(err)
		}
		// The last receivers may come after the last byte: the source stays until they have heard of it.
		time.Sleep(slices.Max(starts) + 50*time.Millisecond - time.Since(begin))
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if t.Failed() {
			t.Fatalf("in run %d, started after %v", run, starts)
		}
	}
}
