package session

import (
	"testing"

	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// A number far beyond the window takes two packets to be believed: not one that the network doubled, and not two of which each
// says something else.
func TestJumpTakesTwoPackets(t *testing.T) {
	const reach = 64
	spm := func(sqn, lead seq.Num) *wire.Packet { return forgedSPM(sqn, 0, lead) }
	data := func(sqn seq.Num) *wire.Packet { return forgedData(sqn, 0, []byte("x")) }
	for _, c := range []struct {
		name    string
		packets []*wire.Packet
		lead    seq.Num // believed afterwards; 2 is known
	}{
		{"within reach", []*wire.Packet{data(2 + reach)}, 2 + reach},
		{"one data packet", []*wire.Packet{data(3 + reach)}, 2},
		{"one SPM", []*wire.Packet{spm(5, 3+reach)}, 2},
		{"a data packet twice", []*wire.Packet{data(5000), data(5000), data(5000)}, 2},
		{"an SPM twice", []*wire.Packet{spm(5, 5000), spm(5, 5000), spm(5, 5000)}, 2},
		{"two that disagree", []*wire.Packet{data(5000), data(5001 + reach)}, 2},
		{"the second of them lower", []*wire.Packet{data(5000), data(4999 - reach)}, 2},
		{"each elsewhere", []*wire.Packet{data(5000), data(9000), data(1000), spm(5, 7000), spm(6, 1<<30)}, 2},
		{"a good one between", []*wire.Packet{data(5000), data(3), data(5001)}, 3},
		{"half the numbers ahead", []*wire.Packet{data(1<<31 + 2), data(1<<31 + 3)}, 2},
		{"two that agree", []*wire.Packet{data(5000), data(5001)}, 5001},
		{"a data packet and an SPM", []*wire.Packet{data(5000), spm(5, 5000)}, 5000},
		{"two SPMs", []*wire.Packet{spm(5, 5000), spm(6, 5000)}, 5000},
		{"behind the first", []*wire.Packet{data(5000), data(5000 - reach)}, 5000 - reach},
	} {
		ps := forgedPeers(func(c *PeersConfig) { c.MaxWindow = reach })
		ps.Handle(0, forgedMeta, spm(0, seq.Num(0).Add(-1)))
		for i := range seq.Num(3) {
			ps.Handle(0, forgedMeta, data(i))
		}
		r := ps.Accept()
		for i, p := range c.packets {
			if p.Trail = 0; p.Sqn > 3 && p.Type == wire.TypeODATA {
				p.Trail = p.Sqn // as such a source would say; who is not believed may say so too
			}
			if p.Type == wire.TypeSPM && p.Lead > 3 {
				p.Trail = p.Lead
			}
			ps.Handle(1, forgedMeta, p)
			if i < len(c.packets)-1 && r.Stats().Lead > 3 {
				t.Errorf("%s: believed after %d packets", c.name, i+1)
			}
		}
		if got := r.Stats().Lead; got != c.lead {
			t.Errorf("%s: lead %d, want %d", c.name, got, c.lead)
		}
		if st := r.Stats(); c.lead <= 3 && (st.Gaps > 0 || st.Lost > 0 || st.Trail > 3 || st.Refused.Jump == 0) {
			t.Errorf("%s: not believed, but %+v", c.name, st)
		}
	}
}
