package flow

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/rmcast/rmcast/mono"
	"pgregory.net/rapid"
)

// paced returns a Parity that has seen 20 groups, each of which took fill, and many reports of the same loss.
func paced(c ParityConfig, loss float64, fill time.Duration) *Parity {
	p := NewParity(c)
	pace(p, 0, 20, fill)
	report(p, 100, loss)
	return p
}

// pace sends groups packet by packet, and returns when the next one would follow.
func pace(p *Parity, now mono.Time, groups int, fill time.Duration) mono.Time {
	k := p.cfg.GroupSize
	for range groups * k {
		p.Sent(now, 1)
		now = now.Add(fill / time.Duration(k))
	}
	return now
}

func report(p *Parity, times int, loss float64) {
	for range times {
		p.Loss(loss)
	}
}

// backoffOf is the T of our receivers: 4 round trips for large groups, less for small ones, none for one.
func backoffOf(rtt time.Duration, receivers float64) time.Duration {
	return time.Duration(4 * float64(rtt) * min(receivers-1, 32) / 32)
}

var lossGrid = []float64{0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.3}

// What is planned with groups of 64: "-" for replay at once, "+h" for that and h besides, else h, for receivers that wait, with losses of 0, 0.1, 1, 5, 10, 20, 30 %,
// for 1, 8, 100 and 1000 receivers.
func TestParityPlans(t *testing.T) {
	const us, ms = time.Microsecond, time.Millisecond
	for _, c := range []struct {
		goal      ParityGoal
		fill, rtt time.Duration
		want      string
	}{
		{ParityBalanced, 500 * us, 1 * ms, "- - - - - - - | - - 0 0 0 0 0 | - 0 0 0 0 0 0 | - 0 0 0 0 0 0"},
		{ParityBalanced, 500 * us, 20 * ms, "- - - - - - - | - - 0 0 0 0 0 | - 0 0 0 0 0 0 | - 0 0 0 0 0 0"},
		{ParityBalanced, 500 * us, 100 * ms, "- - - - - - - | - - 0 0 0 0 0 | - 0 0 0 0 0 0 | - 0 0 0 0 0 0"},
		{ParityBalanced, 5 * ms, 1 * ms, "- - - - - - - | - - - 0 0 0 0 | - - 0 0 0 0 0 | - 0 0 0 0 0 0"},
		{ParityBalanced, 5 * ms, 20 * ms, "- - - - - - - | - - - 0 0 0 0 | - - 0 0 0 0 0 | - 0 0 0 0 0 0"},
		{ParityBalanced, 5 * ms, 100 * ms, "- - - - - - - | - - 0 0 0 0 0 | - 0 0 0 0 0 0 | - 0 0 0 0 0 0"},
		{ParityBalanced, 50 * ms, 1 * ms, "- - - - - - - | - - - 0 0 0 0 | - - 0 0 0 0 0 | - 0 0 0 0 0 0"},
		{ParityBalanced, 50 * ms, 20 * ms, "- - - - - - - | - - - 0 0 0 0 | - - 0 0 0 0 0 | - 0 0 0 0 0 0"},
		{ParityBalanced, 50 * ms, 100 * ms, "- - - - - - - | - - - 0 0 0 0 | - - 0 0 0 0 0 | - 0 0 0 0 0 0"},
		{ParityLeastBytes, 500 * us, 1 * ms, "- - - - - - - | - - 0 0 0 0 0 | - 0 0 0 0 0 0 | - 0 0 0 0 0 0"},
		{ParityLeastBytes, 5 * ms, 1 * ms, "- - - - - - - | - - 0 0 0 0 0 | - 0 0 0 0 0 0 | - 0 0 0 0 0 0"},
		{ParityLeastBytes, 50 * ms, 1 * ms, "- - - - - - - | - - 0 0 0 0 0 | - 0 0 0 0 0 0 | - 0 0 0 0 0 0"},
		{ParityLeastDelay, 500 * us, 100 * us, "- - +2 +5 +9 +16 - | - - +2 9 16 11 1 | - +1 4 10 16 13 16 | - 2 4 11 16 13 16"},
		{ParityLeastDelay, 500 * us, 1 * ms, "- +2 +5 +11 +16 - - | - 2 5 11 16 11 0 | - 2 5 11 16 13 16 | - 2 5 11 16 1 11"},
		{ParityLeastDelay, 500 * us, 20 * ms, "- +2 +5 +11 +16 - - | - 2 5 11 16 11 0 | - 2 5 11 16 13 16 | - 2 5 11 16 0 12"},
		{ParityLeastDelay, 500 * us, 100 * ms, "- +2 +5 +11 +16 - - | - 2 5 11 16 11 1 | - 2 5 11 16 13 16 | - 2 5 11 16 0 12"},
		{ParityLeastDelay, 5 * ms, 100 * us, "- - +1 +3 +5 +14 +16 | - - +1 8 14 11 1 | - - - - 15 13 16 | - - - - - 13 16"},
		{ParityLeastDelay, 5 * ms, 1 * ms, "- - +2 +4 +7 +16 - | - - +2 9 16 11 1 | - +1 4 10 16 13 16 | - 2 4 11 16 13 16"},
		{ParityLeastDelay, 5 * ms, 20 * ms, "- +2 +5 +11 +16 - - | - 2 5 11 16 11 0 | - 2 5 11 16 13 16 | - 2 5 11 16 0 12"},
		{ParityLeastDelay, 5 * ms, 100 * ms, "- +2 +5 +11 +16 - - | - 2 5 11 16 11 1 | - 2 5 11 16 13 16 | - 2 5 11 16 0 12"},
		{ParityLeastDelay, 50 * ms, 100 * us, "- - - - - +4 +11 | - - - - - - - | - - - - - - - | - - - - - - -"},
		{ParityLeastDelay, 50 * ms, 1 * ms, "- - - +2 - +7 +15 | - - - - - - - | - - - - - - - | - - - - - - -"},
		{ParityLeastDelay, 50 * ms, 20 * ms, "- - +2 +6 +10 +16 - | - - +2 10 16 11 1 | - 2 5 11 16 13 16 | - 2 5 11 16 13 16"},
		{ParityLeastDelay, 50 * ms, 100 * ms, "- +2 +5 +11 +16 - - | - 2 5 11 16 11 0 | - 2 5 11 16 13 16 | - 2 5 11 16 1 11"},
	} {
		var got []string
		for _, r := range []float64{1, 8, 100, 1000} {
			for _, loss := range lossGrid {
				p := paced(ParityConfig{Goal: c.goal}, loss, c.fill)
				plan := p.Plan(c.rtt, backoffOf(c.rtt, r), r)
				switch {
				case plan.Hold > 0:
					got = append(got, fmt.Sprint(plan.Proactive))
				case plan.Proactive == 0:
					got = append(got, "-")
				default:
					got = append(got, fmt.Sprint("+", plan.Proactive)) // at once, and parity all the same
				}
			}
			got = append(got, "|")
		}
		if s := strings.Join(got[:len(got)-1], " "); s != c.want {
			t.Errorf("goal %v, fill %v, rtt %v:\n got %q\nwant %q", c.goal, c.fill, c.rtt, s, c.want)
		}
	}
}

func TestParityHold(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		cfg  ParityConfig
		fill time.Duration
		want time.Duration
	}{
		{ParityConfig{Goal: ParityLeastBytes}, 64 * ms / 16, 8 * ms},
		{ParityConfig{Goal: ParityLeastBytes, Proactive: 8}, 64 * ms / 16, 8*ms + ms/2},
		{ParityConfig{Goal: ParityLeastBytes, Proactive: 8, Interleave: 4}, 64 * ms / 16, 10 * ms},
		{ParityConfig{Goal: ParityLeastBytes}, 512 * ms, MaxParityHold},
	} {
		if got := paced(c.cfg, 0.1, c.fill).Plan(ms, ms, 100).Hold; got > c.want || got < c.want*97/100 { // coarsely
			t.Errorf("%+v, fill %v: hold %v, want %v", c.cfg, c.fill, got, c.want)
		}
	}
}

// What is near the border stays as it is.
func TestParityHysteresis(t *testing.T) {
	p := paced(ParityConfig{}, 0, 10*time.Millisecond)
	saving := func(loss float64) float64 { return ReplayCost(loss, 8) - ParityCost(64, loss, 8) }
	waits := func() bool { return p.Plan(time.Millisecond, time.Millisecond, 8).Hold > 0 }
	enter, leave := 0.0, 0.0
	for loss := 0.0; loss < 0.1 && enter == 0; loss += 0.001 {
		report(p, 200, loss)
		if waits() {
			enter = loss
		}
	}
	for loss := enter; loss > 0 && leave == 0; loss -= 0.001 {
		report(p, 200, loss)
		if !waits() {
			leave = loss
		}
	}
	if s := saving(enter); s < 0.12 || s > 0.135 {
		t.Errorf("waits from a saving of %v on, want 1/8", s)
	}
	if s := saving(leave); s < 0.085 || s > 0.097 {
		t.Errorf("waits down to a saving of %v, want 3/32", s)
	}
}

// A thousand receivers with the same loss, each of which counted its last 500 packets: the estimate stays close, a little above.
func TestParityNoisyReports(t *testing.T) {
	rng := rand.New(rand.NewPCG(1000, 500))
	for _, loss := range []float64{0.005, 0.01, 0.05, 0.1, 0.3} {
		p := NewParity(ParityConfig{})
		sum, most, least := 0.0, 0.0, 1.0
		const reports = 2000
		for i := range reports + 100 {
			p.Loss(someLoss(rng, 500, loss))
			if i >= 100 {
				sum += p.Estimate()
				most, least = max(most, p.Estimate()), min(least, p.Estimate())
			}
		}
		sigma := math.Sqrt(loss * (1 - loss) / 500)
		if mean := sum / reports; mean < loss || mean > loss+0.6*sigma {
			t.Errorf("loss %v: %v on average, which is %.2f sigma above", loss, mean, (mean-loss)/sigma)
		}
		t.Logf("loss %v: %.2f sigma above", loss, (sum/reports-loss)/sigma)
		if least < loss-sigma || most > loss+2*sigma {
			t.Errorf("loss %v ± %v: from %v to %v", loss, sigma, least, most)
		}
	}
}

// someLoss is what a receiver counts in so many packets.
func someLoss(rng *rand.Rand, packets int, loss float64) float64 {
	lost := 0
	for range packets {
		if rng.Float64() < loss {
			lost++
		}
	}
	return float64(lost) / float64(packets)
}

// One bad receiver among many counts for little while it reports as they do, and for all when most reports are its own.
func TestParityBadReceiver(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1000))
	for _, c := range []struct{ share, least, mean, most float64 }{
		{0.001, 0.01, 0.014, 0.03}, {0.02, 0.01, 0.016, 0.15}, {0.9, 0.27, 0.31, 0.35},
	} {
		p := NewParity(ParityConfig{})
		sum, most := 0.0, 0.0
		const reports = 3000
		for i := range reports + 50 {
			loss := 0.01
			if rng.Float64() < c.share {
				loss = 0.3
			}
			p.Loss(someLoss(rng, 500, loss))
			if i >= 50 {
				sum += p.Estimate()
				most = max(most, p.Estimate())
			}
		}
		if mean := sum / reports; mean < c.least || mean > c.mean || most > c.most {
			t.Errorf("%v of the reports are bad: %v on average, at most %v", c.share, mean, most)
		}
	}
}

func TestParityEstimate(t *testing.T) {
	p := NewParity(ParityConfig{})
	for i, want := range []float64{0.02, 0.06, 0.12, 0.165} {
		if p.Loss(0.3); math.Abs(p.Estimate()-want) > 1e-12 {
			t.Fatalf("after %d reports of 30 %%: %v, want %v", i+1, p.Estimate(), want)
		}
	}
	report(p, 30, 0.3)
	full := p.Estimate()
	p.Loss(1) // one forgery
	if p.Estimate() > 0.3 {
		t.Errorf("one report of 100 %% made it %v", p.Estimate())
	}
	p.Loss(math.NaN())
	report(p, 3, 0)
	if got := p.Estimate() / full; got > 0.9 || got < 0.8 { // the median lags by one
		t.Errorf("three reports of 0 left %v of it", got)
	}

	p = paced(ParityConfig{}, 0.3, 10*time.Millisecond)
	full = p.Estimate()
	pace(p, p.last.Add(time.Millisecond), silentGroups*11, 10*time.Millisecond)
	if got := p.Estimate() / full; math.Abs(got-0.49) > 0.01 { // (15/16)^11
		t.Errorf("11 silences left %v of it", got)
	}
}

func TestParityFill(t *testing.T) {
	const ms = time.Millisecond
	near := func(what string, got, want time.Duration) {
		t.Helper()
		if got < want*95/100 || got > want*105/100 {
			t.Errorf("%s: fill %v, want %v", what, got, want)
		}
	}
	p := NewParity(ParityConfig{})
	if p.Fill() != 0 {
		t.Error("fill is known from the beginning")
	}
	now := pace(p, 0, 10, 16*ms)
	near("even", p.Fill(), 16*ms)
	now = pace(p, now.Add(time.Hour), 20, 16*ms)
	near("after a pause", p.Fill(), 16*ms)
	now = pace(p, now, 30, ms)
	near("faster", p.Fill(), ms*108/100) // some memory of before
	for range 100 {                      // in batches, however they are told
		for range 16 {
			p.Sent(now, 2)
		}
		now = now.Add(5 * ms)
	}
	near("batches", p.Fill(), 10*ms)
	p.Sent(now-1000, 5)
	p.Sent(math.MinInt64, 5)
	p.Sent(mono.Never, math.MaxInt)
	p.Sent(now, -5)
	near("clocks that jump", p.Fill(), 10*ms)
}

// Ten messages a second, each by itself, have no groups to wait for. Bursts of 16 have groups of 16.
func TestParitySlowSource(t *testing.T) {
	const ms = time.Millisecond
	for _, goal := range []ParityGoal{ParityBalanced, ParityLeastBytes, ParityLeastDelay} {
		p := NewParity(ParityConfig{Goal: goal})
		for i := range 100 {
			p.Sent(mono.Time(i)*mono.Time(100*ms), 1)
			p.Loss(0.1)
		}
		if got := p.Plan(ms, 4*ms, 100); got != (ParityPlan{}) {
			t.Errorf("goal %v: %+v for single messages", goal, got)
		}
	}
	p := NewParity(ParityConfig{Goal: ParityLeastBytes})
	now := mono.Time(0)
	for range 100 {
		for range 16 {
			p.Sent(now, 1)
			now = now.Add(ms / 8)
		}
		now = now.Add(100 * ms)
		p.Loss(0.1)
	}
	if p.group() != 16 || p.Fill() < 79*ms/10 || p.Fill() > 8*ms {
		t.Errorf("groups of %d, %v for 64", p.group(), p.Fill())
	}
	if got := p.Plan(ms, 4*ms, 100).Hold; got < 20*ms || got > 30*ms { // 12 + 2 + 10
		t.Errorf("hold %v", got)
	}
}

// At 40 Mbit/s a group of packets takes 18 ms. At 1 % that is too long for what a few receivers save.
func TestParityBalancedSlowGroups(t *testing.T) {
	for _, r := range []float64{1, 2, 8, 12} {
		p := paced(ParityConfig{}, 0.01, 18*time.Millisecond)
		if got := p.Plan(time.Millisecond, backoffOf(time.Millisecond, r), r); got != (ParityPlan{}) {
			t.Errorf("%v receivers: %+v", r, got)
		}
	}
}

func genAnyTime() *rapid.Generator[time.Duration] {
	return rapid.OneOf(rapid.Map(rapid.Int64(), func(v int64) time.Duration { return time.Duration(v) }),
		rapid.Map(rapid.Int64Range(0, int64(time.Second)), func(v int64) time.Duration { return time.Duration(v) }))
}

// Whatever is told in which order, plans keep to their bounds and the same question gets the same answer.
func TestParityProperty(t *testing.T) { rapid.Check(t, parityKeepsBounds) }

func FuzzParity(f *testing.F) { f.Fuzz(rapid.MakeFuzz(parityKeepsBounds)) }

func parityKeepsBounds(t *rapid.T) {
	cfg := ParityConfig{
		GroupSize: rapid.OneOf(rapid.Int(), rapid.IntRange(0, 130)).Draw(t, "k"), Goal: ParityGoal(rapid.IntRange(0, 3).Draw(t, "goal")),
		Within: genAnyFloat().Draw(t, "within"), Proactive: rapid.OneOf(rapid.Int(), rapid.IntRange(0, 20), rapid.Just(0)).Draw(t, "proactive"),
		Interleave: rapid.OneOf(rapid.Int(), rapid.IntRange(0, 20)).Draw(t, "interleave"),
	}
	p := NewParity(cfg)
	c := p.cfg
	if c.GroupSize < 2 || c.GroupSize > 128 || c.Proactive < 0 || c.Proactive+c.GroupSize > 255 || !(c.Within >= 0 && c.Within <= 1) {
		t.Fatalf("%+v became %+v", cfg, c)
	}
	most := max(c.Proactive, min(int(c.Within*float64(c.GroupSize)), 255-c.GroupSize))
	now := mono.Time(rapid.Int64().Draw(t, "start"))
	for range rapid.IntRange(1, 20).Draw(t, "steps") {
		switch rapid.IntRange(0, 3).Draw(t, "step") {
		case 0:
			now = now.Add(genAnyTime().Draw(t, "later"))
			p.Sent(now, rapid.OneOf(rapid.Int(), rapid.IntRange(0, 100)).Draw(t, "packets"))
		case 1:
			p.Loss(genAnyFloat().Draw(t, "loss"))
		case 2:
			report(p, 10, rapid.Float64Range(0, 0.4).Draw(t, "losses"))
			gap := time.Duration(rapid.IntRange(0, 2e6).Draw(t, "gap"))
			for range 2 * c.GroupSize {
				now = now.Add(gap)
				p.Sent(now, 1)
			}
		}
		grtt, backoff, r := genAnyTime().Draw(t, "grtt"), genAnyTime().Draw(t, "backoff"), genAnyFloat().Draw(t, "receivers")
		plan := p.Plan(grtt, backoff, r)
		if plan.Proactive < c.Proactive || plan.Proactive > most || plan.Hold < 0 || plan.Hold > MaxParityHold {
			t.Fatalf("%+v: plan %+v, at most %d", c, plan, most)
		}
		if c.Goal != ParityLeastDelay && plan.Proactive != c.Proactive {
			t.Fatalf("%+v: plan %+v", c, plan)
		}
		if plan.Hold > 0 && (p.Fill() == 0 || !(r >= 1.9) && plan.Proactive == 0) { // 1.97 counts as 2
			t.Fatalf("%+v: plan %+v for %v receivers, fill %v", c, plan, r, p.Fill())
		}
		if again := p.Plan(grtt, backoff, r); again != plan {
			t.Fatalf("%+v, then %+v", plan, again)
		}
		if e := p.Estimate(); !(e >= 0 && e <= 1) {
			t.Fatalf("estimate %v", e)
		}
		if f := p.Fill(); f < 0 || f > time.Duration(c.GroupSize)*ParityIdle {
			t.Fatalf("fill %v", f)
		}
	}
}

func TestParityAllocs(t *testing.T) {
	p := paced(ParityConfig{Goal: ParityLeastDelay}, 0.1, 5*time.Millisecond)
	i := 0
	if n := testing.AllocsPerRun(100, func() {
		i++
		p.Sent(mono.Time(i)*1e9, 1)
		p.Loss(0.1)
		p.Plan(time.Duration(i)*time.Millisecond, time.Millisecond, 100)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParityPlan(b *testing.B) {
	for _, changed := range []bool{false, true} {
		b.Run(fmt.Sprintf("changed=%v", changed), func(b *testing.B) {
			p := paced(ParityConfig{Goal: ParityLeastDelay}, 0.1, 5*time.Millisecond)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				rtt := time.Millisecond
				if changed {
					rtt *= time.Duration(1 + i%2)
				}
				p.Plan(rtt, 4*time.Millisecond, 100)
			}
		})
	}
}

// For the least delay more is sent than was asked for, so that a second round is rare: as losses have it, and bounded.
func TestParityAnswer(t *testing.T) {
	for _, c := range []struct {
		goal ParityGoal
		loss float64
		want string // for needs of 0, 1, 2, 4, 8, 16 and 32
	}{
		{ParityBalanced, 0.3, "0 1 2 4 8 16 32"},
		{ParityLeastBytes, 0.3, "0 1 2 4 8 16 32"},
		{ParityLeastDelay, 0, "0 1 2 4 8 16 32"},
		{ParityLeastDelay, 0.01, "0 1 2 4 8 17 33"},
		{ParityLeastDelay, 0.1, "0 2 3 5 10 20 39"},
		{ParityLeastDelay, 0.3, "0 2 4 8 15 28 48"},
		{ParityLeastDelay, 1, "0 2 4 8 16 32 48"},
	} {
		p := paced(ParityConfig{Goal: c.goal}, c.loss, 50*time.Millisecond)
		var got []string
		for _, need := range []int{0, 1, 2, 4, 8, 16, 32} {
			got = append(got, fmt.Sprint(p.Answer(need)))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("goal %v, loss %v: %s, want %s", c.goal, c.loss, s, c.want)
		}
	}
}
