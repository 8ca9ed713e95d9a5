package wire

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/rmcast/rmcast/internal/testvec"
	"pgregory.net/rapid"
)

var writeCorpus = flag.Bool("corpus", false, "write the seeds that TestCorpus checks to testdata/fuzz")

// The seeds of the corpora are what the captures give: of the packets that have type, flags and options in common, the shortest.
func TestCorpus(t *testing.T) {
	shortest := map[string][]byte{}
	options := map[string][]byte{}
	for _, b := range distinct() {
		kind := fmt.Sprintf("%v-%02x", Type(b[4]), b[5])
		tlvs(b, func(at int) {
			x := Option(b[at] & optType)
			kind += fmt.Sprintf("-%02x", byte(x))
			if name := fmt.Sprintf("%v-%v", Type(b[4]), x); options[name] == nil {
				options[name] = testvec.CorpusEntry(b[4], b[5], b[at], b[at+2:at+int(b[at+1])])
			}
		})
		if old := shortest[kind]; old == nil || len(b) < len(old) {
			shortest[kind] = b
		}
	}
	packets, bodies := map[string][]byte{}, map[string][]byte{}
	for kind, b := range shortest {
		packets[kind] = testvec.CorpusEntry(b)
		bodies[kind] = testvec.CorpusEntry(b[4], b[5], b[HeadCommon:])
	}
	for target, entries := range map[string]map[string][]byte{"FuzzDecode": packets, "FuzzBody": bodies, "FuzzOption": options} {
		if err := testvec.Corpus(target, entries, *writeCorpus); err != nil {
			t.Error(err)
		}
	}
}

var anAddr = netip.AddrFrom4([4]byte{10, 77, 0, 1})

// anyType returns the byte of a type that exists, whatever x is.
func anyType(x byte) byte {
	if p := Type(x); p < 64 && minBytes[p] != 0 {
		return x
	}
	return byte(packetTypes[int(x)%len(packetTypes)])
}

// examine decodes b as a used Packet and a new one do, holds that against the model, and, if b was accepted, fails unless what
// Append makes of it means the same and is appended again to the same bytes. It returns Decode's error.
func examine(t *testing.T, b []byte) error {
	t.Helper()
	before := slices.Clone(b)
	first, err := decoded(b)
	if !bytes.Equal(b, before) {
		t.Fatal("Decode changed its input")
	}
	if !agrees(b, first, err != nil) {
		want, ok := modelDecode(b)
		t.Fatalf("%x\nis %+v (%v)\nand to the model %+v, accepted %v", b, first, err, want, ok)
	}
	used := dirty
	if again := used.Decode(b); again != err {
		t.Fatalf("%x: %v, with a used Packet %v", b, err, again)
	}
	if err != nil {
		if e, ok := err.(DecodeError); !ok || e == 0 || int(e) >= DecodeErrors {
			t.Fatalf("Decode returned %T %v", err, err)
		}
		return err
	}
	out := first.Append(nil)
	if got := used.Append(nil); !bytes.Equal(got, out) {
		t.Fatalf("%x\nby a used Packet became %x, by a new one %x", b, got, out)
	}
	second, err := decoded(out)
	if err != nil {
		t.Fatalf("%x\nbecame %x: %v", b, out, err)
	}
	if !same(first, second) {
		t.Fatalf("%+v\nbecame %+v", first, second)
	}
	if again := second.Append(nil); !bytes.Equal(again, out) {
		t.Fatalf("%x\nbecame %x", out, again)
	}
	return nil
}

// dirty is a Packet in which nothing is zero.
var dirty = func() (p Packet) {
	p = Packet{Type: TypePOLL, Flags: 0xff, SourcePort: 1, DestinationPort: 2, GSI: GSI{3}, Sqn: 4, Trail: 5, Lead: 6, Path: anAddr,
		Source: anAddr, Group: anAddr, Poll: Poll{7, 8, 9, 10, 11}, Bitmap: 12, Payload: []byte("dirt")}
	p.Options = Options{Set: 1<<OptFIN | 1<<OptPeer, NAKList: NAKList{N: 62}, Redirect: anAddr, PathNLA: anAddr,
		Peer: Peer{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, Pace{true, 1, 2, 3, 4, 5, 6, 7}, Report{true, 1, 2, 3, 4, 5, 6, 7, 8, 9}}, CR: CR{Has: CRQST{true, true, true}, Receiver: anAddr}, Reset: Reset{true, 63}}
	return p
}()

// FuzzDecode: any bytes are refused or mean a packet (see examine). Bytes that are refused for their checksum alone are tried
// with a right one.
func FuzzDecode(f *testing.F) {
	for _, b := range distinct() {
		f.Add(b)
	}
	for _, c := range refusals {
		f.Add(fromHex(c.hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := examine(t, b); err == ErrChecksum || err == ErrNoChecksum {
			examine(t, resum(slices.Clone(b)))
		}
	})
}

// FuzzBody lets the fuzzer choose what follows the common header, so that each input reaches the decoder of its type.
func FuzzBody(f *testing.F) {
	for _, b := range distinct() {
		f.Add(b[4], b[5], b[HeadCommon:])
	}
	f.Fuzz(func(t *testing.T, typ, flags byte, body []byte) {
		if len(body) > 1<<16 {
			return
		}
		b := make([]byte, HeadCommon, HeadCommon+len(body))
		b[4], b[5] = anyType(typ), flags
		b = append(b, body...)
		// The TSDU begins where it must, if the packet can be right at all.
		for _, tsdu := range []int{0, len(b) - HeadData} {
			binary.BigEndian.PutUint16(b[14:], uint16(tsdu))
			if examine(t, resum(b)) == nil {
				return
			}
		}
		if b[5]&byte(FlagPresent) != 0 && len(b) >= HeadData+4 {
			binary.BigEndian.PutUint16(b[14:], uint16(len(b)-HeadData)-binary.BigEndian.Uint16(b[HeadData+2:]))
			examine(t, resum(b))
		}
	})
}

// FuzzOption lets the fuzzer choose one option's bytes in a packet that is sound otherwise.
func FuzzOption(f *testing.F) {
	for _, b := range distinct() {
		tlvs(b, func(at int) { f.Add(b[4], b[5], b[at], b[at+2:at+int(b[at+1])]) })
	}
	for _, x := range allOptions { // most are in no capture
		for _, bytes := range []int{4, 8, 12, 16, 20, 24, 28, 32, 36} {
			body := make([]byte, bytes-2)
			if bytes >= 8 {
				body[bytes-2-min(8, bytes-4)+1] = 1 // an IPv4 address at the end
			}
			f.Add(byte(TypeSPM), byte(0), byte(x), body)
		}
	}
	f.Fuzz(func(t *testing.T, typ, flags, option byte, body []byte) {
		if len(body) < 2 || len(body) > 253 {
			return
		}
		p := Packet{Type: Type(anyType(typ)), Path: anAddr, Source: anAddr, Group: anAddr}
		bare := p.Append(nil)
		bare[5] = flags&byte(FlagParity|FlagVarPktLen) | byte(FlagPresent)
		total := 4 + 2 + len(body)
		tlv := append([]byte{option | optEnd, byte(2 + len(body))}, body...)
		b := append(append(bare, byte(OptLength), 4, byte(total>>8), byte(total)), tlv...)
		err := examine(t, resum(b))
		if x := Option(option & optType); err != nil && (!x.known() || x == OptLength) {
			t.Fatalf("option %d, which is nobody's, with %x: %v", x, body, err)
		}
		// The same option after one that nobody knows, and before one: it means the same.
		unknown := []byte{0x30, 5, 0, 1, 2}
		tlv[0] &^= optEnd
		c := append(bare[:len(bare):len(bare)], byte(OptLength), 4, byte((total+14)>>8), byte(total+14))
		c = append(append(append(c, unknown...), tlv...), unknown[0]|optEnd, 9, 0, 0, 1, 2, 3, 4, 5)
		if again := examine(t, resum(c)); again != err {
			t.Fatalf("%x alone: %v, among unknown ones: %v", tlv, err, again)
		} else if p, _ := decoded(b); err == nil {
			if q, _ := decoded(c); !same(p, q) {
				t.Fatalf("%x alone: %+v\namong unknown ones: %+v", tlv, p, q)
			}
		}
	})
}

// FuzzEncodedFragment: what the parity code leaves is a fragment or none, and a fragment stays one.
func FuzzEncodedFragment(f *testing.F) {
	for _, b := range distinct() {
		tlvs(b, func(at int) {
			if Option(b[at]&optType) == OptFragment {
				f.Add(b[at+3 : at+16])
			}
		})
	}
	f.Add(NullFragment[:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != len(EncodedFragment{}) {
			return
		}
		e := EncodedFragment(b)
		got, ok := e.Decode()
		if ok == (b[0]&fragmentNull != 0) || !ok && got != (Fragment{}) {
			t.Fatalf("%x: %v, %v", b, got, ok)
		}
		if again, ok2 := got.Encode().Decode(); ok && (!ok2 || again != got) {
			t.Fatalf("%v became %v, %v", got, again, ok2)
		}
	})
}

// FuzzParseTSI: a text is refused, or means a TSI whose own text means it too.
func FuzzParseTSI(f *testing.F) {
	f.Add("195.206.205.234.128.253.1000")
	f.Add("0.0.0.0.0.0.65536")
	f.Fuzz(func(t *testing.T, s string) {
		tsi, err := ParseTSI(s)
		if err != nil {
			if tsi != (TSI{}) {
				t.Fatalf("%q: %v with %v", s, err, tsi)
			}
			return
		}
		if again, err := ParseTSI(tsi.String()); err != nil || again != tsi {
			t.Fatalf("%q is %v, which is %v (%v)", s, tsi, again, err)
		}
	})
}

// FuzzSum: the fast sum is the plain one, and that of the parts.
func FuzzSum(f *testing.F) {
	f.Add(bytes.Repeat([]byte{0xff}, 200), uint16(64))
	for _, b := range distinct()[:8] {
		f.Add(b, uint16(24))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		if got, want := Sum(b), naiveSum(b); got != want {
			t.Fatalf("%x: %#04x, want %#04x", b, got, want)
		}
		if at := int(cut) &^ 1; at <= len(b) && addSum(Sum(b[:at]), Sum(b[at:])) != naiveSum(b) {
			t.Fatalf("%x cut at %d: another sum", b, at)
		}
	})
}

// FuzzAppend lets the fuzzer choose packets rather than bytes.
func FuzzAppend(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		p := drawPacket(t)
		got, err := decoded(p.Append(nil))
		if err != nil || !same(got, p) {
			t.Fatalf("%+v\nbecame %+v (%v)", p, got, err)
		}
	}))
}
