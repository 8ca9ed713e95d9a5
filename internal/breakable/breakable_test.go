package breakable_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/internal/breakable"
	"github.com/rmcast/rmcast/netem"
)

var group = netip.MustParseAddrPort("239.192.0.9:7500")

var errGone = errors.New("no such device")

// Who reads when a socket breaks, and who reads or writes later, is told why; sockets that were closed, or are opened later, do not notice.
func TestBreak(t *testing.T) {
	for _, all := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := breakable.New(netem.NewFabric(netem.FabricConfig{}).Host("10.0.0.1"))
			open := func() (source, receiver dgram.Conn) {
				var err, err2 error
				source, err = b.OpenSource(t.Context(), "udp", group, dgram.Options{})
				receiver, err2 = b.OpenReceiver(t.Context(), "udp", group, dgram.Options{})
				if err != nil || err2 != nil {
					t.Fatal(err, err2)
				}
				return source, receiver
			}
			write := func(c dgram.Conn) error { return c.WriteRun([]byte("x"), 0, netip.AddrPort{}, 0) }
			read := func(c dgram.Conn) error {
				_, err := c.ReadBatch(make([]dgram.Datagrams, 1))
				return err
			}
			want := func(what string, got, want error) {
				t.Helper()
				if !errors.Is(got, want) {
					t.Errorf("%s: %v, want %v", what, got, want)
				}
			}
			source, receiver := open()
			silent, closed := open()
			silent.Close()
			want("close", closed.Close(), nil)
			waiting := make(chan error, 1)
			go func() { waiting <- read(receiver) }()
			synctest.Wait()
			broken := error(nil)
			if all {
				broken = errGone
				b.Break(errGone)
			} else {
				b.BreakReceivers(errGone)
			}
			want("who waits", <-waiting, errGone)
			want("who reads later", read(receiver), errGone)
			want("source", write(source), broken)
			want("closed before", read(closed), net.ErrClosed)
			want("close again", receiver.Close(), net.ErrClosed)

			source, receiver = open()
			want("a new source", write(source), nil)
			want("a new receiver", read(receiver), nil)
			source.Close()
			receiver.Close()
		})
	}
}

// An error in opening is the Network's own.
func TestOpens(t *testing.T) {
	b := breakable.New(netem.NewFabric(netem.FabricConfig{}).Host("10.0.0.1"))
	if c, err := b.OpenSource(t.Context(), "nothing", group, dgram.Options{}); c != nil || err == nil {
		t.Errorf("%v, %v", c, err)
	}
}
