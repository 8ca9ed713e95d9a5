// Package demand lets a source be still while nobody listens: receivers say that they want what it has, and it sends from then on, until nobody does.
//
//	receiver                                             source
//	Want   ── "want", now and every few seconds ──────►  Watcher ── Wanted, Wait, Changed ──► sends, or does not
//	       ── "leave", in the end ────────────────────►
//	       ◄─ others' "want" (ours need not follow) ──
//	the kernel's IGMP and MLD reports ────────────────►  Watcher, with Reports
//
// # In the group
//
// Want says so in the group itself, which needs no privilege: a message of 12 bytes, in a transport session of its own that ends at once, under
// another PGM data-destination port (the group's and 3; internal/aside), so that no Listener takes it for a source and foreign receivers do not see it. Of
// many receivers few speak: who hears another's waits as long again, as in IGMPv1. Who hears a "leave" speaks up soon, if nobody else does; a source
// that hears nothing more after one stops.
//
// # On the link
//
// A receiver that must not send (transport's ReceiveOnly) is heard all the same where its kernel's reports reach the source: on the same link, without a
// switch between that keeps reports from all but routers (MLD and IGMP snooping). That is Config.Reports. It takes a raw socket (CAP_NET_RAW).
// A report is believed for 260 s (RFC 3810, 9.4), and repeated when a router or switch asks; where none does, one that only listens is forgotten then.
// Kernels that speak IGMPv2 or MLDv1 keep quiet where another has spoken: when that one leaves, and nobody asks, the others are taken to have left.
// What this host's own kernel says is passed over, as a source that listens for requests is on its group itself: receivers on the source's host have
// to say in the group that they want something. For the same reason other sources of the group on other hosts look like receivers, if they listen.
//
// It trusts who speaks: anybody who may send to the group can make the source send, as anybody can who joins it.
package demand
