package transport

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
)

// duplex joins two one-way sessions into a net.Conn.
type duplex struct {
	*Source
	listener *Listener
	receiver *Receiver
	once     sync.Once
	closed   error
}

func (d *duplex) Read(b []byte) (int, error)        { return d.receiver.Read(b) }
func (d *duplex) SetReadDeadline(t time.Time) error { return d.receiver.SetReadDeadline(t) }
func (d *duplex) SetDeadline(t time.Time) error {
	return errors.Join(d.Source.SetDeadline(t), d.receiver.SetDeadline(t))
}

// Close closes both sessions, once: the tests close a conn twice and want both to go well.
func (d *duplex) Close() error {
	d.once.Do(func() { d.closed = errors.Join(d.Source.Close(), d.receiver.Close(), d.listener.Close()) })
	return d.closed
}

// TestConn runs package net's own tests of what a net.Conn does. They need subtests and so the real clock.
func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		fabric := netem.NewFabric(netem.FabricConfig{})
		a, b, err := openDuplex(fabric.Host("fd00::1"), fabric.Host("fd00::2"))
		if err != nil {
			return nil, nil, nil, err
		}
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}

func openDuplex(hostA, hostB *netem.Host) (a, b *duplex, err error) {
	const groupA, groupB = "[ff15::a]:7500", "[ff15::b]:7500"
	quiet := slog.New(slog.DiscardHandler)
	cfgA := &Config{Network: hostA, Rate: 50 * flow.Mbps, Linger: 50 * time.Millisecond, Logger: quiet}
	cfgB := &Config{Network: hostB, Rate: 50 * flow.Mbps, Linger: 50 * time.Millisecond, Logger: quiet}
	a, b = new(duplex), new(duplex)
	for _, open := range []func() error{
		func() error { a.listener, err = Listen("udp6", groupB, cfgA); return err },
		func() error { b.listener, err = Listen("udp6", groupA, cfgB); return err },
		func() error { a.Source, err = Dial("udp6", groupA, cfgA); return err },
		func() error { b.Source, err = Dial("udp6", groupB, cfgB); return err },
		func() error { a.receiver, err = a.listener.AcceptReceiver(); return err },
		func() error { b.receiver, err = b.listener.AcceptReceiver(); return err },
	} {
		if err := open(); err != nil {
			return nil, nil, err
		}
	}
	return a, b, nil
}
