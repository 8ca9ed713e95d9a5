package carousel

import (
	"errors"
	"fmt"
	"testing"
)

// Neither a packet that is sent nor one that is received allocates, once the first of each block was.
func TestAllocs(t *testing.T) {
	o := object(t, "file", random(1, 4<<20), ObjectConfig{BlockSymbols: 500})
	f := newFeed(t, SendConfig{Seed: 1}, o)
	in := newInbox(t, t.TempDir(), InboxConfig{})
	for range 500 {
		in.Handle(f.next())
	}
	before := in.Stats().Stored
	if n := testing.AllocsPerRun(1000, func() { in.Handle(f.next()) }); n > 0 {
		t.Errorf("%v allocations a packet", n)
	}
	if in.Stats().Stored < before+900 {
		t.Error("hardly a symbol was stored")
	}
}

// What a packet costs, to make and to take.
func BenchmarkPacket(b *testing.B) {
	o := object(b, "file", random(1, 32<<20), ObjectConfig{})
	f := newFeed(b, SendConfig{Seed: 1}, o)
	b.Run("send", func(b *testing.B) {
		b.SetBytes(defaultSymbolBytes)
		b.ReportAllocs()
		for b.Loop() {
			f.next()
		}
	})
	b.Run("receive", func(b *testing.B) { // a turn of data takes from the start again
		b.SetBytes(defaultSymbolBytes)
		b.ReportAllocs()
		in := newInbox(b, b.TempDir(), InboxConfig{})
		packets := make([][]byte, 0, o.Symbols())
		for len(packets) < cap(packets) {
			packets = append(packets, append([]byte(nil), f.next()...))
		}
		for i := 0; b.Loop(); i++ {
			if i%len(packets) == 0 {
				b.StopTimer()
				in = newInbox(b, b.TempDir(), InboxConfig{})
				b.StartTimer()
			}
			in.Handle(packets[i%len(packets)])
		}
	})
}

// What a block costs once it has its symbols: to read, decode, check and write it.
func BenchmarkBlock(b *testing.B) {
	o := object(b, "file", random(1, 30_000*defaultSymbolBytes), ObjectConfig{})
	for _, loss := range []float64{0, 0.1, 0.4} {
		b.Run(fmt.Sprintf("%.0f%%", 100*loss), func(b *testing.B) {
			b.SetBytes(o.root.Bytes)
			b.ReportAllocs()
			in := newInbox(b, b.TempDir(), InboxConfig{})
			f, rng := newFeed(b, SendConfig{Seed: 1}, o), newRand(1)
			for in.Stats().Stored < uint64(o.Symbols())-1 {
				if p := f.next(); kind(p[1]) != kindData || rng.Float64() >= loss {
					in.Handle(p)
				}
			}
			of := in.objects[o.root.ID()]
			have := of.blocks[0].have
			for { // the last one past the Inbox, which would decode
				h, payload, _ := parsePacket(f.next())
				if h.kind == kindData && !have.has(h.symbol) {
					if err := errors.Join(of.stage.put(0, h.symbol, payload, max(1, h.sum), true, have), of.stage.flush(0)); err != nil {
						b.Fatal(err)
					}
					have.set(h.symbol)
					break
				}
			}
			var d decoder
			for b.Loop() {
				if good, err := d.block(of.stage, 0, have, &of.man.hashes[0]); err != nil || !good {
					b.Fatal(good, err)
				}
			}
		})
	}
}
