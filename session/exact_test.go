package session

import (
	"encoding/binary"
	"hash"
	"hash/fnv"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/wire"
)

// A source and its receivers over a segment that loses, delays, repeats: every packet, with its instant, is the same on every
// architecture. The hash is that of amd64; a change of behaviour changes it, and the failure prints the new one.
func TestExact(t *testing.T) {
	for _, c := range []struct {
		name      string
		receivers int
		loss      float64
		edit      func(*SourceConfig)
		want      uint64
	}{
		{"one receiver", 1, 0.1, nil, 0x97d33a6f237cf533},
		{"four receivers", 4, 0.05, func(cfg *SourceConfig) { cfg.Rate = 23456789 }, 0x67ac418dad4e5b6c},
		{"small window", 3, 0.2, func(cfg *SourceConfig) { cfg.Slots, cfg.Rate = 512, 77*flow.Mbps+1 }, 0xfc8f69267ce5b672},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := fnv.New64a()
			var ends []mono.Time
			for seed := range uint64(4) {
				n := exactNetwork(t, seed, c.receivers, c.edit, h)
				n.lose(c.loss)
				ends = append(ends, n.finish())
			}
			if got := h.Sum64(); got != c.want {
				t.Errorf("the packets hash to %#x, want %#x; they ended at %v", got, c.want, ends)
			}
		})
	}
}

// exactRun is a network in which one source writes data to all receivers.
type exactRun struct {
	*network
	source  *Source
	data    []byte
	readers []*reader
}

func exactNetwork(t *testing.T, seed uint64, receivers int, edit func(*SourceConfig), h hash.Hash64) *exactRun {
	n := &exactRun{network: newNetwork(t, seed), data: pattern(seed, 500000)}
	n.dup = 0.01
	n.jitter = func() time.Duration { return time.Duration(n.rng.Uint64() % uint64(2*time.Millisecond)) }
	node, s := n.network.source(edit)
	n.source = s
	node.engine = &recorder{node.engine, h}
	node.tick = writer(s, n.data)
	for range receivers {
		node, ps := n.peers(nil)
		node.engine = &recorder{node.engine, h}
		r, tick := collect(ps)
		node.tick = tick
		n.readers = append(n.readers, r)
	}
	return n
}

// finish lets the source end, and returns when it did.
func (n *exactRun) finish() mono.Time {
	n.run(mono.Time(time.Minute), n.source.Finished)
	if st := n.source.Stats(); st.Repairs < 20 || st.NAKs < 20 {
		n.t.Errorf("seed %d: %d repairs, %d NAKs: too few to show anything", n.seed, st.Repairs, st.NAKs)
	}
	for i, r := range n.readers {
		if r.end != errEOF || len(r.errs) > 0 || string(r.got) != string(n.data) {
			n.t.Errorf("seed %d: receiver %d got %d of %d bytes, losses %v, end %v", n.seed, i, len(r.got), len(n.data), r.errs, r.end)
		}
	}
	return n.now
}

// recorder hashes all that an engine sends, and when it wants to be called.
type recorder struct {
	engine
	h hash.Hash64
}

func (r *recorder) Poll(now mono.Time, t *Transmit) bool {
	sent := r.engine.Poll(now, t)
	if sent {
		r.add(uint64(now), uint64(t.Segment), uint64(t.To.Port()), uint64(t.HopLimit), uint64(len(t.B)))
		r.h.Write(t.B)
	}
	r.add(uint64(r.Deadline()))
	return sent
}

func (r *recorder) Handle(now mono.Time, m Meta, p *wire.Packet) {
	r.engine.Handle(now, m, p)
	r.add(uint64(now), uint64(p.Sqn))
}

func (r *recorder) add(values ...uint64) {
	var b [8]byte
	for _, v := range values {
		binary.BigEndian.PutUint64(b[:], v)
		r.h.Write(b[:])
	}
}
