package session

import (
	"errors"
	"testing"

	"github.com/rmcast/rmcast/seq"
)

// Unordered delivery hands out a message once, also when its packets come again: before it was read, and after, while
// something before it is still missing.
func TestUnorderedDuplicates(t *testing.T) {
	ps := forgedPeers(func(c *PeersConfig) { c.Unordered = true })
	ps.Handle(0, forgedMeta, forgedSPM(0, 0, seq.Num(0).Add(-1)))
	ps.Handle(0, forgedMeta, forgedData(0, 0, []byte("a")))
	r := ps.Accept()
	long := func() {
		ps.Handle(1, forgedMeta, forgedFragment(3, 3, 0, 2000, 1384))
		ps.Handle(1, forgedMeta, forgedFragment(4, 3, 1384, 2000, 616))
	}
	short := func() { ps.Handle(1, forgedMeta, forgedData(5, 0, []byte("b"))) }
	b := make([]byte, 5000)
	want := func(when string, sizes ...int) {
		t.Helper()
		for _, size := range sizes {
			if n, err := r.ReadMessage(1, b); n != size || err != nil {
				t.Fatalf("%s: a message of %d bytes, %v, want %d", when, n, err, size)
			}
		}
		if n, err := r.ReadMessage(1, b); !errors.Is(err, ErrWouldBlock) {
			t.Fatalf("%s: another message of %d bytes, %v", when, n, err)
		}
	}
	want("at the start", 1)
	long() // 1 and 2 are missing
	long()
	short()
	short()
	long()
	want("each came twice", 2000, 1)
	short()
	long()
	want("each came again after it was read")
	ps.Handle(1, forgedMeta, forgedData(1, 0, []byte("cc")))
	ps.Handle(1, forgedMeta, forgedData(1, 0, []byte("cc")))
	want("one gap closed", 2)
	ps.Handle(1, forgedMeta, forgedData(2, 0, []byte("ddd")))
	long()
	short()
	ps.Handle(1, forgedMeta, forgedData(2, 0, []byte("ddd")))
	want("no gap left", 3)
	if st := r.Stats(); st.Messages != 5 || st.DeliveredBytes != 2007 {
		t.Errorf("%d messages with %d bytes counted, want 5 with 2007", st.Messages, st.DeliveredBytes)
	}
}
