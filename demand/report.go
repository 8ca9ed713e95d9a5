package demand

import (
	"encoding/binary"
	"net/netip"
)

// The messages and records of RFC 3810 (5.2), RFC 2710 (3), RFC 3376 (4.2) and RFC 2236 (2) that tell of members.
const (
	mld1Report  = 131
	mld1Done    = 132
	mld2Report  = 143
	igmp1Report = 0x12
	igmp2Report = 0x16
	igmp2Leave  = 0x17
	igmp3Report = 0x22

	isInclude     = 1
	isExclude     = 2
	toInclude     = 3
	toExclude     = 4
	allowNew      = 5
	igmp3Head     = 8
	mld2Head      = 8
	mld1Bytes     = 24
	igmp2Bytes    = 8
	mostRecords   = 1024
	mldRecordHead = 4
)

// membership returns what an MLD message (of an IPv6 group) or an IGMP message, without IP header, says of a group: whether it speaks of it,
// and whether its sender is on it from now on. What is malformed speaks of nothing.
func membership(b []byte, group netip.Addr) (speaks, on bool) {
	head, size, v6 := igmp3Head, 4, group.Is6()
	if v6 {
		head, size = mld2Head, 16
	}
	if len(b) < head {
		return false, false
	}
	kind := b[0]
	switch {
	case v6 && (kind == mld1Report || kind == mld1Done) && len(b) >= mld1Bytes:
		return address(b[8:24]) == group, kind == mld1Report
	case !v6 && (kind == igmp1Report || kind == igmp2Report || kind == igmp2Leave) && len(b) >= igmp2Bytes:
		return address(b[4:8]) == group, kind != igmp2Leave
	case v6 && kind != mld2Report, !v6 && kind != igmp3Report:
		return false, false
	}
	records := int(binary.BigEndian.Uint16(b[6:]))
	b = b[head:]
	for range min(records, mostRecords) {
		if len(b) < mldRecordHead+size {
			break
		}
		sources := int(binary.BigEndian.Uint16(b[2:]))
		length := mldRecordHead + size + sources*size + 4*int(b[1])
		if len(b) < length {
			break
		}
		if address(b[mldRecordHead:mldRecordHead+size]) == group {
			switch b[0] {
			case isExclude, toExclude, allowNew:
				speaks, on = true, true
			case isInclude, toInclude:
				speaks, on = true, sources > 0
			} // a blockOld leaves it open whether others are left: a host that had only that one times out
		}
		b = b[length:]
	}
	return speaks, on
}

func address(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}
