package nack_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/nack"
	"github.com/rmcast/rmcast/seq"
)

// A receiver gets packets 1, 2, 6 and 7, and asks its source for the rest.
func Example() {
	receiver := nack.NewScheduler(rand.New(rand.NewPCG(1, 2)), nack.Timing{
		Backoff: 8 * time.Millisecond, GroupSize: 10, Repeat: 5 * time.Millisecond, Data: 10 * time.Millisecond,
	})
	source := nack.NewRepairs(nack.RepairsConfig{})

	now := mono.Time(0)
	receiver.Missing(now, seq.Range{From: 3, To: 6}, 6) // 6 came after 2
	now = now.Add(100 * time.Microsecond)
	receiver.Progress(now, 7) // and 7: this is loss, not reordering

	now = receiver.Deadline()
	list := receiver.Due(now, nil)
	fmt.Println("NAK", list)
	for _, n := range list {
		source.NAK(now, netip.MustParseAddr("fd00::1"), n, 1432)
	}

	confirmed := source.NCFs(now, nil)
	fmt.Println("NCF", confirmed)
	now = now.Add(time.Millisecond)
	for _, n := range confirmed {
		rtt, _ := receiver.NCF(now, n)
		fmt.Println("round trip of", n, "is", rtt)
	}

	for repair, ok := source.Next(now); ok; repair, ok = source.Next(now) {
		source.Sent(now, repair.N)
		receiver.Found(now, repair.N)
		fmt.Println("RDATA", repair.N)
	}
	fmt.Println("still missing:", receiver.Len(), "next deadline:", receiver.Deadline())
	// Output:
	// NAK [3 4 5]
	// NCF [3 4 5]
	// round trip of 3 is 1ms
	// round trip of 4 is 1ms
	// round trip of 5 is 1ms
	// RDATA 3
	// RDATA 4
	// RDATA 5
	// still missing: 0 next deadline: never
}
