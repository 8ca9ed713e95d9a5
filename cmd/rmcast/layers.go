package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/urfave/cli/v3"

	"github.com/rmcast/rmcast/carousel"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/transport"
)

// leastLayer is the least rate of the lowest layer: announcements would take all of one that is slower.
const leastLayer = 100 * flow.Kbps

// layerGroup is the group of a layer: the lowest is the target's own, the next have the addresses that follow.
func layerGroup(group netip.AddrPort, layer int) netip.AddrPort {
	b := group.Addr().As16()
	binary.BigEndian.PutUint32(b[12:], binary.BigEndian.Uint32(b[12:])+uint32(layer))
	a := netip.AddrFrom16(b)
	if group.Addr().Is4() {
		a = a.Unmap()
	}
	return netip.AddrPortFrom(a.WithZone(group.Addr().Zone()), group.Port())
}

// layersOf reads -layers; 1 if it was not given.
func layersOf(c *cli.Command) (int, error) {
	n := c.Int("layers")
	if n < 1 || n > flow.MaxLayers {
		return 0, misuse("With 9 of them the slowest receiver needs a 256th of the -rate.", "-layers is %d, want 1 to %d", n, flow.MaxLayers)
	}
	return n, nil
}

// checkLayers finds out whether a sender can send in layers, at the rates that follow.
func (s *sender) checkLayers() error {
	if s.layers == 1 {
		return nil
	}
	if s.rate == 0 {
		return misuse("Say the rate of all layers together: -layers 9 -rate 150M.", "-layers needs a -rate")
	}
	if r := s.rate >> (s.layers - 1); r < leastLayer {
		return misuse(fmt.Sprintf("Take a higher -rate, or fewer layers: each less doubles it. It should be %v at least.", leastLayer), "the lowest of %d layers would have %v", s.layers, r)
	}
	if last := layerGroup(s.to.group, s.layers-1).Addr(); !last.IsMulticast() {
		return misuse("Take another group.", "the groups after %s are not multicast", s.to.group)
	}
	s.fixed = true
	return nil
}

// layerRate is r, r, 2r, 4r and so on, which is all of the rate.
func (s *sender) layerRate(layer int) flow.Rate {
	return s.rate >> (s.layers - 1) << max(layer-1, 0)
}

// tellDemand tells when sending begins and ends for want of receivers.
func (s *sender) tellDemand(ctx context.Context) {
	for was := false; ; {
		changed, wanted := s.watcher.Changed(), s.watcher.Wanted()
		switch {
		case wanted && !was:
			s.e.tell.say("wanted", "somebody wants it: sending", nil)
		case was && !wanted:
			s.e.tell.say("idle", "nobody wants it any more: waiting", nil)
		}
		was = wanted
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// layersNote says on how many layers the receiver is; nothing if there are none.
func (r *receiver) layersNote() string {
	if r.layers == 1 {
		return ""
	}
	return fmt.Sprintf("%d of %d layers", r.level.Load(), r.layers)
}

// hearLayers receives on as many layers as the path bears.
func (r *receiver) hearLayers(ctx context.Context, cfg transport.Config) {
	cfg.ReceiveOnly = true // layers are not repaired
	err := carousel.ReceiveLayers(ctx, r.inbox, carousel.LayersConfig{
		LayersConfig: flow.LayersConfig{Layers: r.layers},
		Listen: func(layer int) (*transport.Listener, error) {
			if layer == 0 {
				return r.listener, nil
			}
			return r.listen(ctx, layer, cfg)
		},
		Level:  func(n int) { r.level.Store(int32(n)) },
		Logger: r.e.logger(),
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		r.e.tell.warn("layers_end", plain(err), nil)
	}
}
