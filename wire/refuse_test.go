package wire

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
)

// refusals hold each way in which a packet can be wrong. The hex has no right checksum; the test makes it so unless it is the
// matter.
var refusals = []struct {
	name string
	hex  string
	raw  bool // leave the checksum as it is
	want DecodeError
}{
	{"empty", "", true, ErrTruncated},
	{"15 bytes", "1d4d03e80c00af38c3ecdea780fd00", true, ErrTruncated},
	{"no data head", "03e81d4d04000000c3ecdea780fd0000 00000000 000000", false, ErrTruncated},
	{"no path in SPM", "03e81d4d00000000c3ecdea780fd0000 00000000 00000000 ffffffff 00010000", false, ErrTruncated},
	{"half an IPv6 path", "03e81d4d00000000c3ecdea780fd0000 00000000 00000000 ffffffff 00020000 fd770000 00000000", false, ErrTruncated},
	{"IPv6 source alone in NAK", "1d4d03e80800000" + "0c3ecdea780fd0000 00000005 00020000 fd770000000000000000000000000001", false, ErrTruncated},
	{"half an IPv6 group in NAK", "1d4d03e808000000c3ecdea780fd0000 00000005 000100000a4d0001 00020000 ff080000", false, ErrTruncated},
	{"POLL cut after IPv6 path", "03e81d4d01000000c3ecdea780fd0000 00000001 00000000 00020000 fd770000000000000000000000000001 00000000", false, ErrTruncated},
	{"version 1", "1d4d03e84c000000c3ecdea780fd0000", false, ErrVersion},
	{"version 2", "1d4d03e88c000000c3ecdea780fd0000", false, ErrVersion},
	{"reserved bit", "1d4d03e81c000000c3ecdea780fd0000", false, ErrType},
	{"type 3", "1d4d03e803000000c3ecdea780fd0000 00000000 00000000", false, ErrType},
	{"type 0xf", "1d4d03e80f000000c3ecdea780fd0000", false, ErrType},
	{"wrong checksum", "1d4d03e80c00af39c3ecdea780fd0000", true, ErrChecksum},
	{"ODATA without checksum", "03e81d4d04000000c3ecdea780fd0000 00000000 00000000", true, ErrNoChecksum},
	{"RDATA without checksum", "03e81d4d05000000c3ecdea780fd0000 00000000 00000000", true, ErrNoChecksum},
	{"AFI 0", "03e81d4d00000000c3ecdea780fd0000 00000000 00000000 ffffffff 00000000 0a4d0001", false, ErrAFI},
	{"AFI 3", "03e81d4d00000000c3ecdea780fd0000 00000000 00000000 ffffffff 00030000 0a4d0001", false, ErrAFI},
	{"AFI of the source", "1d4d03e808000000c3ecdea780fd0000 00000005 000700000a4d0001 00010000efc00009", false, ErrAFI},
	{"AFI of the group", "1d4d03e808000000c3ecdea780fd0000 00000005 000100000a4d0001 00070000efc00009", false, ErrAFI},
	{"AFI of a POLL", "03e81d4d01000000c3ecdea780fd0000 00000001 00000000 000900000a4d0001 00000000 00000000 00000000", false, ErrAFI},
	{"AFI in REDIRECT", "1d4d03e80c030000c3ecdea780fd0000 00040010 870c0000 00030000 0a4d0001", false, ErrAFI},
	{"AFI in CR", "1d4d03e80c030000c3ecdea780fd0000 0004001c 90180000 00000000 00000000 00000000 00030000 0a4d0001", false, ErrAFI},
	{"AFI in PGMCC_DATA", "1d4d03e80c010000c3ecdea780fd0000 00040014 92100000 00000000 00030000 0a4d0001", false, ErrAFI},
	{"options announced, none there", "1d4d03e80c010000c3ecdea780fd0000", false, ErrOptLength},
	{"no OPT_LENGTH", "1d4d03e80c010000c3ecdea780fd0000 8e040000", false, ErrOptLength},
	{"OPT_LENGTH of 8 bytes", "1d4d03e80c010000c3ecdea780fd0000 00080008 00000000", false, ErrOptLength},
	{"OPT_LENGTH with the end bit", "1d4d03e80c010000c3ecdea780fd0000 80040004", false, ErrOptLength},
	{"total 0", "1d4d03e80c010000c3ecdea780fd0000 00040000 8e040000", false, ErrOptLength},
	{"total 3", "1d4d03e80c010000c3ecdea780fd0000 00040003 8e040000", false, ErrOptLength},
	{"total past the packet", "1d4d03e80c010000c3ecdea780fd0000 00040009 8e040000", false, ErrOptionTotal},
	{"total 65535", "1d4d03e80c010000c3ecdea780fd0000 0004ffff 8e040000", false, ErrOptionTotal},
	{"option of length 0", "1d4d03e80c010000c3ecdea780fd0000 00040008 8e000000", false, ErrOptionShort},
	{"option of length 3", "1d4d03e80c010000c3ecdea780fd0000 00040008 8e030000", false, ErrOptionShort},
	{"unknown option of length 0", "1d4d03e80c010000c3ecdea780fd0000 0004000c 30000000 8e040000", false, ErrOptionShort},
	{"option past the total", "1d4d03e80c010000c3ecdea780fd0000 00040008 83080000 00000000", false, ErrOptionBounds},
	{"total ends in an option's head", "1d4d03e80c010000c3ecdea780fd0000 0004000a 0e040000 8d04", false, ErrOptionBounds},
	{"only OPT_LENGTH", "1d4d03e80c010000c3ecdea780fd0000 00040004", false, ErrOptionEnd},
	{"no end bit", "1d4d03e80c010000c3ecdea780fd0000 00040008 0e040000", false, ErrOptionEnd},
	{"FRAGMENT of 12", "03e81d4d04010000c3ecdea780fd0000 00000000 00000000 00040010 810c0000 00000000 00000000", false, ErrOptionSize},
	{"FRAGMENT of 12 in parity", "03e81d4d05810000c3ecdea780fd0000 00000000 00000000 00040010 810c0000 00000000 00000000", false, ErrOptionSize},
	{"JOIN of 4", "03e81d4d04010000c3ecdea780fd0000 00000000 00000000 00040008 83040000", false, ErrOptionSize},
	{"NAK_LIST of none", "1d4d03e80c030000c3ecdea780fd0000 00040008 82040000", false, ErrOptionSize},
	{"NAK_LIST of one and a half", "1d4d03e80c030000c3ecdea780fd0000 0004000e 820a0000 00000000 0000", false, ErrOptionSize},
	{"NAK_BO_IVL of 8", "1d4d03e80c030000c3ecdea780fd0000 0004000c 84080000 00000000", false, ErrOptionSize},
	{"NAK_BO_RNG of 8", "1d4d03e80c030000c3ecdea780fd0000 0004000c 85080000 00000000", false, ErrOptionSize},
	{"REDIRECT, IPv4 in 24", "1d4d03e80c030000c3ecdea780fd0000 0004001c 87180000 00010000 0a4d0001 00000000 00000000 00000000", false, ErrOptionSize},
	{"REDIRECT, IPv6 in 12", "1d4d03e80c030000c3ecdea780fd0000 00040010 870c0000 00020000 0a4d0001", false, ErrOptionSize},
	{"REDIRECT of 4", "1d4d03e80c030000c3ecdea780fd0000 00040008 87040000", false, ErrOptionSize},
	{"PARITY_PRM of 4", "1d4d03e80c030000c3ecdea780fd0000 00040008 88040000", false, ErrOptionSize},
	{"PARITY_GRP of 4", "1d4d03e80c010000c3ecdea780fd0000 00040008 89040000", false, ErrOptionSize},
	{"CURR_TGSIZE of 12", "1d4d03e80c030000c3ecdea780fd0000 00040010 8a0c0000 00000000 00000000", false, ErrOptionSize},
	{"NBR_UNREACH of 8", "1d4d03e80c030000c3ecdea780fd0000 0004000c 8b080000 00000000", false, ErrOptionSize},
	{"PATH_NLA of 12", "1d4d03e80c030000c3ecdea780fd0000 00040010 8c0c0000 00010000 0a4d0001", false, ErrOptionSize},
	{"SYN of 8", "1d4d03e80c010000c3ecdea780fd0000 0004000c 8d080000 00000000", false, ErrOptionSize},
	{"FIN of 8", "1d4d03e80c010000c3ecdea780fd0000 0004000c 8e080000 00000000", false, ErrOptionSize},
	{"RST of 8", "1d4d03e80c010000c3ecdea780fd0000 0004000c 8f080000 00000000", false, ErrOptionSize},
	{"CR of 16", "1d4d03e80c030000c3ecdea780fd0000 00040014 90100000 00000000 00000000 00000000", false, ErrOptionSize},
	{"CR of 20", "1d4d03e80c030000c3ecdea780fd0000 00040018 90140000 00000000 00000000 00000000 00010000", false, ErrOptionSize},
	{"CRQST of 8", "1d4d03e80c030000c3ecdea780fd0000 0004000c 91080000 00000000", false, ErrOptionSize},
	{"PGMCC_DATA of 8", "1d4d03e80c010000c3ecdea780fd0000 0004000c 92080000 00000000", false, ErrOptionSize},
	{"PGMCC_DATA of 20", "1d4d03e80c010000c3ecdea780fd0000 00040018 92140000 00000000 00010000 0a4d0001 00000000", false, ErrOptionSize},
	{"PGMCC_FEEDBACK of 8", "1d4d03e80c010000c3ecdea780fd0000 0004000c 93080000 00000000", false, ErrOptionSize},
	{"PGMCC_FEEDBACK of 14", "1d4d03e80c010000c3ecdea780fd0000 00040012 930e0000 00000000 00010000 0a4d", false, ErrOptionSize},
	{"PEER of 4", "1d4d03e80c010000c3ecdea780fd0000 00040008 a2040000", false, ErrOptionSize},
	{"PEER of 16 in SPM", "03e81d4d00010000c3ecdea780fd0000 00000000 00000000 ffffffff 000100000a4d0001 00040014 a2100000 00000000 00000000 00000000", false, ErrOptionSize},
	{"TSDU length too large", "03e81d4d04000000c3ecdea780fd0003 00000000 00000000 0102", false, ErrTSDULength},
	{"TSDU length too small", "03e81d4d04000000c3ecdea780fd0001 00000000 00000000 0102", false, ErrTSDULength},
	{"bytes after a NAK", "1d4d03e808000000c3ecdea780fd0000 00000005 000100000a4d0001 00010000efc00009 00", false, ErrTSDULength},
	{"bytes after options", "1d4d03e80c010000c3ecdea780fd0000 00040008 8e040000 00", false, ErrTSDULength},
	{"TSDU in SPMR", "1d4d03e80c000000c3ecdea780fd0002 0102", false, ErrTSDU},
}

func TestDecodeRefuses(t *testing.T) {
	met := map[DecodeError]bool{}
	for _, c := range refusals {
		b := fromHex(c.hex)
		if !c.raw {
			resum(b)
		}
		_, err := decoded(b)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		met[c.want] = true
	}
	met[ErrOptionCount] = true // below
	for e := DecodeError(1); int(e) < DecodeErrors; e++ {
		if !met[e] {
			t.Errorf("no packet is refused with %v", e)
		}
	}
}

// optioned is an SPMR with the given TLVs.
func optioned(tlvs []byte) []byte {
	b := fromHex("1d4d03e80c010000c3ecdea780fd0000 00040000")
	b[19] = byte(4 + len(tlvs))
	return resum(append(b, tlvs...))
}

func TestOptionCount(t *testing.T) {
	unknown := fromHex("30040000")
	for n, want := range map[int]error{15: nil, 16: ErrOptionCount} {
		b := optioned(append(slices.Repeat(unknown, n), fromHex("8e040000")...))
		if p, err := decoded(b); err != want || err == nil && !p.Options.Set.Has(OptFIN) {
			t.Errorf("%d options: %v, want %v", n+1, err, want)
		}
	}
}

// What Decode lets pass, on purpose.
func TestDecodeTolerates(t *testing.T) {
	p, err := decoded(optioned(fromHex("06050000ff 30080000ffffffff 8e040000")))
	if err != nil || p.Options.Set != OptionSet(0).With(OptFIN) {
		t.Errorf("unknown options: %#x (%v), want FIN", p.Options.Set, err)
	}
	p, err = decoded(optioned(fromHex("03080000 00000001 83080000 00000002")))
	if err != nil || p.Options.Join != 1 {
		t.Errorf("an option twice: %d (%v), want the first", p.Options.Join, err)
	}
	p, err = decoded(optioned(fromHex("8e040000 ffffffffffff")))
	if err != nil || p.Options.Set != OptionSet(0).With(OptFIN) {
		t.Errorf("bytes between the end bit and the total: %#x (%v)", p.Options.Set, err)
	}
	p, err = decoded(optioned(fromHex("00040000 8e04f700")))
	if err != nil || p.Options.Set != OptionSet(0).With(OptFIN) {
		t.Errorf("OPT_LENGTH again, and junk in byte 2: %#x (%v)", p.Options.Set, err)
	}
	p, err = decoded(optioned(fromHex("ff0c0000 0123456789abcdef")))
	if err != nil || p.Options.Set != OptionSet(0).With(OptInvalid) {
		t.Errorf("an invalidated option: %#x (%v)", p.Options.Set, err)
	}
	p, err = decoded(optioned(fromHex("a2110007 00000009 01020000 aabbccddee")))
	if want := (Peer{Flags: 7, Time: 9, Loss: 0x102}); err != nil || p.Options.Peer != want {
		t.Errorf("a longer Peer: %+v (%v), want %+v", p.Options.Peer, err, want)
	}
	p = Packet{Type: TypeSPM, Path: netip.MustParseAddr("10.0.0.1")}
	p.Options.Set, p.Options.Peer = p.Options.Set.With(OptPeer), Peer{Flags: 1, Time: 2, GRTT: 3, GroupSize: 4, Port: 5, Window: 6, Hold: 7, Ahead: 8, Spread: 9}
	b := p.Append(nil)
	b[39], b[41] = 28, 24 // total, length
	p, err = decoded(resum(append(b, 1, 2, 3, 4)))
	if want := (Peer{Flags: 1, Time: 2, GRTT: 3, GroupSize: 4, Port: 5, Window: 6, Hold: 7, Ahead: 8, Spread: 9}); err != nil || p.Options.Peer != want {
		t.Errorf("a longer Peer in SPM: %+v (%v), want %+v", p.Options.Peer, err, want)
	}
	for _, s := range []string{ // control packets without checksum
		"1d4d03e80c000000c3ecdea780fd0000",
		"1d4d03e808000000c3ecdea780fd0000 00000005 000100000a4d0001 00010000efc00009",
	} {
		if _, err := decoded(fromHex(s)); err != nil {
			t.Errorf("no checksum: %v", err)
		}
	}
}
