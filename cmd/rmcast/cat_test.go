package main

import (
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
)

// A stream comes whole, in order, over loss, to all who were there; the sender knows it.
func TestCat(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		text := strings.Repeat("all of it, in order\n", 50_000)
		w.host(3).SetIngress(netem.Impairment{Loss: 0.05})
		one, two := w.start(2, "cat", "demo"), w.start(3, "cat", "demo")
		time.Sleep(3 * time.Second)
		w.says(one, "waiting for a sender: run on another machine: rmcast cat -send demo")
		send := w.start(1, "cat", "-send", "-receivers", "2", "demo")
		go func() {
			io.WriteString(send.in, text)
			send.in.Close()
		}()
		w.wait(send, exitOK)
		w.says(send, "sent 1 MB in", "2 receivers have it")
		w.wait(one, exitOK)
		w.wait(two, exitOK)
		if one.out.String() != text || two.out.String() != text {
			t.Errorf("received %d and %d bytes of %d, or others", len(one.out.String()), len(two.out.String()), len(text))
		}
	})
}

// What is missing is told, and the exit code tells it too; so is a sender that is stopped, and one that falls silent.
func TestCatLoss(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		recv := w.start(2, "cat", "demo")
		send := w.start(1, "cat", "-send", "-rate", "8M", "demo")
		time.Sleep(2 * time.Second)
		io.WriteString(send.in, "begin\n")
		time.Sleep(2 * time.Second)
		send.cancel(&signalled{os.Interrupt})
		w.wait(send, exitInterrupted)
		w.wait(recv, exitFailed)
		w.says(recv, "the stream is cut off: its sender, host1, was stopped")

		recv = w.start(2, "cat", "demo")
		send = w.start(1, "cat", "-send", "demo")
		time.Sleep(2 * time.Second)
		io.WriteString(send.in, "begin\n")
		time.Sleep(2 * time.Second)
		w.host(1).SetEgress(netem.Impairment{Loss: 1})
		w.wait(recv, exitFailed)
		w.says(recv, "the stream broke off after 6 B", "Start the sender again")
		w.host(1).SetEgress(netem.Impairment{})
	})
}

// pipe is an output whose reader has gone.
type pipe struct{}

func (pipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestCatClosedPipe(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		recv := w.startWith(2, func(e *env) { e.out = pipe{} }, "cat", "demo")
		send := w.start(1, "cat", "-send", "demo")
		time.Sleep(2 * time.Second)
		io.WriteString(send.in, "begin\n")
		w.wait(recv, exitClosedPipe)
		w.says(recv, "the program that read this output has ended")
		send.in.Close()
		w.wait(send, exitOK)
	})
}

func TestCatNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		send := w.start(1, "cat", "-send", "-wait", "2s", "demo")
		w.wait(send, exitNobody)
		recv := w.start(1, "cat", "-wait", "2s", "demo")
		w.wait(recv, exitNobody)
		w.says(recv, "no sender was heard within 2.0 s")
		wrong := w.start(1, "cat", "-rate", "1M", "demo")
		w.wait(wrong, exitUsage)
		w.says(wrong, "without -send nothing is sent")
	})
}

// Three talk; each hears the others and not itself, and what moves cursors is not printed.
func TestChat(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ann, bob := w.start(1, "chat", "demo", "-as", "ann"), w.start(2, "chat", "demo", "-as", "bob")
		eve := w.start(3, "chat", "demo", "-as", "eve", "-json")
		time.Sleep(3 * time.Second)
		io.WriteString(ann.in, "hello\n\n")
		io.WriteString(bob.in, "\x1b[2Jhi "+strings.Repeat("long ", 300)+"\n")
		time.Sleep(3 * time.Second)
		ann.in.Close()
		w.wait(ann, exitOK)
		time.Sleep(2 * time.Second)
		if got := ann.out.String(); !strings.HasPrefix(got, "bob: ?[2Jhi long long") || strings.Count(got, "\n") != 1 {
			t.Errorf("ann reads %q", got)
		}
		if got := bob.out.String(); got != "ann: hello\n" {
			t.Errorf("bob reads %q", got)
		}
		w.says(bob, "you are bob in demo", "* ann is here", "* eve is here", "* ann has left")
		heard := map[any]bool{}
		for _, o := range events(t, eve.out.String()) {
			if o["event"] == "line" {
				heard[o["who"]] = true
			}
		}
		if len(heard) != 2 || !heard["ann"] || !heard["bob"] {
			t.Errorf("eve reads lines of %v", heard)
		}
		bob.cancel(&signalled{os.Interrupt})
		w.wait(bob, exitInterrupted)
	})
}

// Files that somebody sends under the name of a chat are not shown as lines.
func TestChatBesideFiles(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ann := w.start(1, "chat", "demo", "-as", "ann")
		loop := w.start(2, "loop", "-for", "5s", w.file("file", 20_000), "demo")
		w.wait(loop, exitOK)
		ann.in.Close()
		w.wait(ann, exitOK)
		if got := ann.out.String(); got != "" {
			t.Errorf("ann reads %.200q", got)
		}
		w.says(ann, "something that is no chat is sent under the name demo")
	})
}
