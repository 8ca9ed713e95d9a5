// Parity measures what repair costs and how long it takes, by replay, by parity on demand, with parity ahead of demand, and with the
// source choosing, beside the least that theory allows. What runs are the protocol's own engines, in the simulator.
//
//	go run ./bench/parity                        the tables of docs/parity.md
//	go run ./bench/parity -grid                  every loss, round trip and number of receivers, an hour of one processor
//	go run ./bench/parity -quick                 a few small cells, in seconds
//	go run ./bench/parity -check                 the acceptance lines, the grid among them; the exit code says whether they hold
//	go run ./bench/parity -check -only 1k        those with "1k" in their name
//	go run ./bench/parity -n 8,1k -rtt 20ms -loss 0.1 -scheme replay,demand    cells of one's own
//	go run ./bench/parity -json > a.json         for programs
//	go run ./bench/parity -from a.json -svg dir  plots of what was measured before; with -check it is judged, with -n and so on what
//	                                             is missing is measured
//
// # The schemes
//
// Groups have 64 packets. Replay sends each lost packet again; demand is parity on demand, which is the library's default; ahead=h
// is that with h parity packets of each group sent before anybody asks; bytes and delay are the two goals with which the source
// chooses by itself, least bytes and least delay (with at most a quarter of the data ahead of demand).
//
// # The networks
//
// One source, and receivers with the same round trip time whose own links lose packets independently, the same share in either direction.
// The source may send 100 Mbit/s; its application writes messages of 1400 bytes, one a packet, evenly spread, that make 10 Mbit/s with
// their headers (849 a second: a group takes 75 ms), so that the schemes that repeat most still keep up and no time is spent in queues.
// With -data 0 it writes as fast as the limit lets it.
//
// # What is counted
//
// Each packet counts to the group that it belongs to: ODATA and RDATA, parity or not, by its number, a NAK or NCF by the first of its
// numbers. SPMs count to the time between the first packet of the first group that counts and the first after the last one. Packets
// per data packet are ODATA and RDATA of any kind. Bytes are the source's, of all its packets, with PGM, UDP and IPv6 headers, over the
// payload of the data.
//
// The time of a recovery begins at the instant at which the lost packet would have come to a receiver, and ends when it is in that
// receiver's window, received or restored. Every loss on the way to a receiver counts, of the groups that count.
//
// Beside p99 stands the interval in which that of endlessly many losses lies, with 95 %: by the ranks that these have among those measured,
// whose scatter is that of up to 48 batches of consecutive groups. Check asks of it whether chance may turn what it finds of the least delay. If so it
// measures the schemes of that cell on which that hangs with four times as many groups, and again with 16 times as many. The
// verdict is on the p99 measured last.
//
// Sources and receivers know nothing at first. They exist for 5 s without data; then comes the start-up, the groups that begin in
// the first second of data, which are counted apart; then the groups that count; then some that do not, so that the last ones that
// do are repaired under the same conditions.
package main
