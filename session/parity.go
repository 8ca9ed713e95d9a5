package session

import (
	"encoding/binary"

	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/window"
	"github.com/rmcast/rmcast/wire"
)

// Parity (RFC 3208, 11). A transmission group is k consecutive numbers, aligned to k. A parity packet is the code over what the
// first packets of its group carry: the payload padded with zeros to the longest, and beside it the payload's length and, where a packet
// is a fragment, its OPT_FRAGMENT, as the RFC has it; and the payload's checksum (own-peer option), which the RFC has not: what is restored
// of parity that lies is as good as any other bytes without it.
//
// Everything about parity travels under the data-destination port after the session's own: receivers that know nothing of it, and OpenPGM's,
// which abort on it, drop that unseen.
//
// Where the RFC lets the next group begin at the next multiple of k when one ends early, this goes on in the same group: skipped
// numbers would be losses to receivers that do not see parity. The packets that a parity packet is made over are its cover,
// all of the group or, in OPT_CURR_TGSIZE, the first so many; the others have the coefficient 0 in it.

// parityPort is the data-destination port that parity travels under.
func parityPort(port uint16) uint16 { return port + 1 }

// groupBase is the first number of n's group.
func groupBase(n seq.Num, k int) seq.Num { return n &^ seq.Num(k-1) }

// groupSpan is all numbers of the group at base.
func groupSpan(base seq.Num, k int) seq.Range { return seq.Range{From: base, To: base.Add(k)} }

// trailer is what a packet takes part with in parity beside its payload: check, length, OPT_FRAGMENT.
type trailer [4 + len(wire.EncodedFragment{})]byte

// trailerOf returns the trailer of a data packet, whose payload has the given sum.
func trailerOf(p window.Packet, sum uint16) (t trailer) {
	binary.BigEndian.PutUint16(t[2:4], uint16(len(p.Payload)))
	e := wire.NullFragment
	if p.Fragment.Length > 0 {
		e = wire.Fragment(p.Fragment).Encode()
	}
	copy(t[4:], e[:])
	binary.BigEndian.PutUint16(t[:2], t.check(sum))
	return t
}

// check is by what a restored packet is known to be right: the sum of its payload, which zeros at the end do not change, with length and
// fragment.
func (t *trailer) check(sum uint16) uint16 {
	return sum ^ binary.BigEndian.Uint16(t.length()) ^ wire.Sum(t.fragment())
}

// Parts of a trailer.
func (t *trailer) sum() []byte      { return t[:2] }
func (t *trailer) length() []byte   { return t[2:4] }
func (t *trailer) fragment() []byte { return t[4:] }

// shape is what the data packets under a parity packet have in common.
type shape struct {
	longest   int  // bytes of payload
	varies    bool // not all are as long: the length is coded too (VAR_PKTLEN)
	fragments bool // one is a fragment: OPT_FRAGMENT is coded too
}

func (s *shape) add(p window.Packet, first bool) {
	s.varies = s.varies || !first && len(p.Payload) != s.longest
	s.longest = max(s.longest, len(p.Payload))
	s.fragments = s.fragments || p.Fragment.Length > 0
}
