// Package channel turns names into multicast groups: who knows a channel's name knows its address and port, and nobody has to
// hand addresses out.
//
// [Group] is for the common case, [Channel] has the rest: source-specific groups, IPv4, groups that only who has a key can find,
// and groups that change with time. What they return is a netip.AddrPort whose String is what transport.Dial and
// transport.Listen take.
//
//	name ──────────┐
//	period, epoch ─┴─► SHA3-512, or HMAC-SHA3-512 under a key ──► digest
//	                                                              │ bytes 0 to 13    ff1x: any source, IPv6
//	                                                              │ bytes 16 to 23   ff3x, 239/8, 232/8: narrower ranges
//	                                                              └ bytes 24, 25     port
//
// A name is never changed: it is hashed as it is, or refused. Upper and lower case differ. Refused are names that are empty, longer
// than [MaxName], not UTF-8, not in Unicode's form NFC, with characters that nobody sees, with another white space
// than U+0020, or with a space at an end: two ends that mean the same would write such names differently, and wait for each other in
// different groups.
//
// docs/channel.md says how each bit comes about, with vectors for other implementations, and how likely two names meet.
//
// # What it is not
//
// It opens no socket, reads no clock, and knows of no registry: that two names have different groups is only likely. Over IPv6 it
// is certain in practice (112 bits), but switches and network cards see the last 32 bits, and over IPv4 there are 18 bits and
// less: among 600 names in the organisation's range two are as likely as not to share a group. Receivers tell sessions apart all the
// same, by port and by TSI.
//
// A key hides where a channel is from those who are not on its path. It hides nothing from those who are: group addresses stand in
// each packet and in each IGMP or MLD report. It keeps nobody from reading or sending. And over IPv4 there are so few groups that
// anybody can join them all.
package channel
