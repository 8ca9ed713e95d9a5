//go:build planted

package planted

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// limit is what a package's tests may take until they have found a bug, building them included.
const limit = time.Minute

// golden are the tests that compare a whole history with a recorded hash: they see every change, and so tell nothing of this one.
const golden = "^TestExact$"

var every = flag.Bool("every", false, "let all tests of a package run, not only those up to the first that fails")

// finding is a test that failed, and when.
type finding struct {
	test  string
	after time.Duration
}

// run is what go test said of one package.
type run struct {
	failed []finding     // tests, not their subtests, in the order in which they failed
	passed bool          // the package
	broken string        // why this says nothing about the bug: it was not built, or ended by a time limit
	took   time.Duration // the whole command
	out    []string      // the last lines printed
}

// goTest runs the tests of package dir of the module in root, for at most most, with an overlay, "" for none.
func goTest(t *testing.T, root, dir, overlay string, most time.Duration) run {
	t.Helper()
	// The test ends itself before the go tool is ended, so that it says where it was.
	args := []string{"test", "-json", "-vet=off", "-count=1", "-skip", golden, "-timeout=" + (most * 9 / 10).String()}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	if !*every {
		args = append(args, "-failfast")
	}
	args = append(args, "./"+dir)
	if usesRapid(t, root, dir) {
		// No file of a failure that is none of the tree; and the first counterexample will do.
		args = append(args, "-rapid.nofailfile", "-rapid.shrinktime=1s")
	}
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	cmd := goTool(ctx, t, root, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	r := listen(t, cmd)
	if ctx.Err() != nil {
		r.broken = "it took more than " + most.String()
	}
	return r
}

// event is a line of go test -json.
type event struct {
	Action, Test, Output, FailedBuild string
}

// listen runs cmd, a go test -json, to its end.
func listen(t *testing.T, cmd *exec.Cmd) (r run) {
	t.Helper()
	began := time.Now()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 16<<20)
	ended := false // there was a verdict on the package
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			r.keep(lines.Text())
			continue
		}
		ended = ended || e.Test == "" && (e.Action == "pass" || e.Action == "fail")
		r.note(e, time.Since(began))
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	r.took, r.passed = time.Since(began), err == nil
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || !ended) && r.broken == "" {
		r.broken = fmt.Sprintf("go test did not run it: %v", err)
	}
	if stderr.Len() > 0 {
		r.keep(stderr.String())
	}
	return r
}

// note takes one event, which came after a time.
func (r *run) note(e event, after time.Duration) {
	if e.Output != "" {
		r.keep(strings.TrimSuffix(e.Output, "\n"))
	}
	switch {
	case strings.HasPrefix(e.Output, "panic: test timed out after "):
		r.broken = strings.TrimSpace(e.Output)
	case e.Action == "build-fail" || e.FailedBuild != "":
		r.broken = "it does not build"
	case e.Action == "fail" && strings.HasPrefix(e.Test, "Test") && r.broken == "": // -failfast fails examples, too, unrun
		name, _, _ := strings.Cut(e.Test, "/")
		if !slices.ContainsFunc(r.failed, func(f finding) bool { return f.test == name }) {
			r.failed = append(r.failed, finding{name, after})
		}
	}
}

// keep remembers one line of what was printed, and as many before it as help.
func (r *run) keep(line string) {
	if len(r.out) >= 200 {
		r.out = slices.Delete(r.out, 0, 100)
	}
	r.out = append(r.out, line)
}

// found says who found the bug and after how many seconds; ok is false, and the text the reason, if that is nobody.
func (r *run) found() (text string, ok bool) {
	switch {
	case len(r.failed) > 0:
		var names []string
		for _, f := range r.failed {
			names = append(names, fmt.Sprintf("%s %.1f s", f.test, f.after.Seconds()))
		}
		return strings.Join(names, ", "), true
	case r.broken != "":
		return r.broken, false
	case r.passed:
		return "all tests pass", false
	}
	return "the package fails, but no test does", false
}

// usesRapid reports whether the tests of package dir know rapid's flags.
func usesRapid(t *testing.T, root, dir string) bool {
	t.Helper()
	out, err := goTool(t.Context(), t, root, "list", "-e", "-test", "-deps", "-f", "{{.ImportPath}}", "./"+dir).Output()
	if err != nil {
		t.Fatalf("go list of %s: %v", dir, err)
	}
	return slices.Contains(strings.Split(string(out), "\n"), "pgregory.net/rapid")
}

// TestPlanted plants each bug and lets the tests of every package that its diff names find it.
func TestPlanted(t *testing.T) {
	var packages []string
	for _, name := range bugs {
		packages = append(packages, readBug(t, name).packages...)
	}
	slices.Sort(packages)
	for _, dir := range slices.Compact(packages) {
		r := goTest(t, root(t), dir, "", limit)
		if !r.passed {
			t.Fatalf("%s fails without a bug, so its failures mean nothing: %s\n%s", dir, r.broken, strings.Join(r.out, "\n"))
		}
		t.Logf("%s passes without a bug in %.1f s", dir, r.took.Seconds())
	}
	began, table := time.Now(), ""
	for _, name := range bugs {
		t.Run(name, func(t *testing.T) {
			b := readBug(t, name)
			overlay := plant(t, b)
			for _, dir := range b.packages {
				r := goTest(t, root(t), dir, overlay, limit)
				text, ok := r.found()
				if !ok {
					t.Errorf("%s does not find it: %s\nthe bug: %s\n%s", dir, text, b.text, strings.Join(r.out, "\n"))
					continue
				}
				table += fmt.Sprintf("%-30s %-9s %s\n", name, dir, text)
			}
		})
	}
	t.Logf("%d bugs in %.0f s\n%s", len(bugs), time.Since(began).Seconds(), table)
}

// TestVerdicts: only a test that fails has found a bug.
func TestVerdicts(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example\n\ngo 1.26.0\n")
	for _, c := range []struct {
		name, body, want string // want: the beginning of what is found; after - of why nothing is
	}{
		{"passes", "", "-all tests pass"},
		{"fails", `t.Run("sub", func(t *testing.T) { t.Error("wrong") })`, "TestIt "},
		{"panics", `panic("wrong")`, "TestIt "},
		{"hangs", "for {\n}", "-"},
		{"broken", "wrong", "-it does not build"},
		{"exits", "os.Exit(1)", "-the package fails, but no test does"},
		{"main", "}\nfunc TestMain(m *testing.M) { m.Run(); os.Exit(1)", "-the package fails, but no test does"},
	} {
		write(c.name+"/x_test.go", "package x\nimport (\"os\"; \"testing\")\nvar _ = os.Exit\nfunc TestIt(t *testing.T) {\n"+c.body+"\n}\n")
		most := limit
		if c.name == "hangs" {
			most = 5 * time.Second
		}
		r := goTest(t, dir, c.name, "", most)
		text, ok := r.found()
		if want, none := strings.CutPrefix(c.want, "-"); ok == none || !strings.HasPrefix(text, want) {
			t.Errorf("a package that %s: %v, %q, want %q", c.name, ok, text, c.want)
		}
	}
	r := goTest(t, dir, "nowhere", "", limit)
	if text, ok := r.found(); ok {
		t.Errorf("a package that does not exist: %s", text)
	}
}
