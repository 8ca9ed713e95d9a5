// Command external is a program in a module of its own that uses the library as its users do: io.Copy from one source to
// two receivers over the loopback interface, both ends' SHA-256 compared. TestExternalModule builds and runs it.
package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"github.com/rmcast/rmcast/transport"
)

const size = 8 << 20

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: external group:port")
	}
	if err := run(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(group string) error {
	lo, err := loopback()
	if err != nil {
		return err
	}
	cfg := &transport.Config{Interface: lo, Linger: 500 * time.Millisecond}

	type result struct {
		sum [sha256.Size]byte
		err error
	}
	results := make(chan result, 2)
	for range cap(results) {
		l, err := transport.Listen("udp4", group, cfg)
		if err != nil {
			return err
		}
		defer l.Close()
		go func() {
			var r result
			r.sum, r.err = receive(l)
			results <- r
		}()
	}

	want, err := send(group, cfg)
	if err != nil {
		return err
	}
	deadline := time.After(30 * time.Second)
	for i := range cap(results) {
		select {
		case r := <-results:
			if r.err != nil {
				return r.err
			}
			if r.sum != want {
				return fmt.Errorf("a receiver has %x, sent was %x", r.sum, want)
			}
		case <-deadline:
			return fmt.Errorf("%d of 2 receivers done after 30 s", i)
		}
	}
	fmt.Printf("2 receivers have %d bytes, SHA-256 %x\n", size, want)
	return nil
}

func send(group string, cfg *transport.Config) (sum [sha256.Size]byte, err error) {
	s, err := transport.Dial("udp4", group, cfg)
	if err != nil {
		return sum, err
	}
	h := sha256.New()
	file := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{1}), size), h)
	if _, err := io.Copy(s, file); err != nil {
		return sum, errors.Join(err, s.Close())
	}
	return [sha256.Size]byte(h.Sum(nil)), s.Close()
}

func receive(l net.Listener) (sum [sha256.Size]byte, err error) {
	c, err := l.Accept()
	if err != nil {
		return sum, err
	}
	defer c.Close()
	h := sha256.New()
	if _, err := io.Copy(h, c); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

func loopback() (string, error) {
	all, err := net.Interfaces()
	if err != nil {
		return "", err
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 {
			return i.Name, nil
		}
	}
	return "", errors.New("no loopback interface that is up")
}
