package dgram_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/rmcast/rmcast/dgram"
)

// A source sends a run of three datagrams to a group; a receiver answers to where they came from. It all stays on the loopback
// interface, for which IPv4 needs no rights and no route.
func Example() {
	group, err := dgram.ParseGroup("udp", "239.192.0.9:47500")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, o := context.Background(), dgram.Options{Interface: "127.0.0.1"}
	receiver, err := dgram.Kernel.OpenReceiver(ctx, "udp", group, o)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer receiver.Close()
	source, err := dgram.Kernel.OpenSource(ctx, "udp", group, o)
	if err != nil {
		fmt.Println(err)
		return
	}

	if err := source.WriteRun([]byte("onetwosix"), 3, netip.AddrPort{}, 0); err != nil {
		fmt.Println(err)
		return
	}
	d := []dgram.Datagrams{{B: make([]byte, dgram.BufferSize)}}
	for heard := 0; heard < 9; { // in one run or in three, as the system likes it
		n, err := receiver.ReadBatch(d)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, d := range d[:n] {
			for b := d.B; len(b) > 0; b = b[min(d.Segment, len(b)):] {
				fmt.Printf("%s\n", b[:min(d.Segment, len(b))])
			}
			heard += len(d.B)
		}
	}

	if err := receiver.WriteRun([]byte("thanks"), 0, d[0].From, 0); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := source.ReadBatch(d); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s, multicast: %v\n", d[0].B, d[0].Multicast)
	source.Close()
	_, err = source.ReadBatch(d)
	fmt.Println(err == net.ErrClosed)
	// Output:
	// one
	// two
	// six
	// thanks, multicast: false
	// true
}
