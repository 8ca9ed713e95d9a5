package session

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// What FuzzPeers and FuzzSource found: each test is a defect that was there once.

// A closed session keeps nothing and has nothing to read: unordered, whole messages were left in a queue whose packets were gone.
func TestClosedKeepsNothing(t *testing.T) {
	ps := forgedPeers(func(c *PeersConfig) { c.Unordered = true })
	ps.Handle(0, forgedMeta, forgedSPM(0, 0, seq.Num(0).Add(-1)))
	for n := range seq.Num(3) {
		ps.Handle(0, forgedMeta, forgedData(n, 0, []byte("x")))
	}
	ps.Handle(0, forgedMeta, forgedFragment(3, 3, 0, 2000, 1384))
	r := ps.Accept()
	r.Close(1)
	if n := len(r.read.loose.whole.nums) + len(r.read.loose.partial) + len(r.losses); n != 0 {
		t.Errorf("a closed session remembers %d things", n)
	}
	if n, err := r.Read(2, make([]byte, 10)); n != 0 || err == nil {
		t.Errorf("a closed session reads %d bytes, %v", n, err)
	}
}

// A fragment that is given up as it comes, here since the source has reset, is not remembered: there may be many.
func TestSweptFragmentIsForgotten(t *testing.T) {
	ps := forgedPeers(func(c *PeersConfig) { c.Unordered = true })
	ps.Handle(0, forgedMeta, forgedSPM(0, 0, seq.Num(0).Add(-1)))
	ps.Handle(0, forgedMeta, forgedData(0, 0, []byte("x")))
	r := ps.Accept()
	if n, err := r.Read(0, make([]byte, 10)); n != 1 || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	p := forgedSPM(1, 0, 0)
	p.Options.Set = p.Options.Set.With(wire.OptRST)
	p.Options.Reset.NoNAKs = true
	ps.Handle(1, forgedMeta, p)
	for n := range seq.Num(100) {
		ps.Handle(2, forgedMeta, forgedFragment(2+2*n, 1+2*n, 100, 300, 100))
	}
	if r.window.Held() != 0 || len(r.read.loose.partial) != 0 {
		t.Errorf("%d packets held, %d messages remembered", r.window.Held(), len(r.read.loose.partial))
	}
}

// However far a source claims to be, and however slowly the application reads, the lead stays where numbers compare.
func TestLeadStaysComparable(t *testing.T) {
	ps := forgedPeers(func(c *PeersConfig) { c.MaxWindow = 16 })
	ps.Handle(0, forgedMeta, forgedSPM(0, 0, seq.Num(0).Add(-1)))
	ps.Handle(0, forgedMeta, forgedData(0, 0, []byte("x")))
	r := ps.Accept()
	at, now := seq.Num(0), mono.Time(1)
	for range 40 { // jumps that a second packet confirms
		at = at.Add(1 << 27)
		for range 2 {
			ps.Handle(now, forgedMeta, forgedData(at, at.Add(-8), []byte("y")))
			at++
		}
		now = now.Add(time.Millisecond)
		if lag := r.lead.Sub(r.window.Next()); lag < -1 || lag > farthest {
			t.Fatalf("lead %d, next %d", r.lead, r.window.Next())
		}
	}
	if st := r.Stats(); st.Refused.Jump < 20 {
		t.Errorf("%d packets were refused as jumps", st.Refused.Jump)
	}
	p := forgedSPM(1, 0, seq.Num(0).Add(1<<31-2)) // a window of all that numbers allow
	ps.Handle(now, Meta{From: testGroup, Multicast: true}, p)
	if x := ps.list[len(ps.list)-1]; x.spms != 0 {
		t.Errorf("an SPM of 2^31-1 numbers was believed: trail %d, lead %d", x.trail, x.lead)
	}
}

// What a source claimed and nobody will send is given up in one go, however much it is: unordered delivery went through it number by
// number, a window at a time, up to 2^30 of them.
func TestSilentSourceFarAhead(t *testing.T) {
	lost := 0
	ps := forgedPeers(func(c *PeersConfig) {
		c.Unordered, c.MaxWindow = true, 1024
		c.Trace = func(e Event) {
			if e.Kind == EventLost {
				if lost++; lost > 100 {
					t.Fatal("100 times something was lost, and no end of it")
				}
			}
		}
	})
	ps.Handle(0, forgedMeta, forgedSPM(0, 0, seq.Num(0).Add(-1)))
	ps.Handle(0, forgedMeta, forgedData(0, 0, []byte("x")))
	r := ps.Accept()
	const far = 1 << 29
	for n := range seq.Num(2) {
		ps.Handle(1, forgedMeta, forgedData(far+n, 0, []byte("y"))) // the second confirms the first
	}
	b := make([]byte, 10)
	if n, err := r.ReadMessage(1, b); n != 1 || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	now := mono.Time(expiryForeign + time.Second)
	ps.Advance(now)
	if n, err := r.ReadMessage(now, b); !isEnd(err) {
		t.Errorf("%d bytes, %v: the source is gone", n, err)
	}
	if st := r.Stats(); st.Lost != far+1 || st.Missing != st.Lost {
		t.Errorf("%d lost, %d missing, want %d", st.Lost, st.Missing, far+1)
	}
}
