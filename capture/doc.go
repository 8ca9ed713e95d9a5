// Package capture writes what a session sends and receives to a pcapng file, which Wireshark and tshark open: for bug reports, and
// for looking at a protocol at work where nobody may capture on the interface.
//
//	file, err := capture.Create("session.pcapng", nil)
//	…
//	source, err := transport.Dial("udp", group, &transport.Config{Network: file.Network(nil)})
//	…
//	err = file.Close() // after the source's
//
// A File wraps the network that sockets come from, so any number of sources and listeners may share one. Each datagram is
// written once, with IP and UDP headers, with its direction, and with the instant at which it was handed to the socket or taken from it.
// To see PGM in UDP, tshark wants to be told the port: tshark -d udp.port==7500,pgm -r session.pcapng.
//
//	transport ──▶ conn ──▶ dgram.Conn
//	               │ copies, under File's lock
//	               ▼
//	            pending ──▶ one goroutine ──▶ file
//
// # What it costs
//
// One copy of each packet, and no wait: what the disk does not take in time is not written, and counted (Stats, epb_dropcount, and
// isb_ifdrop at the end). A File is bounded by Config.MaxBytes; when that is reached it stops, or keeps the newest
// (Config.Ring). Config.SnapBytes leaves out what users send.
//
// # What it is not
//
// It does not see the wire. What sockets do not tell is made up: the IP identification, the hop limit of what is received, and a receiver's
// own unicast address where its interface has several. A datagram that the kernel refused, or that a queue dropped, is in it; runs are
// shown as the single datagrams that they become; packets that other programs send, and those that never came to the socket, are not there.
package capture
