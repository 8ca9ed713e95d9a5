package wire

import (
	"encoding/binary"

	"github.com/rmcast/rmcast/seq"
)

// Fragment (OPT_FRAGMENT) says which part of an APDU a data packet carries. All fragments of an APDU have consecutive
// numbers and each carries the option; an APDU that fits one packet carries none. Decode does not judge the numbers: what
// contradicts itself costs the APDU, not the packet's number, and that is the session's decision.
type Fragment struct {
	First  seq.Num // number of the packet with offset 0
	Offset uint32  // of this packet's first byte in the APDU, in bytes
	Length uint32  // of the APDU, in bytes
}

// FragmentBytes is what the option takes in a packet without other options: OPT_LENGTH and the TLV.
const FragmentBytes = 4 + 16

func (f *Fragment) decode(b []byte) {
	f.First = num(b[4:])
	f.Offset = binary.BigEndian.Uint32(b[8:])
	f.Length = binary.BigEndian.Uint32(b[12:])
}

func (f *Fragment) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(append(b, 0), uint32(f.First))
	b = binary.BigEndian.AppendUint32(b, f.Offset)
	return binary.BigEndian.AppendUint32(b, f.Length)
}

// EncodedFragment is bytes 3 to 15 of an OPT_FRAGMENT, which is what the parity code runs over (RFC 3208, 11). A parity
// packet carries the code's result instead of a Fragment as soon as one packet of its transmission group is a fragment; the
// other packets of the group take part with NullFragment.
type EncodedFragment [13]byte

// fragmentNull is the U bit: the option stands for one that was not there.
const fragmentNull = 0x80

// NullFragment is what a packet without OPT_FRAGMENT contributes to the parity of a group that has fragments.
var NullFragment = EncodedFragment{fragmentNull}

// Encode gives the bytes that f contributes to parity.
func (f Fragment) Encode() (e EncodedFragment) {
	f.append(e[:0])
	return e
}

// Decode gives the fragment that stands in e once the code is undone; ok is false for a packet that had none.
func (e EncodedFragment) Decode() (f Fragment, ok bool) {
	if e[0]&fragmentNull != 0 {
		return Fragment{}, false
	}
	return Fragment{
		First:  num(e[1:]),
		Offset: binary.BigEndian.Uint32(e[5:]),
		Length: binary.BigEndian.Uint32(e[9:]),
	}, true
}
