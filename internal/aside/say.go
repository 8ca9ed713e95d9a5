package aside

import (
	"context"
	"errors"
	"time"

	"github.com/rmcast/rmcast/transport"
)

const (
	copies = 3 // nobody repairs a message, and the first to arrive is heard
	gap    = 10 * time.Millisecond
)

// Say sends a message in a session of its own. It returns when the session has ended: after some 20 ms and cfg.Linger, or soon after ctx
// ends; what was sent until then was said.
func Say(ctx context.Context, network, group string, cfg *transport.Config, message []byte) error {
	s, err := transport.DialContext(ctx, network, group, cfg)
	if err != nil {
		return err
	}
	for i := range copies {
		if i > 0 {
			select {
			case <-time.After(gap):
			case <-ctx.Done():
			}
		}
		err = errors.Join(err, s.WriteMessage(message))
	}
	return errors.Join(err, s.CloseContext(ctx))
}
