// Quorum measures what it takes to have writes confirmed by a quorum of receivers, one after the other: with rmcast's WaitDelivered, and
// with TCP fan-out whose receivers acknowledge each message.
//
//	go run ./bench/quorum                      10,000 writes of 1,000 bytes, 3 of 5 receivers, RTT 1 ms; three rounds: about four minutes
//	go run ./bench/quorum -writes 1000 -runs 1 a short one
//	go run ./bench/quorum -loss 1 -rtt 10ms    under loss, on a long path
//	go run ./bench/quorum -rtt 0               without a delay: what the machine can
//
// The sender and each receiver are processes of their own, in network namespaces that a netem.Relay joins, whose links hold each packet
// for half of the round trip. All use defaults; TCP has no delay (Nagle) and writes to its connections one after the other.
// In each round follow each other
//
//   - rmcast, then TCP, with all receivers alive,
//   - rmcast, then TCP, with two receivers killed after half of the writes,
//   - with rmcast then a third one is killed, and one more write waited for, for two seconds, which has to fail.
//
// A receiver of rmcast confirms when its transport holds a message, one of TCP when its program has read it. Each receiver hashes what it
// reads, and those that live to the end have to have all of it.
//
// It needs Linux and namespaces, and exits with 1 if a bound of the summary does not hold.
package main
