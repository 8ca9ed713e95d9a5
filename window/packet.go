package window

import (
	"fmt"

	"github.com/rmcast/rmcast/seq"
)

// MaxPayload is the largest payload of one packet in bytes: TSDU_LENGTH has 16 bits (RFC 3208, 8).
const MaxPayload = 65535

const (
	maxWindow = 1 << 30 // slots; TXW_SQNS is at most 2^31-1 and rings are powers of two
	cacheLine = 64      // bytes
	poison    = 0xdb    // what freed payload memory is filled with where invariants are checked
)

// Fragment places a packet within the APDU that it is a part of (OPT_FRAGMENT). Length 0 says that the packet is a whole
// APDU by itself.
type Fragment struct {
	First  seq.Num // number of the APDU's first packet
	Offset uint32  // bytes of the APDU before this packet's payload
	Length uint32  // bytes of the whole APDU; 0: not a fragment
}

// Packet is what a window holds for one number.
type Packet struct {
	Payload  []byte // a view into the window, valid until the number leaves it
	Sum      uint16 // what was given to Put; 0 in a receive window
	Fragment Fragment
}

// bug reports a broken call or a broken invariant. It does not return.
func bug(format string, args ...any) {
	panic("BUG: window: " + fmt.Sprintf(format, args...))
}
