package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestParseMarker(t *testing.T) {
	for _, c := range []struct {
		line, what string
		code       int
	}{
		{upLine("N"), "up", 0},
		{exitLine("N", 0) + "\r\n", "exit", 0},
		{exitLine("N", 255) + "\n", "exit", 255},
		{"[    2.1] random: crng init done" + exitLine("N", 3) + "\r\r\n", "exit", 3},
		{exitLine("M", 0), "", 0},               // somebody else's
		{marker + " N exit ", "", 0},            // cut
		{marker + " N exit 1 more", "", 0},      //
		{marker + " N exit -1", "", 0},          //
		{marker + " N exit 256", "", 0},         //
		{marker + " N upper", "", 0},            //
		{marker + "N up", "", 0},                //
		{"ok  	rmcast 1.0s", "", 0},             //
		{"exit 0", "", 0},                       //
		{"", "", 0},                             //
		{`"` + upLine("N") + `"` + "\n", "", 0}, // quoted by a program
	} {
		if what, code := parseMarker(c.line, "N"); what != c.what || code != c.code {
			t.Errorf("%q: %q %d, want %q %d", c.line, what, code, c.what, c.code)
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
	text := "kernel\r\n" + upLine("N") + "\r\n" + "=== RUN\r\n--- PASS\r\n" + exitLine("N", 5) + "\r\nPower down\r\n"
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
	for _, end := range []string{"", "panic: BUG", exitLine("N", 0)[:12], marker + " N exit"} {
		c, _, ups, ends := listen(strings.NewReader(upLine("N")+"\r\ntext\r\n"+end), false)
		if c.isEnded || ups != 1 || ends != 0 {
			t.Errorf("%q: ended: %v", end, c.isEnded)
		}
	}
	c, got, _, _ := listen(strings.NewReader(upLine("N")+"\ntesting: warning: no tests to run\r\nPASS\r\n"+exitLine("N", 0)+"\n"), false)
	if !c.noTests || !strings.HasSuffix(got, "PASS\n") {
		t.Errorf("no tests: %v, %q", c.noTests, got)
	}
}

// A console that cannot be printed is read to its end all the same.
func TestConsoleReadsOn(t *testing.T) {
	c := &console{nonce: "N", out: brokenWriter{}, up: func() {}, end: func() {}}
	err := c.read(strings.NewReader(upLine("N") + "\na\nb\n" + exitLine("N", 7) + "\n"))
	if err == nil || !c.isEnded || c.code != 7 {
		t.Errorf("%v, %+v", err, c)
	}
	c = &console{nonce: "N", out: io.Discard, up: func() {}, end: func() {}}
	if err := c.read(iotest.ErrReader(errors.New("killed"))); err != nil || c.isEnded {
		t.Errorf("a pipe that breaks: %v, %+v", err, c)
	}
}
