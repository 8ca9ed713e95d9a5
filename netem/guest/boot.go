package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Patience with a guest until its first line. One on KVM needs a second, one without three; a KVM that does not work hangs.
const (
	kvmPatience = 10 * time.Second
	tcgPatience = 3 * time.Minute
	offPatience = 10 * time.Second // from the last line until it is off
)

// errNoSign tells that a guest did not come up in time.
var errNoSign = errors.New("no sign of life from the guest")

// machine is what a guest runs on.
type machine struct {
	qemu     string
	kernel   string
	archive  string
	nonce    string
	cpus     int
	memoryMB int
	verbose  bool // show also what comes before the first line
	out      io.Writer
}

// arguments are those of qemu: no disk, no network, no display, a serial line as the console. Other kinds of machine boot no faster.
//
// Without KVM the guest measures the speed of its processors' time stamp counter in what time this machine gives them, and where that
// is little it may find anything: its clock is then wrong by a factor, or it does not find its timer. So it gets the clock of the
// ACPI timer, whose speed is known, and looks for no timer.
func (m *machine) arguments(accel string) []string {
	clock := " no_timer_check clocksource=acpi_pm tsc=unstable"
	if accel == "kvm" {
		clock = "" // it has one of its own
	}
	return []string{
		"-machine", "q35,hpet=off,accel=" + accel, "-cpu", "max", "-smp", fmt.Sprint(m.cpus), "-m", fmt.Sprintf("%dM", m.memoryMB),
		"-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot",
		"-kernel", m.kernel, "-initrd", m.archive,
		"-append", "console=ttyS0 quiet panic=-1 mitigations=off" + clock,
	}
}

// boot runs the guest with one of the accelerators, the next one if it does not come up with the first, and returns its exit code.
func (m *machine) boot(ctx context.Context, accels []string) (code int, err error) {
	for i, accel := range accels {
		patience := tcgPatience
		if accel == "kvm" {
			patience = kvmPatience
		}
		code, err = m.try(ctx, accel, patience)
		if i+1 == len(accels) || !errors.Is(err, errNoSign) || ctx.Err() != nil {
			break
		}
		why := err.Error()
		if !m.verbose {
			why, _, _ = strings.Cut(why, "\n")
		}
		fmt.Fprintf(os.Stderr, "guest: %s; going on with %s\n", why, accels[i+1])
	}
	return code, err
}

// try runs the guest once.
func (m *machine) try(ctx context.Context, accel string, patience time.Duration) (code int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cmd := exec.CommandContext(ctx, m.qemu, m.arguments(accel)...)
	endWithParent(cmd)
	var stderr tail
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if m.verbose {
		fmt.Fprintln(os.Stderr, "guest:", cmd)
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	watchdog := time.AfterFunc(patience, func() { cancel(errNoSign) })
	defer watchdog.Stop()
	c := console{nonce: m.nonce, out: m.out, all: m.verbose}
	c.up = func() { watchdog.Stop() }
	c.end = func() { time.AfterFunc(offPatience, func() { cancel(nil) }) }
	rerr := c.read(stdout)
	err = cmd.Wait()
	switch {
	case c.isEnded && c.noTests && c.code == 0:
		return 1, errors.New("a test program had no test to run")
	case c.isEnded && c.wrongClock() != nil:
		return max(c.code, 1), c.wrongClock()
	case c.isEnded:
		return c.code, rerr
	case errors.Is(context.Cause(ctx), errNoSign):
		return 1, fmt.Errorf("%w in %v with %s%v%v", errNoSign, patience, accel, &c.before, &stderr)
	case ctx.Err() != nil:
		return 1, context.Cause(ctx)
	case !c.isUp:
		return 1, fmt.Errorf("%w with %s: qemu ended (%v)%v%v", errNoSign, accel, cmd.ProcessState, &c.before, &stderr)
	default:
		return 1, errors.Join(fmt.Errorf("the guest ended without its last line (qemu: %v, %v)%v", cmd.ProcessState, err, &stderr), rerr)
	}
}

// tail keeps the end of what is written to it, for an error's text.
type tail struct{ text []byte }

const tailBytes = 4000

func (t *tail) Write(b []byte) (int, error) {
	t.text = append(t.text, b...)
	if n := len(t.text) - tailBytes; n > 0 {
		t.text = bytes.Clone(t.text[n:])
	}
	return len(b), nil
}

// String is the text on lines of its own, or nothing.
func (t *tail) String() string {
	if text := strings.TrimSpace(string(t.text)); text != "" {
		return "\n" + text
	}
	return ""
}
