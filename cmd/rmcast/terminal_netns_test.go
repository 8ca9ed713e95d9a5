//go:build netns && linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/rmcast/rmcast/netem"
)

// terminal is a screen as a user sees it, of what a command writes to a pseudo terminal. It knows the few sequences that the command uses.
type terminal struct {
	mu            sync.Mutex
	width, height int
	rows          [][]rune
	x, y          int
	other         *terminal // the first screen, while the second is shown
	hidden        bool      // the cursor
	held          []byte    // the beginning of a character or a sequence
	over          []string  // rows that were full when more came: the terminal broke them
	strange       []string  // sequences that it does not know
	bars          map[[2]int]bool
	most          int // rows with a bar at one time
}

func newTerminal(width, height int) *terminal {
	t := &terminal{width: width, height: height, bars: map[[2]int]bool{}}
	t.clear(0)
	return t
}

func (t *terminal) clear(from int) {
	t.rows = append(t.rows[:from:from], make([][]rune, t.height-from)...)
}

// write takes what comes from the command.
func (t *terminal) write(b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b = append(t.held, b...)
	for len(b) > 0 {
		n := t.take(b)
		if n == 0 {
			break
		}
		b = b[n:]
	}
	t.held = append([]byte(nil), b...)
	t.look()
}

// take takes a character or a sequence and returns its length; 0 if it is not whole.
func (t *terminal) take(b []byte) int {
	switch b[0] {
	case '\r':
		t.x = 0
		return 1
	case '\n':
		t.feed()
		return 1
	case 0x1b:
		end := 2
		for end < len(b) && (b[end] < '@' || b[end] > '~') {
			end++
		}
		if end >= len(b) {
			return 0
		}
		t.sequence(string(b[2:end]), b[end])
		return end + 1
	}
	if !utf8.FullRune(b) {
		return 0
	}
	r, n := utf8.DecodeRune(b)
	if t.x == t.width {
		t.over = append(t.over, string(t.rows[t.y]))
		t.x = 0
		t.feed()
	}
	row := t.rows[t.y]
	for len(row) <= t.x {
		row = append(row, ' ')
	}
	row[t.x] = r
	t.rows[t.y] = row
	t.x++
	return n
}

func (t *terminal) feed() {
	if t.y++; t.y == t.height {
		t.rows = append(t.rows[1:], nil)
		t.y--
	}
}

func (t *terminal) sequence(arg string, kind byte) {
	switch arg + string(kind) {
	case "H":
		t.x, t.y = 0, 0
	case "K":
		t.rows[t.y] = t.rows[t.y][:min(t.x, len(t.rows[t.y]))]
	case "J":
		t.rows[t.y] = t.rows[t.y][:min(t.x, len(t.rows[t.y]))]
		if t.y+1 < t.height {
			t.clear(t.y + 1)
		}
	case "?25l", "?25h":
		t.hidden = kind == 'l'
	case "?1049h":
		t.other = &terminal{rows: t.rows, x: t.x, y: t.y}
		t.rows = nil
		t.clear(0)
	case "?1049l":
		t.rows, t.x, t.y, t.other = t.other.rows, t.other.x, t.other.y, nil
	default:
		var n int
		if _, err := fmt.Sscanf(arg, "%d", &n); err == nil && kind == 'A' {
			t.y = max(0, t.y-n)
			return
		}
		t.strange = append(t.strange, arg+string(kind))
	}
}

// look finds the bar.
func (t *terminal) look() {
	n := 0
	for _, row := range t.rows {
		s := string(row)
		if !strings.ContainsAny(s, "█░") {
			continue
		}
		n++
		if from, to := strings.Index(s, "|"), strings.LastIndex(s, "|"); from < to && !strings.HasSuffix(s, "|") {
			t.bars[[2]int{utf8.RuneCountInString(s[:from]), utf8.RuneCountInString(s[:to])}] = true
		}
	}
	t.most = max(t.most, n)
}

// String is what is on the screen.
func (t *terminal) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for _, r := range t.rows {
		b.WriteString(strings.TrimRight(string(r), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// seat is a command at a terminal.
type seat struct {
	*terminal
	t      *testing.T
	args   []string
	keys   *os.File
	cmd    *exec.Cmd
	ended  chan struct{}
	screen chan struct{} // closed when all is on the screen
}

// sit starts a command in a node, in a directory, at a terminal of so many columns.
func sit(t *testing.T, l *netem.Lab, n netem.Node, dir string, width int, args ...string) *seat {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("skipped: no pseudo terminal: %v", err)
	}
	t.Cleanup(func() { keys.Close() })
	number, err := unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(keys.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(width)})
	}
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("skipped: no pseudo terminal: %v", err)
	}
	defer tty.Close()
	s := &seat{terminal: newTerminal(width, 24), t: t, args: args, keys: keys, cmd: exec.Command("/proc/self/exe", args...), ended: make(chan struct{}), screen: make(chan struct{})}
	s.cmd.Env, s.cmd.Dir = append(os.Environ(), asCommand+"="+asDesk, "TERM=xterm"), dir // a long name would not fit 40 columns
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = tty, tty, tty
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := l.Start(n, s.cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.screen)
		b := make([]byte, 4096)
		for {
			n, err := keys.Read(b)
			s.write(b[:n])
			if err != nil { // its other end is closed
				return
			}
		}
	}()
	go func() {
		defer close(s.ended)
		s.cmd.Wait()
	}()
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		<-s.ended
		if t.Failed() {
			t.Logf("rmcast %s in %d columns:\n%s", strings.Join(args, " "), width, s)
		}
	})
	return s
}

// wait waits until the command ends, and looks at what it leaves: whole lines, no bar, a cursor, and these texts.
func (s *seat) wait(code int, texts ...string) {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(soon):
		s.t.Fatalf("%q has not ended", s.args)
	}
	<-s.screen
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("%q ends with %d, want %d", s.args, got, code)
	}
	left := s.String()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.over) > 0 {
		s.t.Errorf("%q writes lines that are broken by the terminal: %q", s.args, s.over)
	}
	if len(s.strange) > 0 {
		s.t.Errorf("%q writes %q", s.args, s.strange)
	}
	if s.hidden || s.other != nil {
		s.t.Errorf("%q leaves no cursor (%t), or another screen (%t)", s.args, s.hidden, s.other != nil)
	}
	if strings.ContainsAny(left, "█░") {
		s.t.Errorf("%q leaves its bar", s.args)
	}
	for _, text := range texts {
		if !strings.Contains(strings.Join(strings.Fields(left), " "), text) {
			s.t.Errorf("%q does not show %q", s.args, text)
		}
	}
}

// until waits until a text is on the screen.
func (s *seat) until(text string) {
	s.t.Helper()
	for limit := time.Now().Add(soon); !strings.Contains(s.String(), text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			s.t.Fatalf("%q does not show %q", s.args, text)
		}
	}
}

// barred checks that there was one bar, which stayed where it was.
func (s *seat) barred() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.most != 1 || len(s.bars) != 1 {
		s.t.Errorf("%q shows up to %d bars, in the columns %v", s.args, s.most, s.bars)
	}
}

// What a user has before him, in terminals of all widths: lines that fit, one bar that does not jump, tables, and afterwards a terminal as it was.
func TestTerminal(t *testing.T) {
	t.Parallel()
	for _, width := range []int{40, 80, 200} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			l := lab(t, netem.LabConfig{Receivers: 2, Loss: 0.02, Wire: true})
			w := world{t: t, dir: t.TempDir()}
			w.file("holiday pictures/one", 1e6)
			top, dump := sit(t, l, 1, w.dir, width, "top", "demo"), sit(t, l, 1, w.dir, width, "dump", "-v", "-count", "20", "demo")
			recv := sit(t, l, 0, w.dir, width, "recv", "demo", "in")
			recv.until("waiting for a sender")
			ping := sit(t, l, 1, w.dir, width, "ping", "demo", "-count", "0")
			ping.until("recv)")
			send := sit(t, l, netem.Sender, w.dir, width, "send", "holiday pictures", "demo", "-rate", "3M")
			top.until("RATE")
			recv.wait(exitOK, "receiving holiday pictures, 1 MB", "done: 1 MB in")
			send.wait(exitOK, "1 receiver has it, verified")
			recv.barred()
			send.barred()
			sameTree(t, w.path("in/holiday pictures"), w.path("holiday pictures"))
			dump.wait(exitOK, "20 packets of")
			for _, s := range []*seat{ping, top} {
				if _, err := s.keys.Write([]byte{3}); err != nil { // Ctrl-C
					t.Error(err)
				}
			}
			ping.wait(exitOK, "WHO", "desk", "SOURCE", "10.77.0.1")
			top.wait(exitInterrupted, "SOURCE", "10.77.0.1", "rmcast: stopped")
		})
	}
}
