// Package nack decides when a receiver asks for a missing packet, and what a source does about it: RFC 3208's negative
// acknowledgements, with RFC 5401's backoff.
//
// It holds two machines, one for each end, and the law by which receivers wait, [Wait]. It does not know packets, sockets
// or windows, nor how parity is made: numbers, counts and instants come in, what to ask for, to confirm or to repair goes out. Neither machine reads a clock,
// starts a goroutine or calls back; the caller asks Deadline and comes back by then.
//
// # Receiver: Scheduler
//
//	             Missing                  backoff over: Due
//	              │                        asks for it
//	              ▼                      │              ┌──────┐ NAKHeard: another asked,
//	  ┌─────► BACK_OFF ──────────────────┴──────► WAIT_NCF ◄───┘ the interval starts again
//	  │           │    └── NAKHeard: we need not ───▲ │  │
//	  │           │ NCF: nobody needs to          NCF │  │ Repeat over
//	  │           ▼                                   │  │
//	  │       WAIT_DATA ◄─────────────────────────────┘  │
//	  │        │  ▲  │ NCF: the interval starts again    │
//	  │        │  └──┘                                   │
//	  │        │ Data over                               │
//	  └────────┴──── next round: intervals double ───────┘
//
//	from every state: Found (it came), Forget (it is lost), Expired (Limit has passed)
//
// A new gap stays in BACK_OFF for the tolerance for reordering, then for its backoff. Call [Scheduler.Missing] for each gap,
// [Scheduler.Progress] and [Scheduler.Found] as packets arrive, [Scheduler.NCF] and [Scheduler.NAKHeard] for each number
// heard; when [Scheduler.Deadline] has come, [Scheduler.Expired] until it has no more, then [Scheduler.Due], and send what
// it returns as one NAK.
//
// # Receiver: by number or by count
//
// What a group of packets lacks can be asked for by number, or as so many parity packets, by count. The numbers stay in one Scheduler
// either way, which knows how long each has been missing; [Scheduler.Hold] keeps those from going out by number that the group's end,
// or parity, will repair for less, and [Scheduler.Resume] lets them go.
//
//	BACK_OFF ──Hold(until)──► held ── until has come, and the backoff ──► asked for
//	   ▲                       │ │
//	   └──── Resume, a new ────┘ └── NCF, NAKHeard: as from BACK_OFF, and not held any more
//	         backoff
//
// A second Scheduler, whose numbers are those that groups begin with, asks by count: the owner names a group by [Scheduler.Missing] when it
// has ended and lacks something, and sends how much that is when Due returns it; it passes on NCFs and NAKs that name as much or
// more; and it names the group again when another packet turns out to be missing. [Shorten] has those speak first who lack most.
//
// # Source: Repairs
//
//	NAK ──► queued ──────────► Sent ──► held off ──► forgotten
//	  │       ▲ │ NAK: merged            │ ▲   │ NAK
//	  │       └─┘                        │ └───┘
//	  └───► NCF pending ──► NCFs         └ after HoldOff a NAK queues it again
//
// Call [Repairs.NAK] for each number of a NAK that is in the window, send [Repairs.NCFs] at once, then repair
// [Repairs.Next] as the rate allows and tell [Repairs.Sent]; call [Repairs.Trim] as the trail moves.
//
// Parity is queued beside the numbers, by group, with a count of packets:
//
//	ParityNAK: raised to what this receiver lacks,
//	less what went out since it last heard
//	     │  ┌──────────────────────────────────────┐
//	     ▼  ▼                                      │ ParityNAK, for more than went out since
//	need > 0 ──ParitySent: lowered──► need = 0, what went out is remembered ──► forgotten
//	     │                              ▲     after HoldOff nothing of it counts
//	     └► NCF pending ──► ParityNCFs  └─ ParitySent, unasked
//
// Any packet of parity stands for any that is missing, so the greatest need of all receivers is enough for all, and what goes out lessens
// it whoever asked. Call [Repairs.ParityNAK] for each group of a parity NAK, send [Repairs.ParityNCFs] at once, send what
// [Repairs.Next] says and tell [Repairs.ParitySent], also of parity that nobody asked for.
//
// # Limitations
//
// A number that another receiver's NAK or an NCF took out of its hold is asked for by number when its data does not come; Hold it
// again. Needs are counted, and counts are believed: neither machine knows which packets of a group a receiver lacks, nor that numbers
// repaired in between have lessened its need. A group whose parity went out at more than 16 instants within HoldOff may be served too
// little at first, and is asked for again. NCFs are believed: who may send them is for the caller to check, and a flood of them
// delays each round by Timing.MaxInterval at most. Repairs tells receivers apart by address, so several on one host share one share. Its
// estimate of the group takes all to wait by the same T, which receivers that Shorten theirs do not: then it is a little high.
package nack
