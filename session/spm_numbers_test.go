package session

import (
	"testing"

	"github.com/rmcast/rmcast/seq"
)

// SPM_SQN wraps, too: OpenPGM and other sources may begin anywhere.
func TestSPMNumbersWrap(t *testing.T) {
	ps := forgedPeers(nil)
	first := seq.Num(0).Add(-3)
	ps.Handle(0, forgedMeta, forgedSPM(first, 0, seq.Num(0).Add(-1)))
	ps.Handle(0, forgedMeta, forgedData(0, 0, []byte("a")))
	r := ps.Accept()
	for i := 1; i <= 6; i++ { // over the wrap at 3; each tells one number more
		ps.Handle(1, forgedMeta, forgedSPM(first.Add(i), 0, seq.Num(i)))
		if st := r.Stats(); st.Lead != seq.Num(i) || st.Refused.Stale != 0 {
			t.Fatalf("after SPM %d: lead %d, want %d; %d refused as stale", first.Add(i), st.Lead, i, st.Refused.Stale)
		}
	}
	before := r.Stats()
	for i := 5; i >= 0; i-- { // late ones, from both sides of the wrap
		p := forgedSPM(first.Add(i), 0, 100)
		ps.Handle(1, forgedMeta, p)
	}
	if st := r.Stats(); st.Lead != before.Lead || st.SPMs != before.SPMs || st.Refused.Stale != 6 {
		t.Errorf("after six late SPMs: lead %d, want %d; %d taken; %d refused as stale, want 6", st.Lead, before.Lead, st.SPMs-before.SPMs, st.Refused.Stale)
	}
}
