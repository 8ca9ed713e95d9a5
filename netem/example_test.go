package netem_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/netem"
)

// Two hosts in memory; the way into the second takes 20 ms and loses what a script says.
func Example() {
	fabric := netem.NewFabric(netem.FabricConfig{Seed: 1})
	near, far := fabric.Host("fd00::1"), fabric.Host("fd00::2")
	far.SetIngress(netem.Impairment{Delay: 20 * time.Millisecond})
	fabric.SetDrop(func(from, to netip.Addr, b []byte) bool { return string(b) == "two" })

	group := netip.MustParseAddrPort("[ff15::8000:1]:7500")
	source, _ := near.OpenSource(context.Background(), "udp6", group, dgram.Options{})
	receiver, _ := far.OpenReceiver(context.Background(), "udp6", group, dgram.Options{})
	defer source.Close()
	defer receiver.Close()

	start := time.Now()
	for _, s := range []string{"one", "two", "three"} {
		source.WriteRun([]byte(s), 0, netip.AddrPort{}, 0)
	}
	batch := []dgram.Datagrams{{B: make([]byte, 0, dgram.BufferSize)}}
	for range 2 {
		receiver.ReadBatch(batch)
		fmt.Printf("%s from %v\n", batch[0].B, batch[0].From)
	}
	fmt.Println("late enough:", time.Since(start) >= 20*time.Millisecond)
	fmt.Println("dropped:", far.Counters().Dropped)
	// Output:
	// one from [fd00::1]:7500
	// three from [fd00::1]:7500
	// late enough: true
	// dropped: 1
}

// A Link alone is arithmetic: no packet, no clock.
func ExampleLink() {
	l := netem.NewLink(netem.Impairment{Rate: 12_000_000, Delay: 5 * time.Millisecond}, 1, 0)
	for range 3 { // all at once; each takes 1 ms on the transmitter
		fmt.Println(l.Send(0, 1500).Copy[0].At)
	}
	// Output:
	// 6ms
	// 7ms
	// 8ms
}
