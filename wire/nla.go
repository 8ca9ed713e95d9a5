package wire

import (
	"encoding/binary"
	"net/netip"
)

// Address families of an NLA.
const (
	afiIPv4 = 1
	afiIPv6 = 2
)

// An NLA (network layer address) is AFI16, 16 reserved bits and the address. Scope ids never travel.
const (
	nla4 = 4 + 4
	nla6 = 4 + 16
)

// decodeNLA reads the NLA at the start of b and says how long it is.
func decodeNLA(b []byte) (netip.Addr, int, DecodeError) {
	if len(b) < 4 {
		return netip.Addr{}, 0, ErrTruncated
	}
	switch a, e := decodeAddr(binary.BigEndian.Uint16(b), b[4:]); {
	case e != 0:
		return netip.Addr{}, 0, e
	case a.Is4():
		return a, nla4, 0
	default:
		return a, nla6, 0
	}
}

// decodeAddr reads an address of a family at the start of b.
func decodeAddr(afi uint16, b []byte) (netip.Addr, DecodeError) {
	switch afi {
	case afiIPv4:
		if len(b) >= 4 {
			return netip.AddrFrom4([4]byte(b)), 0
		}
	case afiIPv6:
		if len(b) >= 16 {
			return netip.AddrFrom16([16]byte(b)), 0
		}
	default:
		return netip.Addr{}, ErrAFI
	}
	return netip.Addr{}, ErrTruncated
}

// addrLen gives the bytes of an address without its family. It panics on the zero Addr: a packet with a field that its
// builder forgot must not leave the host.
func addrLen(a netip.Addr) int {
	switch {
	case a.Is4():
		return 4
	case a.Is6():
		return 16
	}
	panic("BUG: wire: address field is not set")
}

func appendAddr(b []byte, a netip.Addr) []byte {
	if a.Is4() {
		v := a.As4()
		return append(b, v[:]...)
	}
	v := a.As16()
	return append(b, v[:]...)
}

// appendNLA writes an NLA; between is what stands in the reserved field (PGMCC_FEEDBACK has its loss there).
func appendNLA(b []byte, a netip.Addr, between uint16) []byte {
	afi := uint16(afiIPv6)
	if a.Is4() {
		afi = afiIPv4
	}
	b = binary.BigEndian.AppendUint16(b, afi)
	b = binary.BigEndian.AppendUint16(b, between)
	return appendAddr(b, a)
}
