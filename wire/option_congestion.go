package wire

import (
	"encoding/binary"
	"net/netip"

	"github.com/rmcast/rmcast/seq"
)

// CRQST (OPT_CRQST) asks receivers and network elements for congestion reports (RFC 3208, appendix B).
type CRQST struct{ Link, Path, Receiver bool }

const (
	reportLink     = 0x04 // L: worst link (NE_WORST_LINK)
	reportPath     = 0x02 // P: worst path (NE_WORST_PATH)
	reportReceiver = 0x01 // R: receiver's own loss
)

func (q *CRQST) decode(b byte) {
	*q = CRQST{Link: b&reportLink != 0, Path: b&reportPath != 0, Receiver: b&reportReceiver != 0}
}

func (q CRQST) bits() (b byte) {
	if q.Link {
		b |= reportLink
	}
	if q.Path {
		b |= reportPath
	}
	if q.Receiver {
		b |= reportReceiver
	}
	return b
}

// CR (OPT_CR) is a congestion report in a NAK. Losses are fractions of 2^16.
type CR struct {
	Has       CRQST   // which of the three losses mean something
	Lead      seq.Num // highest number the reporter knew
	WorstLink uint16
	WorstPath uint16
	Loss      uint16 // the receiver's own
	Receiver  netip.Addr
}

func (c *CR) decode(b []byte) DecodeError {
	if len(b) < 20 {
		return ErrOptionSize
	}
	if e := decodeOptionNLA(&c.Receiver, b[16:]); e != 0 {
		return e
	}
	c.Has.decode(b[3])
	c.Lead = num(b[4:])
	c.WorstLink = binary.BigEndian.Uint16(b[8:])
	c.WorstPath = binary.BigEndian.Uint16(b[10:])
	c.Loss = binary.BigEndian.Uint16(b[12:])
	return 0
}

func (c *CR) append(b []byte) []byte {
	be := binary.BigEndian
	b = be.AppendUint32(append(b, c.Has.bits()), uint32(c.Lead))
	b = be.AppendUint16(b, c.WorstLink)
	b = be.AppendUint16(b, c.WorstPath)
	b = be.AppendUint16(b, c.Loss)
	return appendNLA(be.AppendUint16(b, 0), c.Receiver, 0)
}

// PGMCCData is the PGMCC option of data packets.
type PGMCCData struct {
	Time  uint32     // the source's clock, ms
	Acker netip.Addr // who shall acknowledge; unspecified (0.0.0.0 or ::): elect one
}

func (c *PGMCCData) decode(b []byte) DecodeError {
	if len(b) < 12 {
		return ErrOptionSize
	}
	c.Time = binary.BigEndian.Uint32(b[4:])
	return decodeOptionNLA(&c.Acker, b[8:])
}

func (c *PGMCCData) append(b []byte) []byte {
	return appendNLA(binary.BigEndian.AppendUint32(append(b, 0), c.Time), c.Acker, 0)
}

// PGMCCFeedback is the PGMCC option of ACKs.
type PGMCCFeedback struct {
	Time     uint32 // the source's time plus how long it was held, ms
	Loss     uint16 // fraction of 2^16
	Receiver netip.Addr
}

func (c *PGMCCFeedback) decode(b []byte) DecodeError {
	if len(b) < 12 {
		return ErrOptionSize
	}
	c.Time = binary.BigEndian.Uint32(b[4:])
	c.Loss = binary.BigEndian.Uint16(b[10:]) // stands where an NLA has its reserved bits
	return decodeOptionNLA(&c.Receiver, b[8:])
}

func (c *PGMCCFeedback) append(b []byte) []byte {
	return appendNLA(binary.BigEndian.AppendUint32(append(b, 0), c.Time), c.Receiver, c.Loss)
}
