package nack

import (
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rmcast/rmcast/mono"
)

// A bucket against one of unbounded fractions: no rounding, whatever the share, the pauses and the debts.
func TestRequesterBucketExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share := rapid.OneOf(rapid.Int64Range(1, 100), rapid.Int64Range(1, 1e10), rapid.Int64Min(1)).Draw(t, "share")
		table := newRequesters(4, share)
		now := mono.Time(rapid.Int64Range(0, 1e18).Draw(t, "start"))
		q := table.get(now, addr(1))
		burst := new(big.Rat).SetInt64(max(1, share/10))
		tokens, last := new(big.Rat).Set(burst), now
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			pause := rapid.OneOf(rapid.Int64Range(0, 10), rapid.Int64Range(0, 200e6), rapid.Int64Range(0, 1e17)).Draw(t, "pause")
			now = now.Add(time.Duration(pause))
			gain := new(big.Rat).Mul(big.NewRat(int64(now.Sub(last)), 1e9), new(big.Rat).SetInt64(share))
			if tokens.Add(tokens, gain); tokens.Cmp(burst) > 0 {
				tokens.Set(burst)
			}
			last = now
			bytes := rapid.IntRange(0, 65000).Draw(t, "bytes")
			want := tokens.Sign() > 0
			if got := table.take(now, q, bytes); got != want {
				t.Fatalf("share %d, tokens %v: got %v, holds %d and %d", share, tokens, got, q.tokens, q.part)
			}
			if want {
				tokens.Sub(tokens, new(big.Rat).SetInt64(int64(bytes)))
			}
		}
	})
}

// A share smaller than a packet, even than a byte in the burst's time, still gives something, and pays it back.
func TestRequesterSmallShare(t *testing.T) {
	table := newRequesters(4, 1)
	q := table.get(0, addr(1))
	if !table.take(0, q, 1500) || table.take(0, q, 1500) {
		t.Error("1 byte a second gives not one packet")
	}
	if at := mono.Time(1499 * time.Second); table.within(at, q) || !table.within(at+1, q) {
		t.Error("a debt of 1499 bytes is not paid in 1499 s")
	}
}
