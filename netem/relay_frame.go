package netem

import (
	"encoding/binary"
	"net/netip"
)

// frame is what a Relay needs to know of an Ethernet frame.
type frame struct {
	from, to netip.Addr
	flood    bool // to all: multicast or broadcast
	control  bool // neighbour discovery, ARP, group membership: what the kernel needs to find its neighbours
	body     int  // where the datagram begins: what UDP carries, or else IP
}

const (
	etherHeader = 14
	etherARP    = 0x0806
	etherIPv4   = 0x0800
	etherIPv6   = 0x86dd

	protoHopByHop = 0
	protoIGMP     = 2
	protoUDP      = 17
	protoICMPv6   = 58
)

// parseFrame says what b is; false if it is not a whole packet of IP or ARP.
func parseFrame(b []byte) (f frame, ok bool) {
	if len(b) < etherHeader {
		return f, false
	}
	f.flood = b[0]&1 != 0
	switch ip := b[etherHeader:]; binary.BigEndian.Uint16(b[12:]) {
	case etherARP:
		f.control = true
		return f, true
	case etherIPv4:
		return f, f.parse4(ip)
	case etherIPv6:
		return f, f.parse6(ip)
	}
	return f, false
}

func (f *frame) parse4(ip []byte) bool {
	if len(ip) < ipv4Header || ip[0]>>4 != 4 {
		return false
	}
	header := int(ip[0]&0xf) * 4
	if header < ipv4Header || header > len(ip) {
		return false
	}
	f.from, f.to = netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:]))
	f.control = ip[9] == protoIGMP
	f.body = etherHeader + header
	if first := binary.BigEndian.Uint16(ip[6:])&0x1fff == 0; first && ip[9] == protoUDP {
		return f.udp(ip[header:])
	}
	return true
}

func (f *frame) parse6(ip []byte) bool {
	if len(ip) < ipv6Header || ip[0]>>4 != 6 {
		return false
	}
	f.from, f.to = netip.AddrFrom16([16]byte(ip[8:])), netip.AddrFrom16([16]byte(ip[24:]))
	next, at := ip[6], ipv6Header
	if next == protoHopByHop && len(ip) >= at+8 { // in front of MLD
		next, at = ip[at], at+8*(1+int(ip[at+1]))
		if at > len(ip) {
			return false
		}
	}
	f.body = etherHeader + at
	switch {
	case next == protoUDP:
		return f.udp(ip[at:])
	case next == protoICMPv6 && len(ip) > at:
		f.control = isNeighbour(ip[at])
	}
	return true
}

// isNeighbour reports whether a type of ICMPv6 is of multicast listener (130 to 132, 143) or neighbour discovery (133 to 137).
func isNeighbour(icmp byte) bool { return icmp >= 130 && icmp <= 137 || icmp == 143 }

func (f *frame) udp(b []byte) bool {
	f.body += udpHeader
	return len(b) >= udpHeader
}
