package flow

import (
	"math/big"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"pgregory.net/rapid"

	"github.com/rmcast/rmcast/mono"
)

// bucket is a Pacer on x/time/rate, which counts tokens in float64.
type bucket struct {
	lim  *rate.Limiter
	rate Rate
	last mono.Time
}

func newBucket(p *Pacer, now mono.Time) *bucket {
	return &bucket{rate.NewLimiter(rate.Limit(float64(p.Rate())/8), p.Burst()), p.Rate(), now}
}

// debt returns in bytes what is owed at now, negative for what is held.
func (b *bucket) debt(now mono.Time) float64 { return -b.lim.TokensAt(wall(now)) }

func (b *bucket) take(now mono.Time, bytes int) {
	b.last = max(now, b.last)
	at := wall(b.last)
	burst := b.lim.Burst()
	if bytes > burst { // ReserveN would refuse
		b.lim.SetBurstAt(at, bytes)
		defer b.lim.SetBurstAt(at, burst)
	}
	b.lim.ReserveN(at, bytes)
}

func (b *bucket) setRate(now mono.Time, p *Pacer) {
	b.last, b.rate = max(now, b.last), p.Rate()
	b.lim.SetLimitAt(wall(b.last), rate.Limit(float64(b.rate)/8))
	b.lim.SetBurstAt(wall(b.last), p.Burst())
}

// Whatever happens to it, a Pacer is open when a limiter of x/time/rate owes no more than Slack, and opens when that has paid its
// debt, but for what a float64 loses.
func TestPacerLikeRateLimiter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genRate().Draw(t, "r")
		now := mono.Time(rapid.Int64Range(0, 1e15).Draw(t, "start"))
		p := NewPacer(r, rapid.IntRange(0, 1e6).Draw(t, "burst"), now)
		b := newBucket(&p, now)
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				r = genRate().Draw(t, "r")
				p.SetRate(now, r)
				b.setRate(now, &p)
			case 1, 2, 3, 4:
				at := now.Add(-time.Duration(max(0, rapid.Int64Range(-1e9, 1e6).Draw(t, "ago"))))
				n := rapid.OneOf(rapid.IntRange(0, MaxRunBytes), rapid.IntRange(0, 1e7)).Draw(t, "bytes")
				p.Take(at, n)
				b.take(at, n)
			case 5:
				now = min(p.OpenAt(now), now.Add(time.Minute))
			default:
				now = now.Add(time.Duration(rapid.OneOf(rapid.Int64Range(0, 1e6), rapid.Int64Range(0, 1e9)).Draw(t, "wait")))
			}
			const byteAt = 8e9 // / rate: ns
			slip := 2 + time.Duration(0.01*byteAt/float64(r))
			debt, slack := b.debt(now), float64(r)/8*Slack.Seconds()
			if open := p.Open(now); open != (debt <= slack) && (debt < slack-0.01 || debt > slack+0.01) {
				t.Fatalf("%v at %v: open %v, the limiter owes %v bytes, slack is %v", r, now, open, debt, slack)
			}
			if p.Open(now) {
				continue
			}
			want := max(now, b.last).Add(time.Duration(debt * byteAt / float64(r)))
			if got := p.OpenAt(now); got.Sub(want).Abs() > slip {
				t.Fatalf("%v at %v: opens at %v, the limiter owes %v bytes until %v", r, now, got, debt, want)
			}
		}
	})
}

// A Pacer against unbounded fractions: a hundred takes and changes of rate, and not a nanosecond is lost.
func TestPacerExact(t *testing.T) {
	rat := func(v int64) *big.Rat { return new(big.Rat).SetInt64(v) }
	rapid.Check(t, func(t *rapid.T) {
		anyRate := rapid.OneOf(genRate(), rapid.Custom(func(t *rapid.T) Rate {
			return Rate(rapid.Int64Range(1, int64(Unlimited)-1).Draw(t, "any rate"))
		}))
		r := anyRate.Draw(t, "r")
		now := mono.Time(rapid.Int64Range(0, 1e17).Draw(t, "start"))
		p := NewPacer(r, rapid.IntRange(0, 1e6).Draw(t, "burst"), now)
		tokens, last := rat(int64(p.Burst())), now
		perByte := func() *big.Rat { return big.NewRat(8e9, int64(r)) } // ns
		settle := func(at mono.Time) {
			if at > last {
				tokens.Add(tokens, new(big.Rat).Quo(rat(int64(at-last)), perByte()))
				last = at
			}
			if burst := rat(int64(p.Burst())); tokens.Cmp(burst) > 0 {
				tokens = burst
			}
		}
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				settle(now)
				r = anyRate.Draw(t, "r")
				p.SetRate(now, r)
			case 1, 2, 3:
				n := rapid.IntRange(0, MaxRunBytes).Draw(t, "bytes")
				settle(now)
				p.Take(now, n)
				tokens.Sub(tokens, rat(int64(n)))
			default:
				now = now.Add(time.Duration(rapid.OneOf(rapid.Int64Range(0, 1e6), rapid.Int64Range(0, 1e12)).Draw(t, "wait")))
			}
			// Debt in ns at now: what is owed at last, less the time since.
			debt := new(big.Rat).Mul(new(big.Rat).Neg(tokens), perByte())
			debt.Sub(debt, rat(int64(now-last)))
			if debt.Cmp(new(big.Rat).SetInt(big.NewInt(1<<62))) > 0 {
				return // more than 146 years
			}
			open := debt.Cmp(rat(int64(Slack))) <= 0
			if got := p.Open(now); got != open {
				t.Fatalf("%v at %v: open %v with a debt of %v ns", r, now, got, debt)
			}
			want := now
			if !open {
				up := new(big.Int).Add(debt.Num(), new(big.Int).Sub(debt.Denom(), big.NewInt(1)))
				want = now.Add(time.Duration(up.Quo(up, debt.Denom()).Int64()))
			}
			if got := p.OpenAt(now); got != want {
				t.Fatalf("%v at %v: opens at %v, want %v", r, now, got, want)
			}
		}
	})
}

// wall returns t as x/time/rate wants it. Only differences count.
func wall(t mono.Time) time.Time { return time.Unix(0, int64(t)) }
