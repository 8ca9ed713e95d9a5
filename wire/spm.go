package wire

import "encoding/binary"

// An SPM is sqn32, trail32, lead32 and the path NLA (RFC 3208, 8.1).
func (p *Packet) decodeSPM(b []byte) (int, DecodeError) {
	path, n, e := decodeNLA(b[28:])
	if e != 0 {
		return 0, e
	}
	p.Sqn, p.Trail, p.Lead, p.Path = num(b[16:]), num(b[20:]), num(b[24:]), path
	return 28 + n, 0
}

func (p *Packet) appendSPM(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(p.Sqn))
	b = binary.BigEndian.AppendUint32(b, uint32(p.Trail))
	b = binary.BigEndian.AppendUint32(b, uint32(p.Lead))
	return appendNLA(b, p.Path, 0)
}
