// Replog replicates an append-only log: the leader appends what it reads to its file, sends it to all followers at once, and calls it committed
// when enough of them hold it.
//
//	go run ./examples/replog follow -name ada ada.log
//	go run ./examples/replog follow -name bob bob.log
//	seq 1000 | go run ./examples/replog lead -quorum 2 leader.log
//
// A follower that was away gets what the leader still holds for repairs (transport.Config.WindowAge). If that is not enough it says so: then
// copy the leader's file and start it again. "Holds" means what an acknowledgement of TCP means; the follower's disk may be a moment behind.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/rmcast/rmcast/transport"
	"github.com/rmcast/rmcast/wire"
)

func main() {
	flags := flag.NewFlagSet("replog", flag.ExitOnError)
	group := flags.String("group", "239.192.0.9:7505", "multicast group and port")
	iface := flags.String("interface", "", "network interface; empty: that of the default route")
	quorum := flags.Int("quorum", 2, "lead: how many followers must hold an entry")
	name := flags.String("name", "", "follow: this follower's name, another for each")
	if len(os.Args) < 2 {
		log.Fatal("usage: replog lead|follow [flags] FILE")
	}
	flags.Parse(os.Args[2:])
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it also where it waits for input
	file, err := os.OpenFile(flags.Arg(0), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	cfg := &transport.Config{Interface: *iface}
	switch {
	case os.Args[1] == "lead":
		err = lead(ctx, *group, cfg, *quorum, file, os.Stdin, os.Stdout)
	case os.Args[1] == "follow" && *name != "":
		err = follow(ctx, *group, cfg, *name, file)
	default:
		err = errors.New("usage: replog lead|follow -name NAME [flags] FILE")
	}
	if err = errors.Join(err, file.Close()); err != nil {
		log.Fatal(err)
	}
}

// lead commits each line of in, and says so to out. On the wire a line's number is before it, in 8 bytes, the first being 0.
func lead(ctx context.Context, group string, cfg *transport.Config, quorum int, file *os.File, in io.Reader, out io.Writer) error {
	next, err := entries(file)
	if err != nil {
		return err
	}
	keep := *cfg
	keep.WindowAge = time.Hour // as far as WindowBytes goes
	source, err := transport.Dial("udp", group, &keep)
	if err != nil {
		return err
	}
	defer source.Close()
	enough := transport.Quorum{Count: quorum}
	if err := source.WaitDelivered(ctx, enough); err != nil { // they are there
		return err
	}
	scanner := bufio.NewScanner(in)
	for ; scanner.Scan(); next++ {
		if err := write(file, scanner.Bytes()); err != nil {
			return err
		}
		entry := append(binary.BigEndian.AppendUint64(nil, next), scanner.Bytes()...)
		if err := source.WriteMessage(entry); err != nil {
			return err
		}
		if err := source.WaitDelivered(ctx, enough); err != nil {
			return fmt.Errorf("entry %d is in the file and not committed: %w", next, err)
		}
		fmt.Fprintln(out, "committed", next)
	}
	return scanner.Err()
}

// follow appends the entries of the leader to file until the leader ends, or ctx.
func follow(ctx context.Context, group string, cfg *transport.Config, name string, file *os.File) error {
	next, err := entries(file)
	if err != nil {
		return err
	}
	named := *cfg
	named.ReceiverID, named.Join = wire.NewReceiverID(name), transport.JoinTrail // all that the leader still holds
	listener, err := transport.Listen("udp", group, &named)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	defer listener.Close()
	receiver, err := listener.AcceptReceiver()
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	defer context.AfterFunc(ctx, func() { receiver.Close() })()
	defer receiver.Close()
	for entry := make([]byte, 64<<10); ; {
		n, err := receiver.ReadMessage(entry)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil: // a LossError above all: the log must have no gap
			return errors.Join(ctx.Err(), err)
		case n < 8:
			return fmt.Errorf("an entry of %d bytes", n)
		}
		switch number := binary.BigEndian.Uint64(entry); {
		case number < next: // had it before
		case number > next:
			return fmt.Errorf("the file ends at entry %d and the leader goes on with %d: copy its file first", next, number)
		default:
			if err := write(file, entry[8:n]); err != nil {
				return err
			}
			next++
		}
	}
}

func write(file *os.File, line []byte) error {
	_, err := file.Write(append(line[:len(line):len(line)], '\n'))
	return errors.Join(err, file.Sync())
}

// entries counts the lines of file, and cuts off what a power cut left of another.
func entries(file *os.File) (n uint64, err error) {
	b, err := io.ReadAll(file)
	if err != nil {
		return 0, err
	}
	return uint64(bytes.Count(b, []byte("\n"))), file.Truncate(int64(bytes.LastIndexByte(b, '\n') + 1))
}
