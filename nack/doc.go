// Package nack decides when a receiver asks for a missing packet, and what a source does about it: RFC 3208's negative
// acknowledgements, with RFC 5401's backoff.
//
// It holds two machines, one for each end, and the law by which receivers wait, [Wait]. It does not know packets, sockets
// or windows: numbers and instants come in, numbers to ask for, to confirm or to repair go out. Neither machine reads a clock,
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
// # Limitations
//
// Parity NAKs, which ask for a count of a group and not for numbers, are not scheduled here. NCFs are believed: who
// may send them is for the caller to check, and a flood of them delays each round by Timing.MaxInterval at most. Repairs tells
// receivers apart by address, so several on one host share one share.
package nack
