package demand

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/rmcast/rmcast/internal/aside"
	"github.com/rmcast/rmcast/transport"
)

const firstWait = 50 * time.Millisecond // at most, so that many that begin at once do not all speak

// Want says in the group that what its sources have is wanted, until ctx ends, and then that it is not any more; it returns ctx's error, or
// why nothing could be sent; to say so in the end may take it a second longer. It runs beside the Listener of the group, and costs a packet or two a second
// in the whole group at most. network and group are those of transport.Listen.
func Want(ctx context.Context, network, group string, cfg *Config) error {
	c, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	if c.Transport != nil && c.Transport.ReceiveOnly {
		return errors.New("demand: Config: Transport has ReceiveOnly, and to want is to send")
	}
	w := &wanting{cfg: c, session: c.session(group), who: rand.Uint64(), heard: make(chan kind, 16)}
	e, err := listen(network, group, &c, w.hear, func() {}, nil) // who has gone deaf speaks more often
	if err != nil {
		return err
	}
	defer e.Close()
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
			switch {
			case !sent: // the first is said at any rate, and soon: whoever spoke may be behind another branch
			case k == leave:
				timer.Reset(rand.N(w.cfg.Interval / 4))
			default:
				timer.Reset(w.wait())
			}
		case <-timer.C:
			if err := w.say(ctx, network, group, want); err != nil && ctx.Err() == nil && !sent {
				return err
			}
			sent = true // perhaps: if not, this time it is as good as lost
			timer.Reset(w.wait())
		}
	}
}

func (w *wanting) say(ctx context.Context, network, group string, k kind) error {
	return aside.Say(ctx, network, group, w.session, appendMessage(nil, k, w.who))
}
