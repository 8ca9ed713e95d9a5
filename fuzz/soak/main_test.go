package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rmcast/rmcast/sim"
)

// soaked runs the command and returns what it prints.
func soaked(t *testing.T, watch func(*sim.Event) bool, code int, args ...string) string {
	t.Helper()
	var out strings.Builder
	if got := run(args, &out, watch); got != code {
		t.Fatalf("%q: code %d, want %d:\n%s", args, got, code, &out)
	}
	return out.String()
}

func want(t *testing.T, out string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !regexp.MustCompile(p).MatchString(out) {
			t.Errorf("no %q in:\n%s", p, out)
		}
	}
}

func TestSoak(t *testing.T) {
	want(t, soaked(t, nil, 0, "-n", "100", "-seed", "5", "-workers", "3"), `^seed 5, 3 workers\n`, `histories 100 `, `no violation \(seed 5\)\n$`)
	want(t, soaked(t, nil, 0, "-time", "1ns", "-long", "-workers", "1"), `^seed \d+, 1 workers\n`, `histories 16 `)
	want(t, soaked(t, nil, 0, "-from", "7"), `(?m)^seed 7$`, `(?m)^no violation\nhistories 1 `)
	want(t, soaked(t, nil, 0, "-h"), `usage: soak`, `-from seed`)
	want(t, soaked(t, nil, 2, "-from", "1", "-file", "x"), `wrong arguments`)
	want(t, soaked(t, nil, 2, "-workers", "0"), `wrong arguments`)
	want(t, soaked(t, nil, 2, "-speed", "9"), `not defined: -speed`)
	want(t, soaked(t, nil, 2, "-file", filepath.Join(t.TempDir(), "nowhere")), `nowhere`)
}

// A violation ends the run with how to repeat it, and a short history that fails again as a file.
func TestViolation(t *testing.T) {
	hide := func(e *sim.Event) bool { return e.Kind == sim.Delivered && e.Bytes == 1 }
	out := soaked(t, hide, 1, "-n", "1000", "-seed", "1", "-workers", "2", "-shrink", "5s")
	want(t, out, `VIOLATION history: seed \d+, step \d+, at `, `the shortest found, of [1-5] steps`)
	repeat := regexp.MustCompile(`repeat it: go run ./fuzz/soak -from (\d+)\n`).FindStringSubmatch(out)
	if repeat == nil {
		t.Fatalf("not said how to repeat it:\n%s", out)
	}
	want(t, soaked(t, hide, 1, "-from", repeat[1], "-shrink", "0"), `VIOLATION history: seed `+repeat[1])
	_, text, _ := strings.Cut(out, "the shortest found")
	_, text, _ = strings.Cut(text, "\n\nseed ")
	text, _, _ = strings.Cut(text, "\n\n")
	name := filepath.Join(t.TempDir(), "failed.txt")
	if err := os.WriteFile(name, []byte("seed "+text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, soaked(t, hide, 1, "-file", name, "-shrink", "1s"), `VIOLATION`, `repeat it: go run ./fuzz/soak -file `)
	want(t, soaked(t, nil, 0, "-file", name), `no violation`)
}
