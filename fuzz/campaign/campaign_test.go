package main

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func file(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }

func TestFindTargets(t *testing.T) {
	const fuzzA = "package p\n\nfunc FuzzA(f *testing.F) {\n"
	got, err := findTargets(fstest.MapFS{
		"b/x_test.go":          file(fuzzA + "}\nfunc FuzzB(t *testing.F) { f.Fuzz() }\n// func FuzzC(f *testing.F)\nfunc FuzzHelper() {}\n"),
		"a/deep/y_test.go":     file(fuzzA),
		"a/y.go":               file(fuzzA),
		"a/testdata/y_test.go": file(fuzzA),
		"tools/go.mod":         file("module tools"),
		"tools/y_test.go":      file(fuzzA),
		".ci/y_test.go":        file(fuzzA),
		"c/tagged_test.go":     file("//go:build netns\n\n" + fuzzA),
	})
	want := []target{{"a/deep", "FuzzA"}, {"b", "FuzzA"}, {"b", "FuzzB"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("found %v (%v), want %v", got, err, want)
	}
}

func TestReadsProgress(t *testing.T) {
	r := result{target: target{"wire", "FuzzDecode"}}
	for _, c := range []struct {
		line  string
		still bool
	}{
		{"fuzz: elapsed: 0s, gathering baseline coverage: 0/431 completed", false},
		{"fuzz: elapsed: 3s, execs: 8985 (2994/sec), new interesting: 417 (total: 435)", false},
		{"fuzz: elapsed: 12s, execs: 18624 (0/sec), new interesting: 565 (total: 583)", true},
		{"fuzz: minimizing 181-byte failing input file", false},
		{"--- FAIL: FuzzDecode (4.27s)", false},
		{"    Failing input written to testdata/fuzz/FuzzDecode/36efb303281a1915", false},
		{"FAIL", false},
	} {
		if got := r.read(c.line); got != c.still {
			t.Errorf("%q: stands still %v, want %v", c.line, got, c.still)
		}
	}
	if r.execs != 18624 || r.fresh != 565 || r.total != 583 || r.input != "wire/testdata/fuzz/FuzzDecode/36efb303281a1915" {
		t.Errorf("read %+v", r)
	}
	r.err = errors.New("exit status 1")
	var out bytes.Buffer
	good := result{target: target{"seq", "FuzzNum"}, execs: 5, took: time.Second}
	if code := report(&out, []result{good, r}); code != 1 {
		t.Errorf("exit code %d with a failure", code)
	}
	for _, want := range []string{"18629", "1 failed", r.input, "go test ./wire -run '^FuzzDecode$/36efb303281a1915'", "--- FAIL: FuzzDecode"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
	if code := report(&out, []result{good}); code != 0 {
		t.Errorf("exit code %d without a failure", code)
	}
	if code := report(&out, []result{{target: good.target, still: true}}); code != 1 {
		t.Errorf("exit code %d of a target that stands still", code)
	}
}

// What go test says at the end of a target's time by mistake is no failure; anything more is one.
func TestOnlyLate(t *testing.T) {
	const late = "--- FAIL: FuzzX (69.76s)\n    context deadline exceeded\nFAIL\nexit status 1\nFAIL\texample.com/x\t69.798s\n"
	for _, c := range []struct {
		said, input string
		want        bool
	}{
		{late, "", true},
		{late, "x/testdata/fuzz/FuzzX/1", false},
		{"    x_test.go:7: wrong\n" + late, "", false},
		{strings.Replace(late, "context", "    x_test.go:7: wrong\n    context", 1), "", false},
		{strings.Replace(late, "context deadline exceeded", "fuzzing process hung or terminated unexpectedly", 1), "", false},
		{"", "", false},
	} {
		if got := (result{said: c.said, input: c.input}).onlyLate(); got != c.want {
			t.Errorf("%q with input %q: only late %v, want %v", c.said, c.input, got, c.want)
		}
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{"-time", "0s"}, {"-parallel", "0"}, {"-at-once", "0"}, {"-each", "-1s"}, {"-run", "("}, {"x"}, {"-time", "soon"}} {
		var out bytes.Buffer
		if code := run(args, &out, &out); code != 2 {
			t.Errorf("%q: exit code %d", args, code)
		}
	}
}

// Several at a time: each has its result in its place, and after a signal no other begins.
func TestFuzzAll(t *testing.T) {
	targets := []target{{"missing/a", "FuzzA"}, {"missing/b", "FuzzB"}, {"missing/c", "FuzzC"}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	results := fuzzAll(ctx, targets, time.Second, options{atOnce: 2, parallel: 1, minimize: "10x"}, &out)
	if len(results) != len(targets) {
		t.Fatalf("%d results", len(results))
	}
	for i, r := range results {
		if r.target != targets[i] || !r.bad() || !strings.Contains(out.String(), r.String()) {
			t.Errorf("%d: %+v\n%s", i, r, &out)
		}
	}
	cancel()
	if results := fuzzAll(ctx, targets, time.Second, options{atOnce: 2, parallel: 1, minimize: "10x"}, &out); len(results) != 0 {
		t.Errorf("after a signal: %+v", results)
	}
}
