// Package roster tells who is in a group: senders and receivers say now and then, in notes, who they are, what they do and how far they are, and answer
// pings. It is how a sender knows that it may end, and how "rmcast ping" finds who is there.
//
// A note is one transport message of JSON, of at most MaxNote bytes, in a session of its member's own in the same group on the next UDP port: nobody
// who listens to the group itself hears it, and members do not get the group's data. Nobody repairs notes: what is lost is said again. So the notes' numbers tell
// what share of packets gets through.
//
//	member A                                     member B
//	Join ── note 0 {recv, wait} ───────────────▶ a new member: says who it is within Greet
//	     ◀───────────────────── note 7 {send} ──
//	     ── note 1 {recv, get 0.4} ────────────▶ every Interval, and when something changes
//	     ◀──────────── note 8 {ping 3, at 1 s} ──
//	     ── note 2 {pong to B: 3, held 2 ms} ──▶ round trip, and how many of B's pings came
//	Leave ─ note 3 … {done, left}, Farewells times ▶
//
// What it is not: it proves nothing. Who can send to the group can claim anything; members are bounded, and what they say is only shown, or ends a sender
// early. A silent member hears and says nothing.
package roster
