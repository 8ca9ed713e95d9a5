package carousel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rmcast/rmcast/transport"
)

// Receive takes packets from r into in until as many objects as InboxConfig.Count are complete, and returns nil; or why some failed; or why no more
// comes: the context's error, ErrIncomplete if the source ended its session, or transport's error. r should be of a Listener with Unordered, since symbols
// need no order, and ReceiveOnly where nothing is to be sent.
//
// Several Receives, one for each source, may run on one Inbox at once: what different sources of an object send adds up.
func Receive(ctx context.Context, r *transport.Receiver, in *Inbox) error {
	inner, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() { // ends the read below
		defer close(watched)
		select {
		case <-in.Done():
			cancel()
		case <-inner.Done():
		}
		_ = r.SetReadDeadline(time.Unix(0, 1))
	}()
	err := in.take(inner, r)
	in.flush()
	cancel()
	<-watched
	_ = r.SetReadDeadline(time.Time{})
	if ctx.Err() == nil {
		in.settle()
	}
	if err == io.EOF {
		err = ErrIncomplete
	}
	select {
	case <-in.Done():
		return in.Err()
	default:
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrIncomplete):
		return err
	}
	return fmt.Errorf("carousel: %w", err)
}

// take handles what comes from r until there is nothing more or the context ends.
func (in *Inbox) take(ctx context.Context, r *transport.Receiver) error {
	b := make([]byte, 1<<16)
	for ctx.Err() == nil {
		n, err := r.ReadMessage(b)
		var loss *transport.LossError
		switch {
		case err == nil:
			in.Handle(b[:n])
		case errors.As(err, &loss): // of a receiver that is not Unordered
		case errors.Is(err, io.ErrShortBuffer): // longer than any packet of ours: pass over it
			if _, err := r.Read(b); err != nil {
				return err
			}
		default:
			return err
		}
	}
	return ctx.Err()
}
