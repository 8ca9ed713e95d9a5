package wire

import (
	"encoding/binary"

	"github.com/rmcast/rmcast/seq"
)

// NAKList (OPT_NAK_LIST) holds the numbers of a NAK or NCF beyond the packet's own: 1 to 62, ascending, without
// duplicates, all selective or all parity. Decode takes them as they come.
type NAKList struct {
	N   int // numbers in use
	Sqn [MaxNAKs - 1]seq.Num
}

func (l *NAKList) decode(b []byte) DecodeError {
	n := len(b)/4 - 1
	if len(b)%4 != 0 || n == 0 {
		return ErrOptionSize
	}
	l.N = n // the option's length is a byte: at most 62
	for i := range n {
		l.Sqn[i] = num(b[4+4*i:])
	}
	return 0
}

func (l *NAKList) len() int {
	if l.N < 1 || l.N > len(l.Sqn) {
		panic("BUG: wire: NAK list of none or more than 62 numbers")
	}
	return 4 + 4*l.N
}

func (l *NAKList) append(b []byte) []byte {
	b = append(b, 0)
	for _, n := range l.Sqn[:l.N] {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	return b
}

// BackoffInterval (OPT_NAK_BO_IVL) tells receivers their NAK back-off.
type BackoffInterval struct {
	Interval uint32  // µs
	Poll     seq.Num // the poll it follows from; 0: use it at once
}

// BackoffRange (OPT_NAK_BO_RNG) bounds what receivers may adapt their back-off to, in µs.
type BackoffRange struct{ Max, Min uint32 }
