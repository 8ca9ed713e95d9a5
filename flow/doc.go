// Package flow decides when a source may send and how long things take: rates as people write them, token buckets under the
// caller's clock, round-trip estimates, and their one-byte forms for the wire; and how much parity is worth sending.
//
// It is not a queue and it does not sleep. A Limiter answers "may a run of this kind go now?" and "when may it?"; the
// caller sends, says what it took, and sleeps on its own timer:
//
//	for {
//		switch {
//		case repairWaits && l.Repair(now, dataWaits):  // repairs first, up to their share
//			l.TookRepair(now, send(repair))
//		case dataWaits && l.Data(now):
//			l.TookData(now, send(data))
//		default:
//			sleepUntil(min(l.DataAt(now), l.RepairAt(now, dataWaits)))
//		}
//	}
//
// The buckets of a Limiter (Rate R, all sizes are bytes of IP packets):
//
//	          ┌─ share: RepairShare x R, asked only while new data waits ─┐
//	repairs ──┘                                                          ├── total: R, burst max(2 runs, 8 ms)
//	new data ────────────────────────────────────────────────────────────┤
//	SPM, NCF ── control: 5 % of R, at least 1 Mbit/s ──── (never waits) ──┘
//
// A bucket may go into debt: it is open while the debt is at most Slack (500 us), because the timers of an idle process are
// no finer than a millisecond, and closed until the debt is paid otherwise. The bytes sent in any interval therefore are at
// most rate x time + burst + slack + one run, and a driver that wakes up to about 8 ms late loses nothing of its rate.
//
// A Parity chooses how lost packets are repaired, by number or by groups with parity, and how much parity comes unasked; ReplayCost and
// ParityCost are the least that either can cost. It encodes nothing and sends nothing:
//
//	parity.Sent(now, packets)  // after data went out
//	parity.Loss(share)         // from each report
//	plan := parity.Plan(grtt, backoff, receivers)  // for each SPM
//
// A Group knows the receivers that report, chooses the one that sets the pace, and says by the policy in Slow which ones are too slow for
// that:
//
//	d, acker := group.Report(now, report)  // from each NAK and ACK
//	pace, yes := group.Switched()          // then another receiver sets the pace
//	events = group.Events(events)          // who is slow, evicted, or followed again
//
// A Congestion finds the rate that the path to that receiver bears, which goes to the Limiter:
//
//	c.Sent(now, next, bytes)  // after each run
//	c.Delivered(now, d)       // when acker
//	if inFlight < c.Window() { l.SetRate(now, c.Rate()) }
//
// A bucket counts in integers: no byte is lost or won over hours, and the same calls get the same answers on every architecture.
//
// Limitations: nothing in the package is safe for simultaneous use, reads a clock or starts anything.
package flow
