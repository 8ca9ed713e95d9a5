package wire

import "fmt"

// Room says how many bytes fit where, for one MTU and address family. It is the only place that does this arithmetic.
//
//	MTU 1500, IPv6:  40 IP + 8 UDP + 1452 PGM
//	stream packet:   24 head + 1408 payload + 20 left for the options and lengths of its parity packet
//	fragment:        24 head + 20 OPT_LENGTH, OPT_FRAGMENT + 1384 payload; its parity: 24 + 36 options + 2 length bytes
//	message:         24 head + 1428 payload
type Room struct {
	mtu      int
	overhead int
}

// Smallest and largest MTU. The smallest are what every host of the family must take.
const (
	minMTU4 = 576
	minMTU6 = 1280
	maxMTU  = 65535
)

// What parity of a packet needs beyond the packet's own head and payload.
const (
	parityStream   = 20                        // reserved beside a stream packet
	parityFragment = FragmentBytes + 8 + 8 + 2 // encoded FRAGMENT, CURR_TGSIZE, PARITY_GRP and the length of the payload
)

// NewRoom returns the room in IP packets of at most mtu bytes. With raw, PGM is IP protocol 113 and there is no UDP header.
func NewRoom(mtu int, ipv6, raw bool) (Room, error) {
	r, least := Room{mtu: mtu, overhead: 20}, minMTU4
	if ipv6 {
		r.overhead, least = 40, minMTU6
	}
	if !raw {
		r.overhead += 8
	}
	if mtu < least || mtu > maxMTU {
		return Room{}, fmt.Errorf("wire: MTU %d is not between %d and %d", mtu, least, maxMTU)
	}
	return r, nil
}

// MTU returns the size of an IP packet that Room was made for.
func (r Room) MTU() int { return r.mtu }

// Overhead returns the bytes of the IP and UDP headers, which a rate in IP bytes adds to each PGM packet.
func (r Room) Overhead() int { return r.overhead }

// TPDU returns the largest PGM packet.
func (r Room) TPDU() int { return r.mtu - r.overhead }

// Stream returns the payload of a full packet of a byte stream: a multiple of 64 whose parity still fits.
func (r Room) Stream() int { return (r.TPDU() - HeadData - parityStream) &^ 63 }

// Fragment returns the payload of each fragment of a message but its last: a multiple of 8 whose parity still fits, not more
// than Stream.
func (r Room) Fragment() int { return min((r.TPDU()-HeadData-parityFragment)&^7, r.Stream()) }

// Message returns the largest payload of a packet without options: longer messages are cut into fragments.
func (r Room) Message() int { return r.TPDU() - HeadData }

// foreignParts is how many fragments of one message OpenPGM takes at most.
const foreignParts = 16

// Part returns the payload of each packet but the last of a message of n bytes: Fragment, unless only full packets bring the
// message down to the number of fragments that OpenPGM takes; the parity of those does not fit, so they are repaired by replay.
// A message that fits one packet is its own part, and carries no OPT_FRAGMENT (RFC 3208, 9.2; OpenPGM receivers crash on one).
func (r Room) Part(n int) int {
	part, full := r.Fragment(), r.Message()-FragmentBytes
	switch {
	case n <= r.Message():
		return r.Message()
	case n > foreignParts*part && n <= foreignParts*full:
		return full
	}
	return part
}

// Packets returns how many packets a message of n bytes takes, at least 1.
func (r Room) Packets(n int) int {
	part := r.Part(n)
	return max((n+part-1)/part, 1)
}
