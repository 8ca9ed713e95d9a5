package channel_test

import (
	"fmt"
	"io"
	"log"
	"time"

	"github.com/rmcast/rmcast/channel"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

// Both ends know the name and nothing else. The network is one in memory; without Network the same program uses the kernel's.
func Example() {
	network := netem.NewFabric(netem.FabricConfig{Seed: 1})
	group, err := channel.Group("example.com/news", channel.Site)
	if err != nil {
		log.Fatal(err)
	}

	listener, err := transport.Listen("udp", group.String(), &transport.Config{Network: network.Host("fd00::2")})
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	source, err := transport.Dial("udp", group.String(), &transport.Config{Network: network.Host("fd00::1")})
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		fmt.Fprint(source, "good news")
		source.Close()
	}()
	receiver, err := listener.Accept()
	if err != nil {
		log.Fatal(err)
	}
	text, err := io.ReadAll(receiver)
	fmt.Printf("%s, %v\n", text, err)
	// Output: good news, <nil>
}

func ExampleGroup() {
	group, err := channel.Group("example.com", channel.Global)
	fmt.Println(group.Addr(), err)

	_, err = channel.Group("gro\u0308ße", channel.Global) // as some file systems have it
	fmt.Println(err)
	// Output:
	// ff1e:873e:378f:f6a5:a1f6:fa49:95f1:faf <nil>
	// channel: name "gro\u0308\u00dfe": U+0308 at byte 3: not in Unicode's form NFC
}

// The interface stands in the group, as its zone.
func ExampleChannel_Group() {
	group, err := channel.Channel{Name: "example.com", Scope: channel.Link, Interface: "eth0"}.Group()
	fmt.Println(group, err)

	group, err = channel.Channel{Name: "example.com", IPv4: true}.Group()
	fmt.Println(group, err)
	// Output:
	// [ff12:873e:378f:f6a5:a1f6:fa49:95f1:faf%eth0]:56659 <nil>
	// 239.194.226.60:56659 <nil>
}

// A group that only who has the key finds, and for an hour only. Where clocks may differ by a second, a receiver joins the next group
// a second before it is due.
func ExampleChannel_Changes() {
	c := channel.Channel{
		Name:   "example.com",
		Key:    []byte("32 bytes from crypto/rand.Read.."),
		Period: time.Hour,
		At:     time.Date(2026, 1, 1, 12, 34, 56, 0, time.UTC),
	}
	for range 2 {
		group, err := c.Group()
		fmt.Println(group.Addr(), err, "until", c.Changes().Format(time.TimeOnly))
		c.At = c.Changes()
	}
	// Output:
	// ff1e:caa1:ea48:fc89:cc12:b11a:d127:756d <nil> until 13:00:00
	// ff1e:7608:122f:bd38:d0c4:e809:d37f:b5e7 <nil> until 14:00:00
}
