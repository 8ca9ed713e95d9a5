package flow_test

import (
	"fmt"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
)

// A source of 10 Mbit/s sends a second's worth of packets, repairs first. The clock is the caller's: here it jumps.
func Example() {
	l := flow.NewLimiter(flow.LimiterConfig{Rate: 10 * flow.Mbps}, 0)
	const packet = 1480
	repairs, data := 100, 800 // packets waiting
	now := mono.Time(0)
	for repairs > 0 || data > 0 {
		switch {
		case repairs > 0 && l.Repair(now, data > 0):
			l.TookRepair(now, packet)
			repairs--
		case data > 0 && l.Data(now):
			l.TookData(now, packet)
			data--
		default:
			now = l.DataAt(now) // a real caller sleeps
		}
	}
	fmt.Println("sent after", time.Duration(now).Round(10*time.Millisecond))
	fmt.Println("full speed needs", l.Rate().Duration(900*packet))
	// Output:
	// sent after 1.06s
	// full speed needs 1.0656s
}

func ExampleParseRate() {
	for _, s := range []string{"1.5Gbit", "500 Mbit/s", "unlimited", "10 MB/s"} {
		r, err := flow.ParseRate(s)
		fmt.Println(r, err)
	}
	// Output:
	// 1.5 Gbit/s <nil>
	// 500 Mbit/s <nil>
	// unlimited <nil>
	// 0 bit/s flow: rate "10 MB/s": a capital B means bytes; rates are in bits per second
}
