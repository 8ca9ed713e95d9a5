package netem_test

import (
	"encoding/binary"
	"hash/fnv"
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
)

// TestExactLink: the fates of many packets on links with every impairment have these bits on every machine. A change here is a change of
// all simulations: it needs a reason.
func TestExactLink(t *testing.T) {
	for _, c := range []struct {
		words string
		want  uint64
	}{
		{"loss 1% delay 50ms", 0xce58fbe2ae61199a},
		{"loss state 5% 30% 10% 40% 2% delay 20ms 5ms distribution normal", 0xd486375c766fd1f6},
		{"delay 20ms 5ms 50% distribution pareto duplicate 3% rate 33333333 limit 20", 0xe4fa6bf876606984},
		{rich, 0x17f196a295a00327},
	} {
		l := netem.NewLink(must(netem.ParseImpairment(c.words)), 42, 1<<63+7)
		h := fnv.New64a()
		var b []byte
		now := time.Duration(0)
		for i := range 100_000 {
			f := l.Send(now, 40+i*7919%1500)
			now += time.Duration(i) * 104729 % 200_000
			b = binary.LittleEndian.AppendUint64(b[:0], uint64(f.N))
			for _, c := range f.Copy {
				b = binary.LittleEndian.AppendUint64(b, uint64(c.At))
				if c.Corrupt {
					b = append(b, 1)
				}
			}
			h.Write(b)
		}
		if got := h.Sum64(); got != c.want {
			t.Errorf("%s: hash %#x, want %#x; counted %+v", c.words, got, c.want, l.Stats())
		}
	}
}
