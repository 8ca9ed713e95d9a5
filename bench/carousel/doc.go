// Carousel measures package carousel between network namespaces, in real time: silent receivers that join when they like, one that comes late, one that is killed
// again and again; and beside UFTP and udpcast, where those are installed. It needs Linux, and root or a user namespace.
//
//	go run ./bench/carousel                                all cases, at 1 GB half an hour or so
//	go run ./bench/carousel -quick                         16 MB, one case of each sort, under a minute
//	go run ./bench/carousel -check                         the exit code says whether the acceptance lines hold
//	go run ./bench/carousel -only silent/tree,late         those with this in their names
//	go run ./bench/carousel -json > a.json                 for programs
//	go run ./bench/carousel -from a.json,b.json -markdown  the tables of docs/carousel.md
//
// # Cases
//
// The sender's link has the rate of -rate, each receiver loses packets on its own:
//
//	source ── -rate ── bridge ┬─ loss ── receiver 0
//	                          ├─ loss ── receiver 1 …
//
// silent: receivers with ReceiveOnly join within the first turn; the object is random bytes, zeros, or a tree of 10,000 files. What leaves a receiver's interface is
// captured: IGMP, MLD, ARP and neighbour discovery are the kernel's, anything else fails the case. late: a receiver joins at half a turn. killed: a receiver
// ends by SIGKILL at random moments and is started again. beside: everybody is there from the start; the carousel silent, with NAKs, with NAKs for one turn, and for
// one turn block by block with requests of receivers that are silent otherwise; UFTP; udpcast without and with parity of its own.
//
// layers: silent receivers behind links of their own find how many of nine layers come through: together, and each alone. Here the sender's link has no rate, nothing is
// lost but what the links do not carry, and the bridge sends a group only to who has joined it (MLD snooping):
//
//	source ── bridge ┬─ 1 Mbit/s ──── receiver 0
//	                 ├─ 10 Mbit/s ─── receiver 1
//	                 ├─ 100 Mbit/s ── receiver 2
//	                 └─────────────── receiver 3
//
// # What is counted
//
// Packets are packets of data that a receiver's process has been given until it has as many as it needs, those it had twice or of blocks that were complete too. Sent
// is all that the source's interface has sent meanwhile, roots, manifest and heartbeats too. A receiver is done when the object has its name and is verified; decoding
// is what lies between the last packet it needs and that. Bytes on the wire are Ethernet frames without checksum, of the source and of all
// receivers, from the start of sending until the last is done. All files are compared with the source's by SHA-256 afterwards.
//
// Of layers the share of a link is payload: symbols times 1408 bytes, in 12 s after 8 s, of what the link carries as Ethernet frames; without a limit, of all layers as IP
// packets. An object that slow receivers can have in that time the fast ones soon have; what comes afterwards counts all the same.
//
// In the cases beside others time runs from the start of the sender's process, or with ours from when the object is prepared, which a source does once: how long that takes is
// a figure of its own.
package main
