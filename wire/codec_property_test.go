package wire

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A packet of any type with any options is refused wherever it is cut, also by somebody who mends its checksum; with bytes behind it
// too.
func TestCutPackets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPacket(t)
		b := p.Append(nil)
		n := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		if _, err := decoded(b[:n:n]); err == nil {
			t.Fatalf("cut at %d of %d: accepted\n%x", n, len(b), b)
		}
		if n >= HeadCommon {
			if _, err := decoded(resum(slices.Clone(b[:n]))); err == nil {
				t.Fatalf("cut at %d of %d, checksum mended: accepted\n%x", n, len(b), b)
			}
		}
		more := rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "more")
		if _, err := decoded(resum(append(slices.Clone(b), more...))); err == nil {
			t.Fatalf("%x behind it: accepted\n%x", more, b)
		}
	})
}

// Decode and the model are of one mind about packets that are nearly right.
func TestDecodeModel(t *testing.T) {
	refused, accepted := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		p := drawPacket(t)
		b := p.Append(nil)
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
			b[at] = rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte{0, 1, 4, 8, 12, 16, 20, b[at] ^ 0x80})).Draw(t, "byte")
		}
		if rapid.IntRange(0, 4).Draw(t, "mend") > 0 {
			resum(b)
		}
		before := bytes.Clone(b)
		got, err := decoded(b)
		if !agrees(b, got, err != nil) || !bytes.Equal(b, before) {
			want, ok := modelDecode(b)
			t.Fatalf("%x\nis %+v (%v)\nand to the model %+v, %v", b, got, err, want, ok)
		}
		if err != nil {
			refused++
		} else {
			accepted++
		}
	})
	if refused == 0 || accepted == 0 {
		t.Errorf("%d packets refused, %d accepted: one side was not tried", refused, accepted)
	}
}

// So they are about every option, known or not, of every length in every type of packet, with any bytes in it.
func TestDecodeModelOptions(t *testing.T) {
	rng := rand.New(rand.NewPCG(3208, 9))
	accepted := 0
	for _, typ := range packetTypes {
		p := Packet{Type: typ, Path: anAddr, Source: anAddr, Group: anAddr}
		bare := p.Append(nil)
		for x := range 256 {
			for length := range 40 {
				total := 4 + max(length, 4)
				b := append(slices.Clone(bare), byte(OptLength), 4, 0, byte(total), byte(x)|optEnd, byte(length))
				for len(b) < len(bare)+total {
					b = append(b, byte(rng.Uint32()))
				}
				b[5] = byte(FlagPresent) | byte(rng.Uint32())&byte(FlagParity)
				if rng.IntN(2) == 0 { // an NLA where the options have one
					at := len(b) - []int{8, 20}[rng.IntN(2)]
					copy(b[max(at, len(bare)+6):], []byte{0, byte(rng.IntN(4))})
				}
				switch k := rng.IntN(5); rng.IntN(16) {
				case 0: // the option is longer than what is there
					b = b[:len(b)-k]
					b[len(bare)+3] -= byte(k)
					resum(b)
				case 1: // a total that is not that of the option
					b[len(bare)+3] += byte(k - 2)
					resum(b)
				case 2: // no checksum, which some must have
					b[6], b[7] = 0, 0
				default:
					resum(b)
				}
				got, err := decoded(b)
				if !agrees(b, got, err != nil) {
					want, ok := modelDecode(b)
					t.Fatalf("%x\nis %+v (%v)\nand to the model %+v, %v", b, got, err, want, ok)
				}
				if err == nil {
					accepted++
				}
			}
		}
	}
	if accepted < 20000 {
		t.Errorf("%d of 102400 packets were accepted: they tried little", accepted)
	}
}

// A NAK's or NCF's numbers come back in their order, each once, whatever else is in the packet.
func TestNumbersRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPacket(t)
		p.Type, p.Source, p.Group, p.Payload = rapid.SampledFrom([]Type{TypeNAK, TypeNCF}).Draw(t, "kind"), anAddr, anAddr, nil
		p.Options.Set &^= OptionSet(0).With(OptFragment, OptPeer)
		got, err := decoded(p.Append(nil))
		if want := p.Numbers(nil); err != nil || !slices.Equal(got.Numbers(nil), want) || len(want) > MaxNAKs {
			t.Fatalf("%v became %v (%v)", want, got.Numbers(nil), err)
		}
	})
}
