package transport

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

const (
	group6 = "[ff15::8000:1]:7500"
	group4 = "239.192.0.9:7500"
)

// bubble runs f in a synctest bubble with a segment in memory. When f returns, everything it opened must be closed: a
// goroutine that is left fails the test.
func bubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t, &world{t: t, fabric: netem.NewFabric(netem.FabricConfig{Seed: 42})})
	})
}

// world is one network segment: host 1 sends, the others receive.
type world struct {
	t      *testing.T
	fabric *netem.Fabric
	group  string // group6 if empty
}

// host returns host i of the segment.
func (w *world) host(i byte) *netem.Host {
	return w.fabric.Host(netip.AddrFrom16([16]byte{0: 0xfd, 15: i}).String(), netip.AddrFrom4([4]byte{10, 0, 0, i}).String())
}

// on returns cfg, set to use host i and to log nothing.
func (w *world) on(i byte, cfg Config) *Config {
	if cfg.Network == nil {
		cfg.Network = w.host(i)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &cfg
}

func (w *world) dial(cfg Config) *Source {
	w.t.Helper()
	s, err := Dial("udp", or2(w.group, group6), w.on(1, cfg))
	if err != nil {
		w.t.Fatal(err)
	}
	w.ifFailed(s)
	return s
}

func (w *world) listen(host byte, cfg Config) *Listener {
	w.t.Helper()
	l, err := Listen("udp", or2(w.group, group6), w.on(host, cfg))
	if err != nil {
		w.t.Fatal(err)
	}
	w.ifFailed(l)
	return l
}

// ifFailed closes c at the end of a test that failed halfway, whose message a complaint about goroutines would hide.
func (w *world) ifFailed(c io.Closer) {
	w.t.Cleanup(func() {
		if w.t.Failed() {
			c.Close()
			time.Sleep(10 * time.Second) // somebody else's Close may linger
		}
	})
}

func or2(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// accept waits for the next receiver of l, one minute at most.
func (w *world) accept(l *Listener) *Receiver {
	w.t.Helper()
	if err := l.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		w.t.Fatal(err)
	}
	r, err := l.AcceptReceiver()
	if err != nil {
		w.t.Fatal(err)
	}
	w.ifFailed(r)
	return r
}

// closing closes c and reports an error.
func (w *world) closing(c ...io.Closer) {
	w.t.Helper()
	for _, x := range c {
		if err := x.Close(); err != nil {
			w.t.Errorf("Close: %v", err)
		}
	}
}

// pair opens a source on host 1 and a receiver of it on host 2, which has heard nothing yet but SPMs and one message, "hello".
func (w *world) pair(sender, receiver Config) (*Source, *Listener, *Receiver) {
	w.t.Helper()
	l := w.listen(2, receiver)
	s := w.dial(sender)
	w.message(s, "hello")
	r := w.accept(l)
	w.wantMessage(r, "hello")
	return s, l, r
}

func (w *world) message(s *Source, m string) {
	w.t.Helper()
	if err := s.WriteMessage([]byte(m)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) wantMessage(r *Receiver, want string) {
	w.t.Helper()
	b := make([]byte, 1<<16)
	n, err := r.ReadMessage(b)
	if err != nil || string(b[:n]) != want {
		w.t.Fatalf("ReadMessage: %q, %v; want %q", b[:n], err, want)
	}
}

// wantLoss reads a loss of the numbers in lost.
func (w *world) wantLoss(r *Receiver, lost seq.Range, why LossReason) {
	w.t.Helper()
	n, err := r.ReadMessage(make([]byte, 1<<16))
	var loss *LossError
	if !errors.As(err, &loss) || loss.Lost != lost || loss.Reason != why || loss.TSI != r.TSI() {
		w.t.Fatalf("ReadMessage: %d bytes, %v; want a loss of %v because %v", n, err, lost, why)
	}
}

func (w *world) wantEOF(r *Receiver) {
	w.t.Helper()
	for range 2 { // it stays
		if n, err := r.Read(make([]byte, 10)); n != 0 || err != io.EOF {
			w.t.Fatalf("Read: %d bytes, %v; want io.EOF", n, err)
		}
	}
}

// wantError checks that err is an *net.OpError of op around want.
func wantError(t *testing.T, err error, op string, want error) {
	t.Helper()
	var o *net.OpError
	if !errors.As(err, &o) || o.Op != op || !errors.Is(err, want) {
		t.Fatalf("got %v, want %s: %v", err, op, want)
	}
	if got := o.Timeout(); got != errors.Is(want, os.ErrDeadlineExceeded) {
		t.Errorf("%v: Timeout() is %v", err, got)
	}
}

// drop makes the segment lose, on the way to each receiver, ODATA and RDATA whose number bad says.
func (w *world) drop(bad func(to netip.Addr, p *wire.Packet) bool) {
	w.fabric.SetDrop(func(_, to netip.Addr, b []byte) bool {
		var p wire.Packet
		if p.Decode(b) != nil || (p.Type != wire.TypeODATA && p.Type != wire.TypeRDATA) {
			return false
		}
		return bad(to, &p)
	})
}

// random returns n bytes that depend on the seed.
func random(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func same(t *testing.T, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	t.Errorf("got %d bytes, want %d; they differ from byte %d on", len(got), len(want), at)
}

func TestCopy(t *testing.T) {
	for name, c := range map[string]struct {
		group string
		imp   netem.Impairment
	}{
		"perfect":   {"", netem.Impairment{}},
		"IPv4":      {group4, netem.Impairment{Loss: 0.05}},
		"loss":      {"", netem.Impairment{Loss: 0.1}},
		"heavyLoss": {"", netem.Impairment{Loss: 0.4, Delay: time.Millisecond}},
		"duplicate": {"", netem.Impairment{Duplicate: 0.2}},
		"reorder":   {"", netem.Impairment{Delay: 5 * time.Millisecond, Reorder: 0.2}},
		"jitter":    {"", netem.Impairment{Delay: 5 * time.Millisecond, Jitter: 4 * time.Millisecond}},
		"corrupt":   {"", netem.Impairment{Corrupt: 0.05}},
		"all": {"", netem.Impairment{
			Loss: 0.1, Duplicate: 0.1, Delay: 5 * time.Millisecond, Jitter: 2 * time.Millisecond, Reorder: 0.1, Corrupt: 0.02,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) { w.group = c.group; w.copy(c.imp) })
		})
	}
}

// copy sends a megabyte to three receivers by io.Copy.
func (w *world) copy(imp netem.Impairment) {
	t := w.t
	sent := random(1, 1<<20)
	var wg sync.WaitGroup
	for i := byte(2); i <= 4; i++ {
		w.host(i).SetIngress(imp)
		l := w.listen(i, Config{})
		wg.Go(func() {
			r := w.accept(l)
			var got bytes.Buffer
			if _, err := io.Copy(&got, r); err != nil {
				t.Errorf("receiver %d: %v", i, err)
			}
			same(t, got.Bytes(), sent)
			st := r.Stats()
			if st.Lost != 0 || st.DeliveredBytes != uint64(len(sent)) {
				t.Errorf("receiver %d: Stats say %d lost, %d bytes delivered", i, st.Lost, st.DeliveredBytes)
			}
			if st.Socket.KernelDrops != 0 || imp.Corrupt > 0 && st.Socket.Undecodable.Total() == 0 {
				t.Errorf("receiver %d: Stats say %d dropped, %d undecodable", i, st.Socket.KernelDrops, st.Socket.Undecodable.Total())
			}
			w.closing(r, l)
		})
	}
	s := w.dial(Config{Rate: 50 * flow.Mbps})
	if n, err := io.Copy(s, bytes.NewReader(sent)); n != int64(len(sent)) || err != nil {
		t.Errorf("io.Copy to the source: %d bytes, %v", n, err)
	}
	w.closing(s)
	wg.Wait()
	st := s.Stats()
	if st.Bytes != uint64(len(sent)) || imp.Loss > 0 && st.Repairs == 0 {
		t.Errorf("the source's Stats say %d bytes, %d repairs", st.Bytes, st.Repairs)
	}
}

func TestMessages(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.host(2).SetIngress(netem.Impairment{Loss: 0.1, Delay: time.Millisecond, Jitter: time.Millisecond})
		sizes := []int{1, 2, 1407, 1408, 1409, 1427, 1428, 1429, 2768, 2769, 22528, 5, 22528}
		s, l, r := w.pair(Config{Rate: 20 * flow.Mbps}, Config{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for round := range 5 {
				for i, n := range sizes {
					if err := s.WriteMessage(random(byte(round*16+i), n)); err != nil {
						t.Error(err)
					}
				}
			}
			w.closing(s)
		})
		b := make([]byte, 30000)
		for round := range 5 {
			for i, n := range sizes {
				got, err := r.ReadMessage(b)
				if err != nil || !bytes.Equal(b[:got], random(byte(round*16+i), n)) {
					t.Fatalf("message %d of round %d: %d bytes, %v; want %d", i, round, got, err, n)
				}
			}
		}
		w.wantEOF(r)
		wg.Wait()
		w.closing(r, l)
	})
}

func TestMessageSizes(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{MaxMessage: 5000}, Config{})
		wantError(t, s.WriteMessage(nil), "write", ErrMessageSize)
		wantError(t, s.WriteMessage(make([]byte, 5001)), "write", ErrMessageSize)
		big := string(random(3, 5000))
		w.message(s, big)
		if n, err := r.ReadMessage(make([]byte, 4999)); n != 0 || !errors.Is(err, io.ErrShortBuffer) {
			t.Errorf("ReadMessage into a short buffer: %d, %v", n, err)
		}
		part := make([]byte, 3000)
		if n, err := r.Read(part); n != 3000 || err != nil || string(part) != big[:3000] {
			t.Errorf("Read of a part: %d, %v", n, err)
		}
		w.wantMessage(r, big[3000:])
		w.closing(s, r, l)
	})
}

func TestPartialPacketLeaves(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{}, Config{})
		start := time.Now()
		if _, err := s.Write([]byte("half a pa")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte("cket")); err != nil {
			t.Fatal(err)
		}
		w.wantMessage(r, "half a packet")
		if got := time.Since(start); got != time.Millisecond {
			t.Errorf("it took %v, want 1ms", got)
		}
		start = time.Now()
		if _, err := s.Write([]byte("flushed")); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		w.wantMessage(r, "flushed")
		if got := time.Since(start); got != 0 {
			t.Errorf("a flushed packet took %v", got)
		}
		w.closing(s, r, l)
	})
}

// At 1 Mbit/s the pacing of Rate decides when Flush returns, to within the limiter's burst of two runs and 8 ms.
func TestFlushWaitsForRate(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{Rate: flow.Mbps, Fixed: true}, Config{})
		const size = 100 * 1408
		start := time.Now()
		if _, err := s.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		took := time.Since(start)
		want := flow.Mbps.Duration(100 * (1408 + 24 + 48))
		if took > want+20*time.Millisecond || took < want-60*time.Millisecond {
			t.Errorf("Flush took %v, want about %v", took, want)
		}
		if st := s.Stats(); st.Unsent != 0 || st.Bytes != size+5 {
			t.Errorf("after Flush %d packets are unsent and %d bytes sent", st.Unsent, st.Bytes)
		}
		if _, err := io.ReadFull(r, make([]byte, size)); err != nil {
			t.Error(err)
		}
		w.closing(s, r, l)
	})
}
