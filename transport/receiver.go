package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/rmcast/rmcast/internal/gate"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

// Receiver is the receiving end of one source's session. It implements net.Conn, where Write fails with ErrReceiveOnly.
// Listeners make them. Its methods may be called from several goroutines; what two readers get is not interleaved, but who
// gets which part is up to chance.
//
// A message is what one WriteMessage sent, or one packet of a byte stream. What can no longer be had is told once, in its
// place, as *LossError; after it, reading goes on behind the gap. A Receiver whose application does not read holds what fits
// its window, and what it loses beyond that it is told when it reads again.
type Receiver struct {
	listener      *Listener
	session       *session.Receiver // the engine's, guarded by listener.mu
	local, remote *Addr

	in       *gate.Gate // the readers' turn, and their signal that there is something to read
	deadline gate.Deadline
	told     told // of who has in's turn

	closed bool // guarded by listener.mu
}

// newReceiver makes the receiver of a session that the engine accepted. mu is held.
func newReceiver(l *Listener, s *session.Receiver) *Receiver {
	r := &Receiver{listener: l, session: s, in: gate.New(), local: l.addr}
	r.remote = &Addr{network: l.addr.network, group: l.addr.group, host: netip.AddrPortFrom(s.Addr(), 0), tsi: s.TSI()}
	s.Owner = r
	return r
}

// Read fills b from the stream: messages one after another, as many as there are and fit. It waits until there is something,
// and returns io.EOF when the source has ended the session and everything was read. Errors it may return, wrapped in
// *net.OpError, are *LossError, after which reading goes on; ErrSourceLost and *ResetError, after which nothing more comes;
// net.ErrClosed and os.ErrDeadlineExceeded.
func (r *Receiver) Read(b []byte) (int, error) {
	n, err := r.wait(b[:min(len(b), pieceBytes)], (*session.Receiver).Read)
	return n, opError("read", r.local, r.remote, err)
}

// ReadMessage reads one message into b and returns its length. If b is too short, it fails with io.ErrShortBuffer and leaves
// the message in place. After a Read that took part of a message it gives the rest. Its other errors are those of Read.
func (r *Receiver) ReadMessage(b []byte) (int, error) {
	n, err := r.wait(b, (*session.Receiver).ReadMessage)
	return n, opError("read", r.local, r.remote, err)
}

// wait calls read until it does not report session.ErrWouldBlock.
func (r *Receiver) wait(b []byte, read func(*session.Receiver, mono.Time, []byte) (int, error)) (n int, err error) {
	ctx := context.Background()
	if err := r.in.Enter(ctx, &r.deadline); err != nil {
		return 0, err
	}
	defer r.in.Leave()
	l := r.listener
	for {
		l.do(&r.told, func(now mono.Time) {
			if r.closed {
				n, err = 0, net.ErrClosed
				return
			}
			if n, err = read(r.session, now, b); errors.Is(err, session.ErrWouldBlock) && l.failed != nil {
				err = l.failed
			}
		})
		if !errors.Is(err, session.ErrWouldBlock) {
			return n, err
		}
		if err := r.in.Wait(ctx, &r.deadline); err != nil {
			return 0, err
		}
	}
}

// Write fails: a Receiver only receives.
func (r *Receiver) Write([]byte) (int, error) {
	return 0, opError("write", r.local, r.remote, ErrReceiveOnly)
}

// Close ends receiving; the source does not notice. Reads that wait, and all that come later, fail with net.ErrClosed, as
// does a second Close. The Listener will not accept the same session again until it has been silent for Expiry.
func (r *Receiver) Close() error {
	var (
		t           told
		again, last bool
	)
	l := r.listener
	l.do(&t, func(now mono.Time) {
		if again = r.closed; again {
			return
		}
		r.closed = true
		r.session.Close(now)
		delete(l.receivers, r)
		last = l.unused()
	})
	if again {
		return opError("close", r.local, r.remote, net.ErrClosed)
	}
	r.in.Close()
	if last {
		l.stop()
	}
	return nil
}

// TSI returns the identity of the source's session.
func (r *Receiver) TSI() wire.TSI { return r.remote.tsi }

// LocalAddr returns the group, as an *Addr.
func (r *Receiver) LocalAddr() net.Addr { return r.local }

// RemoteAddr returns the source's address and TSI, as an *Addr.
func (r *Receiver) RemoteAddr() net.Addr { return r.remote }

// SetDeadline is SetReadDeadline: Write never waits.
func (r *Receiver) SetDeadline(t time.Time) error { return r.SetReadDeadline(t) }

// SetReadDeadline sets when Read and ReadMessage fail with os.ErrDeadlineExceeded, now waiting or called later. The zero
// time is never.
func (r *Receiver) SetReadDeadline(t time.Time) error {
	if err := r.open(); err != nil {
		return opError("set", r.local, nil, err)
	}
	r.deadline.Set(t)
	return nil
}

// SetWriteDeadline does nothing, as Write never waits.
func (r *Receiver) SetWriteDeadline(time.Time) error {
	return opError("set", r.local, nil, r.open())
}

// open returns net.ErrClosed once Close was called.
func (r *Receiver) open() error {
	r.listener.mu.Lock()
	defer r.listener.mu.Unlock()
	if r.closed {
		return net.ErrClosed
	}
	return nil
}

// Stats returns what was counted so far. It may be called after Close too.
func (r *Receiver) Stats() ReceiverStats {
	l := r.listener
	l.mu.Lock()
	st, bad := r.session.Stats(), l.bad
	l.mu.Unlock()
	return ReceiverStats{st, l.socketStats(bad)}
}
