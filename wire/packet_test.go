package wire

import (
	"bytes"
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/rmcast/rmcast/seq"
	"pgregory.net/rapid"
)

func TestRoundTrip(t *testing.T) {
	var used Packet // decoded into again and again, as sessions do
	rapid.Check(t, func(t *rapid.T) {
		p := drawPacket(t)
		front := rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "front")
		b := p.Append(bytes.Clone(front))
		if !bytes.HasPrefix(b, front) {
			t.Fatal("Append changed what it appends to")
		}
		b = b[len(front):]
		if len(b) != p.HeadLen()+len(p.Payload) || p.HeadLen()%2 != 0 {
			t.Fatalf("%d bytes, HeadLen %d and payload %d", len(b), p.HeadLen(), len(p.Payload))
		}
		if naiveSum(b) != 0xffff {
			t.Fatalf("checksum is wrong: the sum is %#04x", naiveSum(b))
		}
		got, err := decoded(b)
		if err != nil {
			t.Fatalf("Decode: %v\n%x", err, b)
		}
		if got.Flags != p.Flags || !same(got, p) {
			t.Fatalf("got %+v\nwant %+v", got, p)
		}
		if err := used.Decode(b); err != nil || !bytes.Equal(used.Append(nil), b) {
			t.Fatalf("a used Packet decodes otherwise (%v)", err)
		}
		head := p.AppendHead(nil, len(p.Payload), Sum(p.Payload))
		if !bytes.Equal(append(head, p.Payload...), b) {
			t.Fatal("AppendHead and Append differ")
		}
	})
}

// RFC 3208, 9: network-significant options come first and the options byte says that there are some; the last option alone
// has the end bit.
func TestOptionOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPacket(t)
		b := p.Append(nil)
		var network, last bool
		other := false
		tlvs(b, func(at int) {
			x := Option(b[at] & optType)
			if p.Options.Set.network(p.Type).Has(x) {
				network = true
				if other {
					t.Fatalf("%v stands behind an option that is not network-significant", x)
				}
			} else {
				other = true
			}
			last = b[at]&optEnd != 0
			if f := p.parityData() && x == OptFragment; f != (b[at+2] == optFEC) || !f && b[at+2] != 0 {
				t.Fatalf("%v has byte 2 %#x", x, b[at+2])
			}
		})
		if network != (Flags(b[5])&FlagNetwork != 0) || (p.Options.Set != 0) != (Flags(b[5])&FlagPresent != 0) {
			t.Fatalf("options byte %#x", b[5])
		}
		if p.Options.Set != 0 && !last {
			t.Fatal("no end bit")
		}
	})
}

func TestNetworkSignificance(t *testing.T) {
	for _, c := range []struct {
		t    Type
		o    Option
		want bool
	}{
		{TypeNAK, OptNAKList, true},
		{TypeSPM, OptBackoffInterval, true},
		{TypeSPM, OptBackoffRange, true},
		{TypePOLR, OptRedirect, true},
		{TypeSPM, OptParityPRM, true},
		{TypeODATA, OptCurrTGSize, false},
		{TypeRDATA, OptCurrTGSize, true},
		{TypeSPM, OptNBRUnreach, true},
		{TypeNCF, OptPathNLA, true},
		{TypeNAK, OptCR, true},
		{TypeSPM, OptCRQST, true},
		{TypeODATA, OptFragment, false},
		{TypeSPM, OptJoin, false},
		{TypeRDATA, OptParityGroup, false},
		{TypeODATA, OptSYN, false},
		{TypeSPM, OptFIN, false},
		{TypeSPM, OptRST, false},
		{TypeODATA, OptPGMCCData, false},
		{TypeACK, OptPGMCCFeedback, false},
		{TypeSPM, OptPeer, false},
	} {
		if got := OptionSet(0).With(c.o).network(c.t).Has(c.o); got != c.want {
			t.Errorf("%v in %v: network-significant = %v, want %v", c.o, c.t, got, c.want)
		}
	}
}

func TestTSI(t *testing.T) {
	for _, typ := range packetTypes {
		p := Packet{Type: typ, SourcePort: 1, DestinationPort: 2, GSI: GSI{3}}
		want := TSI{GSI{3}, 1}
		switch typ {
		case TypeNAK, TypeNNAK, TypeSPMR, TypePOLR, TypeACK:
			want.Port = 2
		}
		if got := p.TSI(); got != want {
			t.Errorf("%v: TSI %v, want %v", typ, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	p := Packet{Type: TypeNAK, Sqn: 5}
	p.Options.NAKList = NAKList{N: 2, Sqn: [MaxNAKs - 1]seq.Num{6, 9}}
	if got := p.Numbers(nil); len(got) != 1 || got[0] != 5 {
		t.Errorf("without the option: %v, want [5]", got)
	}
	p.Options.Set = p.Options.Set.With(OptNAKList)
	if got := p.Numbers([]seq.Num{1}); len(got) != 4 || got[0] != 1 || got[1] != 5 || got[2] != 6 || got[3] != 9 {
		t.Errorf("with the option: %v, want [1 5 6 9]", got)
	}
}

// Scope ids never travel, and an IPv6 address that stands for an IPv4 one stays IPv6.
func TestAddresses(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"fe80::1%eth0", "fe80::1"},
		{"::ffff:10.0.0.1", "::ffff:10.0.0.1"},
		{"10.0.0.1", "10.0.0.1"},
	} {
		p := Packet{Type: TypeSPM, Path: netip.MustParseAddr(c.in)}
		p.Options.Set = p.Options.Set.With(OptPathNLA, OptRedirect)
		p.Options.PathNLA, p.Options.Redirect = p.Path, p.Path
		got, err := decoded(p.Append(nil))
		want := netip.MustParseAddr(c.out)
		if err != nil || got.Path != want || got.Options.PathNLA != want || got.Options.Redirect != want {
			t.Errorf("%s became %v, %v, %v (%v)", c.in, got.Path, got.Options.PathNLA, got.Options.Redirect, err)
		}
	}
}

// A checksum that comes out as 0 is sent as 0xffff.
func TestChecksumNeverZero(t *testing.T) {
	p := Packet{Type: TypeODATA, Payload: make([]byte, 2)}
	sum := ^naiveSum(p.Append(nil)[8:]) - uint16(TypeODATA)<<8
	p.Payload[0], p.Payload[1] = byte(sum>>8), byte(sum) // now the sum of all the rest is 0xffff
	b := p.Append(nil)
	if b[6] != 0xff || b[7] != 0xff {
		t.Errorf("checksum %x, want ffff", b[6:8])
	}
	if _, err := decoded(b); err != nil {
		t.Errorf("Decode: %v", err)
	}
}

// Only programming errors panic, and they say so.
func TestAppendPanics(t *testing.T) {
	addr := netip.MustParseAddr("10.0.0.1")
	with := func(p Packet, o ...Option) Packet {
		p.Options.Set = p.Options.Set.With(o...)
		return p
	}
	spmr := Packet{Type: TypeSPMR}
	list := with(spmr, OptNAKList)
	list.Options.NAKList.N = MaxNAKs
	code := with(spmr, OptRST)
	code.Options.Reset.Code = 64
	for name, p := range map[string]Packet{
		"no path":              {Type: TypeSPM},
		"no poll path":         {Type: TypePOLL},
		"no source":            {Type: TypeNAK, Group: addr},
		"no group":             {Type: TypeNCF, Source: addr},
		"no redirect":          with(spmr, OptRedirect),
		"no path option":       with(spmr, OptPathNLA),
		"no acker":             with(spmr, OptPGMCCData),
		"no receiver":          with(spmr, OptPGMCCFeedback),
		"no reporter":          with(spmr, OptCR),
		"no such type":         {Type: 3},
		"payload in a NAK":     {Type: TypeNAK, Source: addr, Group: addr, Payload: []byte{1}},
		"payload too long":     {Type: TypeODATA, Payload: make([]byte, 1<<16)},
		"empty list":           with(spmr, OptNAKList),
		"list of 63":           list,
		"reset code":           code,
		"17 options":           with(spmr, append(allOptions[:2:2], allOptions[5:]...)...),
		"OPT_LENGTH in Set":    with(spmr, OptLength),
		"an unknown in Set":    with(spmr, Option(6)),
		"unknown beside known": with(spmr, OptSYN, Option(0x30)),
	} {
		func() {
			defer func() {
				if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "BUG: wire: ") {
					t.Errorf("%s: recovered %q, want a BUG", name, s)
				}
			}()
			p.Append(nil)
		}()
	}
}

func TestFragmentEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := Fragment{drawNum(t, "first"), rapid.Uint32().Draw(t, "offset"), rapid.Uint32().Draw(t, "length")}
		p := Packet{Type: TypeODATA, Payload: []byte{}}
		p.Options.Set, p.Options.Fragment = p.Options.Set.With(OptFragment), f
		b := p.Append(nil)
		e := f.Encode()
		if !bytes.Equal(e[:], b[HeadData+4+3:]) {
			t.Fatalf("Encode gives %x, the packet has %x", e, b[HeadData+4+3:])
		}
		if got, ok := e.Decode(); got != f || !ok {
			t.Fatalf("decoded %v, %v, want %v", got, ok, f)
		}
	})
	if f, ok := NullFragment.Decode(); ok {
		t.Errorf("NullFragment decodes to %v", f)
	}
}

func TestPeerLoss(t *testing.T) {
	var q Peer
	if share, ok := q.LossShare(); ok {
		t.Errorf("the zero Peer tells a loss of %v", share)
	}
	for _, c := range [][2]float64{{-1, 0}, {math.NaN(), 0}, {0, 0}, {0.1, 0.1}, {0.25, 0.25}, {1, 1}, {7, 1}} {
		q.SetLoss(c[0])
		if share, ok := q.LossShare(); !ok || math.Abs(share-c[1]) > 1./65534 {
			t.Errorf("a loss of %v is told as %v (%v)", c[0], share, ok)
		}
	}
}
