package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/rmcast/rmcast/seq"
)

// ReceiverID is a receiver's own name for itself within one group, by which a source tells receivers apart. Zero is nobody.
type ReceiverID uint64

// NewReceiverID derives an id from a name, so that both ends can be configured with names. It spreads names and protects nothing: anybody
// may claim any id.
func NewReceiverID(name string) ReceiverID {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return ReceiverID(max(h, 1))
}

// String gives 16 hexadecimal digits.
func (r ReceiverID) String() string { return fmt.Sprintf("%016x", uint64(r)) }

// Pace is what an SPM tells where a source adapts its rate to receivers, or waits for their confirmation. It stands behind the rest of
// Peer, 28 bytes:
//
//	Acker64 | Told64 | Slow32 | Mark32 | Every8 Confirm8 Reason8 0
type Pace struct {
	On      bool       // it is there
	Acker   ReceiverID // whose reports set the rate; it reports unasked
	Told    ReceiverID // whom Reason concerns
	Slow    uint32     // kbit/s; a receiver that gets less than this speaks up
	Mark    seq.Num    // with Confirm: receivers that have everything before this say so
	Every   uint8      // the acker's interval, quantised as GRTT
	Confirm uint8      // interval of one receiver's confirmations, quantised as GRTT; 0: none are wanted
	Reason  uint8      // why the source does not serve Told any more; 0: it does
}

// Report is what a receiver says of itself in NAKs and ACKs to a source whose SPMs carry Pace. It stands behind the rest of Peer, 40
// bytes. Counters wrap around.
//
//	ID64 | Lead32 | Held32 | Clock32 | Bytes32 | Heard32 | Room32 | Start32 Front32
type Report struct {
	On    bool
	ID    ReceiverID
	Lead  seq.Num // the highest number whose ODATA came
	Held  uint32  // µs since it came
	Clock uint32  // the receiver's clock, µs, when it came
	Bytes uint32  // IP bytes of all ODATA and RDATA, parity too, in units of 64
	Heard uint32  // packets of ODATA
	Room  uint32  // packets beyond Lead that the receive window could still take
	Start seq.Num // everything from this on, where it joined or after what it lost last,
	Front seq.Num // and before this has come
}

// The lengths of Peer with them.
const (
	peerPace   = peerSPM + 28
	peerReport = peerOther + 40
)

func (c *Pace) decode(b []byte) {
	be := binary.BigEndian
	*c = Pace{
		On: true, Acker: ReceiverID(be.Uint64(b)), Told: ReceiverID(be.Uint64(b[8:])), Slow: be.Uint32(b[16:]), Mark: num(b[20:]),
		Every: b[24], Confirm: b[25], Reason: b[26],
	}
}

func (c *Pace) append(b []byte) []byte {
	be := binary.BigEndian
	b = be.AppendUint64(be.AppendUint64(b, uint64(c.Acker)), uint64(c.Told))
	b = be.AppendUint32(be.AppendUint32(b, c.Slow), uint32(c.Mark))
	return append(b, c.Every, c.Confirm, c.Reason, 0)
}

func (r *Report) decode(b []byte) {
	be := binary.BigEndian
	*r = Report{
		On: true, ID: ReceiverID(be.Uint64(b)), Lead: num(b[8:]), Held: be.Uint32(b[12:]), Clock: be.Uint32(b[16:]),
		Bytes: be.Uint32(b[20:]), Heard: be.Uint32(b[24:]), Room: be.Uint32(b[28:]), Start: num(b[32:]), Front: num(b[36:]),
	}
}

func (r *Report) append(b []byte) []byte {
	be := binary.BigEndian
	b = be.AppendUint32(be.AppendUint64(b, uint64(r.ID)), uint32(r.Lead))
	b = be.AppendUint32(be.AppendUint32(b, r.Held), r.Clock)
	b = be.AppendUint32(be.AppendUint32(b, r.Bytes), r.Heard)
	b = be.AppendUint32(be.AppendUint32(b, r.Room), uint32(r.Start))
	return be.AppendUint32(b, uint32(r.Front))
}
