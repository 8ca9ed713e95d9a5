package demand

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/rmcast/rmcast/transport"
)

const (
	copies    = 3 // of each message: nobody repairs it, and the first to arrive is heard
	copyGap   = 10 * time.Millisecond
	firstWait = 50 * time.Millisecond // at most, so that many that begin at once do not all speak
)

// Want says in the group that what its sources have is wanted, until ctx ends, and then that it is not any more; it returns ctx's error, or
// why nothing could be sent. It runs beside the Listener of the group, and costs a packet or two a second in the whole group at most. network and group are
// those of transport.Listen.
func Want(ctx context.Context, network, group string, cfg *Config) error {
	c, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	if c.Transport != nil && c.Transport.ReceiveOnly {
		return errors.New("demand: Config: Transport has ReceiveOnly, and to want is to send")
	}
	w := &wanting{cfg: c, session: c.session(group), who: rand.Uint64(), heard: make(chan kind, 16)}
	e, err := newEar(network, group, w.session, w.hear, func() {})
	if err != nil {
		return err
	}
	defer e.close()
	return w.run(ctx, network, group)
}

// wanting is a Want at work.
type wanting struct {
	cfg     Config
	session *transport.Config
	who     uint64
	heard   chan kind // others' messages; what does not fit is like them
}

func (w *wanting) hear(k kind, who uint64) {
	if who == w.who {
		return
	}
	select {
	case w.heard <- k:
	default:
	}
}

// wait draws how long to wait until it is our turn to speak.
func (w *wanting) wait() time.Duration { return w.cfg.Interval/2 + rand.N(w.cfg.Interval) }

func (w *wanting) run(ctx context.Context, network, group string) error {
	timer := time.NewTimer(rand.N(firstWait))
	defer timer.Stop()
	sent := false
	for {
		select {
		case <-ctx.Done():
			if sent {
				last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
				defer cancel()
				_ = w.say(last, network, group, leave) // lost, it times out
			}
			return ctx.Err()
		case k := <-w.heard:
			if k == leave {
				timer.Reset(rand.N(w.cfg.Interval / 4))
			} else if sent { // the first is said at any rate: whoever spoke may be behind another branch
				timer.Reset(w.wait())
			}
		case <-timer.C:
			switch err := w.say(ctx, network, group, want); {
			case ctx.Err() != nil:
			case err != nil && !sent:
				return err
			default: // later it is as good as lost
				sent = true
			}
			timer.Reset(w.wait())
		}
	}
}

// say sends a message in a session of its own: nothing is left in the network of a receiver that has nothing to say.
func (w *wanting) say(ctx context.Context, network, group string, k kind) error {
	s, err := transport.DialContext(ctx, network, group, w.session)
	if err != nil {
		return err
	}
	b := appendMessage(nil, k, w.who)
	for i := range copies {
		if i > 0 {
			select {
			case <-time.After(copyGap):
			case <-ctx.Done():
			}
		}
		err = errors.Join(err, s.WriteMessage(b))
	}
	return errors.Join(err, s.CloseContext(ctx))
}
