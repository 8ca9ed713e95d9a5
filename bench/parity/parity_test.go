package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
)

func small(n int, rtt time.Duration, loss float64) Cell {
	return Cell{Receivers: n, RTT: rtt, Loss: loss, Rate: limit, Data: pace, Groups: 6, Seed: 3}
}

// Whatever the scheme and the network: everything that was lost is repaired and counted once, costs are those of the groups that count, and
// a seed says it all.
func TestMeasure(t *testing.T) {
	for _, s := range schemes {
		for _, c := range []Cell{
			small(1, 100*time.Microsecond, 0.1), small(12, 20*time.Millisecond, 0.2), small(5, 100*time.Millisecond, 0.05), small(4, time.Millisecond, 0),
			{Receivers: 6, RTT: time.Millisecond, Loss: 0.1, Rate: 5 * flow.Mbps, Groups: 6, Seed: 3},
		} {
			r, err := measure(context.Background(), c, s)
			if err != nil {
				t.Fatalf("%v, %s: %v", c, s, err)
			}
			k := r.Costs
			if r.Open != 0 || k.Groups != 6 || k.Data != 6*groupSize || r.Start.Data != c.startup()*groupSize || r.Start.Groups != c.startup() {
				t.Errorf("%v, %s: %+v", c, s, r)
			}
			expected := c.Loss * float64(c.Receivers*k.Data)
			if got := float64(k.Recovery.Count); math.Abs(got-expected) > 5*math.Sqrt(expected) {
				t.Errorf("%v, %s: %v losses, about %v expected", c, s, got, expected)
			}
			if s == Replay && k.Parity+k.Ahead > 0 || s != LeastDelay && k.Ahead != s.ahead()*6 || c.Loss == 0 && k.Replays+k.Parity+k.NAKs+k.NCFs > 0 {
				t.Errorf("%v, %s: costs %+v", c, s, k)
			}
			if least := dataBytes * (k.Data + k.Replays + k.Parity + k.Ahead); k.Bytes < least || c.Loss > 0 && k.NAKs+k.Ahead == 0 {
				t.Errorf("%v, %s: %d bytes, the data has %d; costs %+v", c, s, k.Bytes, least, k)
			}
			if q := k.Recovery; q.P50 > q.P99 || q.P99 > q.Max || s == Replay && c.Loss > 0 && q.P50 < c.RTT {
				t.Errorf("%v, %s: recoveries %+v", c, s, q)
			}
			if s == Demand || s == LeastDelay {
				again, err := measure(context.Background(), c, s)
				if again.Took = r.Took; err != nil || again != r {
					t.Errorf("%v, %s: the same seed gives\n%+v\n%+v, %v", c, s, r, again, err)
				}
			}
		}
	}
	stopped, stop := context.WithCancel(context.Background())
	stop()
	if _, err := measure(stopped, small(1, 0, 0.1), Demand); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

func TestSpread(t *testing.T) {
	if got := spread(nil, 0, 0); got != (Spread{}) {
		t.Errorf("of nothing: %+v", got)
	}
	var d []recovery
	for i := range 200 {
		d = append(d, recovery{time.Duration(200 - i), 7 + i/50})
	}
	if got, want := spread(d, 7, 4), (Spread{200, 100, 198, 200, 194, never}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := spread(d[:1], 7, 1), (Spread{1, 1, 1, 1, 1, never}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// The interval holds the true p99 about as often as it says, of independent recoveries and of groups that are late as a whole, at a step
// of the distribution and elsewhere; and it gets narrower with more of them.
func TestInterval(t *testing.T) {
	const samples, perGroup = 200, 10
	for name, c := range map[string]struct {
		lateGroups, late float64       // shares of groups, and of the recoveries of the others, that take 1000 more
		p99              time.Duration // the true one
	}{
		"independent":      {0, 0, 990},
		"at a step":        {0, 0.01, 1000},
		"groups":           {0.02, 0, 1500},
		"groups at a step": {0.01, 0, 1000},
	} {
		random := rand.New(rand.NewPCG(1, 2))
		sample := func(groups int) Spread {
			var d []recovery
			for g := range groups {
				share := c.late
				if random.Float64() < c.lateGroups {
					share = 1
				}
				for range perGroup {
					r := recovery{time.Duration(random.IntN(1000)), 3 + g}
					if random.Float64() < share {
						r.took += 1000
					}
					d = append(d, r)
				}
			}
			return spread(d, 3, groups)
		}
		holds := 0
		var width time.Duration
		for range samples {
			s := sample(1000)
			if s.Low <= c.p99+1 && s.High >= c.p99-1 {
				holds++
			}
			width += min(s.High, 2000) - s.Low
		}
		if holds < samples*9/10 {
			t.Errorf("%s: holds in %d of %d samples", name, holds, samples)
		}
		if s := sample(16_000); s.High-s.Low > width/samples*2/3 {
			t.Errorf("%s: %v to %v of 16 times as many, which is not clearly less than %v", name, s.Low, s.High, width/samples)
		}
	}
}

// The figures of the issue, and of schemes among each other.
func TestMinimum(t *testing.T) {
	c := small(8, 0, 0.1)
	for s, want := range map[Scheme]float64{Replay: 1.656, Demand: 1.177, LeastBytes: 1.177, LeastDelay: 1.177, ahead(16): 1.25} {
		if got := s.minimum(c); math.Abs(got-want) > 0.001 {
			t.Errorf("%s: %v, want %v", s, got, want)
		}
	}
	for i, s := range fixed[2:] {
		if a, b := fixed[1+i].minimum(c), s.minimum(c); b < a || b > a+float64(s.ahead())/groupSize {
			t.Errorf("%s: %v after %v", s, b, a)
		}
	}
	for s, h := range map[Scheme]int{Replay: 0, Demand: 0, LeastBytes: 0, ahead(1): 1, ahead(64): 64} {
		if s.ahead() != h || s.config().Proactive != h || s.config().Validate() != nil {
			t.Errorf("%s: %d ahead, %+v", s, s.ahead(), s.config())
		}
	}
}

// The first second, and the plans.
func TestPlans(t *testing.T) {
	if c := small(1, 100*time.Millisecond, 0); c.startup() != 14 || c.tail() != 6 {
		t.Errorf("%d groups apart, %d not counted", c.startup(), c.tail())
	}
	for name, plan := range map[string][]Cell{"standard": standard(3), "grid": grid(3), "quick": quick(3)} {
		seen := map[Cell]bool{}
		for _, c := range plan {
			if c.Seed != 3 || c.Groups < leastGroups || c.Groups > mostGroups || seen[c] {
				t.Errorf("%s: %+v", name, c)
			}
			seen[c] = true
		}
		for _, n := range []int{8, 1000} {
			if c := cells([]int{n}, []time.Duration{100 * time.Millisecond}, []float64{0.1}, pace, 3)[0]; name != "quick" && !seen[c] {
				t.Errorf("%s: %v is missing", name, c)
			}
		}
	}
	for _, x := range acceptance(1) {
		if len(x.cells) == 0 || x.cells[0].Seed != 1 {
			t.Errorf("%s: %+v", x.name, x.cells)
		}
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"-n", "8,1k", "-rtt", "1ms,100us", "-loss", "0,0.3", "-scheme", "replay,ahead=3", "-data", "0", "-groups", "5", "-seed", "9"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	plan := o.plan()
	if len(plan) != 8 || plan[7] != (Cell{1000, 100 * time.Microsecond, 0.3, limit, 0, 5, 9}) || !slices.Equal(o.schemes, []Scheme{Replay, ahead(3)}) {
		t.Errorf("plan %+v, %v", plan, o.schemes)
	}
	for _, bad := range [][]string{
		{"-loss", "0.6"}, {"-loss", "NaN"}, {"-loss", "x"}, {"x"}, {"-n", "0"}, {"-n", "200k"}, {"-n", "k"}, {"-rtt", "-1ms"}, {"-rtt", "3s"}, {"-scheme", "ahead=65"},
		{"-scheme", "ahead=01"}, {"-scheme", ""}, {"-data", "1Gbps"}, {"-data", "x"},
	} {
		if _, err := parse(bad, io.Discard); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, n := range []int{1, 7, 1000, 1500, 100_000} {
		if got, err := parseSize(sizeText(n)); err != nil || got != n {
			t.Errorf("%d becomes %s becomes %d, %v", n, sizeText(n), got, err)
		}
	}
}

// result makes one with the given bytes per useful byte and p99 in ms.
func result(c Cell, s Scheme, bytes, p99 float64) Result {
	r := Result{Cell: c, Scheme: s, Minimum: s.minimum(c), Costs: Costs{Groups: 10, Data: 1000, Bytes: int(bytes * 1000 * payloadBytes)}}
	r.Costs.Recovery = Spread{Count: 9, P99: time.Duration(p99 * 1e6)}
	return r
}

// Bounds are bounds.
func TestCheck(t *testing.T) {
	c := small(8, 0, 0.1)
	base := []Result{ // by what the schemes cost
		result(c, Replay, 1.7, 40), result(c, Demand, 1.24, 90), result(c, ahead(1), 1.25, 88), result(c, ahead(2), 1.25, 86), result(c, ahead(4), 1.26, 84),
		result(c, ahead(8), 1.27, 60), result(c, ahead(16), 1.33, 50), result(c, LeastBytes, 1.24, 90), result(c, LeastDelay, 1.27, 60),
	}
	lines := []line{
		{"choice", "text", []Cell{c}, schemes, judgeChoice, doubtfulDelay},
		{"demand", "text", []Cell{c}, []Scheme{Demand}, judgeDemand, nil},
	}
	for name, x := range map[string]struct {
		only string
		edit func(r []Result)
		want bool
	}{
		"all well":                      {"", func([]Result) {}, true},
		"bytes at the bound":            {"choice", func(r []Result) { r[7] = result(c, LeastBytes, 1.3639, 90) }, true},
		"bytes beyond":                  {"choice", func(r []Result) { r[7] = result(c, LeastBytes, 1.3645, 90) }, false},
		"p99 at the bound":              {"choice", func(r []Result) { r[8] = result(c, LeastDelay, 1.27, 54.99) }, true},
		"p99 beyond that of as many":    {"choice", func(r []Result) { r[8] = result(c, LeastDelay, 1.27, 55.01) }, false},
		"more bytes do not count":       {"choice", func(r []Result) { r[8] = result(c, LeastDelay, 1.26, 66) }, true},
		"beyond the best of the others": {"choice", func(r []Result) { r[8] = result(c, LeastDelay, 1.26, 66.01) }, false},
		"not repaired":                  {"choice", func(r []Result) { r[3].Open = 1 }, false},
		"near the minimum":              {"demand", func(r []Result) { r[1] = result(c, Demand, 1.2995, 90) }, true},
		"not so near":                   {"demand", func(r []Result) { r[1] = result(c, Demand, 1.3005, 90) }, false},
		"nor in packets":                {"demand", func(r []Result) { r[1].Costs.Parity = 237 }, false},
		"nor without repair":            {"demand", func(r []Result) { r[1].Open = 1 }, false},
	} {
		known := slices.Clone(base)
		if name == "p99 at the bound" || name == "p99 beyond that of as many" { // ahead=16 spends as many bytes then
			known[6] = result(c, ahead(16), 1.3335, 50)
		} else {
			known[6] = result(c, ahead(16), 1.335, 50)
		}
		x.edit(known)
		var b strings.Builder
		good, err := check(context.Background(), &b, lines, x.only, known)
		if err != nil || good != x.want || strings.Contains(b.String(), "FAILS") == good {
			t.Errorf("%s: %v, %v\n%s", name, good, err, b.String())
		}
	}
	if _, err := check(context.Background(), io.Discard, lines, "none", base); err == nil {
		t.Error("no line is checked, and that is fine")
	}
}

// Where intervals leave the verdict open, those on which it hangs are measured for longer, and no others: until they do not, or up to a limit.
func TestDoubt(t *testing.T) {
	c := small(8, 0, 0.1)
	with := func(groups int, s Scheme, bytes, p99, low, high float64) Result {
		c := c
		c.Groups = groups
		r := result(c, s, bytes, p99)
		r.Costs.Recovery.Low, r.Costs.Recovery.High = time.Duration(low*1e6), time.Duration(high*1e6)
		return r
	}
	base := []Result{
		with(6, Replay, 1.7, 40, 39, 41), with(6, Demand, 1.24, 90, 85, 95), with(6, ahead(1), 1.25, 50, 48, 52), with(6, ahead(2), 1.25, 88, 86, 90),
		with(6, ahead(4), 1.26, 84, 80, 90), with(6, ahead(8), 1.27, 70, 60, 80), with(6, ahead(16), 1.5, 50, 49, 51),
		with(6, LeastBytes, 1.24, 90, 89, 91), with(6, LeastDelay, 1.27, 52, 51, 52.5),
	}
	for name, x := range map[string]struct {
		more []Result // in place of those of the same size, and besides
		want string   // what is measured for longer
		good bool
	}{
		"within the bound whatever":    {nil, "", true},
		"beyond it whatever":           {[]Result{with(6, LeastDelay, 1.27, 59, 58, 60)}, "", false},
		"neither, then within":         {[]Result{with(6, LeastDelay, 1.27, 56, 51, 60), with(24, LeastDelay, 1.27, 52, 51.5, 52.5), with(24, ahead(1), 1.25, 50, 49, 51)}, "[ahead=1 delay] with 24", true},
		"neither, then beyond":         {[]Result{with(6, LeastDelay, 1.27, 54, 51, 60), with(24, LeastDelay, 1.27, 58, 57.5, 59), with(24, ahead(1), 1.25, 50, 49, 51)}, "[ahead=1 delay] with 24", false},
		"the other one's is wide":      {[]Result{with(6, ahead(1), 1.25, 50, 40, 60), with(24, LeastDelay, 1.27, 52, 51.5, 52.5), with(24, ahead(1), 1.25, 50, 49, 51)}, "[ahead=1 delay] with 24", true},
		"more bytes are no comparison": {[]Result{with(6, ahead(16), 1.5, 40, 30, 60)}, "", true},
		"two of them": {
			[]Result{
				with(6, LeastDelay, 1.27, 56, 51, 70), with(24, LeastDelay, 1.27, 52, 51.5, 52.5), with(24, ahead(1), 1.25, 50, 49, 51), with(24, ahead(8), 1.27, 65, 63, 68),
			}, "[ahead=1 ahead=8 delay] with 24", true,
		},
		"none to the end": {
			[]Result{
				with(6, LeastDelay, 1.27, 54, 51, 60), with(24, LeastDelay, 1.27, 54, 51, 60), with(24, ahead(1), 1.25, 50, 49, 51),
				with(96, LeastDelay, 1.27, 55.5, 51, 60), with(96, ahead(1), 1.25, 50, 49, 51),
			}, "[ahead=1 delay] with 96", false,
		},
	} {
		known := append(slices.Clone(x.more), base...) // the first one counts
		var b strings.Builder
		lines := []line{{"choice", "text", []Cell{c}, schemes, judgeChoice, doubtfulDelay}}
		good, err := check(context.Background(), &b, lines, "", known)
		if err != nil || good != x.good || x.want == "" && strings.Contains(b.String(), "groups)") || !strings.Contains(b.String(), x.want) {
			t.Errorf("%s: %v, %v\n%s", name, good, err, b.String())
		}
	}
}

// The whole command, and its output read again.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	args := []string{"-n", "2,4", "-rtt", "1ms,20ms", "-scheme", "replay,demand", "-groups", "3", "-seed", "2"}
	if err := run(context.Background(), append(args, "-json"), &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	var results []Result
	if err := json.Unmarshal(out.Bytes(), &results); err != nil || len(results) != 8 || results[7].Data != pace || results[7].Rate != limit {
		t.Fatalf("%d results, %v", len(results), err)
	}
	file := dir + "/a.json"
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args  []string
		lines int
	}{{nil, 9 + strings.Count(legend, "\n")}, {[]string{"-markdown"}, 5 * 9}} {
		out.Reset()
		if err := run(context.Background(), append(c.args, "-from", file, "-svg", dir+"/plots"), &out, io.Discard); err != nil || strings.Count(out.String(), "\n") != c.lines {
			t.Errorf("%v: %v\n%s", c.args, err, out.String())
		}
	}
	out.Reset()
	if err := run(context.Background(), []string{"-from", file, "-n", "4", "-groups", "3", "-seed", "2", "-scheme", "demand,bytes", "-loss", "0.1", "-json"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	var some []Result
	if err := json.Unmarshal(out.Bytes(), &some); err != nil || len(some) != 2 || some[0] != results[7] || some[1].Scheme != LeastBytes {
		t.Errorf("known and new: %+v, %v", some, err)
	}
	svg, err := os.ReadFile(dir + "/plots/bytes-receivers.svg")
	if err != nil {
		t.Fatal(err)
	}
	if s := string(svg); wellFormed(s) != nil || strings.Count(s, "<polyline") != 2 || strings.Count(s, "<circle") != 4 || strings.Contains(s, "NaN") {
		t.Errorf("plot:\n%s", s)
	}
	for _, bad := range [][]string{{"-from", dir + "/none"}, {"-check", "-only", "none"}, {"-check", "-only", "8", "-n", "9"}, {"-x"}} {
		if err := run(context.Background(), bad, &out, io.Discard); err == nil {
			t.Errorf("%q does", bad)
		}
	}
}

func wellFormed(s string) error {
	d := xml.NewDecoder(strings.NewReader(s))
	for {
		if _, err := d.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
