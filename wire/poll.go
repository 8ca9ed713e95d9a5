package wire

import "encoding/binary"

// Poll holds the fields of POLL and POLR beyond the number and the path (RFC 3208, 14). POLR has the Round alone.
type Poll struct {
	Round   uint16
	SubType uint16 // PollGeneral or PollDLR
	Backoff uint32 // receivers answer after a random part of this, µs
	Random  uint32 // those answer whose random node id agrees with Random
	Mask    uint32 // in the bits of Mask
}

// Sub-types of POLL.
const (
	PollGeneral = 0 // count the receivers
	PollDLR     = 1 // find repairers
)

func (p *Packet) decodePOLL(b []byte) (int, DecodeError) {
	path, n, e := decodeNLA(b[24:])
	if e != 0 {
		return 0, e
	}
	rest := b[24+n:]
	if len(rest) < 12 {
		return 0, ErrTruncated
	}
	p.Sqn, p.Path = num(b[16:]), path
	p.Poll = Poll{
		Round:   binary.BigEndian.Uint16(b[20:]),
		SubType: binary.BigEndian.Uint16(b[22:]),
		Backoff: binary.BigEndian.Uint32(rest),
		Random:  binary.BigEndian.Uint32(rest[4:]),
		Mask:    binary.BigEndian.Uint32(rest[8:]),
	}
	return 24 + n + 12, 0
}

func (p *Packet) appendPOLL(b []byte) []byte {
	be := binary.BigEndian
	b = be.AppendUint32(b, uint32(p.Sqn))
	b = be.AppendUint16(b, p.Poll.Round)
	b = be.AppendUint16(b, p.Poll.SubType)
	b = appendNLA(b, p.Path, 0)
	b = be.AppendUint32(b, p.Poll.Backoff)
	b = be.AppendUint32(b, p.Poll.Random)
	return be.AppendUint32(b, p.Poll.Mask)
}

func (p *Packet) decodePOLR(b []byte) (int, DecodeError) {
	p.Sqn = num(b[16:])
	p.Poll = Poll{Round: binary.BigEndian.Uint16(b[20:])}
	return HeadCommon + 8, 0
}

func (p *Packet) appendPOLR(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(p.Sqn))
	b = binary.BigEndian.AppendUint16(b, p.Poll.Round)
	return append(b, 0, 0)
}
