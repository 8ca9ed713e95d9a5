package wire

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/rmcast/rmcast/seq"
)

// The session of the vectors.
var (
	vectorGSI   = GSI{0xc3, 0xec, 0xde, 0xa7, 0x80, 0xfd}
	vectorPath  = netip.MustParseAddr("10.77.0.1")
	vectorGroup = netip.MustParseAddr("239.192.0.9")
	path6       = netip.MustParseAddr("fd77::1")
)

// vectorDown and vectorUp make packets of that session.
func vectorDown(p Packet, o ...Option) Packet {
	p.SourcePort, p.DestinationPort, p.GSI = 1000, 7501, vectorGSI
	p.Options.Set = p.Options.Set.With(o...)
	return p
}

func vectorUp(p Packet, o ...Option) Packet {
	p = vectorDown(p, o...)
	p.SourcePort, p.DestinationPort = p.DestinationPort, p.SourcePort
	return p
}

var vectors = []struct {
	name string
	hex  string
	head bool // hex is the head of a packet in the captures; its payload is not compared
	want Packet
}{
	{
		name: "SPM, empty window",
		hex:  "03e81d4d0000b0e9c3ecdea780fd0000 00000000 00000000 ffffffff 000100000a4d0001",
		want: vectorDown(Packet{Type: TypeSPM, Lead: 0xffffffff, Path: vectorPath}),
	},
	{
		name: "ODATA 0",
		hex:  "03e81d4d04004d75c3ecdea780fd003c 00000000 00000000 0001020304050607 08090a0b0c0d0e0f 1011121314151617 18191a1b1c1d1e1f 2021222324252627 28292a2b2c2d2e2f 3031323334353637 38393a3b",
		want: vectorDown(Packet{Type: TypeODATA, Payload: fromHex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b")}),
	},
	{
		name: "NAK 5",
		hex:  "1d4d03e80800b919c3ecdea780fd0000 00000005 000100000a4d0001 00010000efc00009",
		want: vectorUp(Packet{Type: TypeNAK, Sqn: 5, Source: vectorPath, Group: vectorGroup}),
	},
	{
		name: "NCF 5",
		hex:  "03e81d4d0a00b719c3ecdea780fd0000 00000005 000100000a4d0001 00010000efc00009",
		want: vectorDown(Packet{Type: TypeNCF, Sqn: 5, Source: vectorPath, Group: vectorGroup}),
	},
	{
		name: "list NAK 12, 13, 14",
		hex:  "1d4d03e8080336d4c3ecdea780fd0000 0000000c 000100000a4d0001 00010000efc00009 00040010 820c0000 0000000d 0000000e",
		want: vectorUp(Packet{
			Type: TypeNAK, Sqn: 12, Source: vectorPath, Group: vectorGroup,
			Options: Options{NAKList: NAKList{N: 2, Sqn: [MaxNAKs - 1]seq.Num{13, 14}}},
		}, OptNAKList),
	},
	{
		name: "SPMR",
		hex:  "1d4d03e80c00af38c3ecdea780fd0000",
		want: vectorUp(Packet{Type: TypeSPMR}),
	},
	{
		name: "SPM with FIN",
		hex:  "03e81d4d000122b0c3ecdea780fd0000 0000000b 00000000 0000001d 000100000a4d0001 00040008 8e040000",
		want: vectorDown(Packet{Type: TypeSPM, Sqn: 11, Lead: 29, Path: vectorPath}, OptFIN),
	},
	{
		// On demand, says OpenPGM; its bits are the RFC's swapped, and byte 2 of the option is junk.
		name: "SPM with PARITY_PRM",
		hex:  "03e81d4d0003fac7c3ecdea780fd0000 00000000 00000000 ffffffff 000100000a4d0001 0004000c 88082e02 00000004",
		want: vectorDown(Packet{
			Type: TypeSPM, Lead: 0xffffffff, Path: vectorPath,
			Options: Options{ParityPRM: ParityPRM{ProActive: true, GroupSize: 4}},
		}, OptParityPRM),
	},
	{
		name: "SPM with PARITY_PRM and FIN",
		hex:  "03e81d4d00031aa6c3ecdea780fd0000 0000000b 00000000 0000000f 000100000a4d0001 00040010 08080002 00000004 8e040000",
		want: vectorDown(Packet{
			Type: TypeSPM, Sqn: 11, Lead: 15, Path: vectorPath,
			Options: Options{ParityPRM: ParityPRM{ProActive: true, GroupSize: 4}},
		}, OptParityPRM, OptFIN),
	},
	{
		name: "fragment ODATA 5",
		hex:  "03e81d4d0401db40c3ecdea780fd0590 00000005 00000000 00040014 81100000 00000004 00000590 00000fa0",
		head: true,
		want: vectorDown(Packet{
			Type: TypeODATA, Sqn: 5, Payload: make([]byte, 1424),
			Options: Options{Fragment: Fragment{First: 4, Offset: 1424, Length: 4000}},
		}, OptFragment),
	},
	{
		name: "parity NAK",
		hex:  "1d4d03e80880b89ac3ecdea780fd0000 00000004 000100000a4d0001 00010000efc00009",
		want: vectorUp(Packet{Type: TypeNAK, Flags: FlagParity, Sqn: 4, Source: vectorPath, Group: vectorGroup}),
	},
	{
		name: "PGMCC ODATA, no acker",
		hex:  "03e81d4d040184bcc3ecdea780fd003c 00000000 00000000 00040014 92100000 027a3414 0001000000000000",
		head: true,
		want: vectorDown(Packet{
			Type: TypeODATA, Payload: make([]byte, 60),
			Options: Options{PGMCCData: PGMCCData{Time: 0x027a3414, Acker: netip.IPv4Unspecified()}},
		}, OptPGMCCData),
	},
	{
		name: "ACK to it",
		hex:  "1d4d03e80d01da26c3ecdea780fd0000 00000000 ffffffff 00040014 93100000 027a341d 000100000a4d0003",
		want: vectorUp(Packet{
			Type: TypeACK, Bitmap: 0xffffffff,
			Options: Options{PGMCCFeedback: PGMCCFeedback{Time: 0x027a341d, Receiver: netip.MustParseAddr("10.77.0.3")}},
		}, OptPGMCCFeedback),
	},
	{
		name: "SPM over IPv6",
		hex:  "03e81d4d0000bdbdc3ecdea780fd0000 00000000 00000000 ffffffff 00020000 fd770000000000000000000000000001",
		want: vectorDown(Packet{Type: TypeSPM, Lead: 0xffffffff, Path: path6}),
	},
	{
		name: "NAK over IPv6",
		hex:  "1d4d03e80800b6a4c3ecdea780fd0000 00000005 00020000 fd770000000000000000000000000001 00020000 ff080000000000000000000000000009",
		want: vectorUp(Packet{Type: TypeNAK, Sqn: 5, Source: path6, Group: netip.MustParseAddr("ff08::9")}),
	},
	{
		name: "ZeroMQ msg-00",
		hex:  "609e1d4c0400e52cb7c6d1bc038a000a 00000000 00000000 0000 0700 6d73672d3030",
		want: Packet{
			Type: TypeODATA, SourcePort: 24734, DestinationPort: 7500, GSI: GSI{0xb7, 0xc6, 0xd1, 0xbc, 0x03, 0x8a},
			Payload: []byte("\x00\x00\x07\x00msg-00"),
		},
	},
	{
		name: "ZeroMQ message of three parts",
		hex:  "609e1d4c0400014fb7c6d1bc038a0012 00000003 00000000 0000 0701 6d73672d3033 0101 0500 7461696c",
		want: Packet{
			Type: TypeODATA, SourcePort: 24734, DestinationPort: 7500, GSI: GSI{0xb7, 0xc6, 0xd1, 0xbc, 0x03, 0x8a}, Sqn: 3,
			Payload: []byte("\x00\x00\x07\x01msg-03\x01\x01\x05\x00tail"),
		},
	},
}

// whole finds the packet of the captures that begins with head.
func whole(t *testing.T, head []byte) []byte {
	t.Helper()
	for _, b := range distinct() {
		if bytes.HasPrefix(b, head) {
			return b
		}
	}
	t.Fatalf("no capture has a packet that begins with %x", head)
	return nil
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		b := fromHex(v.hex)
		if v.head {
			b = whole(t, b)
			copy(v.want.Payload, b[len(b)-len(v.want.Payload):])
		}
		got, err := decoded(b)
		if err != nil {
			t.Errorf("%s: %v", v.name, err)
			continue
		}
		if !same(got, v.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", v.name, got, v.want)
		}
		if got, want := v.want.Append(nil), clean(b); !bytes.Equal(got, want) {
			t.Errorf("%s: appended\ngot  %x\nwant %x", v.name, got, want)
		}
	}
}

// OpenPGM's parity RDATA: the ports are junk and the checksum is wrong.
func TestVectorRefused(t *testing.T) {
	b := whole(t, fromHex("7969966c0580c6d7c3ecdea780fd003c 00000004 00000000 261867c266dcd90c"))
	if _, err := decoded(b); err != ErrChecksum {
		t.Errorf("Decode: %v, want %v", err, ErrChecksum)
	}
}
