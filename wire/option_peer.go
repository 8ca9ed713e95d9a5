package wire

import "encoding/binary"

// Peer (option 0x22) is how implementations of this library know each other. Foreign parsers skip it, for its number is
// unassigned and it comes after the standard options.
//
//	SPM, 20 bytes:    22 14 00 flags | Time32 | GRTT8 GroupSize8 Port16 | Window32 | reserved32
//	others, 8 bytes:  22 08 00 flags | Time32
//
// Longer forms are accepted and what is beyond ignored, so that later versions can add fields; shorter ones are refused.
// Outside SPM only Flags and Time mean something.
type Peer struct {
	Flags     uint8
	Time      uint32 // µs. SPM: the source's clock. Upstream: the SPM's time plus how long it was held
	GRTT      uint8  // greatest round trip time in the group, quantised
	GroupSize uint8  // estimated number of receivers, quantised
	Port      uint16 // UDP port to send NAKs to; 0: the group's
	Window    uint32 // slots in the source's transmit window
}

const (
	peerSPM   = 20
	peerOther = 8
)

func peerLen(t Type) int {
	if t == TypeSPM {
		return peerSPM
	}
	return peerOther
}

func (q *Peer) decode(b []byte, t Type) DecodeError {
	if len(b) < peerLen(t) {
		return ErrOptionSize
	}
	*q = Peer{Flags: b[3], Time: binary.BigEndian.Uint32(b[4:])}
	if t == TypeSPM {
		q.GRTT, q.GroupSize = b[8], b[9]
		q.Port = binary.BigEndian.Uint16(b[10:])
		q.Window = binary.BigEndian.Uint32(b[12:])
	}
	return 0
}

func (q *Peer) append(b []byte, t Type) []byte {
	b = binary.BigEndian.AppendUint32(append(b, q.Flags), q.Time)
	if t == TypeSPM {
		b = binary.BigEndian.AppendUint16(append(b, q.GRTT, q.GroupSize), q.Port)
		b = binary.BigEndian.AppendUint32(b, q.Window)
		b = append(b, 0, 0, 0, 0)
	}
	return b
}
