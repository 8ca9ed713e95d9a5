package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rmcast/rmcast/carousel"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

const (
	layerCount = 9
	// layerRate is that of the first two layers: of IP packets, of which 94 % are payload. 16 times as much has just room on 10 Mbit/s.
	layerRate = 610 * flow.Kbps
	layersAll = layerRate << (layerCount - 1)

	symbolBytes = 1408 // a symbol's, by default

	shareLeast = 55 // % of a link
)

// layerLinks are the links of the receivers; 0: as it comes, all layers.
var layerLinks = []flow.Rate{flow.Mbps, 10 * flow.Mbps, 100 * flow.Mbps, 0}

// layerGroup is that of a layer. They are of IPv6: nobody else takes part.
func layerGroup(layer int) string { return fmt.Sprintf("[ff15::80:6:%x]:7500", layer+1) }

// behind is how a receiver is called.
func behind(link flow.Rate) string {
	if link == 0 {
		return "no limit"
	}
	return link.String()
}

// layersTogether is receivers behind unlike links at the same time, each with a port of its own on a switch that sends groups to who has joined them.
func (b *bench) layersTogether(ctx context.Context, r *Result) error {
	return b.layers(ctx, r, layerLinks)
}

// layersAlone is each of them without the others.
func (b *bench) layersAlone(ctx context.Context, r *Result) error {
	for i := range layerLinks {
		if err := b.layers(ctx, r, layerLinks[i:i+1]); err != nil {
			return fmt.Errorf("%s: %w", behind(layerLinks[i]), err)
		}
	}
	return nil
}

// layers sends on all layers to a receiver behind each link, until all have the object and have counted what came.
func (b *bench) layers(ctx context.Context, r *Result, links []flow.Rate) (err error) {
	// In half the time the slowest link carries the object. Of its symbols each layer has its exact share in every cycle.
	settle, window, size := 8*time.Second, 12*time.Second, int64(2<<(layerCount-1)*symbolBytes)
	if b.quick {
		settle, window, size = 3*time.Second, 3*time.Second, size/2
	}
	if err := b.need(random, size); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	s := &stage{bench: b, moments: make([]moments, len(links)), receivers: make([]*process, len(links))}
	defer func() { err = errors.Join(err, s.end()) }()
	if err := s.network(netem.LabConfig{Receivers: len(links), Snooping: true, Wire: true}); err != nil {
		return err
	}
	for i, link := range links {
		if err := s.lab.SetRate(netem.Node(i), int64(link), 0); err != nil {
			return err
		}
	}
	s.source, err = start(s.lab, netem.Sender, job{
		Source: true, Layers: layerCount, Rate: layerRate, Path: b.path, Temp: b.work, Seed: b.seed, Verbose: b.verbose,
	}, nil)
	if err != nil {
		return err
	}
	if _, err := s.source.await(ctx, saysReady); err != nil {
		return err
	}
	if err := s.begin(); err != nil {
		return err
	}
	for i := range links {
		if err := s.join(i, job{Layers: layerCount, Settle: settle, Window: window}); err != nil {
			return err
		}
	}
	for i, link := range links {
		if err := s.share(ctx, r, i, link); err != nil {
			return err
		}
	}
	if err := s.verify(); err != nil {
		return err
	}
	return s.silence(r)
}

// share adds what a receiver got of its link.
func (s *stage) share(ctx context.Context, r *Result, i int, link flow.Rate) error {
	p, name := s.receivers[i], behind(link)
	counted, err := p.await(ctx, saysCounted)
	if err != nil {
		return err
	}
	whole, err := p.await(ctx, saysWhole)
	if err != nil {
		return err
	}
	ready, _ := p.last(saysReady)
	c, err := s.lab.Counters(netem.Node(i))
	if err != nil {
		return err
	}
	if link == 0 {
		link = layersAll
	}
	share := 100 * 8 * float64(counted.Payload) / counted.Took.Seconds() / float64(link)
	if s.quick {
		r.note(name, share, "%") // most of the time went in finding the layers
	} else {
		r.atLeast(name, share, "%", shareLeast)
	}
	r.Notes = append(r.Notes, fmt.Sprintf("%s: on %d of %d layers, object whole after %.1f s, %d packets came, %d were dropped at the link",
		name, counted.Layers, layerCount, seconds(whole.At-ready.At), c.RxPackets, c.QueueDrops))
	return nil
}

// sendLayers prepares the object, waits for the word, and sends until it is stopped.
func sendLayers(ctx context.Context, j job, logger *slog.Logger, begin <-chan struct{}, s *speaker) (last Event, err error) {
	o, err := carousel.Open(ctx, j.Path, &carousel.ObjectConfig{TempDir: j.Temp})
	if err != nil {
		return last, err
	}
	defer o.Close()
	var layers []*transport.Source
	defer func() {
		for _, source := range layers {
			_ = source.CloseContext(ctx) // which is over: there is nobody to repair for
		}
	}()
	for l := range j.Layers {
		source, err := transport.DialContext(ctx, "udp6", layerGroup(l), &transport.Config{
			Interface: netem.LabInterface, Rate: j.Rate << max(l-1, 0), Fixed: true, Logger: logger,
		})
		if err != nil {
			return last, err
		}
		layers = append(layers, source)
	}
	s.say(Event{What: saysReady, Got: packets{Symbols: o.Symbols()}})
	select {
	case <-begin:
	case <-ctx.Done():
		return last, ctx.Err()
	}
	return last, carousel.SendLayers(ctx, layers, &carousel.SendConfig{Seed: j.Seed}, o)
}

// receiveLayers receives until it is stopped, also what it has already.
func receiveLayers(ctx context.Context, j job, logger *slog.Logger, _ <-chan struct{}, s *speaker) (last Event, err error) {
	in, err := carousel.NewInbox(j.Path, &carousel.InboxConfig{Count: -1, Logger: logger})
	if err != nil {
		return last, err
	}
	defer in.Close()
	var on atomic.Int32
	s.say(Event{What: saysReady, Got: got(in)})
	var watch sync.WaitGroup
	defer watch.Wait()
	watch.Go(func() { tellWhole(ctx, in, s) })
	watch.Go(func() {
		var before packets
		var began time.Time
		for _, d := range []time.Duration{j.Settle, j.Window} {
			select {
			case <-time.After(d):
			case <-ctx.Done():
				return
			}
			g := got(in)
			if began.IsZero() {
				before, began = g, time.Now()
				continue
			}
			s.say(Event{What: saysCounted, Took: time.Since(began), Payload: symbolBytes * (g.Received - before.Received), Layers: int(on.Load())})
		}
	})
	return last, carousel.ReceiveLayers(ctx, in, carousel.LayersConfig{
		// The switch knows fast leave: all there is to wait for is the queue of the link.
		LayersConfig: flow.LayersConfig{Layers: j.Layers, Deaf: 500 * time.Millisecond},
		Listen: func(layer int) (*transport.Listener, error) {
			return transport.ListenContext(ctx, "udp6", layerGroup(layer), &transport.Config{
				Interface: netem.LabInterface, Unordered: true, ReceiveOnly: true, Logger: logger,
			})
		},
		Level:  func(layers int) { on.Store(int32(layers)) },
		Logger: logger,
	})
}

// tellWhole says when an Inbox has its one object.
func tellWhole(ctx context.Context, in *carousel.Inbox, s *speaker) {
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return
		}
		if all := in.Objects(); len(all) > 0 && all[0].Done {
			s.say(Event{What: saysWhole, Got: got(in)})
			return
		}
	}
}
