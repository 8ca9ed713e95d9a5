package main

import (
	"io"
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
		cells, _ := delayPlan(o)
		return cells
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
		if c.Shaped() && (c.Link != 200*flow.Mbps || c.Rate != 194*flow.Mbps) {
			t.Errorf("%v: source told to send %v", &c, c.Rate)
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
		{false, 1, 0, true}: 2, {false, 8, 0, true}: 1, // one receiver also as fast as it goes
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
		if c.Cut[FanOut] != 15*time.Second {
			t.Errorf("-full cuts %v after %v", &c, c.Cut[FanOut])
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
		{"-setting", "odd"}, {"-full", "-quick"}, {"-runs", "0"}, {"-cut", "1ms"}, {"8"}, {"-rate", "5"}, {"-link", "unlimited"},
	} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%q: taken", args)
		}
	}
}
