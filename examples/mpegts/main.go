// Mpegts relays a live MPEG transport stream from standard input to any number of players. What is late is worth nothing: a sender whose
// group does not keep up leaves packets out, and a receiver waits for a repair for as long as its player buffers, and not longer.
//
//	go run ./examples/mpegts play > live.ts
//	ffmpeg -re -f lavfi -i testsrc -c:v mpeg2video -f mpegts - | go run ./examples/mpegts send
//
// Where there is no ffmpeg, any file that is a transport stream will do for its part.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/transport"
)

const (
	packetBytes  = 188 // of a transport stream; each begins with syncByte
	syncByte     = 0x47
	messageBytes = 7 * packetBytes // as many as fit one packet of an Ethernet
)

func main() {
	flags := flag.NewFlagSet("mpegts", flag.ExitOnError)
	group := flags.String("group", "239.192.0.9:7504", "multicast group and port")
	iface := flags.String("interface", "", "network interface; empty: that of the default route")
	buffer := flags.Duration("buffer", 200*time.Millisecond, "how long a packet may be late")
	if len(os.Args) < 2 {
		log.Fatal("usage: mpegts send|play [flags]")
	}
	flags.Parse(os.Args[2:])
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it also where it waits for input
	cfg := &transport.Config{Interface: *iface}
	var missing int
	var err error
	switch os.Args[1] {
	case "send":
		missing, err = send(ctx, *group, cfg, *buffer, os.Stdin)
	case "play":
		missing, err = play(ctx, *group, cfg, *buffer, os.Stdout)
	default:
		log.Fatalf("there is no %q: send or play", os.Args[1])
	}
	log.Printf("%d packets were lost or too late", missing)
	if err != nil {
		log.Fatal(err)
	}
}

// send sends what comes from in until that or ctx ends. It returns how many messages had to be left out.
func send(ctx context.Context, group string, cfg *transport.Config, buffer time.Duration, in io.Reader) (late int, err error) {
	live := *cfg
	live.SlowReceivers = flow.Slow{Mode: flow.Ignore} // one bad receiver shall not spoil it for all
	live.FEC = fec.Config{Goal: fec.LeastDelay}
	source, err := transport.Dial("udp", group, &live)
	if err != nil {
		return 0, err
	}
	defer source.Close()
	stream := bufio.NewReaderSize(in, 64<<10)
	message := make([]byte, messageBytes)
	for ctx.Err() == nil {
		if err := align(stream); err != nil {
			return late, ifNot(err, io.EOF)
		}
		n, err := io.ReadFull(stream, message)
		if n -= n % packetBytes; n == 0 {
			return late, ifNot(err, io.ErrUnexpectedEOF)
		}
		if err := source.SetWriteDeadline(time.Now().Add(buffer)); err != nil {
			return late, err
		}
		switch err := source.WriteMessage(message[:n]); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			late++
		case err != nil:
			return late, err
		}
	}
	return late, nil
}

// align skips what is before the beginning of a packet.
func align(stream *bufio.Reader) error {
	for {
		b, err := stream.Peek(packetBytes + 1) // shorter at the end
		if len(b) == 0 {
			return err
		}
		if b[0] == syncByte && (len(b) <= packetBytes || b[packetBytes] == syncByte) {
			return nil
		}
		stream.Discard(1)
	}
}

func ifNot(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// play writes the stream of the first source that is heard to out, from now on, until that or ctx ends. It returns how many packets are missing.
func play(ctx context.Context, group string, cfg *transport.Config, buffer time.Duration, out io.Writer) (lost int, err error) {
	live := *cfg
	live.Join, live.MaxDelay = transport.JoinNow, buffer
	listener, err := transport.Listen("udp", group, &live)
	if err != nil {
		return 0, err
	}
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	defer listener.Close()
	receiver, err := listener.AcceptReceiver()
	if ctx.Err() != nil || err != nil {
		return 0, ifNot(err, net.ErrClosed)
	}
	defer context.AfterFunc(ctx, func() { receiver.Close() })()
	defer receiver.Close()
	message := make([]byte, messageBytes)
	for {
		n, err := receiver.ReadMessage(message)
		var loss *transport.LossError
		switch {
		case err == nil:
			if _, err := out.Write(message[:n]); err != nil {
				return lost, err
			}
		case errors.As(err, &loss):
			lost += loss.Lost.Len() // the decoder sees it by the packets' counters
		case errors.Is(err, io.EOF) || ctx.Err() != nil:
			return lost, nil
		default:
			return lost, err
		}
	}
}
