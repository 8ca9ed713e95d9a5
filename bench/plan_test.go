package main

import (
	"io"
	"math"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
)

func planOf(t *testing.T, args ...string) []Cell {
	t.Helper()
	o, err := parse(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.delay {
		return delayPlan(o)
	}
	return plan(o.plan)
}

func TestDefaultPlanHasTheCellsOfTheSpecification(t *testing.T) {
	type key struct {
		shaped    bool
		receivers int
		loss      float64
		offload   bool
	}
	got := map[key]int{}
	for _, c := range planOf(t) {
		got[key{c.Shaped(), c.Receivers, c.Loss, c.Offload}]++
		if c.Shaped() && (c.Link != 200*flow.Mbps || c.Rate != 0) {
			t.Errorf("%v: a link of %v, and sources fixed at %v", &c, c.Link, c.Rate)
		}
		if c.Loss > 0 && c.Offload {
			t.Errorf("%v: offloads are on, so that loss would take whole runs", &c)
		}
	}
	want := map[key]int{
		{true, 1, 0, true}: 1, {true, 2, 0, true}: 1, {true, 4, 0, true}: 1, {true, 8, 0, true}: 1,
		{true, 1, 0, false}: 1, {true, 8, 0, false}: 1, // beside those with loss
		{true, 1, .1, false}: 1, {true, 2, .1, false}: 1, {true, 4, .1, false}: 1, {true, 8, .1, false}: 1,
		{true, 8, .01, false}: 1, {true, 8, .05, false}: 1, {true, 8, .2, false}: 1,
		{false, 1, 0, true}: 2, {false, 8, 0, true}: 2, // also at a rate set by hand
	}
	for k, n := range want {
		if got[k] != n {
			t.Errorf("%+v: %d cells, want %d", k, got[k], n)
		}
		delete(got, k)
	}
	if len(got) > 0 {
		t.Errorf("cells nobody asked for: %v", got)
	}
}

// Every cell with loss has one without in the same setting.
func TestPlansCompare(t *testing.T) {
	for _, args := range [][]string{nil, {"-full"}, {"-quick"}} {
		cells := planOf(t, args...)
		type key struct {
			link, rate flow.Rate
			offload    bool
		}
		clean := map[key]bool{}
		for _, c := range cells {
			if c.Loss == 0 {
				clean[key{c.Link, c.Rate, c.Offload}] = true
			}
		}
		for _, c := range cells {
			if !clean[key{c.Link, c.Rate, c.Offload}] {
				t.Errorf("%v: %v has no row without loss beside it", args, &c)
			}
		}
	}
}

func TestNetemPlan(t *testing.T) {
	cells := planOf(t, "-setting", "netem")
	if len(cells) != 2 || cells[0].Loss != 0.01 || cells[1].Loss != 0.1 {
		t.Fatalf("cells %v", cells)
	}
	for _, c := range cells {
		in, out, err := c.impairments()
		if err != nil || in.Loss != c.Loss || out.Loss != 0 || in.Delay != 20*time.Millisecond || out.Delay != in.Delay {
			t.Errorf("%v: %v and %v, %v", &c, in, out, err)
		}
		if c.Receivers != 4 || c.Link != 20*flow.Mbps || c.Rate >= c.Link || !c.Shaped() || c.Offload || len(c.Schemes) != 2 {
			t.Errorf("%+v", c)
		}
	}
	// A loss in -netem is that of both ways, and the only one.
	cells = planOf(t, "-setting", "netem", "-r", "1,2", "-link", "5M", "-netem", "delay 1ms loss gemodel 1% 9%")
	if len(cells) != 2 || math.Abs(cells[0].Loss-0.1) > 1e-9 || cells[1].Receivers != 2 || cells[0].Link != 5*flow.Mbps {
		t.Fatalf("cells %v", cells)
	}
	if in, out, err := cells[0].impairments(); err != nil || in.Loss != 0 || in.GE == nil || out.GE == nil {
		t.Errorf("%v and %v, %v", in, out, err)
	}
	if c := planOf(t)[0]; c.Netem != "" {
		t.Errorf("netem in a plan without: %+v", c)
	}
}

func TestRepairPlan(t *testing.T) {
	cells := planOf(t, "-fec", "all")
	for _, c := range cells {
		if len(c.Schemes) != 5 || c.Cut["proactive=8"] == 0 {
			t.Errorf("%v: schemes %v, cut %v", &c, c.Schemes, c.Cut)
		}
	}
	if n := len(cells); n < 10 || n > 20 {
		t.Errorf("%d cells", n)
	}
	cells = planOf(t, "-delay", "-fec", "replay,proactive=4", "-messages", "40M,10/s", "-delay-for", "30s", "-loss", "1", "-rtt", "1ms")
	if len(cells) != 2 || cells[0].Messages.Rate != 40*flow.Mbps || cells[1].Messages.Count != 300 || cells[1].RTT != time.Millisecond ||
		cells[1].Messages.String() != "10 messages a second" || len(cells[1].Schemes) != 2 || cells[1].Cut[Replay] < 40*time.Second {
		t.Errorf("%+v", cells)
	}
}

func TestPlanFlags(t *testing.T) {
	if n := len(planOf(t, "-r", "3", "-loss", "2,7", "-setting", "shaped")); n != 2 {
		t.Errorf("named cells: %d, want 2", n)
	}
	for _, c := range planOf(t, "-size", "1M", "-cut", "3s") {
		if c.Bytes != 1<<20 || c.Cut[Rmcast] != 3*time.Second || c.Cut[FanOut] > 3*time.Second {
			t.Errorf("%v: %d bytes, cut at %v", &c, c.Bytes, c.Cut)
		}
	}
	full, normal := len(planOf(t, "-full")), len(planOf(t))
	if full < 2*normal {
		t.Errorf("-full has %d cells, the default %d", full, normal)
	}
	for _, c := range planOf(t, "-full") {
		for _, s := range c.Schemes {
			if c.Cut[s] != 15*time.Second {
				t.Errorf("-full cuts %s, %v after %v", s, &c, c.Cut[s])
			}
		}
	}
	for _, c := range planOf(t, "-delay", "-delay-for", "60s") {
		if c.Cut[Rmcast] <= time.Minute || c.Cut[FanOut] <= time.Minute {
			t.Errorf("a minute of messages is cut after %v", c.Cut)
		}
		if c.Shaped() || c.Receivers != 4 || c.Loss == 0 {
			t.Errorf("-delay measures %v", &c)
		}
	}
	for _, args := range [][]string{
		{"-link", "1k"}, {"-r", "0"}, {"-r", "1000"}, {"-loss", "99"}, {"-loss", "x"}, {"-size", "lots"}, {"-only", "norm"},
		{"-fec", "more"}, {"-fec", "proactive=0"}, {"-fec", "proactive=65"}, {"-fec", "tcp"}, {"-fec", "replay", "-only", "rmcast"},
		{"-rtt", "1ms"}, {"-messages", "40M"}, {"-delay", "-messages", "0/s"}, {"-delay", "-rtt", "-1ms"}, {"-setting", "odd"}, {"-netem", "delay 1ms"}, {"-setting", "netem", "-netem", "late"}, {"-setting", "netem", "-full"},
		{"-setting", "netem", "-netem", "loss 1%", "-loss", "1"}, {"-setting", "netem", "-memory"}, {"-full", "-quick"}, {"-runs", "0"}, {"-cut", "1ms"}, {"8"}, {"-rate", "5"}, {"-link", "unlimited"},
	} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%q: taken", args)
		}
	}
}
