package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// replay has a receiver ask for what it misses by number: parity would restore what the network loses for good.
var replay = fec.Config{Off: true}

// numbers makes drop lose the given numbers for good.
func numbers(lost ...seq.Num) func(netip.Addr, *wire.Packet) bool {
	return func(_ netip.Addr, p *wire.Packet) bool {
		for _, n := range lost {
			if p.Sqn == n {
				return true
			}
		}
		return false
	}
}

// one is the range of a single number.
func one(n seq.Num) seq.Range { return seq.Range{From: n, To: n + 1} }

func TestLossIsToldInPlace(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{}, Config{FEC: replay, RepairTimeout: 300 * time.Millisecond})
		w.drop(numbers(3, 5, 6)) // hello was 0
		for i := 1; i <= 8; i++ {
			w.message(s, fmt.Sprint(i))
		}
		start := time.Now()
		w.wantMessage(r, "1")
		w.wantMessage(r, "2")
		w.wantLoss(r, one(3), LossTimeout)
		if got := time.Since(start); got < 300*time.Millisecond || got > 310*time.Millisecond {
			t.Errorf("given up after %v, want RepairTimeout, 300ms", got)
		}
		w.wantMessage(r, "4")
		w.wantLoss(r, seq.Range{From: 5, To: 7}, LossTimeout)
		w.wantMessage(r, "7")
		w.wantMessage(r, "8")
		if st := r.Stats(); st.Lost != 3 || st.LossErrors != 2 || st.NAKs == 0 {
			t.Errorf("Stats say %d lost, %d told, %d NAKs", st.Lost, st.LossErrors, st.NAKs)
		}
		w.closing(s)
		w.wantEOF(r)
		w.closing(r, l)
	})
}

// io.Copy stops at a loss, says where, and a second one goes on behind it.
func TestLossInCopy(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{Rate: flow.Gbps}, Config{FEC: replay, RepairTimeout: 100 * time.Millisecond})
		w.drop(numbers(10))
		sent := random(5, 30*1408)
		if _, err := s.Write(sent); err != nil {
			t.Fatal(err)
		}
		w.closing(s)
		var got bytes.Buffer
		_, err := io.Copy(&got, r)
		var loss *LossError
		if !errors.As(err, &loss) || loss.Lost != one(10) {
			t.Fatalf("io.Copy: %v, want a loss of packet 10", err)
		}
		wantError(t, err, "read", loss)
		if !strings.Contains(err.Error(), "[10,11)") || !strings.Contains(err.Error(), s.TSI().String()) {
			t.Errorf("the error says %q", err)
		}
		same(t, got.Bytes(), sent[:9*1408])
		got.Reset()
		if _, err := io.Copy(&got, r); err != nil {
			t.Error(err)
		}
		same(t, got.Bytes(), sent[10*1408:])
		w.closing(r, l)
	})
}

// A lost fragment loses its whole message and nothing else.
func TestLostFragment(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{}, Config{FEC: replay, RepairTimeout: 100 * time.Millisecond})
		w.drop(numbers(3))
		w.message(s, "before")                  // 1
		w.message(s, string(random(1, 3*1384))) // 2, 3, 4
		w.message(s, string(random(2, 2*1384))) // 5, 6
		w.wantMessage(r, "before")
		w.wantLoss(r, seq.Range{From: 2, To: 5}, LossTimeout)
		w.wantMessage(r, string(random(2, 2*1384)))
		w.closing(s, r, l)
	})
}

func TestLossBeforeTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{Linger: 500 * time.Millisecond}, Config{FEC: replay})
		w.drop(numbers(2))
		w.message(s, "1")
		w.message(s, "2")
		w.closing(s)
		w.wantMessage(r, "1")
		n, err := r.ReadMessage(make([]byte, 100))
		var loss *LossError
		if !errors.As(err, &loss) || loss.Lost != one(2) {
			t.Errorf("FIN with a hole: %d bytes, %v; want a loss of packet 2 before io.EOF", n, err)
		}
		w.wantEOF(r)
		w.closing(r, l)
	})
}

func TestMaxDelay(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{}, Config{FEC: replay, MaxDelay: 20 * time.Millisecond})
		w.drop(numbers(1))
		w.message(s, "1")
		w.message(s, "2")
		start := time.Now()
		w.wantLoss(r, one(1), LossTimeout)
		if got := time.Since(start); got < 20*time.Millisecond || got > 22*time.Millisecond {
			t.Errorf("the gap was skipped after %v, want 20ms", got)
		}
		w.wantMessage(r, "2")
		w.closing(s, r, l)
	})
}

func TestUnordered(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{}, Config{FEC: replay, Unordered: true, RepairTimeout: 200 * time.Millisecond})
		late := true // packet 1 is lost until its repair; packet 4 for good
		w.drop(func(_ netip.Addr, p *wire.Packet) bool {
			lost := p.Sqn == 4 || p.Sqn == 1 && late
			if p.Sqn == 1 && p.Type == wire.TypeODATA {
				late = false
			}
			return lost
		})
		for i := 1; i <= 6; i++ {
			w.message(s, fmt.Sprint(i))
		}
		for _, want := range []string{"2", "3", "5", "6", "1"} {
			w.wantMessage(r, want)
		}
		time.Sleep(time.Second)
		if st := r.Stats(); st.Lost != 1 || st.LossErrors != 0 {
			t.Errorf("Stats say %d lost, %d told; want 1 and none", st.Lost, st.LossErrors)
		}
		w.closing(s)
		w.wantEOF(r)
		w.closing(r, l)
	})
}

// Under heavy loss and reordering every message comes once, though in any order.
func TestUnorderedEachOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.host(2).SetIngress(netem.Impairment{Loss: 0.1, Duplicate: 0.1, Delay: 3 * time.Millisecond, Jitter: 3 * time.Millisecond})
		s, l, r := w.pair(Config{Rate: 20 * flow.Mbps}, Config{FEC: replay, Unordered: true})
		const messages = 500
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range messages {
				w.message(s, fmt.Sprintf("%d:%s", i, random(byte(i), i*10%4000)))
			}
			w.closing(s)
		})
		seen := map[string]bool{}
		b := make([]byte, 5000)
		for {
			n, err := r.ReadMessage(b)
			if err == io.EOF {
				break
			}
			var i int
			fmt.Sscanf(string(b[:n]), "%d:", &i)
			if err != nil || seen[string(b[:n])] || string(b[:n]) != fmt.Sprintf("%d:%s", i, random(byte(i), i*10%4000)) {
				t.Fatalf("message %d: %d bytes, %v; seen before: %v", i, n, err, seen[string(b[:n])])
			}
			seen[string(b[:n])] = true
		}
		if len(seen) != messages {
			t.Errorf("%d of %d messages came", len(seen), messages)
		}
		wg.Wait()
		w.closing(r, l)
	})
}

// Who only receives sends nothing at all, and tells a loss as soon as reordering is ruled out.
func TestReceiveOnly(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{}, Config{FEC: replay, ReceiveOnly: true})
		w.drop(numbers(2))
		for i := 1; i <= 4; i++ {
			w.message(s, fmt.Sprint(i))
		}
		start := time.Now()
		w.wantMessage(r, "1")
		w.wantLoss(r, one(2), LossUnrepaired)
		if got := time.Since(start); got > time.Millisecond {
			t.Errorf("told after %v, want the reordering tolerance of 1ms at most", got)
		}
		w.wantMessage(r, "3")
		w.wantMessage(r, "4")
		w.closing(s)
		w.wantEOF(r)
		w.closing(r, l)
		if n := w.host(2).Counters().SentPackets; n != 0 {
			t.Errorf("the receiver sent %d packets", n)
		}
	})
}

// An application that does not read costs its own receiver data, bounded memory, and nobody else anything.
func TestStalledReader(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		const window = 1 << 20
		stalled := w.listen(3, Config{WindowBytes: window})
		s, l, r := w.pair(Config{Rate: 50 * flow.Mbps, WindowBytes: window, WindowAge: 200 * time.Millisecond}, Config{FEC: replay, WindowBytes: window})
		slow := w.accept(stalled)
		sent := random(7, 8*window)
		var wg sync.WaitGroup
		wg.Go(func() {
			if n, err := io.Copy(s, bytes.NewReader(sent)); n != int64(len(sent)) || err != nil {
				t.Errorf("the source sent %d bytes, %v", n, err)
			}
			w.closing(s)
		})
		var got bytes.Buffer
		if _, err := io.Copy(&got, r); err != nil {
			t.Errorf("the receiver that reads: %v", err)
		}
		same(t, got.Bytes(), sent)
		wg.Wait()
		if st := slow.Stats(); st.WindowBytes > window || st.Refused.WindowFull == 0 {
			t.Errorf("the stalled one holds %d bytes, limit %d; %d packets found no room", st.WindowBytes, window, st.Refused.WindowFull)
		}

		w.wantMessage(slow, "hello")
		rest, lost := sent, 0
		b := make([]byte, 1<<16)
		for {
			n, err := slow.Read(b)
			var loss *LossError
			switch {
			case err == nil:
				if !bytes.HasPrefix(rest, b[:n]) {
					t.Fatalf("wrong bytes, %d before the end", len(rest))
				}
				rest = rest[n:]
				continue
			case errors.As(err, &loss):
				lost += loss.Lost.Len()
				rest = rest[min(loss.Lost.Len()*1408, len(rest)):]
				continue
			case err != io.EOF:
				t.Errorf("the stalled reader's end: %v", err)
			}
			break
		}
		if len(rest) != 0 || lost == 0 {
			t.Errorf("%d bytes neither read nor told lost; %d packets told lost", len(rest), lost)
		}
		w.closing(slow, stalled, r, l)
	})
}

// A listener that hears nothing but rubbish between good packets loses none of these.
func TestRubbish(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{Rate: 20 * flow.Mbps}, Config{FEC: replay})
		group := netip.MustParseAddrPort(group6)
		evil, err := w.host(9).OpenSource(t.Context(), "udp", group, w.options())
		if err != nil {
			t.Fatal(err)
		}
		sent := random(11, 1<<20)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			packet := wire.Packet{Type: wire.TypeODATA, SourcePort: s.TSI().Port, DestinationPort: 7500, GSI: s.TSI().GSI, Payload: random(1, 100)}
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(200 * time.Microsecond): // 5,000 a second
				}
				b := packet.Append(nil)
				b[i%len(b)] ^= byte(1 + i%255)
				if i%2 == 0 {
					b = b[:i%len(b)+1]
				}
				if err := evil.WriteRun(b, 0, netip.AddrPort{}, 0); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			if _, err := s.Write(sent); err != nil {
				t.Error(err)
			}
			w.closing(s)
			close(stop)
		})
		var got bytes.Buffer
		if _, err := io.Copy(&got, r); err != nil {
			t.Error(err)
		}
		same(t, got.Bytes(), sent)
		wg.Wait()
		st := l.Stats()
		if st.Socket.Undecodable[wire.ErrChecksum] == 0 || st.Socket.Undecodable[wire.ErrTruncated] == 0 || r.Stats().Lost != 0 {
			t.Errorf("undecodable by reason: %v; %d lost", st.Socket.Undecodable, r.Stats().Lost)
		}
		w.closing(evil, r, l)
	})
}
