// Package wire reads and writes PGM packets: the whole of RFC 3208's formats, the PGMCC packet and options that OpenPGM adds,
// and one option of our own (Peer). It also does all the arithmetic of sizes (Room) and holds the names of sessions (TSI, GSI).
//
// It is not a protocol: it has no state, does not know windows or timers, and judges nothing but the format. What a packet
// claims (numbers out of any window, fragments that contradict each other, addresses that are no multicast group) is for
// the packages above to believe or not.
//
//	0                   1                   2                   3
//	0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-------------------------------+-------------------------------+
//	|          source port          |       destination port        |
//	+---------------+---------------+-------------------------------+
//	| 0 0 0 0  type | options byte  |           checksum            |
//	+---------------+---------------+-------------------------------+
//	|                      global source id                         |
//	+                               +-------------------------------+
//	|                               |          TSDU length          |
//	+-------------------------------+-------------------------------+
//	| fields of the type | OPT_LENGTH, options | TSDU               |
//
// A packet is a Packet whatever its type. Decode fills the caller's Packet from a datagram, and Append writes one to the end of
// a slice; neither allocates, and a Packet can be used again and again. The source's hot path is AppendHead: it takes the
// payload's Sum, computed once when the payload was written, so that a repair costs the sum of 24 bytes.
//
// Decode refuses with a DecodeError what cannot have been meant: see the constants. It does not look at TLV byte 2, in which
// OpenPGM sends uninitialised memory, and skips options that it does not know. It does not check flags against options: the
// options are believed.
//
// Limitations: options that are not known are not kept, so that decoding and appending drops them. Parity packets of OpenPGM
// have a wrong checksum and are refused for it.
package wire
