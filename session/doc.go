// Package session holds the two protocol engines of PGM (RFC 3208): Source, the sending end of one transport session, and
// Peers, which tells the sources of a group apart by TSI and keeps a Receiver for each.
//
// # What it is not
//
// The engines do no I/O, start no goroutine, read no clock and take no lock. Time comes in as an argument, packets come in
// decoded and leave as bytes, randomness comes from the caller. One engine therefore serves sockets (package transport),
// virtual time and the simulator alike, and one that is driven by the same calls with the same seed does the same things.
//
// # The four verbs
//
// A driver owns the engine, its lock and the clock, and calls
//
//	Handle(now, meta, packet)   for each packet that arrived
//	Advance(now)                when Deadline has come; early or twice is harmless
//	Poll(now, transmit)         until it reports false; each true is one run of datagrams to hand to the network at once
//	Deadline()                  for how long it may sleep; mono.Never when only a packet or the application can wake it
//
// beside the calls of the application (Write, Finish, Read, …), which never block: what cannot be done now is reported so.
//
//	         Write             Poll                     Handle            Read
//	bytes ──────────▶ Source ────────▶  ODATA, RDATA ───────────▶ Receiver ──────▶ bytes, or *LossError in their place
//	                    ▲               SPM, NCF, parity            │
//	                    │  Handle                        Poll       │
//	                    └────────────  NAK, SPMR, ACK ◀─────────────┘
//
// # The rate
//
// With SourceConfig.Congestion a source finds its rate itself. Its SPMs carry wire.Pace, and receivers report what they get (wire.Report):
// the slowest that is followed, the acker, in ACKs at a steady interval, the others in the NAKs that they send anyway, and in an ACK
// now and then when they get less than they should or their application falls behind.
//
//	Source: flow.Group ── who is the acker ──▶ flow.Congestion ── rate, window ──▶ flow.Limiter, Poll
//	            ▲                                     ▲
//	            └───────────── reports ───────────────┘
//
// New data waits for that window and for room at the receivers; SPMs, NCFs and repairs never do. Without Congestion none of this is there, and
// not one packet differs.
//
// Each machine below does one thing and does not know the others: window holds packets, nack decides when to ask and what to
// repair, flow paces, wire encodes. This package alone joins them.
package session
