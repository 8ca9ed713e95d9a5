// Package testvec gives tests real PGM packets: captures of OpenPGM 5.3.128 and libzmq 4.3.4, taken on the source's
// interface, so that packets which were then dropped at a receiver are in them too.
//
// It reads classic pcap files of Ethernet frames and yields the UDP datagrams in them, over IPv4 (with or without options)
// and IPv6 (without extension headers); other frames are passed over. It is no general pcap reader: no pcapng, no VLAN tags,
// and an IP fragment or a frame cut by the capture length is an error.
//
// The files of testdata are named NN-what.pcap:
//
//	01-plain-nak                 losses, single and list NAKs, NCF, RDATA, heartbeats, FIN
//	02-fragment-nak              OPT_FRAGMENT on ODATA and RDATA
//	03 … 07-fec-…                parity options, parity NAKs, parity RDATA (its checksums are wrong), a source that dies
//	08-late-join-spmr            SPMR by multicast and unicast
//	09-router-alert              IPv4 headers of 24 bytes
//	10, 10b-pgmcc-…              PGMCC options and ACKs
//	11-ipv6                      the same protocol over IPv6
//	12, 13-nak-retries-…         NAKs that get no NCF, or no RDATA
//	14-zeromq-epgm               zpub to zsub
//	15-nak-validation            right and wrong NAKs, NAKs without checksum, an NNAK
//	16-unequal-udp-ports         UDP ports 3055 and 3056; 7500 everywhere else
package testvec
