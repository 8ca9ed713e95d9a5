package wire

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/rmcast/rmcast/seq"
)

// Packet is one PGM packet of any type. Only the fields of its type mean something; Decode leaves the others as they were,
// so one Packet serves a whole session.
type Packet struct {
	Type Type
	// Flags is the options byte as received. Append takes FlagParity and FlagVarPktLen from it, the rest follows from Options.
	Flags           Flags
	SourcePort      uint16 // downstream the data-source port, upstream the data-destination port
	DestinationPort uint16 // the other one
	GSI             GSI    // always the source's

	Sqn    seq.Num    // SPM, POLL, POLR: their own count. ODATA, RDATA, NAK, NNAK, NCF: the data packet's number. ACK: rx_max
	Trail  seq.Num    // SPM, ODATA, RDATA: TXW_TRAIL
	Lead   seq.Num    // SPM: TXW_LEAD
	Path   netip.Addr // SPM, POLL. An address on the wire has no zone; Append drops it
	Source netip.Addr // NAK, NNAK, NCF: the source's NLA
	Group  netip.Addr // NAK, NNAK, NCF: the multicast group's NLA
	Poll   Poll       // POLL; POLR has its Round only
	Bitmap uint32     // ACK: bit i is set if Sqn-i was received

	Options Options
	Payload []byte // ODATA, RDATA: the TSDU, a view into the decoded buffer, valid as long as that is left alone
}

// Sizes of headers in bytes, without options.
const (
	HeadCommon = 16             // every packet
	HeadData   = HeadCommon + 8 // ODATA and RDATA
)

// minBytes is the length of a packet of each type with IPv4 addresses; 0: there is no such type. The index is byte 4 of the
// header once its version bits are known to be 0.
var minBytes = [64]uint8{
	TypeSPM: 36, TypePOLL: 44, TypePOLR: 24, TypeODATA: HeadData, TypeRDATA: HeadData,
	TypeNAK: 36, TypeNNAK: 36, TypeNCF: 36, TypeSPMR: HeadCommon, TypeACK: 24,
}

// TSI returns the session that the packet belongs to, whichever way it travels.
func (p *Packet) TSI() TSI {
	if p.Type.Upstream() {
		return TSI{p.GSI, p.DestinationPort}
	}
	return TSI{p.GSI, p.SourcePort}
}

// Numbers appends the data packets that a NAK, NNAK or NCF names to dst: Sqn and those of its list, at most MaxNAKs.
func (p *Packet) Numbers(dst []seq.Num) []seq.Num {
	dst = append(dst, p.Sqn)
	if p.Options.Set.Has(OptNAKList) {
		dst = append(dst, p.Options.NAKList.Sqn[:p.Options.NAKList.N]...)
	}
	return dst
}

// parityData reports whether the payload, and with it a FRAGMENT option, is the parity code's.
func (p *Packet) parityData() bool { return p.Flags&FlagParity != 0 && p.Type.data() }

// Decode reads the packet that fills b. It allocates nothing; Payload is a view into b. What it returns is a DecodeError;
// after one, p holds nothing of use.
func (p *Packet) Decode(b []byte) error {
	if e := p.decode(b); e != 0 {
		return e
	}
	return nil
}

func (p *Packet) decode(b []byte) DecodeError {
	if len(b) < HeadCommon {
		return ErrTruncated
	}
	if b[4]&0xc0 != 0 {
		return ErrVersion
	}
	t := Type(b[4])
	minimum := int(minBytes[t&63])
	if minimum == 0 {
		return ErrType
	}
	if len(b) < minimum {
		return ErrTruncated
	}
	if binary.BigEndian.Uint16(b[6:]) != 0 {
		if Sum(b) != 0xffff {
			return ErrChecksum
		}
	} else if t.data() { // RFC 3208, 8: only data packets must have one
		return ErrNoChecksum
	}
	p.Type, p.Flags = t, Flags(b[5])
	p.SourcePort = binary.BigEndian.Uint16(b[0:])
	p.DestinationPort = binary.BigEndian.Uint16(b[2:])
	p.GSI = GSI(b[8:])
	p.Options.Set = 0
	p.Payload = nil
	at, e := p.decodeBody(b)
	if e != 0 {
		return e
	}
	if p.Flags&FlagPresent != 0 {
		n, e := p.Options.decode(b[at:], p)
		if e != 0 {
			return e
		}
		at += n
	}
	payloadBytes := int(binary.BigEndian.Uint16(b[14:]))
	if payloadBytes != len(b)-at {
		return ErrTSDULength
	}
	if t.data() {
		p.Payload = b[at:len(b):len(b)]
	} else if payloadBytes != 0 {
		return ErrTSDU
	}
	return 0
}

// decodeBody reads what stands between the common header and the options and returns where it ends. b has at least the
// minBytes of its type.
func (p *Packet) decodeBody(b []byte) (int, DecodeError) {
	switch p.Type {
	case TypeODATA, TypeRDATA:
		p.Sqn, p.Trail = num(b[16:]), num(b[20:])
		return HeadData, 0
	case TypeSPM:
		return p.decodeSPM(b)
	case TypeNAK, TypeNNAK, TypeNCF:
		return p.decodeNAK(b)
	case TypePOLL:
		return p.decodePOLL(b)
	case TypePOLR:
		return p.decodePOLR(b)
	case TypeACK:
		p.Sqn, p.Bitmap = num(b[16:]), binary.BigEndian.Uint32(b[20:])
		return HeadCommon + 8, 0
	}
	return HeadCommon, 0 // SPMR
}

// HeadLen gives the bytes of everything but the payload. It is even.
func (p *Packet) HeadLen() int {
	n := p.Options.len(p)
	switch p.Type {
	case TypeSPM:
		return n + HeadCommon + 12 + 4 + addrLen(p.Path)
	case TypeNAK, TypeNNAK, TypeNCF:
		return n + HeadCommon + 4 + 4 + addrLen(p.Source) + 4 + addrLen(p.Group)
	case TypePOLL:
		return n + HeadCommon + 8 + 4 + addrLen(p.Path) + 12
	case TypeODATA, TypeRDATA, TypePOLR, TypeACK:
		return n + HeadCommon + 8
	case TypeSPMR:
		return n + HeadCommon
	}
	panic("BUG: wire: " + p.Type.String() + " is no packet type")
}

// Append writes the whole packet to the end of b and returns it. It allocates only if b has no room.
//
// It panics, as does AppendHead, on what only a programming error can ask for: an unknown type, an address that is not set, a
// payload in a packet that carries none or longer than 65535 bytes, more than MaxOptions options, a NAK list of no number.
func (p *Packet) Append(b []byte) []byte {
	b = p.AppendHead(b, len(p.Payload), Sum(p.Payload))
	return append(b, p.Payload...)
}

// AppendHead writes all but the payload to the end of b and returns it; payloadLen bytes with the sum payloadSum must follow
// directly. The checksum it writes is that of the whole packet. p.Payload is not looked at.
func (p *Packet) AppendHead(b []byte, payloadLen int, payloadSum uint16) []byte {
	if uint(payloadLen) > 0xffff || payloadLen > 0 && !p.Type.data() {
		panic("BUG: wire: " + p.Type.String() + " cannot carry such a payload")
	}
	start, n := len(b), p.HeadLen()
	b = slices.Grow(b, n)[:start+n]
	h := b[start:]
	binary.BigEndian.PutUint16(h[0:], p.SourcePort)
	binary.BigEndian.PutUint16(h[2:], p.DestinationPort)
	h[4] = byte(p.Type)
	h[5] = byte(p.flags())
	h[6], h[7] = 0, 0
	copy(h[8:14], p.GSI[:])
	binary.BigEndian.PutUint16(h[14:], uint16(payloadLen))
	if p.Type.data() {
		binary.BigEndian.PutUint32(h[16:], uint32(p.Sqn))
		binary.BigEndian.PutUint32(h[20:], uint32(p.Trail))
		if p.Options.Set != 0 {
			p.Options.append(h[:HeadData], p, n-HeadData)
		}
	} else {
		body := p.appendBody(h[:HeadCommon])
		if p.Options.Set != 0 {
			p.Options.append(body, p, n-len(body))
		}
	}
	sum := ^addSum(Sum(h), payloadSum)
	if sum == 0 { // RFC 3208, 8: 0 says that there is none
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(h[6:], sum)
	return b
}

// flags gives the options byte to send.
func (p *Packet) flags() Flags {
	f := p.Flags & (FlagParity | FlagVarPktLen)
	if p.Options.Set != 0 {
		f |= FlagPresent
		if p.Options.Set.network(p.Type) != 0 {
			f |= FlagNetwork
		}
	}
	return f
}

// appendBody writes the fields of a control packet that follow the common header.
func (p *Packet) appendBody(b []byte) []byte {
	switch p.Type {
	case TypeSPM:
		return p.appendSPM(b)
	case TypeNAK, TypeNNAK, TypeNCF:
		return p.appendNAK(b)
	case TypePOLL:
		return p.appendPOLL(b)
	case TypePOLR:
		return p.appendPOLR(b)
	case TypeACK:
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, uint32(p.Sqn)), p.Bitmap)
	}
	return b // SPMR
}
