// Package pcap reads captures of packets (classic pcap and pcapng, of either byte order) and finds the UDP datagrams and the PGM packets of IP protocol 113 in
// them. It is pure: it reads from an io.Reader, and no length in a file makes it allocate more than MaxBlock.
//
// It knows frames of Ethernet (with VLAN tags), raw IP, the BSD loopback and Linux's "any" device. What is not UDP or protocol 113 is passed over and
// counted, as are fragments of IP packets, which are not put together, and packets that the capture cut short.
package pcap
