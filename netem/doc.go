// Package netem makes networks to test on: links that lose and delay packets, a network in memory, and a network of namespaces.
//
// # Link
//
// A [Link] is one direction of a link as pure arithmetic. It is told when a packet of which size is sent and answers when which
// copies arrive; it holds no packet, reads no clock and draws from a generator of its own, so that the same seed gives the same
// answers everywhere. [Impairment] is what it does to packets, in the words of tc-netem(8).
//
// # Fabric
//
// A [Fabric] is a shared segment in memory with hosts on it. Each [Host] is a dgram.Network, with a Link on its way out and one on
// its way in. It lives on the clock of package time, and so on the virtual one inside a testing/synctest bubble.
//
//	 host A                      segment                     host B
//	source ──▶ egress Link ─────────┬──────────▶ ingress Link ──▶ receivers of B
//	  │                             └──────────▶ ingress Link ──▶ receivers of C
//	  └──────────▶ receivers of A (multicast loop, past all links)
//
// A perfect network loses nothing: a full receive buffer then holds the sender back. Runs stay whole on perfect links.
//
// # Lab
//
// A [Lab] is a real network on one Linux machine: a sender and receivers in network namespaces of their own, joined by a bridge, with
// a shaped link and with losses made by the packet filter. It needs root or an unprivileged user namespace; [Available] says whether
// there is either. The namespaces have no names: they are gone when the process is, however it ends.
//
// # What it is not
//
// Nothing here knows PGM. A Fabric has no routers: hop limits do nothing, and every host hears every other.
package netem
