// Package fec is forward error correction: parity packets, each of which stands in for any one data packet of its group, so
// that one repair mends different losses at different receivers (RFC 3208, section 11).
//
// It is arithmetic only. [Code] says with which coefficient a data packet enters a parity packet, [MulAdd] adds a packet times a
// coefficient to a buffer, [Decoder] finds how missing packets follow from parity packets. Which packets form a group, when
// parity is made, asked for and sent, where the bytes are kept, and how lengths and options get into the coded bytes (all in
// RFC 3208, section 11) is the business of packages session, window, nack and wire. [Config] is what programs set.
//
//	source                                          receiver, with packets 1 and 3 missing
//	d0 d1 d2 d3 … d(k-1)   k data packets           s0 = c00 d0 + c02 d2 + … + p0
//	p0 = c00 d0 + c01 d1 + … + c0(k-1) d(k-1)       s1 = c10 d0 + c12 d2 + … + p1
//	p1 = c10 d0 + c11 d1 + …                        d1 = w00 s0 + w01 s1,  d3 = w10 s0 + w11 s1
//
// The calling order at a source: [NewCode] once for each group size; for parity packet i a buffer of zeros, then MulAdd with
// Coefficient(i, j) for each data packet j, at once or as they are sent. At a receiver: [Decoder.Solve]; for each parity packet
// that is Used its syndrome, by MulAdd of the data packets that are there to the parity packet itself; then MulAdd of the
// syndromes, times their Weight, to a buffer of zeros for each missing packet.
//
// The code is OpenPGM's, byte for byte; the vectors in the tests are its own, and one test restores what OpenPGM sent from a
// capture. Against inverting the matrix of the whole group, as github.com/klauspost/reedsolomon does, only the m missing packets
// are solved for, and without elimination: the inverse is known in closed form (of a Cauchy matrix). reedsolomon's vector code
// does the multiplication.
//
// A parity packet may cover only the first packets of its group: the source paused, and filled the group up later. Such packets
// are equations as good as others, and the Decoder takes them in any mixture (there it does eliminate, at m^3 for m^2).
//
// Apart from all that stands [Bulk], the code of large blocks for objects that are sent in a loop: up to 32768 symbols and as many of parity, any
// half of which restore all. It is another code than the groups', Leopard's over GF(2^16).
//
// What it does not do: detect wrong bytes (a parity packet that was tampered with gives wrong data packets; checksums are for
// packages wire and, one day, a sealing layer), groups of more than 128, and more than 255 packets, parity included, per group.
package fec
