// Congestion measures what rate a source finds by itself where no rate is configured, what that does to queues and to others on the same
// bottleneck, and how long it takes. What runs are the protocol's own engines in the simulator; with -netns whole processes between network
// namespaces, against the kernel's TCP.
//
//	go run ./bench/congestion                          all cases of the simulator, in about four minutes
//	go run ./bench/congestion -check                   the same, and the exit code says whether the acceptance lines hold
//	go run ./bench/congestion -quick                   those that take a second or two each
//	go run ./bench/congestion -only alone/100M         those with this in their names; several with commas between
//	go run ./bench/congestion -netns                   between namespaces: 30 s a run, medians of five; about an hour
//	go run ./bench/congestion -netns -quick            one run of 10 s each
//	go run ./bench/congestion -json > a.json           for programs
//	go run ./bench/congestion -from a.json,b.json -markdown -svg docs/congestion    the tables and plots of docs/congestion.md
//
// # Cases in the simulator
//
// alone: one source, one receiver, a bottleneck of 1 Mbit/s to 1 Gbit/s, RTT 1 to 100 ms, a queue of one bandwidth-delay product, at least
// 32 packets; a minute each. noise: transfers of 40 MiB with random loss at each of 1 to 16 receivers, against the best of several rates
// set by hand. tree: a thousand receivers, one of them behind a slow link of its own, for each policy. script: what happens over time when
// capacity changes, receivers come and go, two sources share, an application stands still. liar: a receiver whose reports are false.
//
// # Cases between namespaces
//
// A [github.com/rmcast/rmcast/netem.Relay] is the bottleneck: 100 Mbit/s, RTT 20 ms, a queue of one bandwidth-delay product. All who send are on
// one side and all who receive on the other:
//
//	source, TCP senders ── root ── 100 Mbit/s ── receivers, TCP receivers
//
// tcp: our source against one and four TCP flows (CUBIC), TCP and ours alone in between, and two of our sources. killed: the slowest of three
// receivers ends by SIGKILL. loss: with 5 % random loss. bulk: transfers with the default configuration against the best of several rates
// set by hand. Every byte that is read is hashed.
//
// # What is counted
//
// Rates count IP packets with their headers. Utilisation is what the receiver's application has read, in order, with the headers of the packets
// that it came in: repairs, parity and control are not useful. Loss is what the bottleneck's queue dropped, of what it was given, the
// start included.
package main
