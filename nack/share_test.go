package nack

import (
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// A receiver that lost everything, and asks for all of it every millisecond, causes its own share and no more, by number or by count, even
// while nobody else waits. Those of others go first.
func TestShareOfIsALimit(t *testing.T) {
	const (
		bytes = 1500
		share = 125_000 // a hundredth of 100 Mbit/s
		span  = 20 * time.Second
		k     = 8
	)
	for _, parity := range []bool{false, true} {
		r := NewRepairs(RepairsConfig{ReceiverShare: 3_125_000})
		bad, good := addr(1), addr(2)
		var sent, others int
		asked := seq.Num(0)
		for now, n := mono.Time(0), seq.Num(1<<32-1000); now < mono.Time(span); now = now.Add(time.Millisecond) {
			r.SetShareOf(now, bad, share)
			n += k
			if parity {
				r.ParityNAK(now, bad, n, k, now, bytes)
			} else {
				for i := range k {
					r.NAK(now, bad, n.Add(i), bytes)
				}
			}
			if asked = 0; n%(10*k) == 0 {
				asked = n.Add(8 * k) // later than all the bad one asks for
				r.NAK(now, good, asked, bytes)
			}
			first := true
			for next, ok := r.Next(now); ok; next, ok = r.Next(now) {
				if mine := !next.Parity && next.N == asked && asked != 0; mine != (first && asked != 0) {
					t.Fatalf("parity %v: at %v goes %+v, asked for by others was %d", parity, now, next, asked)
				} else if mine {
					others++
				} else {
					sent += next.Count
				}
				first = false
				if next.Parity {
					r.ParitySent(now, next.N, next.Count)
				} else {
					r.Sent(now, next.N)
				}
			}
			r.Trim(n.Add(-100 * k))
		}
		most, least := int((share*span/time.Second+share/10)/bytes)+1, int(share*span/time.Second/bytes)-1
		if sent > most || sent < least {
			t.Errorf("parity %v: %d repairs for the bad one, want %d to %d", parity, sent, least, most)
		}
		if others < 1900 {
			t.Errorf("parity %v: %d repairs for the good one", parity, others)
		}
		if s := r.Stats(); s.Limited == 0 || s.Limited < s.Refused+s.ParityRefused {
			t.Errorf("parity %v: %+v", parity, s)
		}
	}
}

// What is refused is not confirmed either, of a count the part that is not paid for.
func TestShareOfConfirms(t *testing.T) {
	r := NewRepairs(RepairsConfig{})
	r.SetShareOf(0, addr(1), 30_000) // 2 packets at once
	now := mono.Time(time.Second)    // and now it has them
	if v := r.ParityNAK(now, addr(1), 64, 7, now, 1500); v != Queued {
		t.Errorf("parity: %v", v)
	}
	if next, ok := r.Next(now); !ok || next != (Repair{N: 64, Parity: true, Count: 2}) {
		t.Errorf("next %+v", next)
	}
	if got := r.ParityNCFs(now, nil); len(got) != 1 || got[0] != 65 {
		t.Errorf("parity NCFs %v, want one for 2 packets of 64", got)
	}
	if v := r.NAK(now, addr(1), 200, 1500); v != Refused || r.NCFPending() {
		t.Errorf("beyond its share: %v, an NCF: %v", v, r.NCFPending())
	}
	if v := r.ParityNAK(now, addr(1), 128, 1, now, 1500); v != Refused || r.ParityNCFPending() {
		t.Errorf("parity beyond its share: %v, an NCF: %v", v, r.ParityNCFPending())
	}
	// What another asked for is repaired for both, and costs the limited one nothing.
	r.NAK(now, addr(2), 200, 1500)
	r.ParityNAK(now, addr(2), 128, 3, now, 1500)
	if v, p := r.NAK(now, addr(1), 200, 1500), r.ParityNAK(now, addr(1), 128, 3, now, 1500); v != Merged || p != Merged {
		t.Errorf("what another asked for: %v, parity %v", v, p)
	}
	// More than the other asked for is its own affair.
	if v := r.ParityNAK(now, addr(1), 128, 4, now, 1500); v != Merged || r.Pending() != 3 {
		t.Errorf("a packet more: %v, %d pending", v, r.Pending())
	}
}

// A share of one's own ends with 0, or with the memory of the receiver; asking for it costs no more memory than asking for repairs.
func TestShareOfEnds(t *testing.T) {
	r := NewRepairs(RepairsConfig{MaxRequesters: 4})
	ask := func(now mono.Time, n seq.Num) (queued int) {
		for i := range 10 {
			if r.NAK(now, addr(1), n.Add(i), 1500) == Queued {
				queued++
			}
		}
		return queued
	}
	r.SetShareOf(0, addr(9), 0)
	if len(r.requesters.byAddr) != 0 {
		t.Error("the common share made a receiver known")
	}
	r.SetShareOf(0, addr(1), 15_000)
	if got := ask(0, 0); got != 1 {
		t.Errorf("%d queued with a share of one packet", got)
	}
	r.SetShareOf(0, addr(1), 0)
	if got := ask(0, 100); got != 10 {
		t.Errorf("%d queued with the common share again", got)
	}
	r.SetShareOf(0, addr(1), 15_000)
	r.SetShareOf(1, addr(1), -1)
	if got := ask(1, 200); got != 10 {
		t.Errorf("%d queued with a share that is off", got)
	}
	r.SetShareOf(2, addr(1), 1)
	if got := ask(mono.Time(requesterAge)+2, 300); got != 10 {
		t.Errorf("%d queued after a minute of silence", got)
	}
	for i := range 100 {
		r.SetShareOf(mono.Time(requesterAge)+2, addr(i), 1)
		if n := len(r.requesters.byAddr); n > 4 {
			t.Fatalf("%d receivers known", n)
		}
	}
}

// A share that changes with the rate forgives no debt: told anew each time, it is as it would be with their mean.
func TestShareOfChanges(t *testing.T) {
	r := NewRepairs(RepairsConfig{})
	sent := 0
	for i := range 10_000 { // 10 s
		now := mono.Time(i) * mono.Time(time.Millisecond)
		r.SetShareOf(now, addr(1), 9_000+int64(i%2)*2_000)
		if r.NAK(now, addr(1), seq.Num(i), 1500) == Queued {
			sent += 1500
			r.Sent(now, seq.Num(i))
		}
	}
	if sent < 95_000 || sent > 105_000 {
		t.Errorf("%d bytes in 10 s with shares of 9,000 and 11,000 bytes a second", sent)
	}
}

// What it asked for alone before it was limited is forgotten; what others wait for too stays.
func TestShareOfForgets(t *testing.T) {
	r := NewRepairs(RepairsConfig{})
	for i := range 10 {
		r.NAK(0, addr(1), seq.Num(i), 1500)
		r.NAK(0, addr(2), seq.Num(2*i), 1500)
	}
	r.ParityNAK(0, addr(1), 64, 5, 0, 1500)
	r.ParityNAK(0, addr(1), 128, 5, 0, 1500)
	r.ParityNAK(0, addr(2), 128, 3, 0, 1500)
	r.SetShareOf(0, addr(1), 1)
	if r.Pending() != 10+1 {
		t.Errorf("%d are queued, want the 10 numbers that another asked for, and parity of 1 group", r.Pending())
	}
	for _, n := range r.NCFs(0, nil) {
		if n%2 == 1 && n < 10 {
			t.Errorf("%d is confirmed, and was forgotten", n)
		}
	}
}
