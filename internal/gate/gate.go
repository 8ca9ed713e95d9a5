package gate

import (
	"context"
	"errors"
	"os"
	"sync"
)

// ErrClosed is returned by calls on a closed gate.
var ErrClosed = errors.New("gate: closed")

// Gate lets one caller at a time wait for a condition. Use New; all methods may be called from several goroutines.
type Gate struct {
	turn   chan struct{} // holds a token while nobody has the turn
	signal chan struct{} // holds a token after Set, until a Wait takes it
	closed chan struct{}
	once   sync.Once
}

// New returns a gate whose turn is free and which has no signal.
func New() *Gate {
	g := &Gate{turn: make(chan struct{}, 1), signal: make(chan struct{}, 1), closed: make(chan struct{})}
	g.turn <- struct{}{}
	return g
}

// Enter waits for the turn. It returns nil with the turn taken, or else ErrClosed, os.ErrDeadlineExceeded or the context's
// error without it. What has already ended wins over a free turn, closing over the deadline and that over the context. A nil d
// is no deadline.
func (g *Gate) Enter(ctx context.Context, d *Deadline) error { return g.take(ctx, d, g.turn) }

// Leave gives back the turn that a successful Enter took.
func (g *Gate) Leave() {
	select {
	case g.turn <- struct{}{}:
	default:
		panic("BUG: gate: Leave without Enter")
	}
}

// Wait returns nil once Set has been called since the last return of Wait, or the errors of Enter. Only the caller that has
// the turn may call it.
func (g *Gate) Wait(ctx context.Context, d *Deadline) error { return g.take(ctx, d, g.signal) }

// Set wakes the waiter, or the next one. It never blocks.
func (g *Gate) Set() {
	select {
	case g.signal <- struct{}{}:
	default:
	}
}

// Close makes all calls of Enter and Wait, waiting or yet to come, return ErrClosed. Closing twice is harmless.
func (g *Gate) Close() { g.once.Do(func() { close(g.closed) }) }

// Closed returns a channel that Close closes.
func (g *Gate) Closed() <-chan struct{} { return g.closed }

func (g *Gate) take(ctx context.Context, d *Deadline, token <-chan struct{}) error {
	late := d.Done()
	select { // one at a time: a select over several ready channels chooses at random
	case <-g.closed:
		return ErrClosed
	default:
	}
	select {
	case <-late:
		return os.ErrDeadlineExceeded
	default:
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select { // the common case, at a fifth of the cost of the select below
	case <-token:
		return nil
	default:
	}
	select {
	case <-token:
		return nil
	case <-g.closed:
		return ErrClosed
	case <-late:
		return os.ErrDeadlineExceeded
	case <-ctx.Done():
		return ctx.Err()
	}
}
