package wire

import "encoding/binary"

// Peer (option 0x22) is how implementations of this library know each other. Foreign parsers skip it, for its number is
// unassigned and it comes after the standard options.
//
//	SPM, 20 bytes:     22 14 00 flags | Time32 | GRTT8 GroupSize8 Port16 | Window32 | Hold8 Ahead8 Spread8 0
//	ODATA, RDATA, 6:   22 06 00 flags | Check16; of parity packets
//	others, 12 bytes:  22 0c 00 flags | Time32 | Loss16 0 0
//
// The first may be followed by Pace, the last by Report. Longer forms are accepted and what is beyond ignored, so that later versions can add fields; shorter ones are refused. Fields that
// are not in the form of the packet's type mean nothing.
type Peer struct {
	Flags     uint8
	Time      uint32 // µs. SPM: the source's clock. Upstream: the SPM's time plus how long it was held
	GRTT      uint8  // greatest round trip time in the group, quantised
	GroupSize uint8  // estimated number of receivers, quantised
	Port      uint16 // UDP port to send NAKs to; 0: the group's
	Window    uint32 // slots in the source's transmit window
	Hold      uint8  // how long a gap may wait for the end of its transmission group, quantised as GRTT; 0: not at all
	Ahead     uint8  // parity packets that go with each full group before anybody asks
	Spread    uint8  // data packets that go between two of those
	Check     uint16 // the parity code over a check of each packet: Sum of its payload, length, fragment
	Loss      uint16 // share of packets that the receiver did not get at first, in 1/65534, plus 1; 0: it does not say
	Pace      Pace   // of SPMs
	Report    Report // of NAKs, ACKs and other packets to the source
}

const (
	peerSPM   = 20
	peerData  = 6
	peerOther = 12
)

// peerLen is the least length in a packet of type t.
func peerLen(t Type) int {
	switch {
	case t == TypeSPM:
		return peerSPM
	case t.data():
		return peerData
	}
	return peerOther
}

// len is the length in a packet of type t.
func (q *Peer) len(t Type) int {
	switch n := peerLen(t); {
	case n == peerSPM && q.Pace.On:
		return peerPace
	case n == peerOther && q.Report.On:
		return peerReport
	default:
		return n
	}
}

func (q *Peer) decode(b []byte, t Type) DecodeError {
	if len(b) < peerLen(t) {
		return ErrOptionSize
	}
	if t.data() {
		*q = Peer{Flags: b[3], Check: binary.BigEndian.Uint16(b[4:])}
		return 0
	}
	*q = Peer{Flags: b[3], Time: binary.BigEndian.Uint32(b[4:])}
	if t != TypeSPM {
		q.Loss = binary.BigEndian.Uint16(b[8:])
		if len(b) >= peerReport {
			q.Report.decode(b[peerOther:])
		}
		return 0
	}
	q.GRTT, q.GroupSize = b[8], b[9]
	q.Port = binary.BigEndian.Uint16(b[10:])
	q.Window = binary.BigEndian.Uint32(b[12:])
	q.Hold, q.Ahead, q.Spread = b[16], b[17], b[18]
	if len(b) >= peerPace {
		q.Pace.decode(b[peerSPM:])
	}
	return 0
}

func (q *Peer) append(b []byte, t Type) []byte {
	if t.data() {
		return binary.BigEndian.AppendUint16(append(b, q.Flags), q.Check)
	}
	b = binary.BigEndian.AppendUint32(append(b, q.Flags), q.Time)
	if t != TypeSPM {
		b = append(binary.BigEndian.AppendUint16(b, q.Loss), 0, 0)
		if q.Report.On {
			b = q.Report.append(b)
		}
		return b
	}
	b = binary.BigEndian.AppendUint16(append(b, q.GRTT, q.GroupSize), q.Port)
	b = binary.BigEndian.AppendUint32(b, q.Window)
	b = append(b, q.Hold, q.Ahead, q.Spread, 0)
	if q.Pace.On {
		b = q.Pace.append(b)
	}
	return b
}

// lossUnit is what a share of 1 is in Peer.Loss, without the 1 that says that there is one.
const lossUnit = 65534

// SetLoss sets Loss to a share from 0 to 1; what lies outside becomes the nearest.
func (q *Peer) SetLoss(share float64) {
	q.Loss = 1
	if share > 0 {
		q.Loss += uint16(min(share, 1) * lossUnit)
	}
}

// LossShare returns Loss as a share, and whether there is one.
func (q *Peer) LossShare() (share float64, ok bool) {
	if q.Loss == 0 {
		return 0, false
	}
	return float64(q.Loss-1) / lossUnit, true
}
