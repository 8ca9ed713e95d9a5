package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rmcast/rmcast/internal/measuring"
)

// Quantiles are those of the sorted durations, by nearest rank, at most a hundredth too large.
func TestHistogram(t *testing.T) {
	for _, n := range []int{1, 2, 10, 99, 100, 5000} {
		rng := rand.New(rand.NewPCG(uint64(n), 1))
		var h histogram
		all := make([]time.Duration, n)
		for i := range all {
			all[i] = time.Duration(1) << rng.IntN(40)
			all[i] += time.Duration(rng.Int64N(int64(all[i])))
			h.add(all[i])
		}
		slices.Sort(all)
		for _, p := range []float64{0.001, 0.5, 0.9, 0.99, 1} {
			rank := 0
			for rank+1 < n && float64(rank+1) < p*float64(n) {
				rank++
			}
			want := all[rank]
			if got := h.quantile(p); got < want || float64(got) > 1.01*float64(want)+1 {
				t.Errorf("%d durations: %v %% within %v, want %v", n, 100*p, got, want)
			}
		}
		if s := h.spread(); s.Max != all[n-1] || s.Count != uint64(n) {
			t.Errorf("%d durations: %+v", n, s)
		}
	}
	var none histogram
	if s := none.spread(); s != (Spread{}) {
		t.Errorf("of nothing: %+v", s)
	}
	none.add(-time.Second)
	if got := none.quantile(1); got != 0 {
		t.Errorf("less than zero counts as %v", got)
	}
}

// Every bucket begins where the one before ends.
func TestHistogramBuckets(t *testing.T) {
	for i := range 40 * perOctave {
		if bucket(top(i)) != i || bucket(top(i)+1) != i+1 {
			t.Fatalf("bucket %d ends at %d, which is in %d; the next begins in %d", i, top(i), bucket(top(i)), bucket(top(i)+1))
		}
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		want RTT
	}{{"mixed", mixed}, {"20ms-100ms", mixed}, {"100us", same(100 * time.Microsecond)}, {"1ms-2ms", RTT{time.Millisecond, 2 * time.Millisecond}}} {
		got, err := parseRTT(c.text)
		if err != nil || got != c.want {
			t.Errorf("%s: %v, %v", c.text, got, err)
		}
		if again, err := parseRTT(got.String()); err != nil || again != got {
			t.Errorf("%v reads as %v, %v", got, again, err)
		}
	}
	for _, bad := range []string{"", "x", "2ms-1ms", "-1ms", "1h"} {
		if got, err := parseRTT(bad); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
	for _, n := range append(slices.Clone(sizes), 7, 1500, 2_000_000) {
		if got, err := parseSize(sizeText(n)); err != nil || got != n {
			t.Errorf("%d becomes %s becomes %d, %v", n, sizeText(n), got, err)
		}
	}
	for _, bad := range []string{"", "0", "-1", "3M", "k", "1x", "1e3"} {
		if got, err := parseSize(bad); err == nil {
			t.Errorf("%q is %d", bad, got)
		}
	}
	if o, err := parse([]string{"-n", "8,1k", "-rtt", "mixed,1ms", "-loss", "half", "-law", "known", "-events", "3", "-cold", "0", "-seed", "9"}, io.Discard); err != nil {
		t.Error(err)
	} else if plan, err := o.plan(); err != nil || len(plan) != 4 || plan[0].Events != 3 || plan[0].Cold != 0 || plan[3].Seed != 9 || plan[3].Receivers != 1000 {
		t.Errorf("plan %+v, %v", plan, err)
	}
	for _, bad := range [][]string{{"-loss", "some"}, {"-law", ""}, {"x"}, {"-n", "0"}} {
		if _, err := parse(bad, io.Discard); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	o, err := parse([]string{"-n", "1M", "-loss", "shared", "-law", "uniform"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if plan, err := o.plan(); err == nil {
		t.Errorf("%v is no plan for today", plan)
	}
}

// The receivers of a cell are all there, spread evenly over the round trips.
func TestDelays(t *testing.T) {
	for _, n := range append(slices.Clone(sizes), 2, 16, 17, 18) {
		delay, count := Cell{Receivers: n, RTT: mixed}.delays()
		sum, least, most := 0, n, 0
		for _, c := range count {
			sum, least, most = sum+c, min(least, c), max(most, c)
		}
		if sum != n || most-least > 1 || least < 1 || !slices.IsSorted(delay) {
			t.Errorf("%d receivers: %v at %v", n, count, delay)
		}
		if n > 1 && (delay[0] != mixed.Least/2 || delay[len(delay)-1] != mixed.Most/2) {
			t.Errorf("%d receivers are at %v", n, delay)
		}
	}
}

// The standard plan has every size, loss and law that can be done, once.
func TestPlans(t *testing.T) {
	for name, plan := range map[string][]Cell{"standard": standard(3), "full": full(3), "quick": quick(3)} {
		seen := map[Cell]bool{}
		for _, c := range plan {
			if c.Seed != 3 || c.Events == 0 || !c.feasible() || seen[c] {
				t.Errorf("%s: %+v", name, c)
			}
			seen[c] = true
		}
		if name == "quick" {
			continue
		}
		for _, n := range sizes {
			for _, loss := range losses {
				for _, law := range laws {
					c := Cell{Receivers: n, RTT: mixed, Loss: loss, Law: law, Seed: 3}
					if c.Cold, c.Events = c.effort(); c.feasible() && !seen[c] {
						t.Errorf("%s: %v is missing", name, c)
					}
				}
			}
		}
	}
}

// small is a cell that takes no time.
func small(loss Loss, law Law, stream bool) Cell {
	return Cell{Receivers: 40, RTT: mixed, Loss: loss, Law: law, Stream: stream, Cold: 3, Events: 12, Seed: 5}
}

// Whatever the network, events are counted as they should, everything is repaired, and a seed says it all.
func TestMeasure(t *testing.T) {
	for _, loss := range losses {
		for _, law := range laws {
			for _, stream := range []bool{false, true} {
				c := small(loss, law, stream)
				r, err := measure(context.Background(), c)
				if err != nil {
					t.Fatalf("%v: %v", c, err)
				}
				if r.Unfixed > 0 || r.First.Events != c.Cold || r.Costs.Events < c.Events {
					t.Errorf("%v: %+v", c, r)
				}
				k := r.Costs
				if k.NAKs < k.Events || k.NCFs < k.Events*9/10 || k.Repairs < k.Events || k.Extra != k.Repairs-k.Events || k.Idle >= k.Repairs {
					t.Errorf("%v: costs %+v", c, k)
				}
				if r.Recovery.Count != uint64(k.Losers) || r.Recovery.P50 < mixed.Least || r.Recovery.P99 > r.Recovery.Max || r.Recovery.Max < r.Asked.Max {
					t.Errorf("%v: %d losers, recovery %+v, asked %+v", c, k.Losers, r.Recovery, r.Asked)
				}
				if lost := map[Loss]int{Shared: 40, Half: 20}[loss]; lost > 0 && k.Losers != lost*k.Events {
					t.Errorf("%v: %d losers in %d events", c, k.Losers, k.Events)
				}
				again, err := measure(context.Background(), c)
				if again.Took = r.Took; err != nil || again != r {
					t.Errorf("%v: the same seed gives\n%+v\n%+v, %v", c, r, again, err)
				}
			}
		}
	}
	stopped, stop := context.WithCancel(context.Background())
	stop()
	if _, err := measure(stopped, small(Independent, Known, false)); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// Bounds are bounds: a line fails by any figure beyond its own, and for want of events.
func TestCheck(t *testing.T) {
	good := line{name: "small-good", text: "text", cell: small(Independent, Known, false), judge: func(Result) []measuring.Finding {
		return []measuring.Finding{measuring.AtMost("things", 3, 3, "")}
	}}
	bad := good
	bad.name, bad.judge = "small-bad", func(Result) []measuring.Finding {
		return []measuring.Finding{measuring.AtMost("things", 3, 3, ""), measuring.AtMost("others", 3.1, 3, " ms")}
	}
	for _, c := range []struct {
		only string
		want bool
		text string
	}{{"good", true, "ok    things 3, at most 3"}, {"bad", false, "FAILS others 3.1 ms, at most 3 ms"}, {"", false, "FAILS"}} {
		var b strings.Builder
		got, err := check(context.Background(), &b, []line{good, bad}, c.only)
		if err != nil || got != c.want || !strings.Contains(b.String(), c.text) || !strings.Contains(b.String(), "seed 5") {
			t.Errorf("%q: %v, %v\n%s", c.only, got, err, b.String())
		}
	}
	if _, err := check(context.Background(), io.Discard, []line{good}, "none"); err == nil {
		t.Error("no line is checked, and that is fine")
	}
	r := Result{Cell: Cell{RTT: mixed}, Costs: Costs{Events: 10, NAKs: 100}, T: 500 * time.Millisecond, Recovery: Spread{P50: 4 * time.Millisecond, P99: 800 * time.Millisecond}}
	holds := func(all []measuring.Finding) bool {
		return !slices.ContainsFunc(all, func(f measuring.Finding) bool { return !f.Holds() })
	}
	if !holds(judgeGroup(10)(r)) {
		t.Errorf("at the bounds: %v", judgeGroup(10)(r))
	}
	for i, edit := range []func(r *Result){
		func(r *Result) { r.Costs.NAKs++ }, func(r *Result) { r.T++ }, func(r *Result) { r.Recovery.P99 += time.Millisecond }, func(r *Result) { r.Unfixed++ },
	} {
		worse := r
		if edit(&worse); holds(judgeGroup(10)(worse)) {
			t.Errorf("%d: %v", i, judgeGroup(10)(worse))
		}
	}
	r.RTT = same(time.Millisecond)
	if !holds(judgeLAN(r)) {
		t.Errorf("at the bounds: %v", judgeLAN(r))
	}
	if r.Recovery.P50++; holds(judgeLAN(r)) {
		t.Errorf("beyond: %v", judgeLAN(r))
	}
	for _, x := range acceptance(1) {
		if x.cell.Seed != 1 || x.cell.Events == 0 || !x.cell.feasible() {
			t.Errorf("%s: %+v", x.name, x.cell)
		}
	}
}

// The whole command, and its output read again.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	args := []string{"-n", "4,20", "-law", "known,uniform", "-events", "5", "-cold", "1", "-seed", "2"}
	if err := run(context.Background(), append(args, "-json"), &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	var results []Result
	if err := json.Unmarshal(out.Bytes(), &results); err != nil || len(results) != 4 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	out.Reset()
	if err := writeCSV(&out, results); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(rows) != 5 || rows[1][0] != "4" || rows[3][0] != "20" || len(rows[0]) != len(columns)+1 {
		t.Errorf("CSV %q, %v", rows, err)
	}
	file := dir + "/a.json"
	b, err := json.Marshal(results)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, b)
	out.Reset()
	if err := run(context.Background(), []string{"-from", file, "-svg", dir + "/plots", "-html", dir + "/a.html"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "receivers") || strings.Count(out.String(), "uniform") != 2 {
		t.Errorf("table:\n%s", out.String())
	}
	svg := read(t, dir+"/plots/naks-independent.svg")
	if err := wellFormed(svg); err != nil || strings.Count(svg, "<polyline") != 2 || strings.Count(svg, "<circle") != 4 || strings.Contains(svg, "NaN") {
		t.Errorf("plot %v:\n%s", err, svg)
	}
	if page := read(t, dir+"/a.html"); strings.Count(page, "<svg") != 4 || strings.Count(page, "<tr>") != 5 {
		t.Errorf("page:\n%s", page)
	}
	out.Reset()
	if err := run(context.Background(), []string{"-from", file, "-markdown"}, &out, io.Discard); err != nil || strings.Count(out.String(), "\n") != 6 {
		t.Errorf("%v\n%s", err, out.String())
	}
	if err := run(context.Background(), []string{"-from", dir + "/none"}, &out, io.Discard); err == nil {
		t.Error("results of no file")
	}
	if err := run(context.Background(), []string{"-check", "-only", "none"}, &out, io.Discard); err == nil {
		t.Error("nothing checked")
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

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
