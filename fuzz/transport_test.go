package fuzz

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/internal/testvec"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
	"github.com/rmcast/rmcast/wire"
)

const groupAddr = "[ff15::8000:1]:7500"

// FuzzTransport has a source send to a listener over a segment on which a third host says whatever the fuzzer likes, to the group
// and to the source. The listener's application must get every byte and the end, and both ends close. The input is what is
// written, and between that packets:
//
//	op8 | length8 | length bytes
func FuzzTransport(f *testing.F) {
	f.Add([]byte("\x00\xff0123456789\x01\x10................\x00\x20"))
	for _, d := range testvec.Load("11-ipv6")[:12] {
		f.Add(append([]byte{0, 200, 7, byte(len(d.Payload))}, d.Payload...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<12 {
			return
		}
		synctest.Test(t, func(t *testing.T) { hostileSegment(t, b) })
	})
}

func TestHostileSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hostileSegment(t, []byte("\x00\xff0123456789\x07\x10................\x02\x03abc\x00\x20"))
	})
}

func hostileSegment(t *testing.T, program []byte) {
	fabric := netem.NewFabric(netem.FabricConfig{Seed: 1})
	host := func(i byte) *netem.Host { return fabric.Host(netip.AddrFrom16([16]byte{0: 0xfd, 15: i}).String()) }
	quiet := slog.New(slog.DiscardHandler)
	l, err := transport.Listen("udp", groupAddr, &transport.Config{Network: host(2), Logger: quiet, WindowBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s, err := transport.Dial("udp", groupAddr, &transport.Config{Network: host(1), Logger: quiet, Rate: 50 * flow.Mbps, WindowBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	evil, err := host(3).OpenSource(t.Context(), "udp", netip.MustParseAddrPort(groupAddr), dgram.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	var wg sync.WaitGroup
	wg.Go(func() { receive(t, l, s.TSI(), &got) })
	if _, err := s.Write([]byte("begin")); err != nil {
		t.Error(err)
	}
	want := []byte("begin")
	for len(program) >= 2 {
		op, n := program[0], min(int(program[1]), len(program)-2)
		piece := bytes.Clone(program[2 : 2+n])
		program = program[2+n:]
		if op&1 == 0 {
			piece = bytes.Repeat(piece, 1+int(op>>1))
			if _, err := s.Write(piece); err != nil {
				t.Error(err)
			}
			want = append(want, piece...)
			time.Sleep(time.Duration(op) * 50 * time.Microsecond)
			continue
		}
		speak(t, evil, s, op, piece)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	wg.Wait()
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes were delivered, %d written", got.Len(), len(want))
	}
	if err := errors.Join(evil.Close(), l.Close()); err != nil {
		t.Error(err)
	}
}

// speak sends b, with its checksum right if op says so, and the session's names in it.
func speak(t *testing.T, evil dgram.Conn, s *transport.Source, op byte, b []byte) {
	if len(b) == 0 {
		return
	}
	if op&2 != 0 && len(b) >= wire.HeadCommon {
		source, destination := s.TSI().Port, uint16(7500)
		if wire.Type(b[4]).Upstream() {
			source, destination = destination, source
		}
		b[0], b[1], b[2], b[3] = byte(source>>8), byte(source), byte(destination>>8), byte(destination)
		gsi := s.TSI().GSI
		if op&4 != 0 {
			copy(b[8:], gsi[:])
		}
		mend(&dgram.Datagrams{B: b, Segment: len(b)})
	}
	to := netip.AddrPort{}
	if op&8 != 0 {
		to = s.LocalAddr().(*transport.Addr).Host()
	}
	segment := len(b)
	if op&16 != 0 {
		segment = max(len(b)/3, 1)
	}
	for range 1 + int(op>>5) {
		if err := evil.WriteRun(b, segment, to, 0); err != nil {
			t.Error(err)
		}
	}
}

// receive reads the session tsi to its end; those of others it closes.
func receive(t *testing.T, l *transport.Listener, tsi wire.TSI, got *bytes.Buffer) {
	for {
		r, err := l.AcceptReceiver()
		if err != nil {
			t.Errorf("AcceptReceiver: %v", err)
			return
		}
		from := r.RemoteAddr().(*transport.Addr).Host().Addr()
		if r.TSI() == tsi && from == netip.AddrFrom16([16]byte{0: 0xfd, 15: 1}) {
			_, err := io.Copy(got, r)
			if err := errors.Join(err, r.Close()); err != nil {
				t.Errorf("the receiver: %v", err)
			}
			return
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// FuzzConfig: a configuration is refused by Validate, or both ends open with it and carry a message.
func FuzzConfig(f *testing.F) {
	f.Add(int64(0), int64(0), 0, 0, 0, 0, 0, int64(0), int64(0), 0.0)
	f.Add(int64(flow.Unlimited), int64(time.Second), 9000, 1<<20, 256, 100000, 3, int64(time.Millisecond), int64(-1), 0.5)
	f.Fuzz(func(t *testing.T, rate, age int64, mtu, window, slots, message, flags int, wait, limit int64, share float64) {
		if window > 1<<28 || slots > 1<<20 || message > 1<<24 {
			return // right, and memory that a fuzzer should not take
		}
		cfg := transport.Config{
			Rate: flow.Rate(rate), WindowAge: time.Duration(age), MTU: mtu, WindowBytes: window, MaxWindow: slots, MaxMessage: message,
			RepairShare: share, Unordered: flags&1 != 0, ReceiveOnly: flags&2 != 0, UniformBackoff: flags&4 != 0, Join: transport.Join(flags >> 3 & 3),
			HopLimit: flags >> 5 & 255, Fixed: flags&1<<19 != 0,
		}
		if flags&1<<20 != 0 {
			cfg.HeartbeatMin, cfg.Linger, cfg.Expiry = time.Duration(wait), time.Duration(limit), time.Duration(limit)
		}
		if flags&1<<21 != 0 {
			cfg.HeartbeatMax, cfg.RepairTimeout, cfg.WindowHold = time.Duration(wait), time.Duration(limit), time.Duration(wait)
		}
		if flags&1<<22 != 0 {
			cfg.NAKBackoff, cfg.NAKRepeat, cfg.NAKData, cfg.MaxDelay, cfg.AmbientSPM = time.Duration(wait), time.Duration(limit), time.Duration(wait), time.Duration(limit), time.Duration(wait)
		}
		synctest.Test(t, func(t *testing.T) { configured(t, cfg) })
	})
}

func configured(t *testing.T, cfg transport.Config) {
	fabric := netem.NewFabric(netem.FabricConfig{Seed: 1, MTU: 65535})
	cfg.Network = fabric.Host("fd00::1")
	cfg.Logger = slog.New(slog.DiscardHandler)
	valid := cfg.Validate()
	l, err := transport.Listen("udp", groupAddr, &cfg)
	if valid != nil {
		if err == nil || l != nil {
			t.Fatalf("Validate says %v, Listen goes on", valid)
		}
		return
	}
	if err != nil {
		return // what Validate cannot know, as an MTU beyond the interface's
	}
	s, err := transport.Dial("udp", groupAddr, &cfg)
	if err == nil {
		if err := s.SetWriteDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Error(err)
		}
		if err := s.WriteMessage([]byte("x")); err != nil {
			t.Errorf("WriteMessage with %+v: %v", cfg, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := l.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Error(err)
		}
		if r, err := l.AcceptReceiver(); err == nil {
			if err := r.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Error(err)
			}
			if n, err := r.ReadMessage(make([]byte, 10)); err == nil && n != 1 {
				t.Errorf("a message of %d bytes", n)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
