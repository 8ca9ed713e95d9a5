package netem_test

import (
	"math"
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
	"pgregory.net/rapid"
)

// probabilities are such as people write, and any.
func probabilities() *rapid.Generator[float64] {
	return rapid.OneOf(
		rapid.Just(0.0), rapid.Just(1.0), rapid.Float64Range(0, 1),
		rapid.Map(rapid.IntRange(0, 1000), func(n int) float64 { return float64(n) / 1000 }),
		rapid.SampledFrom([]float64{math.SmallestNonzeroFloat64, 1e-10, 0.1 + 0.2, 1 - 1e-16, math.Copysign(0, -1)}),
	)
}

// times are from 0 to most, round ones and any.
func times(most time.Duration) *rapid.Generator[time.Duration] {
	return rapid.Custom(func(t *rapid.T) time.Duration {
		unit := rapid.SampledFrom([]time.Duration{1, time.Microsecond, time.Millisecond, time.Second}).Draw(t, "unit")
		return unit * time.Duration(rapid.Int64Range(0, min(int64(most/unit), 2000)).Draw(t, "n"))
	})
}

// impairments are valid ones, of which each setting is there about every second time.
func impairments() *rapid.Generator[netem.Impairment] {
	return rapid.Custom(func(t *rapid.T) (i netem.Impairment) {
		p := probabilities()
		some := func(what string) bool { return rapid.Bool().Draw(t, what) }
		if some("loss") {
			i.Loss, i.LossCorrelation = p.Draw(t, "p"), p.Draw(t, "correlation")
		}
		switch rapid.IntRange(0, 3).Draw(t, "model") {
		case 1:
			i.GE = &netem.GilbertElliott{P: p.Draw(t, "P"), R: p.Draw(t, "R"), H1: p.Draw(t, "1-H"), K1: p.Draw(t, "1-K")}
			if some("default R") {
				i.GE.R = 1 - i.GE.P
			}
			if i.GE.H1 == 0 {
				i.GE.H1 = 1
			}
		case 2:
			i.Markov = &netem.Markov4{P13: p.Draw(t, "P13"), P31: p.Draw(t, "P31"), P23: p.Draw(t, "P23")}
			i.Markov.P32 = (1 - i.Markov.P31) * p.Draw(t, "P32")
			i.Markov.P14 = (1 - i.Markov.P13) * p.Draw(t, "P14")
			if some("default P31") {
				i.Markov.P31, i.Markov.P32 = 1-i.Markov.P13, 0
			}
		}
		if some("every") {
			i.Every = rapid.IntRange(0, 1<<31-1).Draw(t, "every")
		}
		if some("delay") {
			i.Delay = times(24*time.Hour).Draw(t, "delay")
		}
		if some("jitter") {
			i.Jitter, i.DelayCorrelation = times(24*time.Hour).Draw(t, "jitter"), p.Draw(t, "correlation")
		}
		if i.Jitter > 0 {
			i.Distribution = netem.Distribution(rapid.IntRange(0, 3).Draw(t, "distribution"))
		}
		if some("duplicate") {
			i.Duplicate, i.DuplicateCorrelation = p.Draw(t, "p"), p.Draw(t, "correlation")
		}
		if some("corrupt") {
			i.Corrupt, i.CorruptCorrelation = p.Draw(t, "p"), p.Draw(t, "correlation")
		}
		if i.Delay > 0 && some("reorder") {
			i.Reorder, i.ReorderCorrelation = p.Draw(t, "p"), p.Draw(t, "correlation")
		}
		if i.Reorder > 0 {
			i.Gap = rapid.IntRange(0, 10).Draw(t, "gap")
		}
		if some("rate") {
			i.Rate = rapid.OneOf(rapid.Int64Range(0, math.MaxInt64), rapid.Map(rapid.Int64Range(0, 1e6), func(n int64) int64 { return n * 1000 })).Draw(t, "rate")
		}
		i.Limit = rapid.IntRange(0, 20).Draw(t, "limit")
		if some("bytes") {
			i.LimitBytes = rapid.IntRange(0, 64).Draw(t, "kilobytes")<<10 + rapid.IntRange(0, 1).Draw(t, "odd")
			i.MTU = rapid.IntRange(0, 2000).Draw(t, "mtu")
		}
		for range rapid.IntRange(0, 2).Draw(t, "outages") {
			o := netem.Outage{From: times(time.Hour).Draw(t, "from"), For: 1 + times(time.Hour).Draw(t, "for")}
			if some("again") {
				o.Every = o.For + 1 + times(time.Hour).Draw(t, "every")
			}
			i.Down = append(i.Down, o)
		}
		if err := i.Validate(); err != nil {
			t.Fatalf("the generator made an invalid one: %v", err)
		}
		return i
	})
}

func TestImpairmentValidate(t *testing.T) {
	for _, imp := range []netem.Impairment{
		{Loss: -0.1}, {Loss: 1.1}, {Loss: math.NaN()}, {LossCorrelation: 2}, {Duplicate: 2}, {DuplicateCorrelation: -1}, {Corrupt: -1},
		{CorruptCorrelation: math.Inf(1)}, {Reorder: 0.5}, {Reorder: 1.5, Delay: 1}, {ReorderCorrelation: 2}, {DelayCorrelation: -1},
		{Delay: -1}, {Jitter: -1}, {Delay: 48 * time.Hour}, {Jitter: 48 * time.Hour}, {Distribution: netem.Normal}, {Distribution: 99, Jitter: 1},
		{Rate: -1}, {Limit: -1}, {LimitBytes: -1}, {MTU: -1}, {Every: -1}, {Gap: -1, Reorder: 1, Delay: 1}, {Gap: 1},
		{GE: &netem.GilbertElliott{P: 0.1, R: 0.1}}, {GE: &netem.GilbertElliott{P: 2, R: 0.1, H1: 1}}, {GE: &netem.GilbertElliott{K1: math.NaN()}},
		{Markov: &netem.Markov4{P13: 0.6, P14: 0.6}}, {Markov: &netem.Markov4{P31: 0.6, P32: 0.6}}, {Markov: &netem.Markov4{P23: -1}},
		{GE: &netem.GilbertElliott{}, Markov: &netem.Markov4{}},
		{Down: []netem.Outage{{From: 1}}}, {Down: []netem.Outage{{From: -1, For: 1}}}, {Down: []netem.Outage{{For: 2, Every: 2}}},
		{Down: []netem.Outage{{For: 1, Every: -2}}}, {Down: []netem.Outage{{For: math.MaxInt64}}},
	} {
		if imp.Validate() == nil {
			t.Errorf("%+v is taken", imp)
		}
		if _, err := netem.Compile(imp); err == nil {
			t.Errorf("%+v is compiled", imp)
		}
		if _, err := imp.MarshalText(); err == nil {
			t.Errorf("%+v is written", imp)
		}
	}
	for _, imp := range []netem.Impairment{
		{Loss: 1, Reorder: 1, Delay: 1}, {Markov: &netem.Markov4{P13: 0.7, P14: 0.1 + 0.2, P31: 0.1 + 0.7, P32: 0.2}},
		{GE: &netem.GilbertElliott{}}, {Delay: 24 * time.Hour, Jitter: 24 * time.Hour},
	} {
		if err := imp.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestImpairmentPerfect(t *testing.T) {
	if !(netem.Impairment{}).Perfect() || !(netem.Impairment{Down: []netem.Outage{}}).Perfect() {
		t.Error("nothing is not perfect")
	}
	rapid.Check(t, func(t *rapid.T) {
		i := impairments().Draw(t, "impairment")
		if i.Perfect() {
			l := netem.NewLink(i, 1, 1)
			if f := l.Send(5, 100); f != (netem.Fate{N: 1, Copy: [2]netem.Copy{{At: 5}}}) {
				t.Errorf("%v is perfect, and does %+v", i, f)
			}
		}
		if text := i.String(); i.Perfect() && text != "" && text != "loss 0%" {
			t.Errorf("%q is perfect", text)
		}
	})
	for _, i := range []netem.Impairment{{Limit: 1}, {GE: &netem.GilbertElliott{}}, {Down: make([]netem.Outage, 1)}, {Every: 1}} {
		if i.Perfect() {
			t.Errorf("%v is perfect", i)
		}
	}
}

func TestImpairmentMeanLoss(t *testing.T) {
	for words, want := range map[string]float64{
		"": 0, "loss 1%": 0.01, "loss 1% 90%": 0.01, "loss every 4": 0.25, "loss every 1": 1, "loss 50% loss every 2": 0.75,
		"loss gemodel 1% 10% 70% 0.1%": (0.01*0.7 + 0.1*0.001) / 0.11, "loss gemodel 3%": 0.03, "loss gemodel 1% 0%": 1,
		"loss state 3%": 0.03, "loss state 0% 10% 0% 100% 25%": 0.2,
	} {
		if got := must(netem.ParseImpairment(words)).MeanLoss(); math.Abs(got-want) > 1e-12 {
			t.Errorf("%q: mean loss %v, want %v", words, got, want)
		}
	}
}

// TestImpairmentIsCopied: what was compiled does not change with the caller's.
func TestImpairmentIsCopied(t *testing.T) {
	imp := netem.Impairment{GE: &netem.GilbertElliott{P: 1, R: 0, H1: 1}, Down: []netem.Outage{{From: time.Hour, For: 1}}}
	m := must(netem.Compile(imp))
	l := m.Link(1, 1)
	for _, i := range []netem.Impairment{imp, m.Impairment(), l.Impairment()} {
		i.GE.H1, i.Down[0].From = 0, 0
	}
	if got := m.Impairment(); got.GE.H1 != 1 || got.Down[0].From != time.Hour {
		t.Errorf("the model has become %v", got)
	}
}
