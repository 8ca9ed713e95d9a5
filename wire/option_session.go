package wire

// Reset (OPT_RST) says that the source gave the session up.
type Reset struct {
	NoNAKs bool  // N: no NAK will be served any more
	Code   uint8 // 6 bits, the source's own
}

const (
	resetNoNAKs = 0x40
	resetCode   = 0x3f
)

func (r Reset) bits() byte {
	b := r.Code
	if b > resetCode {
		panic("BUG: wire: reset code needs more than 6 bits")
	}
	if r.NoNAKs {
		b |= resetNoNAKs
	}
	return b
}
