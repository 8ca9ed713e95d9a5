package transport

import (
	"context"
	"net"
	"time"

	"github.com/rmcast/rmcast/internal/gate"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/session"
)

// Listener hears a group and gives a Receiver for each source (TSI) in it. It implements net.Listener. Its methods may be
// called from several goroutines.
//
// A source is accepted after an SPM and one more packet of it. At most 128 wait for Accept; further ones are refused,
// counted, and considered again with their next packet.
//
// As with TCP, closing the Listener leaves the accepted Receivers open: the socket is closed with the last of them. Those not
// yet accepted are closed with the Listener.
type Listener struct {
	endpoint
	peers    *session.Peers // the engine, guarded by mu
	addr     *Addr
	accepts  *gate.Gate
	deadline gate.Deadline

	// Guarded by mu:
	closed    bool
	receivers map[*Receiver]struct{} // accepted and open: with the open Listener, the users of the socket
}

// newListener makes a running listener of an opened conn.
func newListener(o *opening) (*Listener, error) {
	l := &Listener{accepts: gate.New(), receivers: make(map[*Receiver]struct{})}
	l.init(o)
	cfg := o.peersConfig()
	cfg.Trace = l.trace
	l.peers = session.NewPeers(l.now(), cfg, newRand())
	l.addr = o.addr
	logReceiver(l.log, &l.info)
	l.start(l.peers, l.settle)
	return l, nil
}

// settle finds out who can go on. It runs under mu after the engine worked.
func (l *Listener) settle(_ mono.Time, t *told) {
	if l.accepted || l.failed != nil {
		l.accepted = false
		t.gates = append(t.gates, l.accepts)
	}
	for r := l.peers.Ready(); r != nil; r = l.peers.Ready() {
		if owner, ok := r.Owner.(*Receiver); ok { // not yet accepted: nobody waits
			t.gates = append(t.gates, owner.in)
		}
	}
	if l.failed != nil {
		for r := range l.receivers {
			t.gates = append(t.gates, r.in)
		}
	}
}

// Accept waits for the next source and returns its Receiver, as a net.Conn.
func (l *Listener) Accept() (net.Conn, error) {
	r, err := l.AcceptReceiver()
	if err != nil {
		return nil, err // not a nil *Receiver in an interface
	}
	return r, nil
}

// AcceptReceiver waits for the next source and returns its Receiver. After Close it fails with net.ErrClosed.
func (l *Listener) AcceptReceiver() (*Receiver, error) {
	r, err := l.accept(context.Background())
	return r, opError("accept", l.addr, nil, err)
}

func (l *Listener) accept(ctx context.Context) (*Receiver, error) {
	if err := l.accepts.Enter(ctx, &l.deadline); err != nil {
		return nil, err
	}
	defer l.accepts.Leave()
	var t told
	for {
		var (
			r   *Receiver
			err error
		)
		l.do(&t, func(mono.Time) {
			switch s := l.peers.Accept(); {
			case l.closed:
				err = net.ErrClosed
			case s != nil:
				r = newReceiver(l, s)
				l.receivers[r] = struct{}{}
			default:
				err = l.failed
			}
		})
		if r != nil || err != nil {
			return r, err
		}
		if err := l.accepts.Wait(ctx, &l.deadline); err != nil {
			return nil, err
		}
	}
}

// Close stops accepting. Accepted Receivers go on.
func (l *Listener) Close() error {
	var (
		t           told
		again, last bool
	)
	l.do(&t, func(now mono.Time) {
		if again = l.closed; again {
			return
		}
		l.closed = true
		l.peers.StopAccepting()
		for s := l.peers.Accept(); s != nil; s = l.peers.Accept() {
			s.Close(now)
		}
		last = l.unused()
	})
	if again {
		return opError("close", l.addr, nil, net.ErrClosed)
	}
	l.accepts.Close()
	if last {
		l.stop()
	}
	return nil
}

// unused reports whether nobody uses the socket any more; then the caller must call stop. mu is held.
func (l *Listener) unused() bool { return l.closed && len(l.receivers) == 0 }

// SetDeadline sets when Accept fails with os.ErrDeadlineExceeded, now waiting or called later. The zero time is never.
func (l *Listener) SetDeadline(t time.Time) error {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return opError("set", l.addr, nil, net.ErrClosed)
	}
	l.deadline.Set(t)
	return nil
}

// Addr returns the group, as an *Addr.
func (l *Listener) Addr() net.Addr { return l.addr }

// Stats returns what was counted so far. It may be called after Close too.
func (l *Listener) Stats() ListenerStats {
	l.mu.Lock()
	st, bad := l.peers.Stats(), l.bad
	l.mu.Unlock()
	return ListenerStats{st, l.socketStats(bad)}
}
