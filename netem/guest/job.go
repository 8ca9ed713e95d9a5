package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// job is what the guest is told to do, in the file jobFile of its first file system.
type job struct {
	Nonce    string    // in every line that the guest says about itself, so that no program can say it by chance
	Modules  []string  // files to load, in order
	Programs []program // to run, one after the other
}

const jobFile = "job.json"

// program is one program to run in the guest.
type program struct {
	Name string // for people
	Path string
	Args []string // without the name
	Dir  string
	Env  []string
}

// The guest says two things about itself on the console, beside what its programs print:
//
//	rmcast-guest <nonce> up                    first of all, when the kernel has started it
//	rmcast-guest <nonce> exit <n> after <t>    last of all, with the time since then by the guest's clock
//
// Without the last one nothing is known of what happened, whatever qemu's own exit code: that is 0 after a panic too.
const marker = "rmcast-guest"

func upLine(nonce string) string { return marker + " " + nonce + " up" }

func exitLine(nonce string, code int, after time.Duration) string {
	return fmt.Sprintf("%s %s exit %d after %v", marker, nonce, code, after)
}

// said is what the guest said about itself in a line: "up" or "exit", or "" in a line that is something else.
type said struct {
	what  string
	code  int // of exit
	after time.Duration
}

// parseMarker reads a line of the console. A kernel's message may stand before a marker on its line, and a serial line's carriage
// return behind it.
func parseMarker(line, nonce string) said {
	_, rest, ok := strings.Cut(line, marker+" "+nonce+" ")
	if !ok {
		return said{}
	}
	rest = strings.TrimRight(rest, "\r\n")
	if rest == "up" {
		return said{what: "up"}
	}
	rest, isExit := strings.CutPrefix(rest, "exit ")
	number, duration, hasTime := strings.Cut(rest, " after ")
	code, err := strconv.Atoi(number)
	after, terr := time.ParseDuration(duration)
	if isExit && hasTime && err == nil && terr == nil && code >= 0 && code <= 255 {
		return said{"exit", code, after}
	}
	return said{}
}
