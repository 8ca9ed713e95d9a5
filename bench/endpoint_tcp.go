package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// dialPatience bounds the wait for a connection: a lost SYN costs a second, and the next one two.
const dialPatience = 10 * time.Second

// sendTCP sends the payload, or the messages, to every address over a connection of its own.
func sendTCP(ctx context.Context, j *Job, c *control) (rep Report, err error) {
	conns, err := dialAll(ctx, j.Addresses, j.Control)
	if err != nil {
		return rep, err
	}
	defer func() {
		info, ierr := tcpInfo(conns)
		rep.TCP = info
		err = errors.Join(err, ierr)
		for _, conn := range conns {
			conn.Close()
		}
	}()
	defer interrupt(ctx, conns)()
	if err := c.await(ctx); err != nil {
		return rep, err
	}
	writers := make([]func() error, len(conns))
	if j.Messages != nil {
		queues, pacing := pace(ctx, j.Messages, len(conns))
		for i, conn := range conns {
			writers[i] = func() error { return sendMessages(ctx, queues[i], conn, c) }
		}
		defer func() { rep.SHA256 = <-pacing }()
	} else {
		for i, conn := range conns {
			writers[i] = func() error { return errors.Join(send(ctx, conn, j.payload, c), conn.CloseWrite()) }
		}
	}
	err = all(writers)
	rep.End = monotonic()
	rep.Bytes, rep.Complete = c.bytes.Load(), err == nil
	if err == nil {
		<-ctx.Done() // the kernel repeats what is lost until the parent knows that every receiver has all
	}
	return rep, err
}

// dialAll connects to all addresses at once.
func dialAll(ctx context.Context, addresses []string, congestion string) ([]*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	conns := make([]*net.TCPConn, len(addresses))
	dials := make([]func() error, len(addresses))
	dialer := net.Dialer{Control: controlTCP(congestion)}
	for i, a := range addresses {
		dials[i] = func() error {
			conn, err := dialer.DialContext(ctx, "tcp", a)
			if err == nil {
				conns[i] = conn.(*net.TCPConn)
			}
			return err
		}
	}
	if err := all(dials); err != nil {
		for _, conn := range conns {
			if conn != nil {
				conn.Close()
			}
		}
		return nil, fmt.Errorf("TCP fan-out: %w", err)
	}
	return conns, nil
}

// receiveTCP takes one connection and reads it to its end.
func receiveTCP(ctx context.Context, j *Job, c *control) (rep Report, err error) {
	l, err := net.Listen("tcp", j.Addresses[0])
	if err != nil {
		return rep, err
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	if err := c.await(ctx); err != nil {
		return rep, err
	}
	conn, err := l.Accept()
	if err != nil {
		return rep, errors.Join(context.Cause(ctx), err)
	}
	defer conn.Close()
	defer interrupt(ctx, []*net.TCPConn{conn.(*net.TCPConn)})()
	if j.Messages != nil {
		return rep, receiveMessages(ctx, j.Messages, wholeMessages(bufio.NewReaderSize(conn, 64<<10), j.Messages.Bytes), c, &rep, nil)
	}
	return rep, receive(ctx, conn, c, &rep, nil)
}

// interrupt makes what blocks on the connections return when ctx ends.
func interrupt(ctx context.Context, conns []*net.TCPConn) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		for _, conn := range conns {
			conn.SetDeadline(time.Unix(1, 0))
		}
	})
}

// all runs the functions at once and joins their errors.
func all(functions []func() error) error {
	errs := make([]error, len(functions))
	var wg sync.WaitGroup
	for i, f := range functions {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	return errors.Join(errs...)
}
