// Suppression measures how well receivers keep quiet: how many NAKs, confirmations and repairs one lost packet costs, and how
// long its repair takes, for groups from one receiver to a million. What runs are the protocol's own engines, in the simulator.
//
//	go run ./bench/suppression                        the standard table
//	go run ./bench/suppression -full                  every size, round trip, loss and law
//	go run ./bench/suppression -quick                 a few small cells, in seconds
//	go run ./bench/suppression -check                 the acceptance lines; the exit code says whether they hold
//	go run ./bench/suppression -check -only lan       those with "lan" in their name
//	go run ./bench/suppression -n 1000 -rtt mixed -loss independent,half -law known    cells of one's own
//	go run ./bench/suppression -json > a.json         for programs; -csv too
//	go run ./bench/suppression -from a.json -svg dir  plots of what was measured before
//
// # What is counted
//
// A loss event is a data packet that at least one receiver lost. All packets count that belong to its number: NAKs sent, whether they
// arrive or not, numbers in NCFs, and RDATA, of which all beyond the first are duplicates (some receivers need them: they lost
// the first one, too). A repair that no receiver needed is idle.
//
// The time of a recovery is from the instant at which the lost packet would have come to a receiver to the instant at which the
// data does; "asked" counts from when the receiver learnt that it misses something.
//
// # The networks
//
// One source, and receivers by round trip time: all alike, or evenly spread over 20 to 100 ms ("mixed"). With independent loss each
// receiver's own link loses 1 % in either direction, of everything. With shared loss all receivers hang behind one link
// that loses; with half, every second one does and the others hear everything. To see one loss event at a time, single packets are sent, with
// pauses that are longer than a recovery; on a shared link every one of them is made to be lost, and what follows it
// is lost with 1 %. The stream mode sends packets as the rate allows.
//
// # The laws
//
// Uniform is RFC 3208's backoff, with the same interval T. Known is RFC 5401's truncated exponential with the true group size told to the receivers;
// estimated is the same from a cold start: the defaults for a group size and a round trip time, and what the source learns. Up to a
// hundred receivers with round trips up to 1 ms count as neighbours on one link (hop limit 1), for which the first guesses are
// other ones, and the rate is 100 Mbit/s; for all others it is 10.
package main
