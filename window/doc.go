// Package window holds the packets of one transport session: at the source those that can be repaired (Transmit), at a
// receiver those that came and are not read yet (Receive). Both are rings of slots indexed by the low bits of the sequence
// number, with the state of a number in its slot.
//
// It is not the protocol. It has no clock and no timer, sends nothing, knows no packet format, and decides neither when to
// ask for a repair (package nack) nor when a number is lost (package session).
//
// # At the source
//
//	unwritten --Put--> unsent --Sent--> sent --Reclaim--> gone
//	                                     ^  |
//	                                     +--+ Resent
//
// The writer fills Slot, perhaps over several calls, and makes it a packet by Put. The sender takes packets from Next on by
// Get, and tells by Sent that they went out. Repairs are Get and Resent of numbers in [Trail, Next). Reclaim makes room:
// with a short age when the writer needs it, with a long one when idle.
//
// # At a receiver
//
//	               Insert
//	Unknown ---------------------> Have --Release--> Done
//	   |                            ^                  ^
//	   | Extend, Insert of a later  | Insert           | Release
//	   +-----------> Missing -------+                  |
//	                    |                              |
//	                    +----------- Lose --------> Lost
//
// Start comes first, then perhaps Rewind. Insert takes what arrives; Extend what is heard to exist, as from an SPM's lead;
// Lose what can no longer be had, as from its trail. In-order delivery reads Packet(Next) while Next is before Run, and then
// Release(Next); delivery in arrival order may Release any number that is Have or Lost.
//
// Where parity repairs groups of packets, a number that is Missing is worked out from all others of its group, also from those
// that were read. Keep makes a Receive keep their payloads, and Kept reads what is Have or kept:
//
//	  base of the group     Next                   end of the group
//	----+--------------------+---------------------------+----> numbers
//	    | Done, kept         | Have, Missing, Done and   |
//	    |                    | kept if released already  |
//
// A group in which nothing is Missing, or can be any more, keeps nothing. So a reader that keeps up holds up to a group of
// payloads instead of one, and one that is a group or more behind holds no more than it would have.
//
// # Memory
//
// Nothing a packet says chooses an allocation: all sizes are bounded by the constructors' arguments. A Transmit allocates
// its payload memory in chunks of up to 128 KiB as the ring is first written. A Receive takes buffers from chunks of 64 KiB;
// it gives out the one freed last, so that a reader that keeps up stays within a few buffers of cached memory, or within a
// group's. What is kept for its group alone is a cache: it counts as free, and gives way when memory is short, the lowest group first. Neither
// gives memory back. In steady state nothing is allocated.
//
// # Limitations
//
// The methods are not safe for concurrent use. A call that breaks the contract panics with a text that begins with BUG.
// With the build tag invariants, or under the race detector, the windows check themselves and overwrite payloads that are
// no longer valid.
package window
