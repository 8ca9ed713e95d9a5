package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/rmcast/rmcast/carousel"
	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
	"github.com/rmcast/rmcast/transport"
)

// plain is an error's text without what only programmers read: the operation, and which package said it.
func plain(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	s := err.Error()
	for {
		short := s
		for _, p := range []string{"dgram: ", "transport: ", "session: ", "carousel: ", "channel: ", "flow: ", "wire: ", "Config: "} {
			short = strings.TrimPrefix(short, p)
		}
		if short == s {
			return s
		}
		s = short
	}
}

// explain makes a failure of an error that the library or the system gave: it finds what to do about it. what was being done stands first.
func explain(doing string, err error) error {
	var f *failure
	var s *signalled
	if err == nil || errors.As(err, &f) || errors.As(err, &s) {
		return err
	}
	text := plain(err)
	if doing != "" {
		text = doing + ": " + text
	}
	return &failure{exitFailed, text, advice(err), err}
}

// seePing ends advice about interfaces. ping itself has shown them: it takes facts.another.
const seePing = "rmcast ping shows the interfaces of this machine and what is wrong with them."

// advice says what to do about an error. Errors that say it themselves need none.
func advice(err error) string {
	var reset *transport.ResetError
	var evicted *transport.EvictedError
	text := err.Error()
	switch {
	case strings.Contains(text, "no network interface is up"):
		return "Connect a network, or bring its interface up (ip link set dev NAME up): rmcast ping shows which there are. ip link set dev lo up does for this machine alone."
	case strings.Contains(text, " is down"):
		return "Bring it up (ip link set dev NAME up), or name another with -interface; " + seePing
	case strings.Contains(text, "no interface "):
		return seePing
	case strings.Contains(text, "no permission for raw IP"):
		return "Without -raw no privilege is needed."
	case strings.Contains(text, "no permission for port"), strings.Contains(text, "is in use by a program"):
		return "" // it says it
	case strings.Contains(text, "MTU is "):
		return "Leave -mtu away: it is found out. A larger one needs jumbo frames, on every switch and machine of the way."
	case strings.Contains(text, "no route for IPv6 multicast"):
		return "IPv4 may do, -4 on both ends, or another interface; " + seePing
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return "Name the interface of the network that is meant with -interface; " + seePing
	case strings.Contains(text, "no IPv6 address"), strings.Contains(text, "no IPv4 address"):
		return "Both ends need the same family: -4 or -6."
	case errors.Is(err, syscall.EPERM):
		return "A packet filter of this machine refuses to send: allow UDP to the group (nft list ruleset or iptables -S shows the rules)."
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "The disk is full. Make room and run the same command again: what has come is kept, and it goes on from there."
	case errors.Is(err, syscall.EROFS):
		return "The file system is mounted read-only: take another directory."
	case errors.Is(err, syscall.EISDIR):
		return "It is a directory: give the name of a file in it."
	case errors.Is(err, fs.ErrPermission):
		return "Take a directory that you may write to, or change its rights."
	case errors.Is(err, fs.ErrNotExist):
		return "Look at the path: the shell's directory may be another one."
	case errors.Is(err, transport.ErrSourceLost), errors.Is(err, carousel.ErrIncomplete), errors.As(err, &reset):
		return "Start the sender again, and run the same command: what has come is kept, and it goes on from there."
	case errors.As(err, &evicted):
		return "This machine or its link is too slow for the sender's rate: have it send with a lower -rate."
	case errors.Is(err, carousel.ErrChanged):
		return "Files must stay as they are while they are sent: send a copy, or when nobody writes to them."
	case errors.Is(err, carousel.ErrSpecial):
		return "Only files and directories are sent: take links and devices out, or send a copy without them (cp -rL follows links)."
	case errors.Is(err, carousel.ErrLimit):
		return "It is more than this receiver takes: send it in parts."
	case errors.Is(err, syscall.EMFILE):
		return "Allow more open files: ulimit -n 4096."
	case errors.Is(err, fs.ErrExist):
		return "Take another directory, or replace it with -replace."
	}
	return ""
}

// incomplete is the failure of a stream that has ended, of which total bytes have come and so many packets have not.
func incomplete(total int64, lost int) error {
	do := "This machine was too slow, joined late, or was cut off: have the sender use a lower -rate."
	if total == 0 {
		do = "The sender was heard, and none of its data: its packets may be larger than the way to here takes. Have it send with -mtu 1280."
	}
	return fail(nil, do, "the stream has ended and is not whole: %s %s missing", human.Count(lost, "packet"), plural(lost, "is", "are"))
}

// noData adds what may be behind it to the word of a loss, if nothing but losses has come.
func noData(total int64, lost int) string {
	if total > 0 || lost < 16 {
		return ""
	}
	return "; none of its data has come: its packets may be larger than the way to here takes (-mtu 1280 there)"
}

// ended is the error of a command whose context ended: the signal, or the context's own.
func ended(ctx context.Context) error {
	if s := interrupted(ctx); s != nil {
		return s
	}
	return ctx.Err()
}

// report prints an error and returns its exit code.
func (e *env) report(err error) int {
	code := codeOf(err)
	var f *failure
	what, do := "", ""
	switch {
	case err == nil:
		return exitOK
	case code == exitClosedPipe:
		what = "the program that read this output has ended, so this one has too (closed pipe)"
	case errors.As(err, &f):
		what, do = f.what, f.do
	case code == exitInterrupted || code == exitTerminated:
		what = "stopped"
	default:
		what, do = plain(err), advice(err)
	}
	if e.tell == nil {
		e.prepare()
	}
	if e.tell.json != nil && code != exitClosedPipe {
		f := fields{"exit": code}
		if do != "" {
			f["do"] = do
		}
		e.tell.warn("error", what, f)
		return code
	}
	e.tell.barred(nil)
	lines := "rmcast: " + what
	if do != "" {
		lines += "\n" + do
	}
	w := &teller{lines: e.err, width: e.width}
	w.warn("", lines, nil)
	return code
}

// prepare makes the teller once the options are known.
func (e *env) prepare() {
	e.tell = &teller{lines: e.err, quiet: e.quiet, width: e.width}
	if e.json {
		e.tell.json, e.tell.lines = e.out, nil
	}
}

// width is that of the terminal.
func (e *env) width() int {
	w, _ := e.size()
	return w
}

// pathError makes a sentence of an error of the file system.
func pathError(path string, err error) error {
	var p *os.PathError
	why := err
	if errors.As(err, &p) {
		why = p.Err
	}
	return fmt.Errorf("%s: %w", path, why)
}
