// Chat is a room without a server: everybody who joins the group reads what everybody writes, from the moment they come.
//
//	go run ./examples/chat -name ada
//
// Many to many is one source for each, and a Listener that accepts them all.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"sync"
	"unicode"

	"github.com/rmcast/rmcast/transport"
)

func main() {
	name := flag.String("name", os.Getenv("USER"), "your name")
	group := flag.String("group", "239.192.0.9:7501", "the room: a multicast group and port")
	iface := flag.String("interface", "", "network interface; empty: that of the default route")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := chat(ctx, *group, &transport.Config{Interface: *iface}, *name, os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// chat sends the lines of in and writes those of others to out, until in or ctx ends.
func chat(ctx context.Context, group string, cfg *transport.Config, name string, in io.Reader, out io.Writer) error {
	listener, err := transport.Listen("udp", group, cfg)
	if err != nil {
		return err
	}
	source, err := transport.Dial("udp", group, cfg)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	ctx, leave := context.WithCancel(ctx)
	var readers sync.WaitGroup
	readers.Go(func() { hear(ctx, listener, source, out) })

	err = say(ctx, source, name, in)
	leave()
	err = errors.Join(err, source.Close(), listener.Close())
	readers.Wait()
	return err
}

// say sends what is typed, a message a line.
func say(ctx context.Context, source *transport.Source, name string, in io.Reader) error {
	lines := make(chan string)
	var failed error // once lines is closed
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(in)
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
		failed = scanner.Err()
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, more := <-lines:
			if !more {
				return failed
			}
			if err := source.WriteMessage([]byte(name + ": " + line)); err != nil {
				return err
			}
		}
	}
}

// hear accepts everybody who writes and shows what they do.
func hear(ctx context.Context, listener *transport.Listener, own *transport.Source, out io.Writer) {
	var readers sync.WaitGroup
	defer readers.Wait()
	screen := &screen{w: out}
	for {
		receiver, err := listener.AcceptReceiver()
		if err != nil {
			return // closed
		}
		if receiver.TSI() == own.TSI() { // the group hears itself
			receiver.Close()
			continue
		}
		readers.Go(func() {
			defer context.AfterFunc(ctx, func() { receiver.Close() })()
			show(receiver, screen)
		})
	}
}

// show writes the messages of one source, and says where some are missing.
func show(receiver *transport.Receiver, out io.Writer) {
	defer receiver.Close()
	message := make([]byte, 64<<10)
	for {
		n, err := receiver.ReadMessage(message)
		var loss *transport.LossError
		switch {
		case err == nil:
			fmt.Fprintf(out, "%s\n", bytes.Map(printable, message[:n]))
		case errors.As(err, &loss):
			fmt.Fprintf(out, "(%d packets of %v were lost)\n", loss.Lost.Len(), receiver.RemoteAddr())
		case errors.Is(err, io.EOF):
			fmt.Fprintf(out, "(%v has left)\n", receiver.RemoteAddr())
			return
		default:
			return
		}
	}
}

// printable has what would move the cursor, or worse, shown as a mark: anybody may write to the room.
func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}

// screen keeps lines of different readers apart.
type screen struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}
