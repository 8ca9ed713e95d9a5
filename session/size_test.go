package session

import (
	"runtime"
	"testing"

	"github.com/rmcast/rmcast/seq"
)

// A receiver that missed nothing and holds nothing stays small: groups are simulated by the hundred thousand.
func TestIdleReceiverSize(t *testing.T) {
	const n, most = 1000, 2048
	ps := forgedPeers(nil)
	held := make([]*Receiver, n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC() // what was in pools needs a second one
	runtime.ReadMemStats(&before)
	for i := range held {
		held[i] = newReceiver(0, ps, peerKey{})
		held[i].handle(0, forgedSPM(0, 0, seq.Num(0).Add(-1)))
		held[i].open(0)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n; got > most {
		t.Errorf("an idle receiver takes %d bytes, want at most %d", got, most)
	} else {
		t.Logf("%d bytes", got)
	}
	runtime.KeepAlive(held)
}
