package capture

import (
	"encoding/binary"
	"net/netip"
)

const (
	protocolUDP = 17
	protocolPGM = 113

	headIPv4 = 20
	headIPv6 = 40
	headUDP  = 8
)

// packet is a datagram and what its headers say.
type packet struct {
	from, to netip.AddrPort // of one family
	raw      bool           // IP protocol 113, without UDP
	hops     uint8
	id       uint16 // IPv4's identification
	payload  []byte
}

// length is that of the IP packet, in bytes.
func (p *packet) length() int {
	n := headIPv6 + len(p.payload)
	if p.to.Addr().Is4() {
		n = headIPv4 + len(p.payload)
	}
	if !p.raw {
		n += headUDP
	}
	return n
}

// append appends the IP packet.
func (p *packet) append(b []byte) []byte {
	be := binary.BigEndian
	protocol, inner := byte(protocolPGM), len(p.payload)
	if !p.raw {
		protocol, inner = protocolUDP, inner+headUDP
	}
	start, addresses := len(b), len(b)+8 // the addresses end IPv6's head
	if p.to.Addr().Is4() {
		b = append(b, 0x45, 0)
		b = be.AppendUint16(b, uint16(headIPv4+inner))
		b = be.AppendUint16(b, p.id)
		b = append(b, 0x40, 0, p.hops, protocol, 0, 0) // do not fragment
		addresses = len(b)
		from, to := p.from.Addr().As4(), p.to.Addr().As4()
		b = append(append(b, from[:]...), to[:]...)
		be.PutUint16(b[start+10:], ^fold(sum(b[start:])))
	} else {
		b = append(b, 0x60, 0, 0, 0)
		b = be.AppendUint16(b, uint16(inner))
		b = append(b, protocol, p.hops)
		from, to := p.from.Addr().As16(), p.to.Addr().As16()
		b = append(append(b, from[:]...), to[:]...)
	}
	if p.raw {
		return append(b, p.payload...)
	}
	udp := len(b)
	b = be.AppendUint16(b, p.from.Port())
	b = be.AppendUint16(b, p.to.Port())
	b = be.AppendUint16(b, uint16(inner))
	b = append(b, 0, 0)
	b = append(b, p.payload...)
	// RFC 768: over the addresses, the protocol and the length too; 0 would say that there is none.
	check := ^fold(sum(b[addresses:udp]) + protocolUDP + uint64(inner) + sum(b[udp:]))
	if check == 0 {
		check = 0xffff
	}
	be.PutUint16(b[udp+6:], check)
	return b
}

// sum adds up b as 16-bit words, 32 bits at a time: fold makes the Internet checksum's sum of it. Only the last of several may have an odd length.
func sum(b []byte) (n uint64) {
	for ; len(b) >= 4; b = b[4:] {
		n += uint64(binary.BigEndian.Uint32(b))
	}
	if len(b) >= 2 {
		n, b = n+uint64(binary.BigEndian.Uint16(b)), b[2:]
	}
	if len(b) == 1 {
		n += uint64(b[0]) << 8
	}
	return n
}

func fold(n uint64) uint16 {
	for n > 0xffff {
		n = n>>16 + n&0xffff
	}
	return uint16(n)
}
