package session

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// The rest of a message whose beginning was told as lost is told with the same reason, though nothing of it was lost.
func TestRestOfLostMessage(t *testing.T) {
	ps := forgedPeers(func(c *PeersConfig) { c.RepairTimeout = time.Second })
	ps.Handle(0, forgedMeta, forgedSPM(0, 0, seq.Num(0).Add(-1)))
	ps.Handle(0, forgedMeta, forgedData(0, 0, []byte("a")))
	r := ps.Accept()
	b := make([]byte, 5000)
	if n, err := r.ReadMessage(0, b); n != 1 || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	want := func(from, to seq.Num, why LossReason) {
		t.Helper()
		_, err := r.ReadMessage(0, b)
		var loss *LossError
		if !errors.As(err, &loss) || loss.Lost != (seq.Range{From: from, To: to}) || loss.Reason != why {
			t.Fatalf("%v, want the loss of [%d,%d): %v", err, from, to, why)
		}
	}
	ps.Handle(1, forgedMeta, forgedFragment(2, 1, 1384, 4000, 1384))
	ps.Advance(mono.Time(2 * time.Second))
	want(1, 3, LossTimeout)
	ps.Handle(mono.Time(3*time.Second), forgedMeta, forgedFragment(3, 1, 2768, 4000, 1232))
	want(3, 4, LossTimeout)
	ps.Handle(mono.Time(3*time.Second), forgedMeta, forgedFragment(4, 1, 2768, 4000, 1232)) // not where it belongs, but more of it
	want(4, 5, LossTimeout)
	ps.Handle(mono.Time(3*time.Second), forgedMeta, forgedData(5, 0, []byte("b")))
	if n, err := r.ReadMessage(0, b); n != 1 || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	ps.Handle(mono.Time(3*time.Second), forgedMeta, forgedFragment(6, 1, 2768, 4000, 1232))
	want(6, 7, LossMalformed)
}

// It is the reason of that message, and not that of others which were told together with it.
func TestRestOfSecondLostMessage(t *testing.T) {
	ps := forgedPeers(func(c *PeersConfig) { c.MaxMessage = 3000 })
	ps.Handle(0, forgedMeta, forgedSPM(0, 0, seq.Num(0).Add(-1)))
	ps.Handle(0, forgedMeta, forgedData(0, 0, []byte("a")))
	r := ps.Accept()
	b := make([]byte, 5000)
	if n, err := r.ReadMessage(0, b); n != 1 || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	ps.Handle(1, forgedMeta, forgedFragment(2, 2, 0, 4000, 1384)) // 1 is missing
	ps.Handle(1, forgedMeta, forgedFragment(3, 2, 1384, 4000, 1384))
	ps.Handle(1, forgedMeta, forgedSPM(1, 2, 3))
	for _, want := range []LossError{{Lost: seq.Range{From: 1, To: 4}, Reason: LossTrail}, {Lost: seq.Range{From: 4, To: 5}, Reason: LossMalformed}} {
		_, err := r.ReadMessage(1, b)
		var loss *LossError
		if !errors.As(err, &loss) || loss.Lost != want.Lost || loss.Reason != want.Reason {
			t.Errorf("%v, want the loss of %v: %v", err, want.Lost, want.Reason)
		}
		ps.Handle(1, forgedMeta, forgedFragment(4, 2, 2768, 4000, 1232))
	}
}

// A source falls silent while more is missing than the window has slots for: unordered delivery counts all of it before the end.
func TestUnorderedCountsAllLost(t *testing.T) {
	ps := forgedPeers(func(c *PeersConfig) { c.Unordered, c.MaxWindow = true, 4 })
	ps.Handle(0, forgedMeta, forgedSPM(0, 0, seq.Num(0).Add(-1)))
	ps.Handle(0, forgedMeta, forgedData(0, 0, []byte("a")))
	r := ps.Accept()
	for i, lead := range []seq.Num{3, 7, 10} { // the window holds up to three: the application has read nothing
		spm := forgedSPM(seq.Num(1+i), 0, lead)
		if lead == 10 {
			spm.Options.Set = spm.Options.Set.With(wire.OptFIN)
		}
		ps.Handle(1, forgedMeta, spm)
	}
	b := make([]byte, 5000)
	now := mono.Time(expiryForeign + time.Second)
	ps.Advance(now)
	if n, err := r.ReadMessage(now, b); n != 1 || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if _, err := r.ReadMessage(now, b); err != io.EOF {
		t.Fatalf("%v, want io.EOF", err)
	}
	if st := r.Stats(); st.Lost != 10 {
		t.Errorf("%d numbers counted as lost, want 10", st.Lost)
	}
}

// A message longer than MaxMessage is told as lost, also where delivery begins with it: only the rest of one that began before is passed
// over.
func TestTooLongAtTheStart(t *testing.T) {
	for _, join := range []Join{JoinNow, JoinTrail} {
		ps := forgedPeers(func(c *PeersConfig) { c.Join, c.MaxMessage = join, 2000 })
		ps.Handle(0, forgedMeta, forgedFragment(9, 8, 1384, 2500, 1116)) // the rest of one
		for i, n := range []seq.Num{10, 12} {
			ps.Handle(0, forgedMeta, forgedFragment(n, n, 0, 2500, 1384))
			ps.Handle(0, forgedMeta, forgedFragment(n+1, n, 1384, 2500, 1116))
			if i == 0 {
				ps.Handle(0, forgedMeta, forgedSPM(0, 9, n+1))
			}
		}
		r := ps.Accept()
		b := make([]byte, 5000)
		var loss *LossError
		if _, err := r.ReadMessage(0, b); !errors.As(err, &loss) || loss.Lost != (seq.Range{From: 10, To: 14}) || loss.Reason != LossMalformed {
			t.Errorf("join %d: %v, want the loss of [10,14)", join, err)
		}
	}
}
