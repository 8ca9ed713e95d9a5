package wire

import (
	"net/netip"
	"reflect"

	"github.com/rmcast/rmcast/seq"
)

// modelDecode reads a packet as one would who has the formats before him and no care for speed: field after field, each of which
// may find the packet at its end. It shares nothing with Decode but the types, and says only whether the packet is accepted.
func modelDecode(b []byte) (p Packet, ok bool) {
	defer func() {
		if x := recover(); x != nil {
			if _, short := x.(atEnd); !short {
				panic(x)
			}
			p, ok = Packet{}, false
		}
	}()
	r := &fields{b: b}
	p.SourcePort, p.DestinationPort = r.u16(), r.u16()
	p.Type, p.Flags = Type(r.u8()), Flags(r.u8())
	sum := r.u16()
	p.GSI = GSI(r.take(6))
	tsdu := int(r.u16())
	data := p.Type == TypeODATA || p.Type == TypeRDATA
	switch {
	case sum == 0 && data, sum != 0 && naiveSum(b) != 0xffff:
		return Packet{}, false
	}
	switch p.Type {
	case TypeSPM:
		p.Sqn, p.Trail, p.Lead, p.Path = r.num(), r.num(), r.num(), r.nla()
	case TypePOLL:
		p.Sqn, p.Poll.Round, p.Poll.SubType, p.Path = r.num(), r.u16(), r.u16(), r.nla()
		p.Poll.Backoff, p.Poll.Random, p.Poll.Mask = r.u32(), r.u32(), r.u32()
	case TypePOLR:
		p.Sqn, p.Poll.Round = r.num(), r.u16()
		r.take(2)
	case TypeODATA, TypeRDATA:
		p.Sqn, p.Trail = r.num(), r.num()
	case TypeNAK, TypeNNAK, TypeNCF:
		p.Sqn, p.Source, p.Group = r.num(), r.nla(), r.nla()
	case TypeACK:
		p.Sqn, p.Bitmap = r.num(), r.u32()
	case TypeSPMR:
	default:
		return Packet{}, false
	}
	if p.Flags&FlagPresent != 0 && !modelOptions(r, &p) {
		return Packet{}, false
	}
	if len(r.b) != tsdu || !data && tsdu != 0 {
		return Packet{}, false
	}
	if data {
		p.Payload = r.b
	}
	return p, true
}

// modelOptions reads OPT_LENGTH and what it spans.
func modelOptions(r *fields, p *Packet) bool {
	if r.u8() != 0 || r.u8() != 4 {
		return false
	}
	total := int(r.u16())
	if total < 4 {
		return false
	}
	area := &fields{b: r.take(total - 4)}
	for range 16 {
		head := area.u8()
		length := int(area.u8())
		if length < 4 {
			return false
		}
		o := &fields{b: area.take(length - 2)}
		o.u8() // what OpenPGM leaves undefined
		if x := Option(head & 0x7f); !p.Options.Set.Has(x) && modelOption(o, x, p) {
			if len(o.b) != 0 {
				return false
			}
			p.Options.Set = p.Options.Set.With(x)
		}
		if head&0x80 != 0 {
			return true
		}
	}
	return false
}

// modelOption reads one option from its fourth byte on and reports whether it knows it.
func modelOption(r *fields, x Option, p *Packet) bool {
	o := &p.Options
	byte3 := r.u8()
	flag := func(bit byte) bool { return byte3&bit != 0 }
	switch x {
	case OptFragment:
		if p.Flags&FlagParity != 0 && (p.Type == TypeODATA || p.Type == TypeRDATA) {
			o.Encoded = EncodedFragment(append([]byte{byte3}, r.take(12)...))
		} else {
			o.Fragment = Fragment{r.num(), r.u32(), r.u32()}
		}
	case OptNAKList:
		for o.NAKList = (NAKList{}); len(r.b) > 0 || o.NAKList.N == 0; o.NAKList.N++ {
			o.NAKList.Sqn[o.NAKList.N] = r.num()
		}
	case OptJoin:
		o.Join = r.num()
	case OptBackoffInterval:
		o.BackoffInterval = BackoffInterval{r.u32(), r.num()}
	case OptBackoffRange:
		o.BackoffRange = BackoffRange{r.u32(), r.u32()}
	case OptRedirect:
		o.Redirect = r.nla()
	case OptPathNLA:
		if len(r.b) == 4 {
			o.PathNLA = netip.AddrFrom4([4]byte(r.take(4)))
		} else {
			o.PathNLA = netip.AddrFrom16([16]byte(r.take(16)))
		}
	case OptParityPRM:
		o.ParityPRM = ParityPRM{flag(2), flag(1), r.u32()}
	case OptParityGroup:
		o.ParityGroup = r.u32()
	case OptCurrTGSize:
		o.CurrTGSize = r.u32()
	case OptRST:
		o.Reset = Reset{flag(0x40), byte3 & 0x3f}
	case OptCR:
		has := CRQST{flag(4), flag(2), flag(1)}
		o.CR = CR{Has: has, Lead: r.num(), WorstLink: r.u16(), WorstPath: r.u16(), Loss: r.u16()}
		r.take(2)
		o.CR.Receiver = r.nla()
	case OptCRQST:
		o.CRQST = CRQST{flag(4), flag(2), flag(1)}
	case OptPGMCCData:
		o.PGMCCData = PGMCCData{r.u32(), r.nla()}
	case OptPGMCCFeedback:
		o.PGMCCFeedback.Time = r.u32()
		o.PGMCCFeedback.Loss = (&fields{b: r.b[min(2, len(r.b)):]}).u16()
		o.PGMCCFeedback.Receiver = r.nla()
	case OptPeer:
		o.Peer = Peer{Flags: byte3}
		if p.Type == TypeODATA || p.Type == TypeRDATA {
			o.Peer.Check = r.u16()
			r.b = nil
			break
		}
		o.Peer.Time = r.u32()
		if p.Type == TypeSPM {
			o.Peer.GRTT, o.Peer.GroupSize, o.Peer.Port, o.Peer.Window = r.u8(), r.u8(), r.u16(), r.u32()
			o.Peer.Hold, o.Peer.Ahead, o.Peer.Spread = r.u8(), r.u8(), r.u8()
			r.take(1)
			if len(r.b) >= 28 {
				acker, told := ReceiverID(r.u32())<<32|ReceiverID(r.u32()), ReceiverID(r.u32())<<32|ReceiverID(r.u32())
				o.Peer.Pace = Pace{true, acker, told, r.u32(), seq.Num(r.u32()), r.u8(), r.u8(), r.u8()}
			}
		} else {
			o.Peer.Loss = r.u16()
			r.take(2)
			if len(r.b) >= 40 {
				id := ReceiverID(r.u32())<<32 | ReceiverID(r.u32())
				o.Peer.Report = Report{true, id, seq.Num(r.u32()), r.u32(), r.u32(), r.u32(), r.u32(), r.u32(), seq.Num(r.u32()), seq.Num(r.u32())}
			}
		}
		r.b = nil // later versions may have more
	case OptInvalid:
		r.b = nil
	case OptNBRUnreach, OptSYN, OptFIN:
	default:
		return false // unknown, or OPT_LENGTH once more
	}
	return true
}

// fields reads from the front of b and panics with atEnd when b is too short.
type fields struct{ b []byte }

type atEnd struct{}

func (r *fields) take(n int) []byte {
	if n > len(r.b) {
		panic(atEnd{})
	}
	head := r.b[:n]
	r.b = r.b[n:]
	return head
}

func (r *fields) u8() byte     { return r.take(1)[0] }
func (r *fields) u16() uint16  { return uint16(r.u8())<<8 | uint16(r.u8()) }
func (r *fields) u32() uint32  { return uint32(r.u16())<<16 | uint32(r.u16()) }
func (r *fields) num() seq.Num { return seq.Num(r.u32()) }

// nla reads an NLA; a packet with a family that is none is refused as one that ends too early.
func (r *fields) nla() netip.Addr {
	family := r.u16()
	r.take(2)
	switch family {
	case 1:
		return netip.AddrFrom4([4]byte(r.take(4)))
	case 2:
		return netip.AddrFrom16([16]byte(r.take(16)))
	}
	panic(atEnd{})
}

// agrees reports whether Decode, which made p of b or refused it, and the model are of one mind.
func agrees(b []byte, p Packet, refused bool) bool {
	want, ok := modelDecode(b)
	if !ok || refused {
		return ok != refused
	}
	if len(want.Payload) == 0 && len(p.Payload) == 0 {
		want.Payload = p.Payload
	}
	return reflect.DeepEqual(p, want)
}
