package carousel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/transport"
)

// layerOf returns on which of several layers a symbol goes in a given cycle of its block. Each symbol goes on one. Layer 0 has one of
// period = 2^(layers-1) symbols, layer 1 too, layer 2 two, layer 3 four: the layers up to m have those with the cycle's place modulo period/2^m. So
// in period/2^m cycles on the first m+1 layers each symbol comes once, wherever one begins ("one level property": Vicisano, Rizzo and
// Crowcroft, 1998).
func layerOf(symbol, cycle, layers int) int {
	for l, step := 0, 1<<(layers-1); l < layers-1; l, step = l+1, step/2 {
		if (symbol-cycle)&(step-1) == 0 {
			return l
		}
	}
	return layers - 1
}

// LayersConfig says how ReceiveLayers joins and leaves layers.
type LayersConfig struct {
	// Layers says how many there are, and how the right number is found.
	flow.LayersConfig

	// Listen joins a layer, from 0 on, at a group of its own, Unordered and ReceiveOnly. The Listener is closed to leave it.
	Listen func(layer int) (*transport.Listener, error)

	// Level hears on how many layers the receiver is: 1 at first, and from then on when it changes. Nothing is joined or left until it returns. Nil: nobody.
	Level func(layers int)

	// Logger hears of layers that cannot be joined. Nil: slog.Default().
	Logger *slog.Logger
}

// layerStep is how often a receiver looks at what came.
const layerStep = 50 * time.Millisecond

// ReceiveLayers is Receive for objects that SendLayers sends: it joins and leaves layers so that as much comes as the path bears. It sends nothing
// but what the kernel says of groups (IGMP, MLD). It returns as Receive does; an error of the lowest layer's Listen ends it, one of the others' is
// logged, and the layer tried again later.
func ReceiveLayers(ctx context.Context, in *Inbox, cfg LayersConfig) error {
	cfg.LayersConfig = cfg.LayersConfig.WithDefaults()
	if err := cfg.LayersConfig.Check(); err != nil {
		return fmt.Errorf("carousel: %w", err)
	}
	if cfg.Listen == nil {
		return errors.New("carousel: LayersConfig: Listen is nil")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &layered{cfg: cfg, in: in, done: make(chan error, cfg.Layers)}
	defer in.flush()
	defer l.leave(0)
	if err := l.join(ctx); err != nil {
		return fmt.Errorf("carousel: layer 0: %w", err)
	}
	start := time.Now()
	control := flow.NewLayers(0, cfg.LayersConfig, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
	tick := time.NewTicker(layerStep)
	defer tick.Stop()
	for {
		select {
		case <-in.Done():
			l.leave(0)
			return in.Err()
		case <-ctx.Done():
			return ctx.Err()
		case err := <-l.done:
			l.leave(0)
			in.settle()
			select {
			case <-in.Done():
				return in.Err()
			default:
				return err
			}
		case <-tick.C:
		}
		got, lost := l.count()
		level := control.Report(mono.Time(time.Since(start)), got, lost)
		if len(l.layers) > level {
			l.leave(level)
		} else if len(l.layers) < level {
			if err := l.join(ctx); err != nil {
				cfg.Logger.Warn("carousel: cannot join a layer", "layer", len(l.layers), "err", err)
				control.Fail(mono.Time(time.Since(start)))
			}
		}
	}
}

// layered is a ReceiveLayers at work.
type layered struct {
	cfg    LayersConfig
	in     *Inbox
	layers []*layer
	done   chan error // why the lowest layer's reception ended
	wait   sync.WaitGroup
}

// layer is one that was joined.
type layer struct {
	listener *transport.Listener
	cancel   context.CancelFunc

	mu        sync.Mutex
	receivers map[*transport.Receiver]bool // of sources that are heard
	ended     tally                        // of those that are over
	told      tally                        // what count returned so far
}

func newLayer(listener *transport.Listener, cancel context.CancelFunc) *layer {
	return &layer{listener: listener, cancel: cancel, receivers: map[*transport.Receiver]bool{}}
}

// tally is how many packets came, and were found lost.
type tally struct{ got, lost uint64 }

func (t *tally) add(r *transport.Receiver) {
	st := r.Stats()
	t.got += st.Packets
	t.lost += st.Missing
}

// join joins the next layer.
func (l *layered) join(ctx context.Context) error {
	n := len(l.layers)
	listener, err := l.cfg.Listen(n)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	y := newLayer(listener, cancel)
	l.layers = append(l.layers, y)
	l.wait.Go(func() {
		if err := y.accept(ctx, l.in); err != nil && n == 0 {
			l.done <- err
		}
	})
	if l.cfg.Level != nil {
		l.cfg.Level(len(l.layers))
	}
	return nil
}

// leave leaves the layers from n on, and with the last of all waits until nothing is handled any more.
func (l *layered) leave(n int) {
	if len(l.layers) <= n {
		return
	}
	for _, y := range l.layers[n:] {
		y.cancel()
		_ = y.listener.Close()
	}
	clear(l.layers[n:])
	l.layers = l.layers[:n]
	if n == 0 {
		l.wait.Wait()
	} else if l.cfg.Level != nil {
		l.cfg.Level(n)
	}
}

// count returns how many packets came and were lost on all layers since it was last called.
func (l *layered) count() (got, lost int) {
	for _, y := range l.layers {
		g, m := y.count()
		got += g
		lost += m
	}
	return got, lost
}

func (y *layer) count() (got, lost int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	now := y.ended
	for r := range y.receivers {
		now.add(r)
	}
	got, lost = int(now.got-y.told.got), int(now.lost-y.told.lost)
	y.told = now
	return got, lost
}

// receive takes what comes from a source until that or the context ends, and closes r.
func (y *layer) receive(ctx context.Context, r *transport.Receiver, in *Inbox) {
	y.mu.Lock()
	y.receivers[r] = true
	y.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Unix(0, 1)) })
	_ = in.take(ctx, r) // its end is its source's: others go on, or come
	stop()
	r.Close()
	y.mu.Lock()
	defer y.mu.Unlock()
	delete(y.receivers, r)
	y.ended.add(r)
}

// accept receives from every source of the layer, until the context ends. It returns nil then, and why the Listener failed else.
func (y *layer) accept(ctx context.Context, in *Inbox) error {
	var wait sync.WaitGroup
	defer wait.Wait()
	for {
		r, err := y.listener.AcceptReceiver()
		switch {
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("carousel: %w", err)
		}
		wait.Go(func() { y.receive(ctx, r, in) })
	}
}
