package dgram

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// sources holds the sockets of all sources of this process, by what they are bound to.
var sources = registry{byKey: map[sourceKey]*sharedSocket{}}

type registry struct {
	mu    sync.Mutex
	byKey map[sourceKey]*sharedSocket
}

// sourceKey says which sources share a socket: those that want the same address and port.
type sourceKey struct {
	namespace uint64
	index     int
	addr      netip.AddrPort
}

// sharedSocket is the socket of one or more sources. Whichever Conn reads next reads for all: it takes the datagrams it
// gets to its caller and leaves copies for the others, so that a lone Conn pays nothing for the sharing, and no goroutine is
// needed. Invariants:
//
//  1. conns is empty only while the socket is being closed, under the registry's lock.
//  2. Only the Conn in reading is in socket.readBatch, only that in writing in socket.writeRun.
//  3. A deadline is set on the socket only to get a Conn out that is being closed; that Conn takes it back.
type sharedSocket struct {
	*socket
	key       sourceKey
	own       netip.AddrPort
	portTaken bool

	writeLock sync.Mutex // serialises WriteRun

	mu                     sync.Mutex // guards what follows; the registry's is taken before it
	wake                   sync.Cond
	conns                  []*sourceConn
	reading, writing       *sourceConn
	readKicked, writeKicks bool
	recvBuffer, sendBuffer int
}

// sourceConn is one source's Conn.
type sourceConn struct {
	shared *sharedSocket
	group  netip.AddrPort
	hops   int
	quiet  bool
	info   Info

	closed     atomic.Bool // set under shared.mu
	queue      queue       // guarded by shared.mu
	queueDrops atomic.Uint64
}

// open makes a Conn on the address, on a socket of its own or on that which has the address already.
func (r *registry) open(op *opening, addr netip.Addr) (*sourceConn, error) {
	key := sourceKey{namespace(), op.ifi.Index, netip.AddrPortFrom(addr, op.group.Port())}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.byKey[key]
	if s == nil || op.raw {
		// Raw sockets have no port to fight for: each gets a copy of what comes in.
		sock, err := newSocket(op.spec(addr, op.group.Port()), &op.Options)
		taken := false
		if errors.Is(err, errInUse) {
			taken = true
			sock, err = newSocket(op.spec(addr, 0), &op.Options)
		}
		if err != nil {
			return nil, err
		}
		s = &sharedSocket{socket: sock, key: key, own: netip.AddrPortFrom(addr, 0), portTaken: taken}
		s.wake.L = &s.mu
		if !op.raw {
			s.own = netip.AddrPortFrom(addr, sock.localPort())
			r.byKey[key] = s
		}
	}
	c := &sourceConn{shared: s, group: op.group, hops: op.HopLimit, quiet: op.NoLoopback, info: op.info(s.socket)}
	c.info.From, c.info.OwnPort, c.info.PortTaken = s.own, s.own.Port(), s.portTaken
	s.mu.Lock()
	defer s.mu.Unlock()
	// The greatest buffers that any of the sources asks for.
	s.recvBuffer, s.sendBuffer = s.setBuffers(above(op.RecvBuffer, s.recvBuffer), above(op.SendBuffer, s.sendBuffer))
	s.conns = append(s.conns, c)
	return c, nil
}

// above is what to ask for when have is there already: 0 if that is enough.
func above(want, have int) int {
	if want <= have {
		return 0
	}
	return want
}

func (c *sourceConn) ReadBatch(d []Datagrams) (int, error) {
	if len(d) == 0 {
		return 0, io.ErrShortBuffer
	}
	s := c.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case c.closed.Load():
			return 0, net.ErrClosed
		case c.queue.len > 0:
			if n := c.queue.take(d, &s.truncated); n > 0 {
				return n, nil
			}
			continue
		case s.reading != nil:
			s.wake.Wait()
			continue
		}
		s.reading = c
		s.mu.Unlock()
		n, err := s.readBatch(d)
		s.mu.Lock()
		s.reading = nil
		if s.readKicked {
			s.readKicked = false
			s.conn.SetReadDeadline(time.Time{})
		}
		if len(s.conns) > 1 || c.closed.Load() {
			for _, other := range s.conns {
				if other != c {
					other.queueDrops.Add(other.queue.put(d[:n]))
				}
			}
			s.wake.Broadcast()
		}
		switch {
		case c.closed.Load():
			return 0, net.ErrClosed
		case n > 0:
			return n, nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return 0, err
		}
	}
}

func (c *sourceConn) WriteRun(b []byte, segment int, to netip.AddrPort, hopLimit int) error {
	if !to.IsValid() {
		to = c.group
	}
	s := c.shared
	s.writeLock.Lock()
	defer s.writeLock.Unlock()
	s.mu.Lock()
	if c.closed.Load() {
		s.mu.Unlock()
		return net.ErrClosed
	}
	s.writing = c
	s.mu.Unlock()
	err := s.writeRun(b, segment, to, c.hops, hopLimit, c.quiet)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = nil
	if s.writeKicks {
		s.writeKicks = false
		s.conn.SetWriteDeadline(time.Time{})
	}
	if err != nil && c.closed.Load() {
		return net.ErrClosed
	}
	return err
}

func (c *sourceConn) LocalAddr() netip.AddrPort { return c.shared.own }

func (c *sourceConn) Info() Info {
	s := c.shared
	info := c.info
	info.GSO, info.GRO = s.gso(), s.gro()
	s.mu.Lock()
	defer s.mu.Unlock()
	info.SharedPort = len(s.conns) > 1
	info.RecvBuffer, info.SendBuffer = s.recvBuffer, s.sendBuffer
	return info
}

func (c *sourceConn) Stats() (st Stats) {
	c.shared.stats(&st)
	st.QueueDrops = c.queueDrops.Load()
	return st
}

// Close ends this Conn; the last one closes the socket.
func (c *sourceConn) Close() error {
	sources.mu.Lock()
	defer sources.mu.Unlock()
	s := c.shared
	s.mu.Lock()
	if c.closed.Load() {
		s.mu.Unlock()
		return net.ErrClosed
	}
	c.closed.Store(true)
	s.conns = slices.DeleteFunc(s.conns, func(o *sourceConn) bool { return o == c })
	c.queue = queue{}
	last := len(s.conns) == 0
	if !last {
		past := time.Unix(1, 0)
		if s.reading == c {
			s.readKicked = true
			s.conn.SetReadDeadline(past)
		}
		if s.writing == c {
			s.writeKicks = true
			s.conn.SetWriteDeadline(past)
		}
	}
	s.wake.Broadcast()
	s.mu.Unlock()
	if !last {
		return nil
	}
	if sources.byKey[s.key] == s {
		delete(sources.byKey, s.key)
	}
	return s.close()
}

// queue keeps what one Conn read for another. Beyond its bounds it refuses.
type queue struct {
	runs             []Datagrams // a ring, made when first needed
	first, len, size int
}

const (
	queueRuns  = 128
	queueBytes = 512 << 10
)

// put appends copies of d and returns how many datagrams it had no room for.
func (q *queue) put(d []Datagrams) (dropped uint64) {
	if q.runs == nil && len(d) > 0 {
		q.runs = make([]Datagrams, queueRuns)
	}
	for i := range d {
		if q.len == queueRuns || q.size+len(d[i].B) > queueBytes {
			dropped += uint64((len(d[i].B) + d[i].Segment - 1) / d[i].Segment)
			continue
		}
		r := &q.runs[(q.first+q.len)%queueRuns]
		b := append(r.B[:0], d[i].B...)
		*r = d[i]
		r.B = b
		q.len++
		q.size += len(b)
	}
	return dropped
}

// take moves runs into the buffers of d. Of a run longer than its buffer only the datagrams that fit whole are handed on;
// cut counts such runs.
func (q *queue) take(d []Datagrams, cut *atomic.Uint64) (n int) {
	for n < len(d) && q.len > 0 {
		r := &q.runs[q.first]
		q.first = (q.first + 1) % queueRuns
		q.len--
		q.size -= len(r.B)
		fit := len(r.B)
		if room := cap(d[n].B); room < fit {
			cut.Add(1)
			fit = room - room%r.Segment
			r.Truncated = true
		}
		if fit == 0 {
			continue
		}
		b := append(d[n].B[:0], r.B[:fit]...)
		d[n] = Datagrams{B: b, Segment: r.Segment, From: r.From, Multicast: r.Multicast, Truncated: r.Truncated}
		n++
	}
	return n
}
