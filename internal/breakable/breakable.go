// Package breakable gives tests sockets that fail when they are told to, as those of an interface do that is pulled out.
package breakable

import (
	"context"
	"net/netip"
	"sync"

	"github.com/rmcast/rmcast/dgram"
)

// Network is the dgram.Network beneath it until a break. What is opened after one works. Its methods may be called from several goroutines.
type Network struct {
	dgram.Network

	mu   sync.Mutex
	open map[*conn]bool // whether it receives from a group
}

// New returns a Network above n.
func New(n dgram.Network) *Network {
	return &Network{Network: n, open: map[*conn]bool{}}
}

// Break closes all sockets that are open. Who waits in one of them, or reads or writes later, gets err.
func (n *Network) Break(err error) { n.fail(err, true) }

// BreakReceivers does so with the sockets that receive from a group. A source goes on to send.
func (n *Network) BreakReceivers(err error) { n.fail(err, false) }

func (n *Network) fail(err error, sources bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c, receiver := range n.open {
		if receiver || sources {
			c.fail(err)
			delete(n.open, c)
		}
	}
}

// OpenSource implements dgram.Network.
func (n *Network) OpenSource(ctx context.Context, network string, group netip.AddrPort, o dgram.Options) (dgram.Conn, error) {
	c, err := n.Network.OpenSource(ctx, network, group, o)
	return n.add(c, err, false)
}

// OpenReceiver implements dgram.Network.
func (n *Network) OpenReceiver(ctx context.Context, network string, group netip.AddrPort, o dgram.Options) (dgram.Conn, error) {
	c, err := n.Network.OpenReceiver(ctx, network, group, o)
	return n.add(c, err, true)
}

func (n *Network) add(c dgram.Conn, err error, receiver bool) (dgram.Conn, error) {
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	nc := &conn{Conn: c, of: n}
	n.open[nc] = receiver
	return nc, nil
}

func (n *Network) remove(c *conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.open, c)
}

// conn is a socket of a Network.
type conn struct {
	dgram.Conn
	of *Network

	mu    sync.Mutex
	cause error // that it was broken with
}

func (c *conn) fail(err error) {
	c.mu.Lock()
	c.cause = err
	c.mu.Unlock()
	_ = c.Conn.Close() // wakes who waits in it
}

// why returns the error of a call that failed with err, or nil.
func (c *conn) why(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && c.cause != nil {
		return c.cause
	}
	return err
}

// ReadBatch implements dgram.Conn.
func (c *conn) ReadBatch(d []dgram.Datagrams) (int, error) {
	n, err := c.Conn.ReadBatch(d)
	return n, c.why(err)
}

// WriteRun implements dgram.Conn.
func (c *conn) WriteRun(b []byte, segment int, to netip.AddrPort, hopLimit int) error {
	return c.why(c.Conn.WriteRun(b, segment, to, hopLimit))
}

// Close implements dgram.Conn.
func (c *conn) Close() error {
	c.of.remove(c)
	return c.Conn.Close()
}
