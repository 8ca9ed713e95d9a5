package history

import (
	"fmt"
	"strings"
)

// Count is something that happened in histories, for Counts.
type Count uint8

// What is counted.
const (
	Histories Count = iota
	Receivers
	Packets    // sent
	Deliveries // to receivers' engines
	LostInNet  // packets that a link did not let pass
	Damaged
	Repairs // sent
	Parity  // of these
	Ahead   // parity sent before anybody asked
	ParityNAKs
	Restored // packets, from parity
	NAKs
	Suppressed // numbers that somebody else asked for first
	Messages   // read
	Fragmented // of these, in more than one packet
	Gaps       // read
	GapTrail   // of these, by reason
	GapTimeout
	GapUnrepaired
	GapMalformed
	GapReset
	GapUnavailable
	GapTooLong
	EndEOF // sessions, by ending
	EndReset
	EndLost
	Unheard  // receivers that never accepted a source
	Cut      // receivers that left or restarted within a session
	Promised // sessions in which no loss is possible
	Wraps    // sessions whose numbers pass 2^32
	Stalls
	Restarts
	Leaves
	Late // receivers that join later than a source
	LinkChanges
	Outages
	Flushes
	Resets
	FullWindows // packets refused for want of room
	Jumps       // packets refused because they were far ahead
	UnorderedRead
	HollowRead
	Returned // sessions of one receiver and source after a first that ended
	Unclear  // sessions that could not be told from one before
	counts
)

var countNames = [counts]string{"histories", "receivers", "packets", "deliveries", "lost", "damaged", "repairs", "parity", "ahead", "paritynaks", "restored", "naks", "suppressed",
	"messages", "fragmented", "gaps", "gap:trail", "gap:timeout", "gap:unrepaired", "gap:malformed", "gap:reset", "gap:unavailable",
	"gap:toolong", "end:eof", "end:reset", "end:lost", "end:unheard", "end:cut", "promised", "wraps", "stalls", "restarts", "leaves", "late",
	"linkchanges", "outages", "flushes", "resets", "fullwindows", "jumps", "unordered", "hollow", "returned", "unclear"}

// String gives the count's name.
func (c Count) String() string {
	if c < counts {
		return countNames[c]
	}
	return "unknown"
}

// Counts says how often each Count happened.
type Counts [counts]uint64

// Add sums b into c.
func (c *Counts) Add(b *Counts) {
	for i, n := range b {
		c[i] += n
	}
}

// String gives all of them on one line.
func (c *Counts) String() string {
	var b strings.Builder
	for i, n := range c {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%v %d", Count(i), n)
	}
	return b.String()
}
