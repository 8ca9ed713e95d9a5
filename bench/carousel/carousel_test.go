package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		args string
		want func(o options) bool
	}{
		{"", func(o options) bool {
			return o.size == 1e9 && o.rate == 200e6 && o.receivers == 4 && o.kills == 20 && slices.Equal(o.besideLoss, []float64{0, 0.01, 0.05, 0.2})
		}},
		{"-quick", func(o options) bool { return o.size == 16e6 }},
		{"-quick -size 1.5G", func(o options) bool { return o.size == 1.5e9 }},
		{"-loss 0,2.5 -rate 10", func(o options) bool {
			return slices.Equal(o.loss, []float64{0, 0.025}) && slices.Equal(o.besideLoss, o.loss) && o.rate == 10e6
		}},
		{"-seed 0", func(o options) bool { return o.seed != 0 }},
	} {
		if o, err := parse(strings.Fields(c.args), &bytes.Buffer{}); err != nil || !c.want(o) {
			t.Errorf("%q: %+v, %v", c.args, o, err)
		}
	}
	for _, args := range []string{"x", "-size 1k", "-size 1T", "-size -5M", "-size NaN", "-loss 91", "-loss NaN", "-loss -1", "-rate 0", "-rate NaN", "-receivers 0", "-kills -1"} {
		if o, err := parse(strings.Fields(args), &bytes.Buffer{}); err == nil {
			t.Errorf("%q: %+v", args, o)
		}
	}
}

// The help fits a screen.
func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if _, err := parse([]string{"-h"}, &out); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n > 40 {
		t.Errorf("%d lines", n)
	}
}

func TestClassify(t *testing.T) {
	frame := func(ether string, rest ...byte) []byte { return slices.Concat(make([]byte, 12), []byte(ether), rest) }
	v4 := func(protocol byte) []byte {
		b := make([]byte, 24)
		b[0], b[9] = 0x46, protocol
		return frame("\x08\x00", b...)
	}
	v6 := func(next byte, rest ...byte) []byte {
		b := make([]byte, 40)
		b[0], b[6] = 0x60, next
		return frame("\x86\xdd", append(b, rest...)...)
	}
	options := []byte{58, 0, 5, 2, 0, 0, 1, 0}
	for _, c := range []struct {
		frame []byte
		want  string
		loud  int
	}{
		{frame("\x08\x06"), "ARP", 0},
		{v4(2), "IGMP", 0},
		{v4(17), "UDP", 1},
		{v4(113), "PGM", 1},
		{v4(1), "ICMP", 1},
		{v4(200), "protocol 200", 1},
		{v6(0, append(options, 143)...), "MLD", 0},
		{v6(0, append(options, 131)...), "MLD", 0},
		{v6(58, 135), "NDP", 0},
		{v6(58, 128), "ICMPv6 type 128", 1},
		{v6(17, 0, 0), "UDP", 1},
		{v6(0, 17, 0, 0, 0, 0, 0, 0, 0), "UDP", 1},
		{v6(0, 58, 9, 0), "short IPv6", 1},
		{v6(0), "short IPv6", 1},
		{v6(58), "short IPv6", 1},
		{v6(0)[:50], "short IPv6", 1},
		{v4(2)[:30], "short IPv4", 1},
		{frame("\x88\xcc"), "Ethernet type 0x88cc", 1},
		{nil, "short frame", 1},
	} {
		got := classify(c.frame)
		if n := loud(map[string]int{got: 1}); got != c.want || n != c.loud {
			t.Errorf("%x: %s, %d loud, want %s, %d", c.frame, got, n, c.want, c.loud)
		}
	}
	if got := listed(map[string]int{"MLD": 2, "IGMP": 10}); got != "10 IGMP, 2 MLD" {
		t.Error(got)
	}
}

// Of each kind an object has the size and the number of files that it is to have, and a changed, missing or added file is noticed.
func TestObjects(t *testing.T) {
	const size = 300_000
	for kind, files := range map[string]int{random: 1, zeros: 1, tree: treeFiles} {
		path := filepath.Join(t.TempDir(), kind)
		if err := makeObject(path, kind, size, 1); err != nil {
			t.Fatal(err)
		}
		want, err := hashAll(path)
		if err != nil || len(want) != files {
			t.Fatalf("%s: %d files, %v", kind, len(want), err)
		}
		total := int64(0)
		for name := range want {
			st, err := os.Stat(filepath.Join(path, name))
			if err != nil {
				t.Fatal(err)
			}
			total += st.Size()
		}
		if total != size {
			t.Errorf("%s: %d bytes", kind, total)
		}
		if err := want.verify(path); err != nil {
			t.Error(err)
		}
		file := path
		if kind == tree {
			file = filepath.Join(path, "042", "4242")
			extra := filepath.Join(path, "extra")
			if err := os.WriteFile(extra, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if want.verify(path) == nil {
				t.Error("a file too many is not noticed")
			}
			os.Remove(extra)
		}
		if err := os.WriteFile(file, []byte("other"), 0o600); err != nil {
			t.Fatal(err)
		}
		if want.verify(path) == nil {
			t.Errorf("%s: a changed file is not noticed", kind)
		}
		os.Remove(file)
		if want.verify(path) == nil {
			t.Errorf("%s: a missing file is not noticed", kind)
		}
	}
}

// Our best is compared with the others' best, at each loss rate where both are.
func TestContest(t *testing.T) {
	beside := func(name string, time, wire float64) (r Result) {
		r = Result{Kind: kindBeside, Name: name}
		r.note(figureTime, time, "s")
		r.note(figureWire, wire, "MB")
		return r
	}
	failed := beside("UFTP, 1 %", 1, 1)
	failed.Error = "hung"
	results := []Result{
		beside("carousel silent, 0 %", 50, 100), beside("UFTP, 0 %", 40, 90),
		beside("carousel silent, 1 %", 50, 100), beside("carousel with NAKs, 1 %", 45, 120), beside("udpcast, 1 %", 50, 80), failed,
		beside("carousel silent, 5 %", 1, 1),
	}
	var got []string
	for _, f := range contest(results) {
		got = append(got, f.Name+" "+f.cell())
	}
	want := []string{
		"last receiver at 0 %, ours of the best other's 125 % (≤ 100) fails",
		"last receiver at 1 %, ours of the best other's 90 % (≤ 100)",
		"on the wire at 1 %, ours of the best other's 125 % (≤ 100) fails",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	var out bytes.Buffer
	if err := judge(&out, results); !errors.Is(err, errFails) || !strings.Contains(out.String(), "1 of 3 hold") {
		t.Errorf("%v, %s", err, &out)
	}
}

// What receivers of layers get together is compared with what each gets alone, if both were measured.
func TestSlowed(t *testing.T) {
	layers := func(name string, fast, slow float64) (r Result) {
		r = Result{Kind: kindLayers, Name: name}
		r.atLeast("100 Mbit/s", fast, "%", 55)
		r.atLeast("1 Mbit/s", slow, "%", 55)
		r.atMost("sent by receivers", 0, "packets", 0)
		return r
	}
	alone := layers(layersAlone, 80, 60)
	failed := alone
	failed.Error = "hung"
	for _, c := range []struct {
		results []Result
		want    []string
	}{
		{[]Result{layers(layersTogether, 80, 60)}, nil},
		{[]Result{layers(layersTogether, 80, 60), failed}, nil},
		{[]Result{layers(layersTogether, 72, 60), alone}, []string{
			"FAILS behind 100 Mbit/s together, of what it is alone 90 %, at least 95 %", "ok    behind 1 Mbit/s together, of what it is alone 100 %, at least 95 %",
		}},
	} {
		var got []string
		for _, f := range slowed(c.results) {
			got = append(got, f.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("got %q", got)
		}
	}
	var out bytes.Buffer
	if err := judge(&out, []Result{layers(layersTogether, 80, 54), alone}); !errors.Is(err, errFails) || !strings.Contains(out.String(), "6 of 8 hold") {
		t.Errorf("%v, %s", err, &out)
	}
}

// A failure of ours counts, one of another program does not; a figure counts if it has a bound.
func TestJudge(t *testing.T) {
	ok := Result{Kind: kindSilent, Name: "a"}
	ok.atMost("x", 1, "%", 1)
	ok.note("y", 1e9, "s")
	bad := Result{Kind: kindSilent, Name: "b"}
	bad.atMost("x", 1.01, "%", 1)
	for _, c := range []struct {
		results []Result
		holds   bool
	}{
		{[]Result{ok}, true},
		{[]Result{ok, bad}, false},
		{[]Result{{Kind: kindSilent, Name: "c", Error: "no"}}, false},
		{[]Result{{Kind: kindBeside, Name: "UFTP, 0 %", Error: "no"}}, true},
		{[]Result{{Kind: kindBeside, Name: "carousel silent, 0 %", Error: "no"}}, false},
	} {
		if err := judge(&bytes.Buffer{}, c.results); (err == nil) != c.holds {
			t.Errorf("%v: %v", c.results, err)
		}
	}
}

func TestWrite(t *testing.T) {
	a := Result{Kind: "k", Name: "a"}
	a.atMost("x", 1, "%", 1.5)
	a.note("y", -2, "s")
	a.atLeast("z", 3, "%", 2)
	b := Result{Kind: "k", Name: "b", Error: "hung"}
	var text, markdown bytes.Buffer
	if err := errors.Join(write(&text, []Result{a, b}, false), write(&markdown, []Result{a, b}, true)); err != nil {
		t.Fatal(err)
	}
	if want := "k  x            y     z\na  1 % (≤ 1.5)  -2 s  3 % (≥ 2)\nb  hung\n\n"; text.String() != want {
		t.Errorf("%q", &text)
	}
	if want := "| k | x | y | z |\n|---|---:|---:|---:|\n| a | 1 % (≤ 1.5) | -2 s | 3 % (≥ 2) |\n| b | hung |\n\n"; markdown.String() != want {
		t.Errorf("%q", &markdown)
	}
}
