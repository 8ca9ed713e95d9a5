//go:build interop && linux

package interop_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

const (
	size     = 10 << 20 // bytes of a transfer
	loss     = 0.02     // of packets, independently, at each receiver and of what comes back
	rate     = 40e6     // bits per second that a source sends: well within what OpenPGM receives
	patience = 60 * time.Second
	// settle is the time a source waits between its first SPM and its first data. An OpenPGM receiver that has heard no SPM takes the
	// first losses for final.
	settle = 150 * time.Millisecond
)

// payload returns n bytes that do not repeat. None of them is 0: see messageSizes.
func payload(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	for i, x := range b {
		b[i] = max(x, 1)
	}
	return b
}

// wantBytes compares by SHA-256 and says where the first difference is.
func wantBytes(t *testing.T, who string, got, want []byte) {
	t.Helper()
	if g, w := sha256.Sum256(got), sha256.Sum256(want); g != w {
		n := 0
		for n < min(len(got), len(want)) && got[n] == want[n] {
			n++
		}
		t.Errorf("%s has %d bytes, SHA-256 %x, want %d, %x; they differ from byte %d on", who, len(got), g, len(want), w, n)
	}
}

// config is what our ends have in common. Everything else is the default.
func config(t *testing.T) *transport.Config {
	return &transport.Config{Interface: netem.LabInterface, Rate: rate, Fixed: true, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

// dial opens our source at the Lab's sender and lets its first SPMs go out.
func dial(t *testing.T, l *netem.Lab, f *family) *transport.Source {
	t.Helper()
	return dialWith(t, l, f, config(t))
}

func dialWith(t *testing.T, l *netem.Lab, f *family, cfg *transport.Config) *transport.Source {
	t.Helper()
	var s *transport.Source
	err := l.Do(netem.Sender, func() (err error) {
		s, err = transport.Dial("udp", f.groupPort(), cfg)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	s.SetWriteDeadline(time.Now().Add(patience))
	time.Sleep(settle)
	return s
}

// listen opens a listener of ours at a receiver of the Lab.
func listen(t *testing.T, l *netem.Lab, n netem.Node, f *family) *transport.Listener {
	t.Helper()
	var ln *transport.Listener
	err := l.Do(n, func() (err error) {
		ln, err = transport.Listen("udp", f.groupPort(), config(t))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// received is what a receiver of ours got until the end of the session.
type received struct {
	data     []byte
	messages []int // their lengths, unless it was read as a stream
	stats    transport.ReceiverStats
	err      error
}

// receiving is a receiver of ours at work.
type receiving struct {
	whole    chan struct{} // closed when there is all of the data, or an error
	done     chan struct{} // closed at the end, after which got may be read
	got      received
	receiver atomic.Pointer[transport.Receiver]
}

// receive accepts one source and reads all of it, as a stream or as messages; n bytes are expected.
func receive(t *testing.T, ln *transport.Listener, n int, stream bool) *receiving {
	g := &receiving{whole: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(g.done)
		whole := sync.OnceFunc(func() { close(g.whole) })
		defer whole()
		g.got.err = g.read(ln, stream, func() {
			if len(g.got.data) >= n {
				whole()
			}
		})
	}()
	t.Cleanup(func() { // of a test that failed before the end
		ln.Close()
		if r := g.receiver.Load(); r != nil {
			r.Close()
		}
		<-g.done
	})
	return g
}

// read reads until the source ends. It calls progress after each read.
func (g *receiving) read(ln *transport.Listener, stream bool, progress func()) error {
	ln.SetDeadline(time.Now().Add(patience))
	r, err := ln.AcceptReceiver()
	if err != nil {
		return err
	}
	g.receiver.Store(r)
	defer r.Close()
	defer func() { g.got.stats = r.Stats() }()
	r.SetReadDeadline(time.Now().Add(patience))
	for b := make([]byte, 1<<16); ; progress() {
		var n int
		if stream {
			n, err = r.Read(b)
		} else {
			n, err = r.ReadMessage(b)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		g.got.data = append(g.got.data, b[:n]...)
		if !stream {
			g.got.messages = append(g.got.messages, n)
		}
	}
}

// wait waits for the end and returns what was received; an error fails the test.
func (g *receiving) wait(t *testing.T) *received {
	t.Helper()
	<-g.done
	if g.got.err != nil {
		t.Error(g.got.err)
	}
	return &g.got
}

// messageSizes are lengths of messages that go round: short ones, one packet's worth and just more in both families, the most
// fragments that parity leaves room for, and the longest by default.
//
// None is shorter than 20 bytes and no byte is 0, for a fault of OpenPGM 5.3.128: after a fragment that a receiver had already
// (another receiver asked for it) it takes the next plain packet for a fragment too, and reads the option out of what lies there: the
// payload, and beyond the end of a short one the bytes of the packet before. Then a whole message is lost for good. A first byte
// of the length that is not 0 makes it drop the packet as malformed, and ask for it again.
var messageSizes = []int{20, 100, 1408, 1428, 1429, 1448, 1449, 5000, 1384, 22144, 33, 22528}

// cut cuts n bytes into messages whose lengths go round sizes.
func cut(n int, sizes []int) (lengths []int) {
	for i := 0; n > 0; i++ {
		lengths = append(lengths, min(sizes[i%len(sizes)], n))
		n -= lengths[i]
	}
	return lengths
}

// send writes half of data as a stream and half as messages, whose lengths it returns.
func send(t *testing.T, s *transport.Source, data []byte) (messages []int) {
	t.Helper()
	return sendSizes(t, s, data, messageSizes)
}

func sendSizes(t *testing.T, s *transport.Source, data []byte, sizes []int) (messages []int) {
	t.Helper()
	half := len(data) / 2
	if _, err := io.Copy(s, bytes.NewReader(data[:half])); err != nil {
		t.Fatal(err)
	}
	messages = cut(len(data)-half, sizes)
	rest := data[half:]
	for _, n := range messages {
		if err := s.WriteMessage(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	return messages
}

// wantSuffix checks that the last lengths a receiver saw are those of the messages sent.
func wantSuffix(t *testing.T, who string, got, want []int) {
	t.Helper()
	if len(got) < len(want) || !slices.Equal(got[len(got)-len(want):], want) {
		t.Errorf("%s got %d messages that do not end with the %d sent", who, len(got), len(want))
	}
}

// wantReceived checks an OpenPGM receiver, once it is through: it counted no loss and has all bytes.
func wantReceived(t *testing.T, p *peer, file string, data []byte, messages []int) {
	t.Helper()
	numbers := p.expect("got", patience)
	p.end()
	if len(numbers) != 3 || numbers[1] != len(data) || numbers[2] != 0 {
		t.Errorf("OpenPGM's receiver tells APDUs, bytes, losses: %v, want %d bytes and no loss\n%s", numbers, len(data), &p.stderr)
	}
	got, apdus := readAPDUs(t, file)
	wantBytes(t, "OpenPGM's receiver", got, data)
	wantSuffix(t, "OpenPGM's receiver", apdus, messages)
}

// wantLoss checks that packets to a node really were lost.
func wantLoss(t *testing.T, l *netem.Lab, n netem.Node) {
	t.Helper()
	c, err := l.Counters(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v: %d of %d packets lost (%.2f %%)", n, c.Lost, c.Offered, 100*float64(c.Lost)/float64(max(c.Offered, 1)))
	if n != netem.Sender && c.Lost < size/1500/100 {
		t.Errorf("%v lost %d packets of %d: too few to prove anything", n, c.Lost, c.Offered)
	}
}

func logSource(t *testing.T, s *transport.Source) {
	st := s.Stats()
	t.Logf("our source: %d ODATA, %d RDATA (%d parity), %d parity unasked, %d SPM, %d NCF; %d NAKs for %d numbers and parity of %d groups "+
		"(%d merged, %d held off, %d late), %d SPMRs; refused %+v", st.Packets, st.Repairs, st.Parity, st.Ahead, st.SPMs, st.NCFs,
		st.NAKs, st.NAKNumbers, st.ParityNAKs, st.NAKsMerged, st.NAKsHeldOff, st.NAKsTooLate, st.SPMRs, st.Refused)
}

func logReceiver(t *testing.T, st *transport.ReceiverStats) {
	t.Logf("our receiver: %d ODATA, %d repairs (%d restored from %d parity), %d missing, %d lost, %d NAKs for %d numbers, %d suppressed, %d SPMRs, rtt %v; refused %+v, %d undecodable, drops %d",
		st.Packets, st.Repairs, st.Restored, st.Parity, st.Missing, st.Lost, st.NAKs, st.NAKNumbers, st.Suppressed, st.SPMRs, st.RTT, st.Refused,
		st.Socket.Undecodable.Total(), st.Socket.KernelDrops)
}

// An OpenPGM receiver gets from our source every byte and every boundary, at a fixed rate and at one that its NAKs alone tell of.
func TestOpenPGMReceiver(t *testing.T) {
	needPeers(t)
	for _, f := range families {
		for _, fixed := range []bool{true, false} {
			name := f.name
			if !fixed {
				name += " adapts"
			}
			t.Run(name, func(t *testing.T) {
				l := newLab(t, netem.LabConfig{Loss: loss, SenderLoss: loss, Wire: true})
				p, file := startReceiver(t, l, 0, &f, size)
				cfg := config(t)
				cfg.Fixed = fixed
				s := dialWith(t, l, &f, cfg)
				data := payload(size)
				start := time.Now()
				messages := send(t, s, data)
				wantReceived(t, p, file, data, messages)
				t.Logf("%d bytes in %v", size, time.Since(start))
				logSource(t, s)
				wantLoss(t, l, 0)
				if st := s.Stats(); st.Repairs == 0 || st.NAKsTooLate > 0 {
					t.Errorf("%d repairs, %d NAKs too late, want some and none", st.Repairs, st.NAKsTooLate)
				}
			})
		}
	}
}

// Our receiver gets from an OpenPGM source every byte, every boundary when it reads messages, and the end.
func TestOpenPGMSource(t *testing.T) {
	needPeers(t)
	for i, f := range families {
		t.Run(f.name, func(t *testing.T) {
			l := newLab(t, netem.LabConfig{Loss: loss, SenderLoss: loss, Wire: true})
			stream := i > 0
			ln := listen(t, l, 0, &f)
			data := payload(size)
			// One packet's worth and just more; the most fragments, which OpenPGM fills further than we do.
			sizes := []int{1400, 20000, 1, 1424, 1400, 1425, 16 * f.fragment, 5000}
			sent := startCapture(t, l, 0, f.addr(0))
			p := startSource(t, l, &f, data, sizes)
			start := time.Now()
			r := receive(t, ln, size, stream)
			fmt.Fprintln(p.stdin)
			p.expect("sent", patience)
			<-r.whole
			took := time.Since(start)
			p.end() // only now: nobody repairs after OpenPGM's FIN
			got := r.wait(t)
			logReceiver(t, &got.stats)
			t.Logf("%d bytes in %v", size, took)
			wantBytes(t, "our receiver", got.data, data)
			if want := cut(size, sizes); !stream && !slices.Equal(got.messages, want) {
				t.Errorf("our receiver got %d messages that are not the %d sent", len(got.messages), len(want))
			}
			if !got.stats.Foreign || got.stats.Repairs == 0 {
				t.Errorf("our receiver took the source for one of ours (foreign: %v), or had no repair (%d)", got.stats.Foreign, got.stats.Repairs)
			}
			wantLoss(t, l, 0)
			wantDissected(t, sent.end(t), "NAK")
		})
	}
}

// Both kinds of receivers in one group, each with its own losses, get everything from our source.
func TestBothReceivers(t *testing.T) {
	needPeers(t)
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			l := newLab(t, netem.LabConfig{Receivers: 2, Loss: loss, SenderLoss: loss, Wire: true})
			p, file := startReceiver(t, l, 0, &f, size)
			ln := listen(t, l, 1, &f)
			r := receive(t, ln, size, false)
			cfg := config(t)
			cfg.Fixed = false // our receiver reports, and sets the pace of both
			s := dialWith(t, l, &f, cfg)
			data := payload(size)
			start := time.Now()
			messages := send(t, s, data)
			wantReceived(t, p, file, data, messages)
			t.Logf("%d bytes in %v", size, time.Since(start))
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			got := r.wait(t)
			logSource(t, s)
			logReceiver(t, &got.stats)
			wantBytes(t, "our receiver", got.data, data)
			wantSuffix(t, "our receiver", got.messages, messages)
			wantLoss(t, l, 0)
			wantLoss(t, l, 1)
		})
	}
}
