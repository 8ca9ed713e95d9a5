package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/rmcast/rmcast/dgram"
)

// env is the world of a command: a test gives it another one.
type env struct {
	ctx context.Context // ends with a signal; its cause is a *signalled then

	in       io.Reader
	out, err io.Writer
	outTTY   bool // somebody looks at out
	errTTY   bool
	size     func() (width, height int) // of the terminal

	// web listens for those who ask for -metrics, and dial calls a command that has them; nil: TCP.
	web  func(ctx context.Context, addr string) (net.Listener, error)
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	network dgram.Network // nil: the kernel's
	host    string        // what this machine is called
	json    bool
	quiet   bool
	tell    *teller
	doubt   doubt
}

// signalled is the cause of the end of env.ctx.
type signalled struct{ signal os.Signal }

func (s *signalled) Error() string { return "stopped by a signal: " + s.signal.String() }

// echoed is how long the terminal may take to show the ^C that it made a signal of.
const echoed = 5 * time.Millisecond

// systemEnv is the process's world. stop ends the watch over signals.
func systemEnv() (e *env, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	signal.Ignore(syscall.SIGPIPE) // writing then fails, and we say so
	go func() {
		s, ok := <-signals
		if !ok {
			return
		}
		if s == os.Interrupt && isTerminal(os.Stderr) {
			time.Sleep(echoed)
			_, _ = io.WriteString(os.Stderr, "\r\x1b[K") // the terminal's ^C: what is told next begins a line
		}
		cancel(&signalled{s})
		if _, ok = <-signals; ok { // twice: he means it
			os.Exit(exitInterrupted)
		}
	}()
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = runtime.GOOS
	}
	return &env{
			ctx: ctx, in: os.Stdin, out: os.Stdout, err: os.Stderr,
			outTTY: isTerminal(os.Stdout), errTTY: isTerminal(os.Stderr),
			size: terminalSize, host: host,
		}, func() {
			signal.Stop(signals)
			close(signals)
			cancel(nil)
		}
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// terminalSize is that of the terminal on standard error or output; 80x24 if there is none.
func terminalSize() (width, height int) {
	for _, f := range []*os.File{os.Stderr, os.Stdout} {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 && h > 0 {
			return w, h
		}
	}
	return 80, 24
}

// logger is what the library logs to: what an operator should know becomes a line of ours.
func (e *env) logger() *slog.Logger { return slog.New(&logHandler{tell: e.tell}) }

// interrupted returns the signal that ended the context, or nil.
func interrupted(ctx context.Context) *signalled {
	var s *signalled
	if errors.As(context.Cause(ctx), &s) {
		return s
	}
	return nil
}
