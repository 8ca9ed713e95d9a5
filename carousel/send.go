package carousel

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/transport"
)

// Send sends objects by s, all at once, each by its Priority's share, until as many turns or as much time as cfg says are over, and returns nil; or until the
// context ends, and returns its error. nil cfg: for ever. s has the pace: where receivers are silent its Config should have Rate and Fixed, as
// they do not report what they get. It ought to have nothing else to send meanwhile. Send does not close s.
func Send(ctx context.Context, s *transport.Source, cfg *SendConfig, objects ...*Object) error {
	return SendLayers(ctx, []*transport.Source{s}, cfg, objects...)
}

// SendLayers sends objects as Send does, but on several groups at once, for receivers behind unlike links: each takes as many of them, from the first on,
// as its link bears (ReceiveLayers). The second has as much data as the first, and each further one as much as all before it; what goes on one goes on no other, so
// that what comes on several adds up. The sources should have rates in that proportion, r, r, 2r, 4r and so on, all Fixed: the one that is
// slowest in proportion sets the pace of all. Announcements, manifests and answers go on the first.
func SendLayers(ctx context.Context, layers []*transport.Source, cfg *SendConfig, objects ...*Object) error {
	c, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	if len(objects) == 0 {
		return errors.New("carousel: nothing to send")
	}
	if len(layers) < 1 || len(layers) > flow.MaxLayers {
		return fmt.Errorf("carousel: %d layers, want 1 to %d", len(layers), flow.MaxLayers)
	}
	deadline := func(t time.Time) {
		for _, s := range layers {
			_ = s.SetWriteDeadline(t)
		}
	}
	over := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(over)
		deadline(time.Unix(0, 1)) // ends a write that waits
	})
	err = newSending(c, objects, len(layers)).run(ctx, layers)
	if !stop() {
		<-over
		deadline(time.Time{})
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// sending is a Send that runs.
type sending struct {
	program *program
	objects []*Object
	ahead   []*ahead
	body    []byte
	packet  []byte
	queue   queue
	leads   []lead // of each of several layers
	heard   []request
}

// queue bounds the time that packets wait to be sent. A source takes 256 KB at once, which at 1 Mbit/s is two seconds: roots would come late. So Send
// waits every few packets until all are sent; as many as take some 50 ms.
type queue struct {
	packets int // since it was empty
	most    int
	empty   time.Time
}

const (
	queueLeast = 8
	queueMost  = 4096
	queueShort = 25 * time.Millisecond
	queueLong  = 100 * time.Millisecond
)

// wrote counts a packet, and waits if it is time to.
func (q *queue) wrote(to *transport.Source) error {
	if q.packets++; q.packets < q.most {
		return nil
	}
	if err := to.Flush(); err != nil {
		return err
	}
	now := time.Now()
	switch took := now.Sub(q.empty); {
	case took < queueShort:
		q.most = min(2*q.most, queueMost)
	case took > queueLong:
		q.most = max(q.most/2, queueLeast)
	}
	q.packets, q.empty = 0, now
	return nil
}

// lead bounds how far one of several layers is written ahead of what it sends. To wait until all is sent, as queue does, would leave the other layers
// without anything to send.
type lead struct {
	packets int // that may be written until it is looked at again
}

const (
	leadTime = 100 * time.Millisecond
	leadWait = 5 * time.Millisecond
	leadMost = time.Second
)

// wrote counts a packet, and waits while more wait than are sent in leadTime, but not longer than leadMost: what waits in a source that has failed
// is never sent, and the next write to it says why.
func (l *lead) wrote(ctx context.Context, to *transport.Source) {
	l.packets--
	for waited := time.Duration(0); l.packets < 0 && waited < leadMost && ctx.Err() == nil; waited += leadWait {
		st := to.Stats()
		most := max(2, int(st.Rate.Bytes(leadTime)/1500))
		if l.packets = (most - st.Unsent) / 2; l.packets < 0 {
			time.Sleep(leadWait)
		}
	}
}

func newSending(cfg SendConfig, objects []*Object, layers int) *sending {
	rng := rand.New(rand.NewPCG(cfg.Seed, 0x5eed))
	if cfg.Seed == 0 {
		rng = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	s := &sending{program: newProgram(cfg, layers), objects: objects}
	for _, o := range objects {
		start := int64(0)
		if o.part.symbols > 0 {
			start = rng.Int64N(o.part.symbols)
		}
		s.program.add(o, start)
		s.ahead = append(s.ahead, newAhead(o))
	}
	return s
}

func (s *sending) run(ctx context.Context, layers []*transport.Source) error {
	start := time.Now()
	s.queue = queue{most: queueLeast, empty: start}
	s.leads = make([]lead, len(layers))
	requests := s.program.cfg.Requests
	for ctx.Err() == nil {
		if requests != nil {
			s.attend(requests, time.Since(start))
		}
		if err := s.wanted(ctx, layers, start); err != nil {
			return err
		}
		a, wait, ok := s.program.next(time.Since(start))
		if !ok {
			if wait == 0 {
				return flush(layers)
			}
			select {
			case <-time.After(wait):
			case <-requests.come():
			case <-ctx.Done():
			}
			continue
		}
		b, err := s.encode(a)
		if err != nil {
			return fmt.Errorf("carousel: %s: %w", s.objects[a.item].root.Name, err)
		}
		to := layers[a.layer]
		switch err = to.WriteMessage(b); {
		case err != nil:
		case len(layers) == 1:
			err = s.queue.wrote(to)
		default:
			s.leads[a.layer].wrote(ctx, to)
		}
		if err != nil {
			return fmt.Errorf("carousel: %w", err)
		}
	}
	return ctx.Err()
}

// wanted waits until somebody wants what is sent, or Duration is over.
func (s *sending) wanted(ctx context.Context, layers []*transport.Source, start time.Time) error {
	cfg := &s.program.cfg
	if cfg.Demand == nil || cfg.Demand.Wanted() {
		return nil
	}
	if err := flush(layers); err != nil {
		return err
	}
	inner, cancel := ctx, context.CancelFunc(func() {})
	if cfg.Duration > 0 {
		inner, cancel = context.WithDeadline(ctx, start.Add(cfg.Duration))
	}
	defer cancel()
	err := cfg.Demand.Wait(inner)
	switch {
	case err == nil || ctx.Err() == nil && inner.Err() != nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("carousel: %w", err)
}

func flush(layers []*transport.Source) error {
	for _, s := range layers {
		if err := s.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// attend enters what receivers asked for since it was last called.
func (s *sending) attend(r *Requests, now time.Duration) {
	s.heard = r.take(s.heard[:0])
	for _, q := range s.heard {
		added, err := s.program.ask(q.id, q.list, now)
		r.note(added, err)
	}
}

// encode returns the packet of an action, which is valid until the next call.
func (s *sending) encode(a action) ([]byte, error) {
	o := s.objects[a.item]
	h := head{kind: a.kind, block: a.block, symbol: a.symbol, id: o.root.ID()}
	if a.begins {
		if err := o.unchanged(); err != nil {
			return nil, err
		}
	}
	var payload []byte
	switch a.kind {
	case kindRoot:
		s.body = o.root.append(s.body[:0])
		payload = s.body
	case kindManifest:
		size := o.part.symbolBytes
		payload = o.manifest[a.symbol*size : (a.symbol+1)*size]
	case kindOffer:
		f := s.program.offered(a.item)
		s.body = f.append(s.body[:0])
		payload = s.body
	default:
		var err error
		if payload, err = s.ahead[a.item].symbol(a.block, a.symbol); err != nil {
			return nil, err
		}
	}
	s.packet = appendPacket(s.packet[:0], h, payload)
	return s.packet, nil
}
