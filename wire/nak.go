package wire

import "encoding/binary"

// A NAK, NNAK or NCF is sqn32, the source's NLA and the group's NLA, each with its own family (RFC 3208, 8.3).
func (p *Packet) decodeNAK(b []byte) (int, DecodeError) {
	source, n, e := decodeNLA(b[20:])
	if e != 0 {
		return 0, e
	}
	group, m, e := decodeNLA(b[20+n:])
	if e != 0 {
		return 0, e
	}
	p.Sqn, p.Source, p.Group = num(b[16:]), source, group
	return 20 + n + m, 0
}

func (p *Packet) appendNAK(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(p.Sqn))
	return appendNLA(appendNLA(b, p.Source, 0), p.Group, 0)
}
