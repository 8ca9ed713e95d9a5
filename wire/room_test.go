package wire

import (
	"testing"

	"pgregory.net/rapid"
)

func TestRoom(t *testing.T) {
	for _, c := range []struct {
		mtu                                       int
		ipv6, raw                                 bool
		overhead, tpdu, stream, fragment, message int
	}{
		{1500, true, false, 48, 1452, 1408, 1384, 1428},
		{1500, false, false, 28, 1472, 1408, 1408, 1448},
		{1500, true, true, 40, 1460, 1408, 1392, 1436},
		{1500, false, true, 20, 1480, 1408, 1408, 1456},
		{9000, true, false, 48, 8952, 8896, 8888, 8928},
		{1280, true, false, 48, 1232, 1152, 1152, 1208},
		{576, false, false, 28, 548, 448, 448, 524},
	} {
		r, err := NewRoom(c.mtu, c.ipv6, c.raw)
		if err != nil {
			t.Errorf("NewRoom(%d, %v, %v): %v", c.mtu, c.ipv6, c.raw, err)
			continue
		}
		if r.MTU() != c.mtu || r.Overhead() != c.overhead || r.TPDU() != c.tpdu || r.Stream() != c.stream ||
			r.Fragment() != c.fragment || r.Message() != c.message {
			t.Errorf("NewRoom(%d, %v, %v): overhead %d, TPDU %d, stream %d, fragment %d, message %d, want %+v", c.mtu, c.ipv6, c.raw,
				r.Overhead(), r.TPDU(), r.Stream(), r.Fragment(), r.Message(), c)
		}
	}
}

func TestRoomRefuses(t *testing.T) {
	for _, c := range []struct {
		mtu  int
		ipv6 bool
	}{{575, false}, {1279, true}, {65536, false}, {0, true}, {-1, false}} {
		if r, err := NewRoom(c.mtu, c.ipv6, false); err == nil {
			t.Errorf("NewRoom(%d, %v) = %+v", c.mtu, c.ipv6, r)
		}
	}
}

// What Room promises holds for the packets that are really built: every packet, and the parity of every packet, fits.
func TestRoomFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, err := NewRoom(rapid.IntRange(1280, 65535).Draw(t, "mtu"), rapid.Bool().Draw(t, "ipv6"), rapid.Bool().Draw(t, "raw"))
		if err != nil {
			t.Fatal(err)
		}
		size := func(flags Flags, payload int, options ...Option) int {
			p := Packet{Type: TypeODATA, Flags: flags}
			p.Options.Set = p.Options.Set.With(options...)
			return r.Overhead() + p.HeadLen() + payload
		}
		for name, n := range map[string]int{
			"message":         size(0, r.Message()),
			"stream":          size(0, r.Stream()),
			"stream parity":   size(FlagParity, r.Stream()+2, OptCurrTGSize),
			"fragment":        size(0, r.Fragment(), OptFragment),
			"fragment parity": size(FlagParity, r.Fragment()+2, OptFragment, OptCurrTGSize, OptParityGroup),
		} {
			if n > r.MTU() {
				t.Fatalf("%s takes %d bytes of %d", name, n, r.MTU())
			}
		}
		if size(0, r.Message()) != r.MTU() {
			t.Fatal("the largest message leaves room")
		}
		if r.Stream()%64 != 0 || r.Fragment()%8 != 0 || r.Fragment() > r.Stream() || r.Stream() > r.Message() {
			t.Fatalf("stream %d, fragment %d, message %d", r.Stream(), r.Fragment(), r.Message())
		}
		full := r.Message() - FragmentBytes
		n := rapid.OneOf(rapid.IntRange(0, 1<<20), rapid.IntRange(16*r.Fragment()-2, 16*full+2)).Draw(t, "bytes")
		part, got := r.Part(n), r.Packets(n)
		switch {
		case n <= r.Message():
			if got != 1 {
				t.Fatalf("%d bytes take %d packets", n, got)
			}
		case got < 2 || got*part < n || (got-1)*part >= n || size(0, part, OptFragment) > r.MTU():
			t.Fatalf("%d bytes take %d packets of %d", n, got, part)
		case n <= 16*full && got > 16 || part != r.Fragment() && got != 16 && n <= 16*r.Fragment():
			t.Fatalf("%d bytes take %d packets of %d, OpenPGM takes 16", n, got, part)
		}
	})
}
