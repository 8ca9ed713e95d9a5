package carousel_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rmcast/rmcast/carousel"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

// A source that sends a file for ever, and a receiver that never sends, in one program, over a network in memory that loses a fifth of the
// packets. Without Network, the same program uses the kernel's.
func Example() {
	network := netem.NewFabric(netem.FabricConfig{Seed: 1})
	network.Host("fd00::2").SetIngress(netem.Impairment{Loss: 0.2})
	quiet := slog.New(slog.DiscardHandler)
	const group = "[ff15::8000:1]:7500"
	ctx, cancel := context.WithCancel(context.Background())

	// The source.
	object, err := carousel.NewObject(ctx, "firmware", strings.NewReader(strings.Repeat("new ", 100_000)), 400_000, nil) // or carousel.Open
	if err != nil {
		log.Fatal(err)
	}
	source, err := transport.Dial("udp", group, &transport.Config{Network: network.Host("fd00::1"), Rate: 50 * flow.Mbps, Fixed: true})
	if err != nil {
		log.Fatal(err)
	}
	sent := make(chan error)
	go func() { sent <- carousel.Send(ctx, source, nil, object) }()

	// The receiver.
	dir, err := os.MkdirTemp("", "inbox-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	inbox, err := carousel.NewInbox(dir, &carousel.InboxConfig{Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	listener, err := transport.Listen("udp", group, &transport.Config{Network: network.Host("fd00::2"), Unordered: true, ReceiveOnly: true})
	if err != nil {
		log.Fatal(err)
	}
	receiver, err := listener.AcceptReceiver()
	if err != nil {
		log.Fatal(err)
	}
	if err := carousel.Receive(ctx, receiver, inbox); err != nil {
		log.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "firmware"))
	fmt.Println(len(b), err, inbox.Stats().Stored == uint64(object.Symbols()))

	cancel()
	fmt.Println(<-sent)
	for _, c := range []interface{ Close() error }{receiver, listener, inbox, source, object} {
		if err := c.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// 400000 <nil> true
	// context canceled
}

// One turn, at a third of loss, and then answers: the receiver asks for what it lacks, and the source need not send everything again.
func ExampleAsk() {
	network := netem.NewFabric(netem.FabricConfig{Seed: 1})
	network.Host("fd00::2").SetIngress(netem.Impairment{Loss: 0.33})
	quiet := slog.New(slog.DiscardHandler)
	const group = "[ff15::8000:1]:7500"
	ctx := context.Background()

	// The receiver. Nothing but Ask makes it send.
	dir, err := os.MkdirTemp("", "inbox-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	inbox, err := carousel.NewInbox(dir, &carousel.InboxConfig{Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	listener, err := transport.Listen("udp", group, &transport.Config{Network: network.Host("fd00::2"), Unordered: true, ReceiveOnly: true})
	if err != nil {
		log.Fatal(err)
	}
	received := make(chan error)
	go func() {
		receiver, err := listener.AcceptReceiver()
		if err == nil {
			err = errors.Join(carousel.Receive(ctx, receiver, inbox), receiver.Close())
		}
		received <- err
	}()
	asked := make(chan error)
	go func() {
		asked <- carousel.Ask(ctx, "udp", group, &carousel.AskConfig{
			Transport: &transport.Config{Network: network.Host("fd00::2")}, BackOff: 50 * time.Millisecond,
		}, inbox)
	}()

	// The source.
	object, err := carousel.NewObject(ctx, "firmware", strings.NewReader(strings.Repeat("new ", 100_000)), 400_000, nil)
	if err != nil {
		log.Fatal(err)
	}
	at := &transport.Config{Network: network.Host("fd00::1"), Rate: 50 * flow.Mbps, Fixed: true}
	requests, err := carousel.ListenRequests("udp", group, at)
	if err != nil {
		log.Fatal(err)
	}
	source, err := transport.Dial("udp", group, at)
	if err != nil {
		log.Fatal(err)
	}
	sent := make(chan error)
	go func() {
		sent <- carousel.Send(ctx, source, &carousel.SendConfig{Turns: 1, Requests: requests, AnswerWait: time.Second}, object)
	}()

	fmt.Println(<-received, <-asked, <-sent)
	b, err := os.ReadFile(filepath.Join(dir, "firmware"))
	fmt.Println(len(b), err, requests.Stats().Heard > 0)
	for _, c := range []interface{ Close() error }{listener, inbox, source, requests, object} {
		if err := c.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// <nil> <nil> <nil>
	// 400000 <nil> true
}
