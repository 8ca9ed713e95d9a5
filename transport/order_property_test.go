package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// TestWriteOrder has an application write, flush and close as it likes, on a network that delays and loses, and looks at the wire
// and at what receivers read. What must hold:
//
//  1. Receivers read what Write and WriteMessage said they took, in that order, and then the end; after an aborted Close a prefix of it
//     and a reset.
//  2. When Flush returns, all that was taken before is on the wire; without it, all is there a little after the last write.
//  3. FIN comes behind the last byte. After Close nothing is taken; what waits in Write then says truly how much it had taken.
func TestWriteOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, writeInOrder) })
}

type writing struct {
	t    *rapid.T
	s    *Source
	want []byte // taken by the source, in order

	mu   sync.Mutex // of what the wire showed
	sent map[seq.Num]int
	wire int // payload bytes of ODATA, each number once
	fin  int // bytes on the wire when FIN was first seen; -1 before
}

// spy sees every datagram on its way to a receiver.
func (w *writing) spy(_, _ netip.Addr, b []byte) bool {
	var p wire.Packet
	if p.Decode(b) != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case p.Type == wire.TypeODATA && w.sent[p.Sqn] == 0:
		w.sent[p.Sqn] = len(p.Payload)
		w.wire += len(p.Payload)
	case p.Type == wire.TypeSPM && p.Options.Set.Has(wire.OptFIN) && w.fin < 0:
		w.fin = w.wire
	}
	return false
}

func (w *writing) onWire() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wire
}

// bytes returns n bytes that continue what was taken.
func (w *writing) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		at := len(w.want) + i
		b[i] = byte(at ^ at>>8*13 ^ at>>16*5)
	}
	return b
}

// took books what a write said.
func (w *writing) took(b []byte, n int, err, may error) {
	if n < 0 || n > len(b) || (n == len(b)) != (err == nil) || err != nil && !errors.Is(err, may) {
		w.t.Fatalf("a write of %d bytes took %d: %v", len(b), n, err)
	}
	w.want = append(w.want, b[:n]...)
}

func (w *writing) write(n int, may error) {
	b := w.bytes(n)
	k, err := w.s.Write(b)
	w.took(b, k, err, may)
}

func (w *writing) message(n int, may error) {
	b := w.bytes(n)
	switch err := w.s.WriteMessage(b); {
	case err == nil:
		w.want = append(w.want, b...)
	case !errors.Is(err, may):
		w.t.Fatalf("a message of %d bytes: %v", n, err)
	}
}

func (w *writing) flush() {
	if err := w.s.Flush(); err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(time.Millisecond) // what the wire's own delay takes is not Flush's
	if got := w.onWire(); got != len(w.want) {
		w.t.Fatalf("after Flush %d bytes are on the wire, %d were taken", got, len(w.want))
	}
}

// noted is what a receiver read.
type noted struct {
	got bytes.Buffer
	err error // io.Copy's
}

func writeInOrder(t *rapid.T) {
	fabric := netem.NewFabric(netem.FabricConfig{Seed: rapid.Uint64().Draw(t, "seed")})
	host := func(i byte) *netem.Host { return fabric.Host(netip.AddrFrom16([16]byte{0: 0xfd, 15: i}).String()) }
	w := &writing{t: t, sent: map[seq.Num]int{}, fin: -1}
	fabric.SetDrop(w.spy)
	quiet := slog.New(slog.DiscardHandler)
	rate := rapid.SampledFrom([]flow.Rate{20 * flow.Mbps, 2 * flow.Mbps, flow.Gbps, flow.Unlimited}).Draw(t, "rate")
	var receivers []*noted
	var wg sync.WaitGroup
	defer wg.Wait() // the bubble ends only when all is over, also after a failure
	for i := range rapid.IntRange(1, 3).Draw(t, "receivers") {
		h := host(byte(2 + i))
		h.SetIngress(netem.Impairment{
			Loss:  rapid.SampledFrom([]float64{0, 0, 0.02}).Draw(t, "loss"),
			Delay: time.Duration(rapid.IntRange(0, 20).Draw(t, "delay")) * time.Millisecond,
		})
		l, err := Listen("udp", group6, &Config{Network: h, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		n := &noted{}
		receivers = append(receivers, n)
		wg.Go(func() {
			defer l.Close()
			if err := l.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				n.err = err
				return
			}
			r, err := l.AcceptReceiver()
			if err != nil {
				n.err = err
				return
			}
			_, n.err = io.Copy(&n.got, r)
			if err := r.Close(); n.err == nil {
				n.err = err
			}
		})
	}
	var err error
	window := rapid.SampledFrom([]int{1 << 20, 64 << 20}).Draw(t, "window")
	if w.s, err = Dial("udp", group6, &Config{Network: host(1), Logger: quiet, Rate: rate, WindowBytes: window}); err != nil {
		t.Fatal(err)
	}
	defer abandon(w.s)
	w.write(1, nil) // so that there is a session to accept
	for range rapid.IntRange(0, 30).Draw(t, "steps") {
		w.step()
	}
	how := w.close()
	wg.Wait()
	for i, n := range receivers {
		var reset *ResetError
		gone := errors.Is(n.err, ErrSourceLost) || errors.As(n.err, new(*LossError))
		switch {
		case how == whole && n.err == nil && bytes.Equal(n.got.Bytes(), w.want):
		case how == whole || !bytes.HasPrefix(w.want, n.got.Bytes()):
			t.Fatalf("receiver %d read %d bytes of %d, then %v", i, n.got.Len(), len(w.want), n.err)
		case how == hasty && n.err == nil && n.got.Len() < len(w.want), how == aborted && n.err == nil,
			n.err != nil && !gone && !errors.As(n.err, &reset) && n.got.Len() > 0:
			t.Fatalf("receiver %d read %d bytes of %d, then %v; the end was %v", i, n.got.Len(), len(w.want), n.err, how)
		}
	}
	if how == whole && (w.fin != len(w.want) || w.wire != len(w.want)) {
		t.Fatalf("FIN came after %d of %d bytes, %d are on the wire", w.fin, len(w.want), w.wire)
	}
}

// abandon closes what a test that failed has left open.
func abandon(s *Source) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.CloseContext(ctx) // net.ErrClosed if all went well
}

func (w *writing) step() {
	t := w.t
	size := rapid.OneOf(rapid.IntRange(1, 3000), rapid.IntRange(1, 200_000))
	switch rapid.IntRange(0, 8).Draw(t, "step") {
	case 0, 1, 2:
		w.write(size.Draw(t, "bytes"), nil)
	case 3, 4:
		w.message(rapid.OneOf(rapid.IntRange(1, 3000), rapid.IntRange(1, 22528)).Draw(t, "bytes"), nil)
	case 5:
		w.flush()
	case 6:
		time.Sleep(time.Duration(rapid.IntRange(0, 3000).Draw(t, "µs")) * time.Microsecond)
	case 7: // a deadline in the middle of a write
		if err := w.s.SetWriteDeadline(time.Now().Add(time.Duration(rapid.IntRange(-1, 50).Draw(t, "ms")) * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			w.write(size.Draw(t, "bytes"), os.ErrDeadlineExceeded)
			w.message(rapid.IntRange(1, 22528).Draw(t, "bytes"), os.ErrDeadlineExceeded)
		}
		if err := w.s.SetWriteDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
	case 8: // silence: everything leaves by itself
		for range 1000 {
			if time.Sleep(20 * time.Millisecond); w.s.Stats().Unsent == 0 {
				break
			}
		}
		if time.Sleep(20 * time.Millisecond); w.onWire() != len(w.want) {
			t.Fatalf("%d bytes were taken long ago, %d are on the wire", len(w.want), w.onWire())
		}
	}
}

// ending is what came of closing.
type ending string

const (
	whole   ending = "whole"
	hasty   ending = "hasty"   // everything was sent once; whether FIN and all repairs went out, nobody waited for
	aborted ending = "aborted" // not even that
)

// close ends the session in one of three ways.
func (w *writing) close() ending {
	t, how := w.t, whole
	switch rapid.IntRange(0, 2).Draw(t, "close") {
	case 0:
		if err := w.s.Close(); err != nil {
			t.Fatal(err)
		}
	case 1: // while a write waits
		b, done := w.bytes(2<<20), make(chan struct{})
		go func() {
			defer close(done)
			k, err := w.s.Write(b)
			w.took(b, k, err, net.ErrClosed)
		}()
		time.Sleep(time.Duration(rapid.IntRange(0, 100).Draw(t, "ms")) * time.Millisecond)
		if err := w.s.Close(); err != nil {
			t.Fatal(err)
		}
		<-done
	case 2: // in haste
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rapid.IntRange(0, 100).Draw(t, "ms"))*time.Millisecond)
		defer cancel()
		err := w.s.CloseContext(ctx)
		if how = hasty; err != nil {
			how = aborted
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	before := len(w.want)
	w.write(10, net.ErrClosed)
	w.message(10, net.ErrClosed)
	if err := w.s.Flush(); !errors.Is(err, net.ErrClosed) || len(w.want) != before {
		t.Fatalf("after Close: Flush says %v, %d bytes were taken", err, len(w.want)-before)
	}
	return how
}

// TestWritersDoNotInterleave has several goroutines write to one source: what each wrote in one call stands together in the stream, and
// each one's calls in their order.
func TestWritersDoNotInterleave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, writeTogether) })
}

func writeTogether(t *rapid.T) {
	fabric := netem.NewFabric(netem.FabricConfig{Seed: 1})
	quiet := slog.New(slog.DiscardHandler)
	l, err := Listen("udp", group6, &Config{Network: fabric.Host("fd00::2"), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	rate := rapid.SampledFrom([]flow.Rate{20 * flow.Mbps, flow.Gbps}).Draw(t, "rate")
	s, err := Dial("udp", group6, &Config{Network: fabric.Host("fd00::1"), Logger: quiet, Rate: rate})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer abandon(s)
	var got bytes.Buffer
	wg.Go(func() {
		r, err := l.AcceptReceiver()
		if err == nil {
			_, err = io.Copy(&got, r)
			err = errors.Join(err, r.Close(), l.Close())
		}
		if err != nil {
			t.Error(err)
		}
	})
	sizes := rapid.SliceOfN(rapid.SliceOfN(rapid.OneOf(rapid.IntRange(5, 100), rapid.IntRange(5, 600_000)), 1, 4), 2, 5).Draw(t, "sizes")
	var writers sync.WaitGroup
	for id, of := range sizes {
		writers.Go(func() {
			for i, n := range of { // id, number, length, and then the id again and again
				b := append([]byte{byte(id), byte(i), byte(n >> 16), byte(n >> 8), byte(n)}, bytes.Repeat([]byte{byte(id)}, n-5)...)
				var err error
				if i%3 == 2 && n <= 22528 {
					err = s.WriteMessage(b)
				} else {
					_, err = s.Write(b)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	next := make([]int, len(sizes))
	b := got.Bytes()
	for len(b) >= 5 {
		id, i, n := int(b[0]), int(b[1]), int(b[2])<<16|int(b[3])<<8|int(b[4])
		if id >= len(sizes) || i != next[id] || i >= len(sizes[id]) || n != sizes[id][i] || len(b) < n || !bytes.Equal(b[5:n], bytes.Repeat([]byte{byte(id)}, n-5)) {
			t.Fatalf("writer %d, call %d of %d bytes stands where call %v of each is next, with %d bytes left", id, i, n, next, len(b))
		}
		next[id]++
		b = b[n:]
	}
	for id, of := range sizes {
		if next[id] != len(of) || len(b) > 0 {
			t.Fatalf("of writer %d came %d of %d calls; %d bytes left", id, next[id], len(of), len(b))
		}
	}
}
