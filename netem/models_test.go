package netem_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
)

// batches is how many independent Links (of one seed, by stream) an estimate is made from: enough that the scatter between them says
// how far their mean may be off.
const batches = 64

// batchPackets is the length of a batch; all periods that are tested divide it. The race detector has nothing to find in here.
func batchPackets() int {
	if raced {
		return 1020
	}
	return 8040
}

// wantRatio fails if the ratio of two sums over batches is further than 5 standard errors from want; and if these are more than a tenth
// of it, because then it would have shown nothing.
func wantRatio(t *testing.T, what string, want float64, batch func(stream uint64) (of, per float64)) {
	t.Helper()
	var of, per [batches]float64
	var sumOf, sumPer float64
	for i := range batches {
		of[i], per[i] = batch(uint64(i))
		sumOf += of[i]
		sumPer += per[i]
	}
	got, square := sumOf/sumPer, 0.0
	for i := range batches {
		d := of[i] - got*per[i]
		square += d * d
	}
	dev := 5 * math.Sqrt(square*batches/(batches-1)) / sumPer
	switch {
	case math.Abs(got-want) > dev+1e-12:
		t.Errorf("%s: %.6g, want %.6g ± %.2g", what, got, want, dev)
	case dev > 0.1*math.Abs(want) && !raced:
		t.Errorf("%s: the bound %.2g says nothing about %.6g", what, dev, want)
	}
}

// sent sends packets of 100 bytes, a microsecond apart, and returns what became of them.
func sent(imp netem.Impairment, stream uint64, n int) []netem.Fate {
	l := netem.NewLink(imp, 7, stream)
	f := make([]netem.Fate, n)
	for i := range f {
		f[i] = l.Send(time.Duration(i)*time.Microsecond, 100)
	}
	return f
}

// pairs returns the share of packets i with a property that i+lag has too, for wantRatio.
func pairs(imp netem.Impairment, lag int, has func(netem.Fate) bool) func(stream uint64) (of, per float64) {
	return func(stream uint64) (of, per float64) {
		f := sent(imp, stream, batchPackets())
		for i := range len(f) - lag {
			if has(f[i]) && has(f[i+lag]) {
				of++
			}
		}
		return of, float64(len(f) - lag)
	}
}

func isLost(f netem.Fate) bool { return f.N == 0 }

func TestGilbertElliott(t *testing.T) {
	for _, g := range []netem.GilbertElliott{
		{P: 0.05, R: 0.3, H1: 1},
		{P: 0.1, R: 0.1, H1: 0.7, K1: 0.1},
		{P: 0.5, R: 0.9, H1: 0.9, K1: 0.2}, // changes more often than by chance
		{P: 0.2, R: 0.8, H1: 1},            // tc's Bernoulli
		{P: 1, R: 1, H1: 0.9, K1: 0.4},
	} {
		t.Run(fmt.Sprint(netem.Impairment{GE: &g}), func(t *testing.T) {
			imp := netem.Impairment{GE: &g}
			bad := g.P / (g.P + g.R)
			mean := bad*g.H1 + (1-bad)*g.K1
			if got := imp.MeanLoss(); math.Abs(got-mean) > 1e-12 {
				t.Errorf("MeanLoss is %v, want %v", got, mean)
			}
			wantRatio(t, "loss", mean, pairs(imp, 0, isLost))
			for _, lag := range []int{1, 2, 5} {
				// The state has the autocorrelation (1-P-R)^lag.
				both := mean*mean + (g.H1-g.K1)*(g.H1-g.K1)*bad*(1-bad)*math.Pow(1-g.P-g.R, float64(lag))
				wantRatio(t, fmt.Sprintf("pairs of losses %d apart", lag), both, pairs(imp, lag, isLost))
			}
			if g.H1 == 1 && g.K1 == 0 {
				wantRatio(t, "mean burst", 1/g.R, func(stream uint64) (losses, ends float64) {
					f := sent(imp, stream, batchPackets())
					for i := range len(f) - 1 {
						if f[i].N == 0 {
							losses++
							if f[i+1].N == 1 {
								ends++
							}
						}
					}
					return losses, ends
				})
			}
		})
	}
}

// matrix returns the transition probabilities of the four states and, by following them for long, how often each is met.
func matrix(m netem.Markov4) (p [4][4]float64, met [4]float64) {
	p = [4][4]float64{
		{1 - m.P13 - m.P14, 0, m.P13, m.P14},
		{0, 1 - m.P23, m.P23, 0},
		{m.P31, m.P32, 1 - m.P31 - m.P32, 0},
		{1, 0, 0, 0},
	}
	// Halved steps have the same limit and no period.
	met[0] = 1
	for range 200_000 {
		var next [4]float64
		for i := range p {
			for j := range p {
				next[j] += met[i] * p[i][j] / 2
			}
			next[i] += met[i] / 2
		}
		met = next
	}
	return p, met
}

func TestMarkov4(t *testing.T) {
	for _, m := range []netem.Markov4{
		{P13: 0.05, P31: 0.3, P32: 0.1, P23: 0.4, P14: 0.02},
		{P13: 0.3, P31: 0.7, P23: 1}, // tc's Bernoulli
		{P13: 0.1, P31: 0.4},
		{P14: 0.2},
		{P14: 1}, // every second
		{P13: 0.5, P14: 0.5, P31: 0.5, P32: 0.5, P23: 1},
		{P13: 0.1, P32: 0.5, P23: 0.5}, // a burst without end
		{P13: 0.1},                     // and one in which all is lost
	} {
		t.Run(fmt.Sprint(netem.Impairment{Markov: &m}), func(t *testing.T) {
			imp := netem.Impairment{Markov: &m}
			p, met := matrix(m)
			mean := met[2] + met[3]
			if got := imp.MeanLoss(); math.Abs(got-mean) > 1e-9 {
				t.Errorf("MeanLoss is %v, want %v", got, mean)
			}
			wantRatio(t, "loss", mean, pairs(imp, 0, isLost))
			both := met[2]*(p[2][2]+p[2][3]) + met[3]*(p[3][2]+p[3][3])
			wantRatio(t, "two losses", both, pairs(imp, 1, isLost))
		})
	}
	lost := netem.Impairment{Markov: &netem.Markov4{P13: 0.1, P32: 0.1}} // ends in the good state 2 for ever
	if got := lost.MeanLoss(); got != 0 {
		t.Errorf("MeanLoss of a burst of good packets without end is %v", got)
	}
}

// TestLossFromTheFirstPacket: a model begins as it goes on, so that short runs on many links have the loss that was asked for.
func TestLossFromTheFirstPacket(t *testing.T) {
	const links = 40_000
	for _, words := range []string{
		"loss 10%", "loss 10% 90%", "loss gemodel 1% 10%", "loss gemodel 5% 5% 90% 10%", "loss state 5% 30% 10% 40% 2%", "loss every 7",
		"loss 2% 50% loss gemodel 1% 10% loss every 20",
	} {
		m := must(netem.Compile(must(netem.ParseImpairment(words))))
		var lost [3]uint64
		for i := range links {
			l := m.Link(3, uint64(i))
			for n := range lost {
				if l.Send(0, 100).N == 0 {
					lost[n]++
				}
			}
		}
		for n := range lost {
			wantShare(t, fmt.Sprintf("%s: packet %d", words, n), lost[n], links, m.Impairment().MeanLoss())
		}
	}
}

// TestCorrelationFromTheFirstPacket: what the first packet's numbers may repeat is a random number too.
func TestCorrelationFromTheFirstPacket(t *testing.T) {
	const links = 20_000
	m := must(netem.Compile(must(netem.ParseImpairment("delay 1s 1ms 90% duplicate 20% 90% corrupt 20% 90% reorder 20% 90%"))))
	var corrupt, twice, early, late uint64
	for i := range links {
		l := m.Link(4, uint64(i))
		f := l.Send(0, 100)
		if f.Copy[0].Corrupt {
			corrupt++
		}
		if f.N == 2 {
			twice++
		}
		switch at := f.Copy[0].At; {
		case at == 0:
			early++
		case at > time.Second:
			late++
		}
	}
	wantShare(t, "corrupt", corrupt, links, 0.2)
	wantShare(t, "duplicated", twice, links, 0.2)
	wantShare(t, "reordered", early, links, 0.2)
	wantShare(t, "later than the mean", late, links, 0.8*0.5)
}

func TestLossEveryIsExact(t *testing.T) {
	for _, every := range []int{1, 2, 4, 100, 1<<31 - 1} {
		phases := make([]uint64, min(every, 4))
		for stream := range uint64(2000) {
			n := min(3*every, 300)
			var at []int
			for i, f := range sent(netem.Impairment{Every: every, Duplicate: 0.5}, stream, n) {
				if f.N == 0 {
					at = append(at, i)
				}
			}
			if every > n {
				if len(at) > 1 {
					t.Fatalf("1 of %d: lost %v", every, at)
				}
				continue
			}
			if len(at) != n/every {
				t.Fatalf("1 of %d: lost %v of %d", every, at, n)
			}
			for k, i := range at {
				if i != at[0]+k*every || at[0] >= every {
					t.Fatalf("1 of %d: lost %v", every, at)
				}
			}
			phases[at[0]*len(phases)/every]++
		}
		if every < 1000 {
			for i, n := range phases {
				wantShare(t, fmt.Sprintf("1 of %d: begins in part %d", every, i), n, 2000, 1/float64(len(phases)))
			}
		}
	}
}

// TestCorrelation: the share is what it would be without, and the autocorrelation is c, c², …
func TestCorrelation(t *testing.T) {
	const p, c = 0.2, 0.6
	for _, x := range []struct {
		name string
		imp  netem.Impairment
		has  func(netem.Fate) bool
	}{
		{"loss", netem.Impairment{Loss: p, LossCorrelation: c}, isLost},
		{"duplicate", netem.Impairment{Duplicate: p, DuplicateCorrelation: c}, func(f netem.Fate) bool { return f.N == 2 }},
		{"corrupt", netem.Impairment{Corrupt: p, CorruptCorrelation: c}, func(f netem.Fate) bool { return f.Copy[0].Corrupt }},
		{
			"reorder", netem.Impairment{Reorder: p, ReorderCorrelation: c, Delay: time.Hour},
			func(f netem.Fate) bool { return f.Copy[0].At < time.Hour },
		},
	} {
		for lag := range 4 {
			want := p*p + p*(1-p)*math.Pow(c, float64(lag))
			wantRatio(t, fmt.Sprintf("%s and again %d later", x.name, lag), want, pairs(x.imp, lag, x.has))
		}
		// Loss and another thing at once do not know each other.
		x.imp.Loss, x.imp.LossCorrelation = p, c
		want := p * (1 - p)
		if x.name == "duplicate" { // and neither copy is lost
			want = p * (1 - p) * (1 - p)
		}
		if x.name != "loss" {
			wantRatio(t, x.name+" without loss", want, pairs(x.imp, 0, func(f netem.Fate) bool { return f.N > 0 && x.has(f) }))
		}
	}
	for _, d := range []netem.Distribution{netem.Uniform, netem.Normal} {
		const delay, jitter = 10 * time.Second, time.Second
		variance := map[netem.Distribution]float64{netem.Uniform: 1. / 3, netem.Normal: 1}[d]
		imp := netem.Impairment{Delay: delay, Jitter: jitter, DelayCorrelation: c, Distribution: d}
		for lag := range 4 {
			wantRatio(t, fmt.Sprintf("%v delays %d apart", d, lag), variance*math.Pow(c, float64(lag)), func(stream uint64) (of, per float64) {
				f := sent(imp, stream, batchPackets())
				x := func(i int) float64 {
					return (f[i].Copy[0].At - time.Duration(i)*time.Microsecond - delay).Seconds()
				}
				for i := range len(f) - lag {
					of += x(i) * x(i+lag)
				}
				return of, float64(len(f) - lag)
			})
		}
	}
}

// quantile is the inverse distribution function of a Distribution, in jitters.
func quantile(d netem.Distribution, u float64) float64 {
	normal := max(-4, min(4, math.Sqrt2*math.Erfinv(2*u-1)))
	pareto := min(4, 4./3*(math.Pow(1-u, -1./3)-1.5))
	switch d {
	case netem.Normal:
		return normal
	case netem.Pareto:
		return pareto
	case netem.ParetoNormal:
		return normal/4 + pareto*3/4
	}
	return 2*u - 1
}

func TestDistributionQuantiles(t *testing.T) {
	const n = 100_000
	const delay, jitter = 10 * time.Second, time.Second
	for d := netem.Uniform; d <= netem.ParetoNormal; d++ {
		f := sent(netem.Impairment{Delay: delay, Jitter: jitter, Distribution: d}, 0, n)
		least, most := time.Hour, time.Duration(0)
		x := make([]time.Duration, n)
		sum := 0.0
		for i := range f {
			x[i] = f[i].Copy[0].At - time.Duration(i)*time.Microsecond
			least, most = min(least, x[i]), max(most, x[i])
			sum += (x[i] - delay).Seconds()
		}
		for _, u := range []float64{0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.9, 0.98} {
			at := delay + time.Duration(quantile(d, u)*float64(jitter))
			below := uint64(0)
			for _, x := range x {
				if x <= at {
					below++
				}
			}
			wantShare(t, fmt.Sprintf("%v: below quantile %v", d, u), below, n, u)
		}
		low, high := delay+time.Duration(quantile(d, 0)*float64(jitter))-1, delay+time.Duration(quantile(d, 1)*float64(jitter))+1
		if least < low || most > high {
			t.Errorf("%v: from %v to %v, want within %v and %v", d, least, most, low, high)
		}
		// The mean and variance of the quantile function, by a fine sum.
		mean, square := 0.0, 0.0
		const fine = 1 << 16
		for i := range fine {
			q := quantile(d, (float64(i)+0.5)/fine)
			mean += q / fine
			square += q * q / fine
		}
		if dev := 5 * math.Sqrt((square-mean*mean)/n); math.Abs(sum/n-mean) > dev {
			t.Errorf("%v: mean %.4f, want %.4f ± %.4f", d, sum/n, mean, dev)
		}
	}
}

// TestReorderGap: from one that skips the delay to the next there are Gap-1 packets, and then as many as a probability asks for.
func TestReorderGap(t *testing.T) {
	early := func(f netem.Fate) bool { return f.N > 0 && f.Copy[0].At < time.Hour }
	for gap := range 6 {
		for _, p := range []float64{0.1, 0.5, 1} {
			imp := netem.Impairment{Reorder: p, Gap: gap, Delay: time.Hour}
			wantRatio(t, fmt.Sprint(imp), 1/(float64(max(gap, 1)-1)+1/p), pairs(imp, 0, early))
			last := -1
			for i, f := range sent(imp, 1, 1000) {
				if !early(f) {
					continue
				}
				if d := i - last; d < gap || p == 1 && d != max(gap, 1) {
					t.Fatalf("%v: packet %d after %d", imp, i, last)
				}
				last = i
			}
		}
	}
}

// TestDuplicates: the copies have the same model's state and else draws of their own.
func TestDuplicates(t *testing.T) {
	const n, p = 50_000, 0.3
	count := func(imp netem.Impairment, has func(netem.Fate) bool) (k uint64) {
		imp.Duplicate = 1
		for _, f := range sent(imp, 2, n) {
			if has(f) {
				k++
			}
		}
		return k
	}
	arrive := func(n int) func(netem.Fate) bool { return func(f netem.Fate) bool { return f.N == n } }
	for _, c := range []float64{0, 0.5} {
		imp := netem.Impairment{Loss: p, LossCorrelation: c, Duplicate: 1}
		for k, want := range []float64{p * p, 2 * p * (1 - p), (1 - p) * (1 - p)} {
			wantRatio(t, fmt.Sprintf("%v: %d copies", imp, k), want, pairs(imp, 0, arrive(k)))
		}
	}
	for _, words := range []string{"loss gemodel 10% 30%", "loss state 10% 30% 10% 20% 1%", "loss every 3"} {
		imp := must(netem.ParseImpairment(words))
		if got := count(imp, arrive(1)); got != 0 {
			t.Errorf("%s: %d packets arrive once", words, got)
		}
	}
	ge := netem.Impairment{GE: &netem.GilbertElliott{P: 0.5, R: 0.5, H1: p}} // half of the time p
	wantShare(t, "one copy in the bad state", count(ge, arrive(1)), n, p*(1-p))
	corrupt := netem.Impairment{Corrupt: p, CorruptCorrelation: 0.5}
	wantShare(t, "second corrupt", count(corrupt, func(f netem.Fate) bool { return f.Copy[1].Corrupt }), n, p)
	reorder := netem.Impairment{Reorder: p, Delay: time.Hour}
	wantShare(t, "second early", count(reorder, func(f netem.Fate) bool { return f.Copy[1].At < time.Hour }), n, p)
	for i, f := range sent(netem.Impairment{Reorder: 1, Gap: 3, Delay: time.Hour, Duplicate: 1}, 2, 300) {
		if early := f.Copy[1].At < time.Hour; early != (i%3 == 2) || early != (f.Copy[0].At < time.Hour) {
			t.Errorf("packet %d of a gap of 3: %+v", i, f)
		}
	}
	jitter := netem.Impairment{Delay: time.Hour, Jitter: time.Second}
	wantShare(t, "second first", count(jitter, func(f netem.Fate) bool { return f.Copy[1].At < f.Copy[0].At }), n, 0.5)
}
