package carousel

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/rmcast/rmcast/internal/aside"
	"github.com/rmcast/rmcast/transport"
)

// AskConfig says how a receiver asks. In each field zero means the default that its comment names.
type AskConfig struct {
	// Transport is the Config of the carousel's Listener: what it says of the network holds for requests. With ReceiveOnly Ask refuses.
	Transport *transport.Config

	// BackOff bounds the random wait before a request. Longer keeps more of a large group from asking for the same. Zero: 500 ms.
	BackOff time.Duration

	// Receivers is how many there may be, 1 to 10^9. Of as many as that, a few ask. Zero: 1000.
	Receivers int

	// Last is the part of an object's symbols that may be missing at most when it begins to ask while the source's turns go on, above 0 to 1. Zero: 0.1.
	Last float64
}

// askTick is how often an Ask looks at its Inbox at least, and askTickLeast at most.
const (
	askTick      = 20 * time.Millisecond
	askTickLeast = 2 * time.Millisecond
)

// askAtOnce bounds the requests of an Ask that are under way: each is a session of some 400 ms.
const askAtOnce = 4

func (c *AskConfig) withDefaults() (r AskConfig, err error) {
	if c != nil {
		r = *c
	}
	or(&r.BackOff, 500*time.Millisecond)
	or(&r.Receivers, 1000)
	or(&r.Last, 0.1)
	switch {
	case r.Transport != nil && r.Transport.ReceiveOnly:
		err = errors.New("carousel: AskConfig: Transport has ReceiveOnly, and asking is sending")
	case r.BackOff < 0:
		err = fmt.Errorf("carousel: AskConfig: BackOff is %v, want none negative", r.BackOff)
	case r.Receivers < 1 || r.Receivers > 1e9:
		err = fmt.Errorf("carousel: AskConfig: Receivers is %d, want 1 to 10^9", r.Receivers)
	case !(r.Last > 0 && r.Last <= 1):
		err = fmt.Errorf("carousel: AskConfig: Last is %v, want above 0 to 1", r.Last)
	}
	return r, err
}

// Ask asks sources that answer (SendConfig.Requests) for what an Inbox still lacks of its objects, when waiting for it would take long: when of what comes less
// than a quarter is of use, when the sources' turns are over, or when a source has left a block behind (SendConfig.BlockByBlock). It runs beside Receive, until the Inbox is done, and then returns nil, or until ctx ends,
// and then returns its error. network and group are the carousel's.
//
// A receiver asks only if its program calls Ask. What is lost, or never answered, costs nothing but the time until the next turn.
func Ask(ctx context.Context, network, group string, cfg *AskConfig, in *Inbox) error {
	c, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	to := requestConfig(group, c.Transport)
	k := newAsker(c, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
	start, sent, under := time.Now(), false, 0
	results := make(chan error, askAtOnce)
	var sending sync.WaitGroup
	defer sending.Wait()
	inner, cancel := context.WithCancel(ctx)
	defer cancel() // what is asked when all is there, need not be said to the end
	tick := time.NewTicker(min(askTick, max(askTickLeast, c.BackOff/8)))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-in.Done():
			return nil
		case err := <-results:
			under--
			switch {
			case ctx.Err() != nil:
			case err != nil && !sent:
				return err
			case err != nil: // as good as lost
				in.log.Warn("carousel: a request was not sent", "error", err)
			default:
				sent = true
			}
			continue
		case <-tick.C:
		}
		if under == askAtOnce {
			continue
		}
		if b := k.step(time.Since(start), in); b != nil {
			b = slices.Clone(b)
			under++
			sending.Go(func() { results <- aside.Say(inner, network, group, to, b) })
		}
	}
}
