package netem_test

import (
	"encoding/json"
	"flag"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
	"pgregory.net/rapid"
)

// rich has every impairment.
const rich = "delay 50ms 10ms 25% distribution paretonormal loss 1% 30% loss gemodel 1% 10% 70% 0.1% loss every 1000 duplicate 2% 20% " +
	"corrupt 1% 10% reorder 5% 50% gap 3 rate 100mbit limit 1000 limitbytes 256kb mtu 1500 down 10s 1s every 60s down 3s 10ms"

// TestParseImpairment: what tc has is read as tc 6.1 reads it, by what it sends to the kernel.
func TestParseImpairment(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		text    string
		want    netem.Impairment
		printed string // if it is not the text
	}{
		{"", netem.Impairment{}, ""},
		{" \t\n", netem.Impairment{}, ""},
		{"delay 50ms", netem.Impairment{Delay: 50 * ms}, ""},
		{"delay 50", netem.Impairment{Delay: 50 * time.Microsecond}, "delay 50us"},
		{"latency 1.5s", netem.Impairment{Delay: 1500 * ms}, "delay 1.5s"},
		{"delay 10MS 2msec 25", netem.Impairment{Delay: 10 * ms, Jitter: 2 * ms, DelayCorrelation: 0.25}, "delay 10ms 2ms 25%"},
		{"delay 0.0000015s", netem.Impairment{Delay: 1500}, "delay 1.5us"},
		{"delay 1ns", netem.Impairment{Delay: 1}, "delay 0.001us"},
		{"delay 0.0006us", netem.Impairment{Delay: 1}, "delay 0.001us"},
		{"delay 0 1ms", netem.Impairment{Jitter: ms}, "delay 0s 1ms"},
		{
			"distribution normal delay 1ms 1ms", netem.Impairment{Delay: ms, Jitter: ms, Distribution: netem.Normal},
			"delay 1ms 1ms distribution normal",
		},
		{"delay 1ms 1ms distribution uniform", netem.Impairment{Delay: ms, Jitter: ms}, "delay 1ms 1ms"},
		{"loss 1", netem.Impairment{Loss: 0.01}, "loss 1%"},
		{"loss 1E-1%", netem.Impairment{Loss: 0.001}, "loss 0.1%"},
		{"drop random 0.3% 25%", netem.Impairment{Loss: 0.003, LossCorrelation: 0.25}, "loss 0.3% 25%"},
		{"loss gemodel 1%", netem.Impairment{GE: &netem.GilbertElliott{P: 0.01, R: 0.99, H1: 1}}, ""},
		{"loss gemodel 1% 10%", netem.Impairment{GE: &netem.GilbertElliott{P: 0.01, R: 0.1, H1: 1}}, ""},
		{"loss gemodel 1% 10% 70% 0.1%", netem.Impairment{GE: &netem.GilbertElliott{P: 0.01, R: 0.1, H1: 0.7, K1: 0.001}}, ""},
		{"loss gemodel 0% 0% 0%", netem.Impairment{GE: &netem.GilbertElliott{}}, ""},
		{"loss state 1%", netem.Impairment{Markov: &netem.Markov4{P13: 0.01, P31: 0.99, P23: 1}}, ""},
		{"loss state 1% 30% 2%", netem.Impairment{Markov: &netem.Markov4{P13: 0.01, P31: 0.3, P32: 0.02, P23: 1}}, ""},
		{
			"loss state 1% 30% 2% 40% 1%",
			netem.Impairment{Markov: &netem.Markov4{P13: 0.01, P31: 0.3, P32: 0.02, P23: 0.4, P14: 0.01}}, "",
		},
		{"loss every 100", netem.Impairment{Every: 100}, ""},
		{"loss every 9 loss 5%", netem.Impairment{Every: 9, Loss: 0.05}, "loss 5% loss every 9"},
		{"duplicate 1% 2%", netem.Impairment{Duplicate: 0.01, DuplicateCorrelation: 0.02}, ""},
		{"corrupt 0.01%", netem.Impairment{Corrupt: 0.0001}, ""},
		{"gap 5 reorder 25% 50% delay 10ms", netem.Impairment{Gap: 5, Reorder: 0.25, ReorderCorrelation: 0.5, Delay: 10 * ms}, "delay 10ms reorder 25% 50% gap 5"},
		{"rate 100mbit", netem.Impairment{Rate: 100e6}, ""},
		{"rate 1Mibit", netem.Impairment{Rate: 1 << 20}, "rate 1.048576mbit"},
		{"rate 8kbps", netem.Impairment{Rate: 64000}, "rate 64kbit"},
		{"rate 8KiBps", netem.Impairment{Rate: 65536}, "rate 65.536kbit"},
		{"rate 1.5gbit", netem.Impairment{Rate: 1.5e9}, ""},
		{"rate 999999937", netem.Impairment{Rate: 999_999_937}, "rate 999.999937mbit"},
		{"rate 12", netem.Impairment{Rate: 12}, "rate 12bit"},
		{"rate 0", netem.Impairment{}, ""},
		{"limit 1k", netem.Impairment{Limit: 1024}, "limit 1024"},
		{"limit 8kbit", netem.Impairment{Limit: 1024}, "limit 1024"},
		{"limitbytes 64kb mtu 9k", netem.Impairment{LimitBytes: 65536, MTU: 9216}, "limitbytes 64kb mtu 9216"},
		{"limitbytes 1025 mtu 1500b", netem.Impairment{LimitBytes: 1025, MTU: 1500}, "limitbytes 1025 mtu 1500"},
		{"down 10s 2s", netem.Impairment{Down: []netem.Outage{{From: 10e9, For: 2e9}}}, ""},
		{
			"down 1s 1ms down 2s 1ms every 1s",
			netem.Impairment{Down: []netem.Outage{{From: 1e9, For: 1e6}, {From: 2e9, For: 1e6, Every: 1e9}}}, "",
		},
		{
			"delay 50ms 10ms 25% loss gemodel 1% 10% 70% 0.1% rate 100mbit limit 1000",
			netem.Impairment{
				Delay: 50 * ms, Jitter: 10 * ms, DelayCorrelation: 0.25, GE: &netem.GilbertElliott{P: 0.01, R: 0.1, H1: 0.7, K1: 0.001},
				Rate: 100e6, Limit: 1000,
			}, "",
		},
		{rich, netem.Impairment{
			Delay: 50 * ms, Jitter: 10 * ms, DelayCorrelation: 0.25, Distribution: netem.ParetoNormal, Loss: 0.01, LossCorrelation: 0.3,
			GE: &netem.GilbertElliott{P: 0.01, R: 0.1, H1: 0.7, K1: 0.001}, Every: 1000, Duplicate: 0.02, DuplicateCorrelation: 0.2,
			Corrupt: 0.01, CorruptCorrelation: 0.1, Reorder: 0.05, ReorderCorrelation: 0.5, Gap: 3, Rate: 100e6, Limit: 1000,
			LimitBytes: 256 << 10, MTU: 1500,
			Down: []netem.Outage{{From: 10 * time.Second, For: time.Second, Every: time.Minute}, {From: 3 * time.Second, For: 10 * ms}},
		}, ""},
	} {
		got, err := netem.ParseImpairment(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q is %+v, want %+v", c.text, got, c.want)
		}
		printed := c.printed
		if printed == "" && !got.Perfect() {
			printed = c.text
		}
		if got := got.String(); got != printed {
			t.Errorf("%q is printed as %q, want %q", c.text, got, printed)
		}
	}
}

// TestParseImpairmentErrors: each names the word at fault, and where it stands.
func TestParseImpairmentErrors(t *testing.T) {
	for text, want := range map[string]string{
		"delya 50ms":                     `word 1: "delya"`,
		"delay":                          `word 1: "delay" wants a time`,
		"delay 50xs":                     `word 2: delay: "50xs" is not a time`,
		"delay 50 ms":                    `word 3: "ms"`,
		"delay -5ms":                     `word 2: delay: "-5ms"`,
		"delay .5ms":                     `".5ms"`,
		"delay 1.ms":                     `"1.ms"`,
		"delay 1.2.3ms":                  `"1.2.3ms"`,
		"delay 0.0001us":                 `"0.0001us"`,
		"delay 99999999999999999999s":    `too large`,
		"delay 9999999999999s":           `too large`,
		"delay 25h":                      `"25h"`,
		"delay 90000s":                   `Delay 25h0m0s`,
		"delay 10ms 5ms x":               `word 4: "x"`,
		"delay 10ms 5ms 101%":            `word 4: delay: "101%" is not a percentage such as 1% or 0.5%: it is more than 100%`,
		"delay 10ms 5ms 1% 1":            `word 5: "1"`,
		"delay 1ms delay 2ms":            `word 3: "delay" for the second time`,
		"delay 1ms latency 2ms":          `word 3: "delay" for the second time`,
		"distribution normal":            `Distribution normal needs a Jitter`,
		"delay 1ms 1ms distribution nor": `word 5: "nor" is not a distribution`,
		"loss":                           `word 1: "loss" wants`,
		"loss x":                         `word 2: loss: "x" is neither`,
		"loss .5%":                       `word 2: loss: ".5%" is neither`,
		"loss 1%%":                       `"1%%"`,
		"loss 0x1p-2":                    `"0x1p-2"`,
		"loss 1_0%":                      `"1_0%"`,
		"loss 1e%":                       `"1e%"`,
		"loss random":                    `word 2: "loss" wants a percentage`,
		"loss 1% loss 2%":                `word 3: "loss random" for the second time`,
		"loss gemodel":                   `word 2: "loss gemodel" wants`,
		"loss gemodel 1% x":              `word 4: "x"`,
		"loss gemodel 1% 10% 0%":         `nothing would be lost`,
		"loss gemodel 1% loss state 1%":  `GE and Markov together`,
		"loss state 60% 30% 0% 100% 60%": `P13 0.6 + P14 0.6`,
		"loss state 1% 1% 1% 1% 1% 1%":   `word 8: "1%"`,
		"loss every 0.5":                 `word 3: loss every: "0.5"`,
		"loss every 4294967296":          `too large`,
		"reorder 25%":                    `Reorder 0.25 needs a Delay`,
		"delay 1ms gap 5":                `Gap 5 needs a Reorder`,
		"rate 5%":                        `word 2: rate: "5%"`,
		"rate 100Mb":                     `"100Mb"`,
		"rate 1\u212abit":                `its unit is not known`,
		"rate 1mbit 20":                  `word 3: rate: overhead "20"`,
		"rate 99999999tbit":              `too large`,
		"limit 1.5":                      `word 2: limit: "1.5"`,
		"mtu x":                          `word 2: mtu: "x"`,
		"down 1s":                        `word 2: "down" wants a time`,
		"down x y":                       `word 2: down: "x"`,
		"down 1s 0s":                     `negative or missing time`,
		"down 1s 1s every":               `word 4: "down every" wants`,
		"down 1s 1s every 1s":            `leaves no time`,
		"slot 1ms":                       `word 1: tc's "slot" is not supported`,
		"loss 1% ecn":                    `word 3: tc's "ecn"`,
	} {
		i, err := netem.ParseImpairment(text)
		switch {
		case err == nil:
			t.Errorf("%q is taken as %v", text, i)
		case !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "netem: "):
			t.Errorf("%q: error %q does not say %q", text, err, want)
		case strings.Contains(err.Error(), "\n"):
			t.Errorf("%q: error %q has several lines", text, err)
		}
	}
}

// TestImpairmentRoundTrip: what was printed is read as what it was.
func TestImpairmentRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i := impairments().Draw(t, "impairment")
		text := i.String()
		got, err := netem.ParseImpairment(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if !reflect.DeepEqual(positive(got), positive(i)) {
			t.Fatalf("%q is\n%#v, not\n%#v", text, got, i)
		}
		if words := text + " "; strings.Contains(words, "  ") || strings.Contains(words, ".0 ") || strings.Contains(words, "uniform") {
			t.Fatalf("%q could be shorter", text)
		}
	})
}

// positive returns i with the negative zeros, which are not printed, as zeros.
func positive(i netem.Impairment) netem.Impairment {
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Float64:
			v.SetFloat(v.Float() + 0)
		case reflect.Struct:
			for _, field := range v.Fields() {
				walk(field)
			}
		case reflect.Pointer:
			if !v.IsNil() {
				walk(v.Elem())
			}
		}
	}
	walk(reflect.ValueOf(&i))
	return i
}

func TestImpairmentText(t *testing.T) {
	var i netem.Impairment
	set := flag.NewFlagSet("", flag.ContinueOnError)
	set.TextVar(&i, "link", netem.Impairment{Loss: 0.5}, "")
	if i.Loss != 0.5 {
		t.Errorf("the default is %v", i)
	}
	if err := set.Parse([]string{"-link", "loss 1% delay 5ms"}); err != nil || !reflect.DeepEqual(i, netem.Impairment{Loss: 0.01, Delay: 5e6}) {
		t.Errorf("the flag is %v, %v", i, err)
	}
	b, err := json.Marshal(map[string]netem.Impairment{"link": i})
	if err != nil || string(b) != `{"link":"delay 5ms loss 1%"}` {
		t.Errorf("in JSON: %s, %v", b, err)
	}
	if err := i.UnmarshalText([]byte("loss")); err == nil || i.Loss != 0.01 {
		t.Errorf("a fault left %v, %v", i, err)
	}
}

// FuzzParseImpairment: no text panics; what is taken is valid, is printed so that it comes back, and can be sent through.
func FuzzParseImpairment(f *testing.F) {
	f.Add(rich) // others: testdata/fuzz
	f.Fuzz(func(t *testing.T, s string) {
		i, err := netem.ParseImpairment(s)
		if err != nil {
			if msg := err.Error(); !strings.HasPrefix(msg, "netem: ") {
				t.Fatalf("%q: error %q", s, msg)
			}
			return
		}
		if err := i.Validate(); err != nil {
			t.Fatalf("%q: taken, but %v", s, err)
		}
		text := i.String()
		again, err := netem.ParseImpairment(text)
		if err != nil || !reflect.DeepEqual(again, i) {
			t.Fatalf("%q is %#v\n%q is %#v, %v", s, i, text, again, err)
		}
		if p := i.MeanLoss(); !(p >= 0 && p <= 1+1e-12) || math.IsNaN(p) {
			t.Fatalf("%q: mean loss %v", s, p)
		}
		l := netem.NewLink(i, 1, 2)
		for n := range 20 {
			now := time.Duration(n) * time.Millisecond
			for f, k := l.Send(now, 100*n), 0; k < f.N; k++ {
				if f.Copy[k].At < now {
					t.Fatalf("%q: arrives at %v, sent at %v", s, f.Copy[k].At, now)
				}
			}
		}
	})
}
