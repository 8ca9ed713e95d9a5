package session

import (
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// Clone returns Peers in the state of ps, as another host would have them that heard the same packets at the same instants. What
// was drawn at random and has not happened yet, the waits before an SPMR or the answer to a probe, is drawn again, from rng, which
// the clone keeps. The clone shares configuration with ps and must be driven by the same goroutine. It panics if a number is missing
// (see Missing): what happened at one host is no other's. Receiver.Owner is copied as it stands.
func (ps *Peers) Clone(rng *rand.Rand) *Peers {
	c := *ps
	c.rng, c.table, c.last = rng, nil, nil
	c.list, c.accept, c.ready = slices.Clone(ps.list), slices.Clone(ps.accept), slices.Clone(ps.ready)
	if ps.gone != nil {
		gone := *ps.gone
		c.gone = &gone
	}
	for i, r := range c.list {
		x := r.clone(&c)
		c.list[i] = x
		for _, refs := range [][]*Receiver{c.accept, c.ready} {
			if k := slices.Index(refs, r); k >= 0 {
				refs[k] = x
			}
		}
	}
	c.index()
	return &c
}

func (r *Receiver) clone(ps *Peers) *Receiver {
	c := *r
	c.peers = ps
	c.window, c.naks = r.window.Clone(), r.naks.Clone(ps.rng)
	c.losses = slices.Clone(r.losses)
	c.read.whole.nums, c.read.partial = slices.Clone(r.read.whole.nums), maps.Clone(r.read.partial)
	if c.spmrFrom != mono.Never {
		c.drawSPMR()
	}
	if c.answer.at != mono.Never {
		c.answer.draw(ps.rng)
	}
	return &c
}

// Waits reports whether a wait runs that was drawn at random while nothing was missing: before an SPMR, or before the answer to a
// probe. Hosts that heard the same differ in it.
func (ps *Peers) Waits() bool {
	for _, r := range ps.list {
		if r.spmrFrom != mono.Never || r.answer.at != mono.Never {
			return true
		}
	}
	return false
}

// Receivers returns those there are now, candidates and closed ones included, the oldest first.
func (ps *Peers) Receivers() []*Receiver { return slices.Clone(ps.list) }

// Discard is ReadMessage for those who do not want the bytes: it passes over the next message, or what a Read has left of it, and
// returns its length and which numbers carried it.
func (r *Receiver) Discard(now mono.Time) (int, seq.Range, error) {
	what, span := r.edge()
	if what != edgeMessage {
		return 0, seq.Range{}, r.stop(now, what, span)
	}
	n := r.length(span) - r.read.offset
	r.consume(span)
	r.refill(now)
	return n, span, nil
}
