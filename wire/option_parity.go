package wire

import "encoding/binary"

// ParityPRM (OPT_PARITY_PRM) announces parity. The bits are the RFC's and Wireshark's; OpenPGM has them swapped.
type ParityPRM struct {
	ProActive bool   // P: parity comes unasked
	OnDemand  bool   // O: parity NAKs are served
	GroupSize uint32 // TGSIZE, packets: a power of two
}

const (
	parityProActive = 0x02
	parityOnDemand  = 0x01
)

func (q *ParityPRM) decode(b []byte) {
	q.ProActive = b[3]&parityProActive != 0
	q.OnDemand = b[3]&parityOnDemand != 0
	q.GroupSize = binary.BigEndian.Uint32(b[4:])
}

func (q *ParityPRM) append(b []byte) []byte {
	var x byte
	if q.ProActive {
		x |= parityProActive
	}
	if q.OnDemand {
		x |= parityOnDemand
	}
	return binary.BigEndian.AppendUint32(append(b, x), q.GroupSize)
}
