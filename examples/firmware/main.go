// Firmware updates a fleet of devices that never send a packet: a server sends the image in a loop, and each device takes it whenever it
// is switched on, from any point of the loop, and goes on after a power cut.
//
//	head -c 20M /dev/urandom > router-2.1.bin
//	go run ./examples/firmware serve router-2.1.bin
//	go run ./examples/firmware update -model router -have router-2.0.bin slot-b
//
// The carousel verifies what it received; that it is the vendor's is for the device to check, by its signature, before it starts it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rmcast/rmcast/carousel"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/transport"
)

func main() {
	flags := flag.NewFlagSet("firmware", flag.ExitOnError)
	group := flags.String("group", "239.192.0.9:7503", "multicast group and port")
	iface := flags.String("interface", "", "network interface; empty: that of the default route")
	rate := 20 * flow.Mbps
	flags.TextVar(&rate, "rate", rate, "serve: how fast to send; who is silent cannot say that it is too fast")
	model := flags.String("model", "router", "update: take images for this model: MODEL-VERSION.bin")
	have := flags.String("have", "", "update: the image that runs already, which is not taken again")
	if len(os.Args) < 2 {
		log.Fatal("usage: firmware serve [flags] IMAGE... or firmware update [flags] DIR")
	}
	flags.Parse(os.Args[2:])
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cfg := &transport.Config{Interface: *iface}
	var err error
	switch {
	case os.Args[1] == "serve" && flags.NArg() > 0:
		err = serve(ctx, *group, cfg, rate, flags.Args())
	case os.Args[1] == "update" && flags.NArg() == 1:
		var image string
		if image, err = update(ctx, *group, cfg, *model, *have, flags.Arg(0)); err == nil {
			fmt.Println(image, "is complete: check its signature, and start it")
		}
	default:
		log.Fatal("usage: firmware serve [flags] IMAGE... or firmware update [flags] DIR")
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}

// serve sends the images in a loop until ctx ends.
func serve(ctx context.Context, group string, cfg *transport.Config, rate flow.Rate, images []string) (err error) {
	var objects []*carousel.Object
	for _, image := range images {
		object, err := carousel.Open(ctx, image, nil)
		if err != nil {
			return err
		}
		defer object.Close()
		objects = append(objects, object)
	}
	pace := *cfg
	pace.Rate, pace.Fixed = rate, true // nobody reports
	source, err := transport.Dial("udp", group, &pace)
	if err != nil {
		return err
	}
	defer source.Close()
	return carousel.Send(ctx, source, nil, objects...)
}

// update waits until it has an image for the model other than the one that the device has, and returns its path. What is there of one in dir
// already, it goes on with.
func update(ctx context.Context, group string, cfg *transport.Config, model, have, dir string) (image string, err error) {
	inbox, err := carousel.NewInbox(dir, &carousel.InboxConfig{
		Accept: func(r carousel.Root) bool {
			return strings.HasPrefix(r.Name, model+"-") && strings.HasSuffix(r.Name, ".bin") && r.Name != have
		},
		MaxBytes: 1 << 30, // of flash
		Logger:   cfg.Logger,
	})
	if err != nil {
		return "", err
	}
	defer inbox.Close()
	silent := *cfg
	silent.ReceiveOnly, silent.Unordered = true, true // not one packet is sent; symbols need no order
	listener, err := transport.Listen("udp", group, &silent)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(ctx)
	var receiving sync.WaitGroup
	defer receiving.Wait()
	defer listener.Close()
	defer cancel()
	failed := make(chan error, 1)
	receiving.Go(func() {
		for { // the image may come from any server of the group, or from several
			receiver, err := listener.AcceptReceiver()
			if err != nil {
				failed <- err
				return
			}
			receiving.Go(func() {
				defer receiver.Close()
				carousel.Receive(ctx, receiver, inbox) // when its server has ended another one goes on
			})
		}
	})
	select {
	case <-inbox.Done():
	case err := <-failed:
		return "", err
	case <-ctx.Done():
		return "", ctx.Err()
	}
	for _, o := range inbox.Objects() {
		if o.Done {
			return filepath.Join(dir, o.Name), o.Err
		}
	}
	return "", inbox.Err()
}
