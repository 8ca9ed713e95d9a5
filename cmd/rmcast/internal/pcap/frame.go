package pcap

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Packet is a UDP datagram, or an IP packet of protocol 113: then the ports are 0.
type Packet struct {
	At       time.Time
	From, To netip.AddrPort
	Payload  []byte
	IPBytes  int // of the whole IP packet
}

// Link types.
const (
	linkNull     = 0
	linkEthernet = 1
	linkRaw      = 101
	linkRawBSD   = 12
	linkRawOpen  = 14
	linkLoop     = 108
	linkSLL      = 113
	linkIPv4     = 228
	linkIPv6     = 229
	linkSLL2     = 276
)

const (
	protocolUDP = 17
	protocolPGM = 113
)

// verdict says what is in a frame.
type verdict uint8

const (
	found verdict = iota
	other
	fragment
	cut
)

// parse finds the packet in a frame.
func parse(link uint32, b []byte) (p Packet, v verdict) {
	switch link {
	case linkEthernet:
		if len(b) < 14 {
			return p, other
		}
		return network(binary.BigEndian.Uint16(b[12:]), b[14:])
	case linkSLL:
		if len(b) < 16 {
			return p, other
		}
		return network(binary.BigEndian.Uint16(b[14:]), b[16:])
	case linkSLL2:
		if len(b) < 20 {
			return p, other
		}
		return network(binary.BigEndian.Uint16(b), b[20:])
	case linkNull, linkLoop:
		if len(b) < 4 {
			return p, other
		}
		return bare(b[4:])
	case linkRaw, linkRawBSD, linkRawOpen, linkIPv4, linkIPv6:
		return bare(b)
	}
	return p, other
}

// network goes by an EtherType, past VLAN tags.
func network(kind uint16, b []byte) (Packet, verdict) {
	for range 4 {
		switch kind {
		case 0x0800, 0x86dd:
			return bare(b)
		case 0x8100, 0x88a8, 0x9100:
			if len(b) < 4 {
				return Packet{}, other
			}
			kind, b = binary.BigEndian.Uint16(b[2:]), b[4:]
		default:
			return Packet{}, other
		}
	}
	return Packet{}, other
}

// bare reads an IP packet, whose version its first byte tells.
func bare(b []byte) (p Packet, v verdict) {
	if len(b) == 0 {
		return p, other
	}
	switch b[0] >> 4 {
	case 4:
		return ip4(b)
	case 6:
		return ip6(b)
	}
	return p, other
}

func ip4(b []byte) (p Packet, v verdict) {
	if len(b) < 20 {
		return p, cut
	}
	head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if head < 20 || total != 0 && total < head || len(b) < head {
		return p, other
	}
	if b[9] != protocolUDP && b[9] != protocolPGM {
		return p, other
	}
	if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
		return p, fragment
	}
	from, to := netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	if total == 0 { // left to the network card, which cuts it in pieces
		total = len(b)
	}
	if total > len(b) {
		return p, cut
	}
	return datagram(b[9], from, to, b[head:total], total)
}

func ip6(b []byte) (p Packet, v verdict) {
	if len(b) < 40 {
		return p, cut
	}
	total := 40 + int(binary.BigEndian.Uint16(b[4:]))
	next, at := b[6], 40
	for range 8 { // hop-by-hop, routing, destination options
		if next != 0 && next != 43 && next != 60 {
			break
		}
		if len(b) < at+8 {
			return p, cut
		}
		next, at = b[at], at+8+int(b[at+1])*8
	}
	switch {
	case next == 44:
		return p, fragment
	case next != protocolUDP && next != protocolPGM:
		return p, other
	case total > len(b) || at > total:
		return p, cut
	}
	return datagram(next, netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:])), b[at:total], total)
}

func datagram(protocol byte, from, to netip.Addr, b []byte, total int) (p Packet, v verdict) {
	p.IPBytes = total
	if protocol == protocolPGM {
		p.From, p.To, p.Payload = netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, 0), b
		return p, found
	}
	if len(b) < 8 {
		return p, cut
	}
	size := int(binary.BigEndian.Uint16(b[4:]))
	if size < 8 || size > len(b) {
		return p, cut
	}
	p.From = netip.AddrPortFrom(from, binary.BigEndian.Uint16(b))
	p.To = netip.AddrPortFrom(to, binary.BigEndian.Uint16(b[2:]))
	p.Payload = b[8:size]
	return p, found
}
