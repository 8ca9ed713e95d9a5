package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
)

// The queue is one bandwidth-delay product, and 32 packets at least.
func TestPath(t *testing.T) {
	for _, c := range []struct {
		p    Path
		want int
	}{{Path{flow.Mbps, ms}, 32 * 1480}, {Path{100 * flow.Mbps, 20 * ms}, 250_000}, {Path{flow.Gbps, 100 * ms}, 12_500_000}} {
		if got := c.p.queue(); got != c.want {
			t.Errorf("%+v: %d, want %d", c.p, got, c.want)
		}
	}
}

func TestJain(t *testing.T) {
	for _, c := range []struct {
		v    []float64
		want float64
	}{{[]float64{5, 5}, 1}, {[]float64{1, 0}, 0.5}, {[]float64{3, 1}, 0.8}, {nil, 0}, {[]float64{0, 0}, 0}} {
		if got := jain(c.v...); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%v: %v, want %v", c.v, got, c.want)
		}
	}
}

func TestMedian(t *testing.T) {
	v := []float64{5, 1, 4}
	if got := median(v); got != 4 || v[0] != 5 {
		t.Errorf("%v, of %v", got, v)
	}
	if got := median(append(v, 2)); got != 3 {
		t.Error(got)
	}
}

// What a curve says of when.
func TestSeries(t *testing.T) {
	s := Series{Step: time.Second, Tracks: []Track{{Name: "a", Values: []float64{0, 10, 50, 90, 100, 100, 60, 100, 100, 100}}}}
	sec := time.Second
	near := func(v float64) bool { return v > 95 }
	for _, c := range []struct {
		what      string
		got, want time.Duration
	}{
		{"90 for a second", s.reaches("a", 0, sec, 90), 4 * sec},
		{"90 for a second from the third on", s.reaches("a", 2*sec, sec, 90), 2 * sec},
		{"100 for two seconds", s.reaches("a", 0, 2*sec, 100), 6 * sec},
		{"never", s.reaches("a", 0, sec, 101), never},
		{"settled", s.settles("a", 0, 10*sec, sec, near), 7 * sec},
		{"settled before", s.settles("a", 4*sec, 6*sec, sec, near), 0},
		{"not settled at the end", s.settles("a", 0, 7*sec, sec, near), never},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
	if got := s.mean("a", 3*sec, 6*sec); math.Abs(got-290.0/3) > 1e-9 {
		t.Errorf("mean %v", got)
	}
}

func TestFigure(t *testing.T) {
	for _, c := range []struct {
		f     Figure
		holds bool
		text  string
	}{
		{Figure{Name: "x", Unit: "%", Value: 90, Must: least, Bound: 90}, true, "x 90 % (at least 90 %)"},
		{Figure{Name: "x", Unit: "%", Value: 89, Must: least, Bound: 90}, false, "FAILS x 89 % (at least 90 %)"},
		{Figure{Name: "x", Unit: "s", Value: seconds(never), Must: most, Bound: 2}, false, "FAILS x never s (at most 2 s)"},
		{Figure{Name: "x", Value: math.NaN(), Must: most, Bound: 2}, false, "FAILS x NaN (at most 2)"},
		{Figure{Name: "x", Value: 3}, true, "x 3"},
	} {
		if c.f.holds() != c.holds || c.f.String() != c.text {
			t.Errorf("%+v: %v, %q", c.f, c.f.holds(), c.f)
		}
	}
}

// A source with a fixed rate of what the link has, in a small cell: figures are those that must come out.
func TestTransfer(t *testing.T) {
	p := Path{10 * flow.Mbps, 20 * ms}
	took, err := transfer(t.Context(), p, 0.05, 2, p.Rate*9/10, 2<<20, 1)
	if err != nil {
		t.Fatal(err)
	}
	if low := p.Rate.Duration(2 << 20); took < low || took > 2*low {
		t.Errorf("2 MiB over %v take %v", p.Rate, took)
	}
}

// The command measures, judges, and makes tables and plots of what it has written.
func TestCommand(t *testing.T) {
	var out, errs bytes.Buffer
	dir := t.TempDir()
	if err := run(t.Context(), []string{"-quick", "-only", "script/pause,alone/1M", "-json", "-svg", dir}, &out, &errs); err != nil {
		t.Fatal(err, errs.String())
	}
	file := dir + "/a.json"
	writeFile(t, file, out.Bytes())
	out.Reset()
	if err := run(t.Context(), []string{"-from", file, "-markdown"}, &out, &errs); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Count(text, "\n| 1M-") != 3 || !strings.Contains(text, "| pause |") {
		t.Errorf("tables:\n%s", text)
	}
	b := readFile(t, dir+"/script-pause.svg")
	for d := xml.NewDecoder(bytes.NewReader(b)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal("not XML: ", err)
		}
	}
	if !bytes.Contains(b, []byte("<polyline")) || bytes.Contains(b, []byte("NaN")) {
		t.Errorf("plot:\n%.300s", b)
	}
}

func TestCommandRefuses(t *testing.T) {
	for _, args := range [][]string{{"-only", "nothing"}, {"-runs", "-1"}, {"more"}, {"-for", "2h"}} {
		if err := run(context.Background(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}

// A bound that does not hold makes -check fail.
func TestJudge(t *testing.T) {
	var good, bad, broken Result
	good.need("x", 1, "", least, 1)
	bad.need("x", 1, "", least, 2)
	broken.Error = "no"
	for _, c := range []struct {
		all  []Result
		fail bool
	}{{[]Result{good}, false}, {[]Result{good, bad}, true}, {[]Result{good, broken}, true}} {
		if err := judge(io.Discard, c.all); (err != nil) != c.fail {
			t.Errorf("%v: %v", c.all, err)
		}
	}
}

func writeFile(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
