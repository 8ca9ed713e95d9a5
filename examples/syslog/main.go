// Syslog gathers the log messages of many machines. Each runs a forwarder, which takes syslog's datagrams (RFC 5426) and sends them on; any number of
// collectors hear them all, so that one may fail.
//
//	go run ./examples/syslog collect -metrics localhost:9100
//	go run ./examples/syslog forward
//	logger --udp --server 127.0.0.1 --port 5514 hello
//
// TCP would do for one collector. Here a second one costs nothing, and none is slower for another.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"

	"github.com/rmcast/rmcast/metrics"
	"github.com/rmcast/rmcast/transport"
)

func main() {
	flags := flag.NewFlagSet("syslog", flag.ExitOnError)
	group := flags.String("group", "239.192.0.9:7502", "multicast group and port")
	iface := flags.String("interface", "", "network interface; empty: that of the default route")
	listen := flags.String("listen", "127.0.0.1:5514", "forward: where to take datagrams of syslog")
	watch := flags.String("metrics", "", "collect: where Prometheus finds /metrics; empty: nowhere")
	if len(os.Args) < 2 {
		log.Fatal("usage: syslog forward|collect [flags]")
	}
	flags.Parse(os.Args[2:])
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cfg := &transport.Config{Interface: *iface}
	var err error
	switch os.Args[1] {
	case "forward":
		var in net.PacketConn
		if in, err = net.ListenPacket("udp", *listen); err == nil {
			host, _ := os.Hostname()
			err = forward(ctx, *group, cfg, host, in)
		}
	case "collect":
		var m metrics.Metrics
		if *watch != "" {
			http.Handle("/metrics", &m)
			go func() { log.Print(http.ListenAndServe(*watch, nil)) }()
		}
		err = collect(ctx, *group, cfg, &m, os.Stdout)
	default:
		log.Fatalf("there is no %q: forward or collect", os.Args[1])
	}
	if err != nil {
		log.Fatal(err)
	}
}

// forward sends each datagram of in as a message, with the host's name before it, until ctx ends. It closes in.
func forward(ctx context.Context, group string, cfg *transport.Config, host string, in net.PacketConn) (err error) {
	defer in.Close()
	defer context.AfterFunc(ctx, func() { in.Close() })()
	source, err := transport.Dial("udp", group, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }() // sends what waits, and repairs it
	datagram := make([]byte, 8192)
	for {
		n, _, err := in.ReadFrom(datagram)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := source.WriteMessage(fmt.Appendf(nil, "%s %s", host, datagram[:n])); err != nil {
			return err
		}
	}
}

// collect writes the messages of all forwarders to out, a line each, until ctx ends or out fails.
func collect(ctx context.Context, group string, cfg *transport.Config, m *metrics.Metrics, out io.Writer) error {
	listener, err := transport.Listen("udp", group, cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the readers
	context.AfterFunc(ctx, func() { listener.Close() })
	defer m.AddListener("collect", listener)()
	lines := make(chan []byte, 1024)
	var readers sync.WaitGroup
	readers.Go(func() { // accepts, and adds a reader for each source
		for {
			receiver, err := listener.AcceptReceiver()
			if err != nil {
				return // closed
			}
			readers.Go(func() { read(ctx, receiver, lines) })
		}
	})
	go func() {
		readers.Wait()
		close(lines)
	}()
	for line := range lines {
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// read hands on the messages of one forwarder. Losses are lines too: a log should say what it does not have.
func read(ctx context.Context, receiver *transport.Receiver, lines chan<- []byte) {
	defer receiver.Close()
	defer context.AfterFunc(ctx, func() { receiver.Close() })()
	message := make([]byte, 64<<10)
	for {
		n, err := receiver.ReadMessage(message)
		line := fmt.Appendf(nil, "%s\n", message[:n])
		var loss *transport.LossError
		if errors.As(err, &loss) {
			line = fmt.Appendf(nil, "%v: %d packets of messages are lost\n", receiver.RemoteAddr(), loss.Lost.Len())
		} else if err != nil {
			return // the forwarder has ended, or is silent
		}
		select {
		case lines <- line:
		case <-ctx.Done():
			return
		}
	}
}
