package main

import (
	"fmt"
	"strconv"
	"strings"
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
//	rmcast-guest <nonce> up          first of all, when the kernel has started it
//	rmcast-guest <nonce> exit <n>    last of all
//
// Without the last one nothing is known of what happened, whatever qemu's own exit code: that is 0 after a panic too.
const marker = "rmcast-guest"

func upLine(nonce string) string { return marker + " " + nonce + " up" }
func exitLine(nonce string, code int) string {
	return fmt.Sprintf("%s %s exit %d", marker, nonce, code)
}

// parseMarker reads a line of the console. what is "up" or "exit", and "" for a line that is something else. A kernel's message may
// stand before a marker on its line, and a serial line's carriage return behind it.
func parseMarker(line, nonce string) (what string, code int) {
	_, rest, ok := strings.Cut(line, marker+" "+nonce+" ")
	if !ok {
		return "", 0
	}
	rest = strings.TrimRight(rest, "\r\n")
	if rest == "up" {
		return "up", 0
	}
	if number, ok := strings.CutPrefix(rest, "exit "); ok {
		if code, err := strconv.Atoi(number); err == nil && code >= 0 && code <= 255 {
			return "exit", code
		}
	}
	return "", 0
}
