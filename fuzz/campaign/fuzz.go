package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// result is what one target's time brought.
type result struct {
	target  target
	took    time.Duration
	execs   int64
	fresh   int64 // inputs found interesting
	total   int64 // of them, with those known before
	err     error // of go test
	input   string
	said    string // what go test said of the failure
	still   bool   // no execution ended for too long
	stopped bool   // by a signal
}

// stillLines is how many progress lines (one each 3 s) without an execution mean that the target stands still. An execution that takes
// more than 10 s is ended by go test itself, and its input kept.
const stillLines = 40

var (
	progress = regexp.MustCompile(`^fuzz: elapsed: .*, execs: (\d+) \((\d+)/sec\)(?:, new interesting: (\d+) \(total: (\d+)\))?`)
	written  = regexp.MustCompile(`Failing input written to (\S+)`)
)

// fuzz runs one target for its share of the time. It ends with it, or when the target fails or stands still, or when ctx does.
func fuzz(ctx context.Context, t target, share time.Duration, o options, say func(format string, a ...any)) result {
	r := result{target: t}
	cmd := exec.Command("go", "test", "./"+t.dir, "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", share.String(),
		"-fuzzminimizetime", o.minimize, "-parallel", strconv.Itoa(o.parallel))
	pipe, err := cmd.StdoutPipe()
	cmd.Stderr = cmd.Stdout
	began := time.Now()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.err = err
		return r
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(pipe); s.Scan(); {
			lines <- s.Text()
		}
		_, _ = io.Copy(io.Discard, pipe) // after a line too long for the Scanner
	}()
	quiet, stop := 0, ctx.Done()
	for lines != nil {
		select {
		case line, ok := <-lines:
			if !ok {
				lines = nil
				continue
			}
			if o.verbose {
				say("%v: %s\n", t, line)
			}
			if r.read(line) {
				quiet++
			} else {
				quiet = 0
			}
			if quiet == stillLines {
				r.still = true
				_ = cmd.Process.Signal(os.Interrupt)
			}
		case <-stop:
			r.stopped, stop = true, nil
			_ = cmd.Process.Signal(os.Interrupt)
		}
	}
	err = cmd.Wait()
	r.took = time.Since(began)
	if !r.stopped && !r.onlyLate() {
		r.err = err
	}
	return r
}

var lateOnly = regexp.MustCompile(`^--- FAIL: \w+ \([^)]*\)\n    context deadline exceeded\nFAIL\n(exit status 1\n)?FAIL\t\S+\t\S+\n$`)

// onlyLate reports whether go test says nothing but that its time is over: before Go 1.27 it may call that a failure
// (go.dev/issue/75804). A target that failed says what of, and an input is kept.
func (r result) onlyLate() bool { return r.input == "" && lateOnly.MatchString(r.said) }

// read takes in a line of go test's and reports whether it tells of no execution since the last one.
func (r *result) read(line string) (still bool) {
	if m := progress.FindStringSubmatch(line); m != nil {
		number := func(i int, to *int64) {
			if m[i] != "" {
				*to, _ = strconv.ParseInt(m[i], 10, 64)
			}
		}
		number(1, &r.execs)
		number(3, &r.fresh)
		number(4, &r.total)
		return m[2] == "0"
	}
	if strings.HasPrefix(line, "fuzz: ") || line == "PASS" || strings.HasPrefix(line, "ok ") {
		return false
	}
	if m := written.FindStringSubmatch(line); m != nil {
		r.input = path.Join(r.target.dir, m[1])
	}
	if len(r.said) < 1<<14 {
		r.said += line + "\n"
	}
	return false
}

func (r result) bad() bool { return r.err != nil || r.still }

func (r result) inputName() string { return path.Base(r.input) }

func (r result) verdict() string {
	switch {
	case r.stopped:
		return "stopped"
	case r.still:
		return "stands still"
	case r.input != "":
		return "FAILED: " + r.input
	case r.err != nil:
		return "FAILED: " + r.err.Error()
	}
	return "ok"
}

// String gives one line for the console.
func (r result) String() string {
	return fmt.Sprintf("%v: %d executions, %d new inputs, %s", r.target, r.execs, r.fresh, r.verdict())
}
