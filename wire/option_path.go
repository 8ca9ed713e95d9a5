package wire

import "net/netip"

// decodePathNLA reads OPT_PATH_NLA, whose address has no AFI: its length tells the family.
func (o *Options) decodePathNLA(b []byte) DecodeError {
	switch len(b) {
	case 4 + 4:
		o.PathNLA = netip.AddrFrom4([4]byte(b[4:]))
	case 4 + 16:
		o.PathNLA = netip.AddrFrom16([16]byte(b[4:]))
	default:
		return ErrOptionSize
	}
	return 0
}
