package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rmcast/rmcast/carousel"
	"github.com/rmcast/rmcast/transport"
)

// The common mistakes, each with what is said and what is advised. The others of the list in docs/rmcast.md have tests of their own: two senders
// (TestTwoSenders), no receiver (TestNobody), a name with spaces (TestUsage), the source gone (TestResume, TestCatLoss), Ctrl-C (TestResume), a closed pipe
// (TestCatClosedPipe), a narrow terminal (TestGaugeFits, TestTopFits), a firewall and routes as ping finds them (TestDiagnose).

// What the system and the library say becomes what happened and what to do.
func TestExplain(t *testing.T) {
	op := func(err error) error { return &net.OpError{Op: "dial", Net: "udp", Err: fmt.Errorf("dgram: %w", err)} }
	for _, c := range []struct {
		name     string
		err      error
		what, do string
	}{
		{"no route", op(syscall.ENETUNREACH), "doing: network is unreachable", "-interface; rmcast ping"},
		{"firewall", op(syscall.EPERM), "doing: operation not permitted", "allow UDP to the group"},
		{"raw socket", op(fmt.Errorf("no permission for raw IP protocol 113: run as root: %w", syscall.EPERM)), "no permission for raw IP", "Without -raw no privilege is needed"},
		{"MTU", op(errors.New("MTU is 9000, but interface eth0 takes at most 1500")), "MTU is 9000", "Leave -mtu away"},
		{"disk full", pathError("in/.rmcast-1/data", &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}), "in/.rmcast-1/data: no space left on device", "Make room and run the same command again"},
		{"read-only", pathError("in", syscall.EROFS), "read-only file system", "take another directory"},
		{"unwritable", pathError("in", syscall.EACCES), "in: permission denied", "Take a directory that you may write to"},
		{"source lost", op(transport.ErrSourceLost), "", "Start the sender again"},
		{"source ended", carousel.ErrIncomplete, "the source ended", "goes on from there"},
		{"changed", fmt.Errorf("carousel: file: %w", carousel.ErrChanged), "file has changed", "send a copy"},
		{"device", fmt.Errorf("x: %w", carousel.ErrSpecial), "not a regular file", "cp -rL"},
		{"open files", syscall.EMFILE, "too many open files", "ulimit -n"},
		{"interface", op(errors.New(`no interface "nope"; there are lo, eth0`)), "there are lo, eth0", "rmcast ping shows the interfaces"},
	} {
		var f *failure
		if err := explain("doing", c.err); !errors.As(err, &f) || !strings.Contains(f.what, c.what) || !strings.Contains(f.do, c.do) || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, want %q and %q", c.name, err, c.what, c.do)
		}
	}
	if explain("x", nil) != nil {
		t.Error("no error becomes one")
	}
}

// A stream that is not whole has one of two reasons.
func TestIncomplete(t *testing.T) {
	if err := incomplete(1000, 1).Error(); !strings.Contains(err, "1 packet is missing") || !strings.Contains(err, "lower -rate") {
		t.Error(err)
	}
	if err := incomplete(0, 20).Error(); !strings.Contains(err, "20 packets are missing") || !strings.Contains(err, "-mtu 1280") {
		t.Error(err)
	}
	if noData(0, 15)+noData(1, 1000) != "" || noData(0, 16) == "" {
		t.Error("a late receiver is told of the MTU, or nobody is")
	}
}

// A wrong interface is named before anything is done, with those that there are.
func TestWrongInterface(t *testing.T) {
	code, _, stderr := bare(t, "recv", "demo", t.TempDir(), "-interface", "nope")
	if code != exitFailed || !strings.Contains(stderr, `no interface "nope"; there are `) || !strings.Contains(stderr, "rmcast ping shows") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

func TestMTUTooLarge(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		send := w.start(1, "send", "-mtu", "9000", w.file("file", 10), "demo")
		w.wait(send, exitFailed)
		w.says(send, "MTU is 9000, but interface eth0 takes at most 1500", "Leave -mtu away")
	})
}

// An object that does not fit the disk is refused before a byte of it is written; one that does is taken.
func TestDiskTooSmall(t *testing.T) {
	dir := t.TempDir()
	if _, ok := diskFree(dir); !ok {
		t.Skip("the free space of a disk is not known on this system")
	}
	r := receiver{dir: dir}
	if !r.fits(carousel.Root{Name: "small", Bytes: 1}) || r.refused != nil {
		t.Errorf("a byte is refused: %v", r.refused)
	}
	if r.fits(carousel.Root{Name: "huge\x1b", Bytes: 1 << 62}) {
		t.Error("4 EB are taken")
	}
	if err := r.refused; err == nil || !strings.Contains(err.Error(), "huge? has 4.61 EB") || !strings.Contains(err.Error(), "Make room") {
		t.Errorf("%v", err)
	}
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := checkDir(filepath.Join(dir, "new", "deep")); err != nil {
		t.Errorf("a directory that is not there is not made: %v", err)
	}
	if err := checkDir(filepath.Join(file, "below")); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("below a file: %v", err)
	}
	if list, _ := filepath.Glob(filepath.Join(dir, "new/deep/*")); len(list) != 0 {
		t.Errorf("the trial left %v", list)
	}
	if os.Getuid() == 0 {
		return // who may write everywhere
	}
	closed := filepath.Join(dir, "closed")
	if err := os.Mkdir(closed, 0o555); err != nil {
		t.Fatal(err)
	}
	if err := checkDir(closed); err == nil || !strings.Contains(err.Error(), "cannot write to the directory") || !strings.Contains(err.Error(), "may write to") {
		t.Errorf("unwritable: %v", err)
	}
}

// A wall clock that jumps changes no rate and no time that is left.
func TestClockJump(t *testing.T) {
	var m meter
	now := time.Now().Round(0) // without the monotonic reading: the worst case
	m.add(now, 0)
	if r := m.add(now.Add(-time.Hour), 1000); r != 0 {
		t.Errorf("an hour back: %v", r)
	}
	if r := m.add(now.Add(time.Hour), 2000); r > 1000 {
		t.Errorf("an hour on: %v", r)
	}
	x := ending{want: 1}
	lost := tally{done: 1, failed: 1}
	x.over(now, lost)
	if end, _ := x.over(now.Add(-time.Hour), lost); end {
		t.Error("it ends an hour before it began")
	}
}

// A terminal of any width gets whole lines.
func TestNarrowLines(t *testing.T) {
	for _, width := range []int{1, 20, 40, 80} {
		var b buffer
		tl := &teller{lines: &b, width: func() int { return width }}
		tl.warn("x", "one two three four five six seven eight nine ten", nil)
		for line := range strings.Lines(b.String()) {
			if n := len(strings.TrimRight(line, "\n")); n > max(width, 21) {
				t.Errorf("in %d columns a line of %d: %q", width, n, line)
			}
		}
	}
}
