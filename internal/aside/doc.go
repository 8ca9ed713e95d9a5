// Package aside says small things in a group, beside what its sources send: each message in a transport session of its own that ends at once.
// So nothing is left in the network of who has nothing to say, and no format, port or parser is added to the wire. A carousel's requests and the
// interest of package demand are such messages.
//
//	Say     a session, the message three times, and its end        who speaks
//	Listen  a Listener, and of each session that it accepts         who hears
//	        the first message, within 3 s
//
// Sessions are under another PGM data-destination port than the group's (Config), so that no Listener of the group takes them for sources, and foreign
// receivers do not see them. Nothing is repaired: a message that is lost three times is lost.
package aside
