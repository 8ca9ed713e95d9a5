package window_test

import (
	"fmt"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/window"
)

// Three packets are sent, the second is lost on the way, asked for, and sent again.
func Example() {
	tx := window.NewTransmit(1024, 1428, 100)
	rx := window.NewReceive(1024, 1<<20)
	rx.Start(100)

	for _, text := range []string{"one", "two", "three"} {
		n := copy(tx.Slot(), text)
		tx.Put(n, 0, window.Fragment{})
	}

	now := mono.Time(0)
	for tx.Unsent() > 0 {
		n := tx.Next()
		p, _ := tx.Get(n)
		tx.Sent(now, 1)
		if n == 101 {
			continue // lost
		}
		result, gap := rx.Insert(n, p.Payload, p.Fragment)
		fmt.Println(n, result, gap)
	}

	if gap, ok := rx.NextMissing(rx.Next()); ok {
		p, _ := tx.Get(gap.From)
		tx.Resent(now, gap.From)
		result, _ := rx.Insert(gap.From, p.Payload, p.Fragment)
		fmt.Println(gap.From, result)
	}

	for rx.Next() != rx.Run() {
		p, _ := rx.Packet(rx.Next())
		fmt.Printf("%s\n", p.Payload)
		rx.Release(rx.Next())
	}

	age, grace := 2*time.Second, time.Second
	fmt.Println("reclaimed", tx.Reclaim(now.Add(age), age, grace, 0, false, 1024))
	// Output:
	// 100 InOrder [100,100)
	// 102 Ahead [101,102)
	// 101 Filled
	// one
	// two
	// three
	// reclaimed 3
}
