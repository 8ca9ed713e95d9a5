package transport

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/flow"
)

// errBroken is what a socket says after its interface was pulled out.
var errBroken = errors.New("no such device")

// fragile is a Network whose Conns can be broken from outside.
type fragile struct {
	dgram.Network
	conns []*fragileConn
}

type fragileConn struct {
	dgram.Conn
	broken atomic.Bool
}

func (f *fragile) OpenSource(ctx context.Context, network string, group netip.AddrPort, o dgram.Options) (dgram.Conn, error) {
	return f.add(f.Network.OpenSource(ctx, network, group, o))
}

func (f *fragile) OpenReceiver(ctx context.Context, network string, group netip.AddrPort, o dgram.Options) (dgram.Conn, error) {
	return f.add(f.Network.OpenReceiver(ctx, network, group, o))
}

func (f *fragile) add(c dgram.Conn, err error) (dgram.Conn, error) {
	if err != nil {
		return nil, err
	}
	fc := &fragileConn{Conn: c}
	f.conns = append(f.conns, fc)
	return fc, nil
}

// snap breaks all Conns.
func (f *fragile) snap() {
	for _, c := range f.conns {
		c.broken.Store(true)
		c.Conn.Close() // wakes who waits in it
	}
}

func (c *fragileConn) ReadBatch(d []dgram.Datagrams) (int, error) {
	n, err := c.Conn.ReadBatch(d)
	return n, c.why(err)
}

func (c *fragileConn) WriteRun(b []byte, segment int, to netip.AddrPort, hopLimit int) error {
	return c.why(c.Conn.WriteRun(b, segment, to, hopLimit))
}

func (c *fragileConn) why(err error) error {
	if err != nil && c.broken.Load() {
		return errBroken
	}
	return err
}

// When a receiver's socket breaks, everybody who waits is told why, and so is who comes later; what had arrived can still be read.
func TestBrokenReceiver(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		network := &fragile{Network: w.host(2)}
		s, l, r := w.pair(Config{}, Config{Network: network})
		if err := l.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		read, accept := make(chan error, 1), make(chan error, 1)
		go func() { _, err := r.Read(make([]byte, 10)); read <- err }()
		go func() { _, err := l.Accept(); accept <- err }()
		synctest.Wait()
		network.snap()
		wantError(t, <-read, "read", errBroken)
		wantError(t, <-accept, "accept", errBroken)
		_, err := r.ReadMessage(make([]byte, 10))
		wantError(t, err, "read", errBroken)
		w.closing(s, r, l)
	})
}

func TestBrokenReceiverReadsWhatArrived(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		network := &fragile{Network: w.host(2)}
		s, l, r := w.pair(Config{}, Config{Network: network})
		w.message(s, "arrived")
		time.Sleep(time.Millisecond)
		network.snap()
		synctest.Wait()
		w.wantMessage(r, "arrived")
		_, err := r.Read(make([]byte, 10))
		wantError(t, err, "read", errBroken)
		w.closing(s, r, l)
	})
}

func TestBrokenSource(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		network := &fragile{Network: w.host(1)}
		s, l, r := w.pair(Config{Network: network, Rate: flow.Mbps}, Config{Expiry: time.Second})
		calls := map[string]func() error{
			"write": func() error { _, err := s.Write(make([]byte, 1<<20)); return err },
			"flush": s.Flush,
		}
		results := make(chan error, len(calls))
		go func() { results <- calls["write"]() }()
		synctest.Wait()
		network.snap()
		wantError(t, <-results, "write", errBroken)
		for op, call := range calls {
			wantError(t, call(), op, errBroken)
		}
		wantError(t, s.WriteMessage([]byte("x")), "write", errBroken)
		wantError(t, s.Close(), "close", errBroken)
		for {
			if _, err := r.Read(make([]byte, 1<<16)); err != nil {
				wantError(t, err, "read", ErrSourceLost)
				break
			}
		}
		w.closing(r, l)
	})
}

// A Flush that waits is told as well.
func TestBrokenFlush(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		network := &fragile{Network: w.host(1)}
		s, l, r := w.pair(Config{Network: network, Rate: flow.Mbps}, Config{})
		if _, err := s.Write(make([]byte, 100_000)); err != nil {
			t.Fatal(err)
		}
		result := make(chan error, 1)
		go func() { result <- s.Flush() }()
		synctest.Wait()
		network.snap()
		wantError(t, <-result, "flush", errBroken)
		wantError(t, s.Close(), "close", errBroken)
		w.closing(r, l)
	})
}
