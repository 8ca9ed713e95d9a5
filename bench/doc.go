// Bench measures what reliable multicast costs and brings, against sending the same bytes to every receiver over TCP.
//
//	go run ./bench                          the default cells, in less than two minutes
//	go run ./bench -html report.html        the same, with plots to look at
//	go run ./bench -full -runs 3 -json      every cell three times, for a program to read
//	go run ./bench -fec all                 ways to repair: replay, parity on demand, ahead of demand, adaptive
//	go run ./bench -delay                   how late paced messages come under loss
//	go run ./bench -delay -fec replay,demand -messages 40M,10/s -rtt 1ms -delay-for 60s
//	go run ./bench -quick                   a smoke test of a few seconds
//	go run ./bench -r 8 -loss 3 -link 50M   one cell of one's own
//	go run ./bench -setting netem           under the kernel's netem, where it has that
//
// # What runs
//
// A sender and R receivers are processes of their own, each in a network namespace, joined by veth pairs and a bridge; the network is
// [github.com/rmcast/rmcast/netem.Lab]. It needs Linux, and root or an unprivileged user namespace, no other program and no file: the
// namespaces have no names and end with the processes, which end with their parent. Where there are no namespaces the same
// endpoints run as goroutines on a network in memory, and the output says so.
//
//	parent ─ JSON lines ─▶ sender   eth0 ─ tbf ─┐        ┌─ loss ─ eth0  receiver 1
//	       ─ over pipes ─▶ receivers            bridge ──┼─ loss ─ eth0  receiver 2
//	                                                     └─ loss ─ eth0  …
//
// A cell is a network (link rate, number of receivers, loss at each) with an amount of random bytes, or a file's, to bring over it.
// In each cell a run of rmcast and a run of TCP fan-out, or of several ways of rmcast to repair (-fec), follow each other on networks
// made alike, with the same bytes and the same chance of loss. Every receiver hashes what it reads. A run that takes too long is cut, and its row tells what had
// arrived.
//
// There are two settings. On a shaped link the sender's interface has a rate, as networks have, and multicast's gain is R-fold.
// Where nothing is shaped the processor is the bound, and since all receivers share it that is a test of this machine rather
// than of a network. Loss is made by the packet filter at each receiver; it sees a run of packets that crosses whole as one, so
// cells with loss have the sender's segmentation offloads off, and cells without loss in the same setting stand beside them.
//
// A third setting, netem, puts the kernel's sch_netem on each receiver's link: -netem says in tc's words what it does in both
// directions, and -loss what is lost on the way to the receiver besides. So there are long paths, jitter and bursts. Few kernels in
// containers have it; go run ./netem/guest -bench runs it on one that does.
//
// Delays of messages are measured where nothing is shaped: round trips are what the machine makes of them, some 0.1 ms. -rtt has
// a [github.com/rmcast/rmcast/netem.Relay] in place of the bridge, whose links hold every packet for half of it, and make the loss.
//
// # What it is not
//
// It measures no queues of real switches. Delays are read from one clock, which endpoints on
// several machines would not have. CPU time of kernels is booked on whoever happens to run: read it beside the whole
// machine's, and compare only rows with the same number of receivers.
package main
