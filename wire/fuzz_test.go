package wire

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// FuzzDecode: any bytes are refused or mean a packet, and what Append makes of that packet means the same and is appended
// again to the same bytes. Bytes that are refused for their checksum alone are tried with a right one.
func FuzzDecode(f *testing.F) {
	for _, b := range distinct() {
		f.Add(b)
	}
	for _, c := range refusals {
		f.Add(fromHex(c.hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := slices.Clone(b)
		first, err := decoded(b)
		if !bytes.Equal(b, before) {
			t.Fatal("Decode changed its input")
		}
		if err == ErrChecksum || err == ErrNoChecksum {
			first, err = decoded(resum(b))
		}
		if err != nil {
			if _, ok := err.(DecodeError); !ok {
				t.Fatalf("Decode returned %T", err)
			}
			return
		}
		out := first.Append(nil)
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
