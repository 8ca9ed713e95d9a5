package session

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// A NAK or NCF that another receiver caused speaks for the numbers that it names and for no other: what else we miss, we ask
// for in our own time (RFC 3208, 6.3).
func TestListsSpeakForWhatTheyName(t *testing.T) {
	const count = 20 // numbers of the source
	missing := []int{3, 4, 5, 6, 7, 10, 11, 15}
	for _, first := range []seq.Num{0, seq.Num(0).Add(-5), seq.Num(0).Add(-11)} {
		for _, named := range [][]int{
			{3}, {5}, {7}, {11}, {15}, {3, 4, 5, 6, 7}, // as much as ours or less
			{3, 7}, {3, 15}, {4, 10}, {5, 6, 11}, {2, 5, 8}, // with ours between
			{2}, {8}, {9}, {2, 8}, {0, 19}, {12, 13, 14}, // not ours
			missing,
		} {
			for _, typ := range []wire.Type{wire.TypeNAK, wire.TypeNCF} {
				t.Run(fmt.Sprintf("%v of %v from %d", typ, named, first), func(t *testing.T) {
					numbers := func(of []int) (nums []seq.Num) {
						for _, i := range of {
							nums = append(nums, first.Add(i))
						}
						return nums
					}
					ps := forgedPeers(func(c *PeersConfig) {
						c.NAKBackoff, c.NAKRepeat, c.NAKData = 5*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
					})
					ps.Handle(0, forgedMeta, forgedSPM(0, first, first.Add(-1)))
					for i := range count {
						if !slices.Contains(missing, i) {
							ps.Handle(0, forgedMeta, forgedData(first.Add(i), first, []byte{byte(i)}))
						}
					}
					heard := forged(typ, 0)
					if typ == wire.TypeNAK {
						heard.SourcePort, heard.DestinationPort = testPort, 1000
					}
					setNumbers(heard, numbers(named))
					ps.Handle(1, forgedMeta, heard)

					var want []int
					for _, i := range missing {
						if !slices.Contains(named, i) {
							want = append(want, i)
						}
					}
					if got := asked(t, ps, mono.Time(40*time.Millisecond)); !slices.Equal(got, numbers(want)) {
						t.Errorf("asked for %d, want %d", got, numbers(want))
					}
					// Nothing came of either: now all are ours to ask for.
					if got := slices.Compact(asked(t, ps, mono.Time(120*time.Millisecond))); !slices.Equal(got, numbers(missing)) {
						t.Errorf("without data we ask for %d in the end, want %d", got, numbers(missing))
					}
				})
			}
		}
	}
}
