package channel

import (
	"encoding/binary"
	"net/netip"
)

// The ranges from which groups are taken that have no room for 112 bits. A number is taken modulo the size of the range; of 64 bits, so that
// no group is more likely than another by more than one part in 2^33.
const (
	// 239.192.0.0/14, the organisation's (RFC 2365, 6.2), and 239.255.0.0/16, the local scope (6.1), each without its
	// last /24, which is for services at a fixed place in every scope (9).
	organizationBase, organizationSize = 239<<24 | 192<<16, 1<<18 - 256
	localBase, localSize               = 239<<24 | 255<<16, 1<<16 - 256

	// 232/8 without 232.0.0.0/24, which is IANA's, and 232.128.0.0/24: on Ethernet both are 224.0.0.0/24, which switches send
	// everywhere and routers listen to (RFC 4607, 9). Each half of 2^23 addresses is all that Ethernet tells apart.
	specificBase, specificHalf, specificSkip = 232 << 24, 1 << 23, 256
	specificSize                             = 2 * (specificHalf - specificSkip)

	// ff3x::8000:0 to ff3x::feff:ffff: what hosts may take (RFC 4607, 1; RFC 3307, 4.3), without ff3x::ff00:0/104, which on Ethernet are the groups
	// in which every host listens for its own addresses (RFC 4291, 2.7.1).
	specific6Base, specific6Size = 0x80000000, 0x7f000000
)

func ipv4(base uint32, n uint64) netip.Addr {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], base+uint32(n))
	return netip.AddrFrom4(a)
}

func ipv4Specific(n uint64) netip.Addr {
	n %= specificSize
	const usable = specificHalf - specificSkip
	return ipv4(specificBase, n/usable*specificHalf+specificSkip+n%usable)
}
