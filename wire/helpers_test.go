package wire

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/rmcast/rmcast/internal/testvec"
	"github.com/rmcast/rmcast/seq"
	"pgregory.net/rapid"
)

// fromHex reads hex with blanks in it.
func fromHex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// resum writes the checksum that b should have, computed the slow way.
func resum(b []byte) []byte {
	b[6], b[7] = 0, 0
	sum := ^naiveSum(b)
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(b[6:], sum)
	return b
}

// decoded decodes into a new Packet.
func decoded(b []byte) (Packet, error) {
	var p Packet
	err := p.Decode(b)
	return p, err
}

// distinct returns the different packets of all captures, in order.
func distinct() [][]byte {
	seen := map[string]bool{}
	var packets [][]byte
	for _, c := range testvec.Captures() {
		for _, d := range c.Datagrams {
			if !seen[string(d.Payload)] {
				seen[string(d.Payload)] = true
				packets = append(packets, d.Payload)
			}
		}
	}
	return packets
}

// same reports whether two packets that were decoded afresh say the same; what Append makes of the flags byte counts.
func same(a, b Packet) bool {
	a.Flags, b.Flags = a.flags(), b.flags()
	return reflect.DeepEqual(a, b)
}

var packetTypes = []Type{
	TypeSPM, TypePOLL, TypePOLR, TypeODATA, TypeRDATA, TypeNAK, TypeNNAK, TypeNCF, TypeSPMR, TypeACK,
}

var allOptions = []Option{
	OptFragment, OptNAKList, OptJoin, OptBackoffInterval, OptBackoffRange, OptRedirect, OptParityPRM, OptParityGroup,
	OptCurrTGSize, OptNBRUnreach, OptPathNLA, OptSYN, OptFIN, OptRST, OptCR, OptCRQST, OptPGMCCData, OptPGMCCFeedback,
	OptPeer, OptInvalid,
}

func drawAddr(t *rapid.T, name string) netip.Addr {
	if rapid.Bool().Draw(t, name+" is IPv6") {
		return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, name)))
	}
	return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, name)))
}

func drawNum(t *rapid.T, name string) seq.Num { return seq.Num(rapid.Uint32().Draw(t, name)) }

// drawPacket draws a packet of any type with any options; fields that its type and options do not use are zero.
func drawPacket(t *rapid.T) Packet {
	p := Packet{
		Type:            rapid.SampledFrom(packetTypes).Draw(t, "type"),
		SourcePort:      rapid.Uint16().Draw(t, "source port"),
		DestinationPort: rapid.Uint16().Draw(t, "destination port"),
		GSI:             GSI(rapid.SliceOfN(rapid.Byte(), 6, 6).Draw(t, "gsi")),
		Flags:           rapid.SampledFrom([]Flags{0, FlagParity, FlagParity | FlagVarPktLen}).Draw(t, "flags"),
	}
	switch p.Type {
	case TypeSPM:
		p.Sqn, p.Trail, p.Lead, p.Path = drawNum(t, "sqn"), drawNum(t, "trail"), drawNum(t, "lead"), drawAddr(t, "path")
	case TypeODATA, TypeRDATA:
		p.Sqn, p.Trail = drawNum(t, "sqn"), drawNum(t, "trail")
		p.Payload = rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "payload")
	case TypeNAK, TypeNNAK, TypeNCF:
		p.Sqn, p.Source, p.Group = drawNum(t, "sqn"), drawAddr(t, "source"), drawAddr(t, "group")
	case TypePOLL:
		p.Sqn, p.Path = drawNum(t, "sqn"), drawAddr(t, "path")
		p.Poll = Poll{
			rapid.Uint16().Draw(t, "round"), rapid.Uint16().Draw(t, "subtype"),
			rapid.Uint32().Draw(t, "backoff"), rapid.Uint32().Draw(t, "random"), rapid.Uint32().Draw(t, "mask"),
		}
	case TypePOLR:
		p.Sqn, p.Poll.Round = drawNum(t, "sqn"), rapid.Uint16().Draw(t, "round")
	case TypeACK:
		p.Sqn, p.Bitmap = drawNum(t, "rx_max"), rapid.Uint32().Draw(t, "bitmap")
	}
	for _, x := range rapid.SliceOfNDistinct(rapid.SampledFrom(allOptions), 0, MaxOptions, rapid.ID[Option]).Draw(t, "options") {
		p.Options.Set = p.Options.Set.With(x)
		drawOption(t, &p, x)
	}
	p.Flags = p.flags() // as Decode will see them
	return p
}

func drawOption(t *rapid.T, p *Packet, x Option) {
	o := &p.Options
	u8, u16, u32, bit := rapid.Uint8(), rapid.Uint16(), rapid.Uint32(), rapid.Bool()
	switch x {
	case OptFragment:
		if p.parityData() {
			o.Encoded = EncodedFragment(rapid.SliceOfN(u8, 13, 13).Draw(t, "encoded"))
		} else {
			o.Fragment = Fragment{drawNum(t, "first"), u32.Draw(t, "offset"), u32.Draw(t, "length")}
		}
	case OptNAKList:
		o.NAKList.N = rapid.IntRange(1, MaxNAKs-1).Draw(t, "naks")
		for i := range o.NAKList.N {
			o.NAKList.Sqn[i] = drawNum(t, "nak")
		}
	case OptJoin:
		o.Join = drawNum(t, "join")
	case OptBackoffInterval:
		o.BackoffInterval = BackoffInterval{u32.Draw(t, "interval"), drawNum(t, "poll")}
	case OptBackoffRange:
		o.BackoffRange = BackoffRange{u32.Draw(t, "max"), u32.Draw(t, "min")}
	case OptRedirect:
		o.Redirect = drawAddr(t, "redirect")
	case OptParityPRM:
		o.ParityPRM = ParityPRM{bit.Draw(t, "P"), bit.Draw(t, "O"), u32.Draw(t, "group size")}
	case OptParityGroup:
		o.ParityGroup = u32.Draw(t, "parity group")
	case OptCurrTGSize:
		o.CurrTGSize = u32.Draw(t, "current size")
	case OptPathNLA:
		o.PathNLA = drawAddr(t, "path nla")
	case OptRST:
		o.Reset = Reset{bit.Draw(t, "N"), rapid.Uint8Range(0, 63).Draw(t, "code")}
	case OptCR:
		has := CRQST{bit.Draw(t, "L"), bit.Draw(t, "P"), bit.Draw(t, "R")}
		o.CR = CR{has, drawNum(t, "lead"), u16.Draw(t, "link"), u16.Draw(t, "path"), u16.Draw(t, "loss"), drawAddr(t, "reporter")}
	case OptCRQST:
		o.CRQST = CRQST{bit.Draw(t, "L"), bit.Draw(t, "P"), bit.Draw(t, "R")}
	case OptPGMCCData:
		o.PGMCCData = PGMCCData{u32.Draw(t, "ms"), drawAddr(t, "acker")}
	case OptPGMCCFeedback:
		o.PGMCCFeedback = PGMCCFeedback{u32.Draw(t, "ms"), u16.Draw(t, "loss"), drawAddr(t, "receiver")}
	case OptPeer:
		o.Peer.Flags = u8.Draw(t, "peer flags")
		if p.Type.data() {
			o.Peer.Check = u16.Draw(t, "check")
			return
		}
		o.Peer.Time = u32.Draw(t, "µs")
		if p.Type == TypeSPM {
			o.Peer.GRTT, o.Peer.GroupSize = u8.Draw(t, "grtt"), u8.Draw(t, "group size")
			o.Peer.Port, o.Peer.Window = u16.Draw(t, "port"), u32.Draw(t, "window")
			o.Peer.Hold, o.Peer.Ahead, o.Peer.Spread = u8.Draw(t, "hold"), u8.Draw(t, "ahead"), u8.Draw(t, "spread")
			if rapid.Bool().Draw(t, "paced") {
				o.Peer.Pace = Pace{true, ReceiverID(u32.Draw(t, "acker")) << 16, ReceiverID(u32.Draw(t, "told")) << 24, u32.Draw(t, "slow"),
					seq.Num(u32.Draw(t, "mark")), u8.Draw(t, "every"), u8.Draw(t, "confirm"), u8.Draw(t, "reason")}
			}
		} else {
			o.Peer.Loss = u16.Draw(t, "peer loss")
			if rapid.Bool().Draw(t, "reported") {
				o.Peer.Report = Report{true, ReceiverID(u32.Draw(t, "id")) << 16, seq.Num(u32.Draw(t, "lead")), u32.Draw(t, "held"), u32.Draw(t, "clock"),
					u32.Draw(t, "bytes"), u32.Draw(t, "heard"), u32.Draw(t, "room"), seq.Num(u32.Draw(t, "start")), seq.Num(u32.Draw(t, "front"))}
			}
		}
	}
}

// tlvs calls f for each option of a sound packet with where it begins.
func tlvs(b []byte, f func(at int)) {
	p, err := decoded(b)
	if err != nil || p.Options.Set == 0 {
		return
	}
	bare := p
	bare.Options.Set = 0
	at := bare.HeadLen() + 4
	for {
		f(at)
		if b[at]&optEnd != 0 {
			return
		}
		at += int(b[at+1])
	}
}

// clean returns b as it would be without what Decode ignores and Append does not send: byte 2 of the options, in which
// OpenPGM leaves what its memory held (seen: 08 2e 7c 9a c1 f7), is 0, and the checksum fits that.
func clean(b []byte) []byte {
	c := slices.Clone(b)
	tlvs(b, func(at int) { c[at+2] = 0 })
	return resum(c)
}
