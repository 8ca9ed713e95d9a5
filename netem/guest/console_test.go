package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestParseMarker(t *testing.T) {
	exit := func(code int) string { return exitLine("N", code, 1500*time.Millisecond) }
	for _, c := range []struct {
		line string
		want said
	}{
		{upLine("N"), said{what: "up"}},
		{exit(0) + "\r\n", said{"exit", 0, 1500 * time.Millisecond}},
		{exit(255) + "\n", said{"exit", 255, 1500 * time.Millisecond}},
		{"[    2.1] random: crng init done" + exit(3) + "\r\r\n", said{"exit", 3, 1500 * time.Millisecond}},
		{exitLine("M", 0, 0), said{}}, // somebody else's
		{marker + " N exit ", said{}}, // cut, and otherwise wrong
		{marker + " N exit 0", said{}},
		{marker + " N exit 0 after ", said{}},
		{marker + " N exit 0 after 1", said{}},
		{marker + " N exit 0 after 1s more", said{}},
		{marker + " N exit -1 after 1s", said{}},
		{marker + " N exit 256 after 1s", said{}},
		{marker + " N 0 after 1s", said{}},
		{marker + " N upper", said{}},
		{marker + "N up", said{}},
		{"ok  	rmcast 1.0s", said{}},
		{"exit 0 after 1s", said{}},
		{"", said{}},
		{`"` + upLine("N") + `"` + "\n", said{}}, // quoted by a program
	} {
		if got := parseMarker(c.line, "N"); got != c.want {
			t.Errorf("%q: %+v, want %+v", c.line, got, c.want)
		}
	}
}

func TestWrongClock(t *testing.T) {
	for _, c := range []struct {
		clock, wall time.Duration
		wrong       bool
	}{
		{time.Second, time.Second, false}, {60 * time.Second, 64 * time.Second, false}, {0, time.Second, false},
		{500 * time.Second, 63 * time.Second, true}, {40 * time.Second, 60 * time.Second, true}, {3 * time.Second, time.Second, true},
	} {
		if err := (&console{clock: c.clock, wall: c.wall}).wrongClock(); (err != nil) != c.wrong {
			t.Errorf("%v in %v: %v", c.clock, c.wall, err)
		}
	}
}

// listen reads a text as a console and returns what was passed on.
func listen(r io.Reader, all bool) (c *console, text string, ups, ends int) {
	var out strings.Builder
	c = &console{nonce: "N", out: &out, all: all, up: func() { ups++ }, end: func() { ends++ }}
	if err := c.read(r); err != nil {
		panic(err)
	}
	return c, out.String(), ups, ends
}

func TestConsole(t *testing.T) {
	text := "kernel\r\n" + upLine("N") + "\r\n" + "=== RUN\r\n--- PASS\r\n" + exitLine("N", 5, 0) + "\r\nPower down\r\n"
	for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
		c, got, ups, ends := listen(r, false)
		if got != "=== RUN\n--- PASS\n" || ups != 1 || ends != 1 || !c.isUp || !c.isEnded || c.code != 5 || c.noTests {
			t.Errorf("got %q, %d, %d, %+v", got, ups, ends, c)
		}
		if c.before.String() != "\nkernel" {
			t.Errorf("before it was up: %q", c.before.String())
		}
	}
	if _, got, _, _ := listen(strings.NewReader(text), true); got != "kernel\n=== RUN\n--- PASS\nPower down\n" {
		t.Errorf("all: %q", got)
	}
}

func TestConsoleOfABrokenGuest(t *testing.T) {
	// The last line is missing, or cut.
	for _, end := range []string{"", "panic: BUG", exitLine("N", 0, 0)[:12], marker + " N exit 0"} {
		c, _, ups, ends := listen(strings.NewReader(upLine("N")+"\r\ntext\r\n"+end), false)
		if c.isEnded || ups != 1 || ends != 0 {
			t.Errorf("%q: ended: %v", end, c.isEnded)
		}
	}
	c, got, _, _ := listen(strings.NewReader(upLine("N")+"\ntesting: warning: no tests to run\r\nPASS\r\n"+exitLine("N", 0, 0)+"\n"), false)
	if !c.noTests || !strings.HasSuffix(got, "PASS\n") {
		t.Errorf("no tests: %v, %q", c.noTests, got)
	}
}

// A console that cannot be printed is read to its end all the same.
func TestConsoleReadsOn(t *testing.T) {
	c := &console{nonce: "N", out: brokenWriter{}, up: func() {}, end: func() {}}
	err := c.read(strings.NewReader(upLine("N") + "\na\nb\n" + exitLine("N", 7, 0) + "\n"))
	if err == nil || !c.isEnded || c.code != 7 {
		t.Errorf("%v, %+v", err, c)
	}
	c = &console{nonce: "N", out: io.Discard, up: func() {}, end: func() {}}
	if err := c.read(iotest.ErrReader(errors.New("killed"))); err != nil || c.isEnded {
		t.Errorf("a pipe that breaks: %v, %+v", err, c)
	}
}
