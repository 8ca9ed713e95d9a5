package carousel

import (
	"runtime"
	"sync"
	"testing"
)

// Blocks sent one after another have stalled once the source goes on without them, and not before it came to them: not either where a former
// Inbox has left some of each.
func TestStalled(t *testing.T) {
	o := object(t, "file", random(1, 128*300*10), ObjectConfig{SymbolBytes: 128, BlockSymbols: 300})
	dir := t.TempDir()
	in := newInbox(t, dir, InboxConfig{})
	f := newFeed(t, SendConfig{}, o) // by turns
	for in.Stats().Stored < 200 {
		in.Handle(f.next())
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	in = newInbox(t, dir, InboxConfig{})
	of := in.objects[o.root.ID()]
	f = newFeed(t, SendConfig{BlockByBlock: true}, o)
	passed := map[int]bool{}
	for last := -1; len(passed) < 10; {
		h, _, _ := parsePacket(f.next())
		if h.kind != kindData {
			continue
		}
		if h.block != last {
			last, passed[h.block] = h.block, true
		}
		if h.symbol%10 == 0 {
			continue // lost
		}
		in.Handle(f.s.packet)
		for i := range of.blocks {
			if b := &of.blocks[i]; of.stalled(b) && !passed[i] {
				t.Fatalf("block %d has stalled, which the source has not come to", i)
			}
		}
	}
	f.skip(200)
	if !of.hasStalled() {
		t.Error("no block has stalled, though of each a tenth is lost")
	}
}

// An Inbox may be closed while a Receive is about to end: only one of them writes what is not written yet.
func TestFlushBesideClose(t *testing.T) {
	o := object(t, "file", random(1, 50_000), small)
	for range 20 {
		in := newInbox(t, t.TempDir(), InboxConfig{})
		f := newFeed(t, SendConfig{}, o)
		for range 50 {
			in.Handle(f.next())
		}
		var both sync.WaitGroup
		both.Go(in.flush)
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		both.Wait()
		if err := in.Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// A process whose heap is mostly somebody else's is not made to collect it.
func TestCollects(t *testing.T) {
	for _, c := range []struct {
		block int
		live  uint64
		want  bool
	}{{40 << 20, 200 << 20, true}, {15 << 20, 200 << 20, false}, {40 << 20, 50 << 30, false}} {
		if got := collects(c.block, c.live); got != c.want {
			t.Errorf("block of %d, %d live: %v", c.block, c.live, got)
		}
	}
	runtime.GC()
	if live := liveHeap(); live == 0 || live > 1<<40 {
		t.Errorf("%d bytes are live", live)
	}
}
