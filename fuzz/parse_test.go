package fuzz

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/internal/testvec"
	"github.com/rmcast/rmcast/wire"
)

// aPcap is a capture file with the first frames of a captured session, made anew: it is short.
func aPcap() []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xa1b2c3d4)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0)
	for i, d := range testvec.Load("11-ipv6")[:2] {
		frame := make([]byte, 14, 200)
		frame[12], frame[13] = 0x86, 0xdd
		frame = append(frame, 0x60, 0, 0, 0)
		frame = binary.BigEndian.AppendUint16(frame, uint16(8+len(d.Payload)))
		frame = append(frame, 17, 1)
		frame = append(append(frame, d.From.Addr().AsSlice()...), d.To.Addr().AsSlice()...)
		for _, x := range []uint16{d.From.Port(), d.To.Port(), uint16(8 + len(d.Payload)), 0} {
			frame = binary.BigEndian.AppendUint16(frame, x)
		}
		frame = append(frame, d.Payload...)
		b = le.AppendUint32(le.AppendUint32(b, 1), uint32(i))
		b = le.AppendUint32(le.AppendUint32(b, uint32(len(frame))), uint32(len(frame)))
		b = append(b, frame...)
	}
	return b
}

// FuzzPcap: a capture file is refused, or its datagrams are in it and go through the decoder.
func FuzzPcap(f *testing.F) {
	if d, err := testvec.Parse(aPcap()); err != nil || len(d) != 2 {
		f.Fatalf("%d datagrams in the seed, %v", len(d), err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		datagrams, err := testvec.Parse(b)
		if err != nil {
			return
		}
		total := 0
		var p wire.Packet
		for _, d := range datagrams {
			total += len(d.Payload)
			if !d.From.IsValid() || !d.To.IsValid() {
				t.Fatalf("a datagram from %v to %v", d.From, d.To)
			}
			_ = p.Decode(d.Payload)
		}
		if total > len(b) {
			t.Fatalf("%d bytes of datagrams in a file of %d", total, len(b))
		}
	})
}

// FuzzParseGroup: a group is refused with a reason, or is a group, and its own text means it again.
func FuzzParseGroup(f *testing.F) {
	for _, group := range []string{"[ff15::8000:1%eth0]:7500", "239.192.0.9:7500", "ff15::8000:1", "[::ffff:239.0.0.1]:1", "ff15::1%", "%:%"} {
		f.Add("udp", group)
		f.Add("ip6:pgm", group)
	}
	f.Fuzz(func(t *testing.T, network, group string) {
		ap, err := dgram.ParseGroup(network, group)
		if err != nil {
			return
		}
		if !ap.Addr().IsMulticast() || ap.Addr().Is4In6() {
			t.Fatalf("%q on %q is the group %v", group, network, ap)
		}
		again, err := dgram.ParseGroup(network, ap.String())
		if err != nil || again != ap {
			t.Fatalf("%q on %q is %v, which is %v (%v)", group, network, ap, again, err)
		}
		if !netip.AddrPortFrom(ap.Addr(), 1).IsValid() {
			t.Fatalf("%v", ap)
		}
	})
}
