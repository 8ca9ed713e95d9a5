package wire

import (
	"encoding/binary"
	"net/netip"

	"github.com/rmcast/rmcast/seq"
)

// Options are a packet's options. A field means something only if Set has its option; Decode clears Set and nothing else.
type Options struct {
	Set OptionSet

	Fragment        Fragment
	Encoded         EncodedFragment // takes Fragment's place in parity data packets
	NAKList         NAKList
	Join            seq.Num // OPT_JOIN: the lowest number a late receiver may ask for
	BackoffInterval BackoffInterval
	BackoffRange    BackoffRange
	Redirect        netip.Addr // OPT_REDIRECT: the repairer's address
	PathNLA         netip.Addr // OPT_PATH_NLA: the path address of an NCF's sender
	ParityPRM       ParityPRM
	ParityGroup     uint32 // OPT_PARITY_GRP: parity index divided by the group size, 1 or more
	CurrTGSize      uint32 // OPT_CURR_TGSIZE: packets in this transmission group
	Reset           Reset
	CR              CR
	CRQST           CRQST
	PGMCCData       PGMCCData
	PGMCCFeedback   PGMCCFeedback
	Peer            Peer
}

// Has reports whether o is present.
func (o *Options) Has(x Option) bool { return o.Set.Has(x) }

// decode reads the options at the start of b, OPT_LENGTH first, and returns their total length.
func (o *Options) decode(b []byte, p *Packet) (int, DecodeError) {
	if len(b) < 4 || b[0] != byte(OptLength) || b[1] != 4 {
		return 0, ErrOptLength
	}
	total := int(binary.BigEndian.Uint16(b[2:]))
	if total < 4 {
		return 0, ErrOptLength
	}
	if total > len(b) {
		return 0, ErrOptionTotal
	}
	b = b[4:total]
	for n := 0; ; n++ {
		switch {
		case len(b) == 0:
			return 0, ErrOptionEnd
		case n == MaxOptions:
			return 0, ErrOptionCount
		case len(b) < 4:
			return 0, ErrOptionBounds
		case b[1] < 4:
			return 0, ErrOptionShort
		case int(b[1]) > len(b):
			return 0, ErrOptionBounds
		}
		tlv := b[:b[1]]
		if x := Option(tlv[0] & optType); x.known() && x != OptLength && !o.Set.Has(x) { // the first of equal ones counts
			if e := o.decodeOne(x, tlv, p); e != 0 {
				return 0, e
			}
			o.Set |= x.bit()
		}
		if tlv[0]&optEnd != 0 {
			return total, 0
		}
		b = b[len(tlv):]
	}
}

// decodeOne reads the TLV b of the known type x. Byte 2 is not looked at: OpenPGM leaves there what its memory held. Its F
// bit is implied: parity data packets carry the encoded form.
func (o *Options) decodeOne(x Option, b []byte, p *Packet) DecodeError {
	if want := optionTable[x].bytes; want != 0 && len(b) != int(want) {
		return ErrOptionSize
	}
	switch x {
	case OptFragment:
		if p.parityData() {
			o.Encoded = EncodedFragment(b[3:])
		} else {
			o.Fragment.decode(b)
		}
	case OptNAKList:
		return o.NAKList.decode(b)
	case OptJoin:
		o.Join = num(b[4:])
	case OptBackoffInterval:
		o.BackoffInterval = BackoffInterval{binary.BigEndian.Uint32(b[4:]), num(b[8:])}
	case OptBackoffRange:
		o.BackoffRange = BackoffRange{binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])}
	case OptRedirect:
		return decodeOptionNLA(&o.Redirect, b[4:])
	case OptPathNLA:
		return o.decodePathNLA(b)
	case OptParityPRM:
		o.ParityPRM.decode(b)
	case OptParityGroup:
		o.ParityGroup = binary.BigEndian.Uint32(b[4:])
	case OptCurrTGSize:
		o.CurrTGSize = binary.BigEndian.Uint32(b[4:])
	case OptRST:
		o.Reset = Reset{NoNAKs: b[3]&resetNoNAKs != 0, Code: b[3] & resetCode}
	case OptCR:
		return o.CR.decode(b)
	case OptCRQST:
		o.CRQST.decode(b[3])
	case OptPGMCCData:
		return o.PGMCCData.decode(b)
	case OptPGMCCFeedback:
		return o.PGMCCFeedback.decode(b)
	case OptPeer:
		return o.Peer.decode(b, p.Type)
	}
	return 0
}

// decodeOptionNLA reads an NLA that must fill b.
func decodeOptionNLA(a *netip.Addr, b []byte) DecodeError {
	addr, n, e := decodeNLA(b)
	switch {
	case e == ErrTruncated || e == 0 && n != len(b):
		return ErrOptionSize
	case e != 0:
		return e
	}
	*a = addr
	return 0
}

// len gives the bytes of all options with their OPT_LENGTH, 0 if there are none.
func (o *Options) len(p *Packet) int {
	if o.Set == 0 {
		return 0
	}
	if o.Set&^knownOptions != 0 || o.Set.count() > MaxOptions {
		panic("BUG: wire: Options.Set has more than 16 options or what is no option")
	}
	n := 4
	for s := o.Set; s != 0; s &= s - 1 {
		n += o.lenOne(s.first(), p)
	}
	return n
}

func (o *Options) lenOne(x Option, p *Packet) int {
	switch x {
	case OptNAKList:
		return o.NAKList.len()
	case OptRedirect:
		return 8 + addrLen(o.Redirect)
	case OptPathNLA:
		return 4 + addrLen(o.PathNLA)
	case OptCR:
		return 20 + addrLen(o.CR.Receiver)
	case OptPGMCCData:
		return 12 + addrLen(o.PGMCCData.Acker)
	case OptPGMCCFeedback:
		return 12 + addrLen(o.PGMCCFeedback.Receiver)
	case OptPeer:
		return o.Peer.len(p.Type)
	case OptInvalid:
		return 4
	}
	return int(optionTable[x].bytes)
}

// append writes the options, total bytes in all: the network-significant ones first, either kind by number.
func (o *Options) append(b []byte, p *Packet, total int) []byte {
	b = append(b, byte(OptLength), 4)
	b = binary.BigEndian.AppendUint16(b, uint16(total))
	last := 0
	network := o.Set.network(p.Type)
	for _, s := range [2]OptionSet{network, o.Set &^ network} {
		for ; s != 0; s &= s - 1 {
			last = len(b)
			b = o.appendOne(b, s.first(), p)
		}
	}
	b[last] |= optEnd
	return b
}

// appendOne writes one TLV without its end bit.
func (o *Options) appendOne(b []byte, x Option, p *Packet) []byte {
	b = append(b, byte(x), byte(o.lenOne(x, p)), 0)
	be := binary.BigEndian
	switch x {
	case OptFragment:
		if p.parityData() {
			b[len(b)-1] = optFEC
			return append(b, o.Encoded[:]...)
		}
		return o.Fragment.append(b)
	case OptNAKList:
		return o.NAKList.append(b)
	case OptJoin:
		return be.AppendUint32(append(b, 0), uint32(o.Join))
	case OptBackoffInterval:
		return be.AppendUint32(be.AppendUint32(append(b, 0), o.BackoffInterval.Interval), uint32(o.BackoffInterval.Poll))
	case OptBackoffRange:
		return be.AppendUint32(be.AppendUint32(append(b, 0), o.BackoffRange.Max), o.BackoffRange.Min)
	case OptRedirect:
		return appendNLA(append(b, 0), o.Redirect, 0)
	case OptPathNLA:
		return appendAddr(append(b, 0), o.PathNLA)
	case OptParityPRM:
		return o.ParityPRM.append(b)
	case OptParityGroup:
		return be.AppendUint32(append(b, 0), o.ParityGroup)
	case OptCurrTGSize:
		return be.AppendUint32(append(b, 0), o.CurrTGSize)
	case OptRST:
		return append(b, o.Reset.bits())
	case OptCR:
		return o.CR.append(b)
	case OptCRQST:
		return append(b, o.CRQST.bits())
	case OptPGMCCData:
		return o.PGMCCData.append(b)
	case OptPGMCCFeedback:
		return o.PGMCCFeedback.append(b)
	case OptPeer:
		return o.Peer.append(b, p.Type)
	}
	return append(b, 0) // SYN, FIN, NBR_UNREACH, INVALID
}

func num(b []byte) seq.Num { return seq.Num(binary.BigEndian.Uint32(b)) }
