package main

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/roster"
	"github.com/rmcast/rmcast/internal/breakable"
	"github.com/rmcast/rmcast/netem"
)

// A tree to two receivers: one is there before the sender, one comes while it waits.
func TestSendTree(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.file("photos/a.jpg", 300_000)
		w.file("photos/sub/b.txt", 17)
		w.file("photos/empty", 0)
		first := w.start(2, "recv", "demo", w.path("one"))
		time.Sleep(5 * time.Second)
		send := w.start(1, "send", "-receivers", "2", w.path("photos"), "demo")
		time.Sleep(20 * time.Second)
		w.says(first, "waiting for a sender: run on another machine: rmcast send FILE demo")
		w.says(send, "waiting for 2 receivers: run on the others: rmcast recv demo", "still waiting, 1 receiver is there")
		second := w.start(3, "recv", "demo", w.path("two"))
		w.wait(send, exitOK)
		w.wait(first, exitOK)
		w.wait(second, exitOK)
		sameTree(t, w.path("one/photos"), w.path("photos"))
		sameTree(t, w.path("two/photos"), w.path("photos"))
		w.says(send, "photos, 300 kB, to demo (239.193.147.137:55554)", "host2 has everything", "host3 has everything", "2 receivers have it, verified")
		w.says(first, "receiving photos, 300 kB", "photos is there, 300 kB, verified: "+w.path("one/photos"), "done: 300 kB in")
	})
}

// Loss is repaired, a receiver that comes in the middle gets all, and both ends say how much was lost.
func TestSendLossAndLate(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		file := w.file("file", 4_000_000)
		for i := 2; i <= 3; i++ {
			w.host(i).SetIngress(netem.Impairment{Loss: 0.1, Delay: time.Millisecond})
		}
		first := w.start(2, "recv", "demo", w.path("one"), "-json")
		send := w.start(1, "send", "-rate", "10M", file, "demo", "-json")
		time.Sleep(2500 * time.Millisecond)
		second := w.start(3, "recv", "demo", w.path("two"))
		w.wait(send, exitOK)
		w.wait(first, exitOK)
		w.wait(second, exitOK)
		for _, dir := range []string{"one", "two"} {
			if got, want := tree(t, w.path(dir))["file"], tree(t, file)["."]; got != want {
				t.Errorf("%s has %d bytes that differ from the %d sent", dir, len(got), len(want))
			}
		}
		if done := event(t, events(t, send.out.String()), "done"); done["receivers"] != 2.0 {
			t.Errorf("the sender says %v", done)
		}
		list := events(t, first.out.String())
		if done := event(t, list, "done"); done["loss"].(float64) < 0.05 || done["loss"].(float64) > 0.2 || done["bytes"] != 4e6 {
			t.Errorf("the receiver says %v", done)
		}
		event(t, list, "progress")
	})
}

// An interrupted receiver keeps what it has, and goes on from there; so does one whose sender was interrupted.
func TestResume(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		file := w.file("file", 4_000_000)
		send := w.start(1, "send", "-rate", "10M", file, "demo")
		recv := w.start(2, "recv", "demo", w.path("in"))
		time.Sleep(2500 * time.Millisecond)
		recv.cancel(&signalled{os.Interrupt})
		w.wait(recv, exitInterrupted)
		w.says(recv, "is kept in "+w.path("in/.rmcast-*")+": the same command goes on from there", "rmcast: stopped")
		time.Sleep(20 * time.Second)
		w.says(send, "host2 was stopped at", "waiting 60 s for host2 (was stopped at")
		again := w.start(2, "recv", "demo", w.path("in"))
		time.Sleep(500 * time.Millisecond)
		send.cancel(&signalled{os.Interrupt})
		w.wait(send, exitInterrupted)
		time.Sleep(5 * time.Second)
		w.says(again, "is here already", "the sender has ended at", "Waiting for it to come back")
		again.cancel(&signalled{syscall.SIGTERM})
		w.wait(again, exitTerminated)
		send = w.start(1, "send", "-rate", "10M", file, "demo")
		again = w.start(2, "recv", "demo", w.path("in"))
		w.wait(send, exitOK)
		w.wait(again, exitOK)
		if tree(t, w.path("in"))["file"] != tree(t, file)["."] {
			t.Error("the file differs")
		}
		// Once more: it is there already, and nothing is sent for it.
		recv = w.start(2, "recv", "demo", w.path("in"))
		began := time.Now()
		send = w.start(1, "send", "-rate", "1M", file, "demo")
		w.wait(send, exitOK)
		w.wait(recv, exitOK)
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("it took %v, as if all were sent", took)
		}
	})
}

// A receiver that does not come back is waited for a minute.
func TestNotBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		send := w.start(1, "send", "-rate", "10M", w.file("file", 4_000_000), "demo")
		recv := w.start(2, "recv", "demo", w.path("in"))
		time.Sleep(2500 * time.Millisecond)
		recv.cancel(&signalled{os.Interrupt})
		w.wait(recv, exitInterrupted)
		w.wait(send, exitFailed)
		w.says(send, "1 of 1 receivers did not get everything: host2 (was stopped at", "Run rmcast recv there again")
	})
}

// Several files are several objects, and the receiver knows how many from the sender.
func TestSendSeveral(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, c := w.file("a", 1000), w.file("b", 400_000), w.file("c d", 5)
		recv := w.start(2, "recv", "demo", w.path("in"))
		send := w.start(1, "send", a, b, c, "demo")
		w.wait(send, exitOK)
		w.wait(recv, exitOK)
		got := tree(t, w.path("in"))
		if len(got) != 3 || len(got["a"]) != 1000 || len(got["b"]) != 400_000 || len(got["c d"]) != 5 {
			t.Errorf("received %d files", len(got))
		}
		w.says(send, "a and 2 more, 401 kB")
	})
}

// A loop serves silent receivers that come when they like; they send nothing, and the loop ends when its time is over.
func TestLoop(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		file := w.file("file", 200_000)
		loop := w.start(1, "loop", "-fixed", "-rate", "2M", "-for", "1m", file, "demo")
		for i := 2; i <= 3; i++ {
			time.Sleep(3300 * time.Millisecond)
			w.host(i).SetIngress(netem.Impairment{Loss: 0.2})
			recv := w.start(i, "recv", "-silent", "-count", "1", "demo", w.path("in"))
			w.wait(recv, exitOK)
			if n := w.host(i).Counters().SentPackets; n != 0 {
				t.Errorf("a silent receiver sent %d packets", n)
			}
			if tree(t, w.path("in"))["file"] != tree(t, file)["."] {
				t.Error("the file differs")
			}
			os.RemoveAll(w.path("in"))
		}
		w.wait(loop, exitOK)
		w.says(loop, "file, 200 kB, to demo", "sent file, 200 kB in 60 s")
	})
}

// Nobody there: -wait ends it on either side, with an exit code of its own; -receivers 0 sends all the same.
func TestNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		file := w.file("file", 1000)
		send := w.start(1, "send", "-wait", "3s", file, "demo")
		w.wait(send, exitNobody)
		w.says(send, "no receiver was there within 3.0 s", "Run rmcast recv demo on the others", "rmcast ping demo")
		recv := w.start(2, "recv", "-wait", "3s", "demo", w.dir)
		w.wait(recv, exitNobody)
		w.says(recv, "no sender was heard within 3.0 s", "rmcast send FILE demo")
		send = w.start(1, "send", "-receivers", "0", file, "demo")
		w.wait(send, exitOK)
		w.says(send, "nobody has said that it arrived")
		send = w.start(1, "send", "-for", "5s", file, "demo")
		w.wait(send, exitNobody)
	})
}

func TestTwoSenders(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.file("a", 400_000), w.file("b", 400_000)
		one := w.start(1, "send", "-rate", "2M", a, "demo")
		two := w.start(2, "send", "-rate", "2M", b, "demo")
		time.Sleep(3 * time.Second)
		recv := w.start(3, "recv", "demo", w.path("in"))
		w.wait(recv, exitOK)
		w.wait(one, exitOK)
		w.wait(two, exitOK)
		w.says(one, "another sender uses the name demo: host2 sends b", "take another name")
		w.says(recv, "two senders use the name demo: both are received")
		if got := tree(t, w.path("in")); len(got) != 2 {
			t.Errorf("received %d files", len(got))
		}
	})
}

// What exists and differs is not replaced, unless it is asked for.
func TestReplace(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		file := w.file("file", 1000)
		w.file("in/file", 999)
		recv := w.start(2, "recv", "demo", w.path("in"))
		send := w.start(1, "send", file, "demo")
		w.wait(recv, exitFailed)
		w.says(recv, "-replace")
		w.wait(send, exitFailed)
		w.says(send, "host2 gave up: cannot complete file")
		recv = w.start(2, "recv", "-replace", "demo", w.path("in"))
		send = w.start(1, "send", file, "demo")
		w.wait(recv, exitOK)
		w.wait(send, exitOK)
		if len(tree(t, w.path("in"))["file"]) != 1000 {
			t.Error("not replaced")
		}
	})
}

// When a sender ends.
func TestEnding(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	member := func(state string, gone bool) roster.Member {
		return roster.Member{Note: roster.Note{Role: "recv", State: state, Have: 0.4}, Gone: gone}
	}
	get, done, fail, lost := member(roster.Get, false), member(roster.Done, true), member(roster.Fail, true), member(roster.Get, true)
	back := get
	back.Since = at(1)
	other := roster.Member{Note: roster.Note{Role: "ping"}}
	for _, c := range []struct {
		name    string
		want    int
		members []roster.Member
		end     int // seconds after which it ends; -1: never
		well    bool
	}{
		{"all done", 2, []roster.Member{done, done, other}, 0, true},
		{"one goes on", 1, []roster.Member{done, get}, -1, false},
		{"one failed", 1, []roster.Member{done, fail}, 60, false},
		{"one fell silent", 1, []roster.Member{done, lost}, 60, false},
		{"one came back", 1, []roster.Member{done, lost, back}, -1, false},
		{"fewer than wanted", 2, []roster.Member{done}, 60, false},
		{"nobody", 1, nil, 60, false},
	} {
		x := ending{want: c.want}
		ends := -1
		for s := range 100 {
			if end, well := x.over(at(s), count(c.members)); end {
				if ends = s; well != c.well {
					t.Errorf("%s: well is %v", c.name, well)
				}
				break
			}
		}
		if ends != c.end {
			t.Errorf("%s: ends after %d s, want %d", c.name, ends, c.end)
		}
	}
	if got := strings.Join(count([]roster.Member{lost}).lost, ""); !strings.Contains(got, "fell silent at 40 %") {
		t.Error(got)
	}
}

var errGone = errors.New("no such device")

// A loop that cannot hear requests any more says so, once, and goes on.
func TestLoopDeaf(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		network := breakable.New(w.host(1))
		loop := w.startWith(1, func(e *env) { e.network = network }, "loop", "-rate", "2M", "-fixed", "-for", "1m", w.file("file", 100_000), "demo")
		time.Sleep(10 * time.Second)
		network.BreakReceivers(errGone)
		w.wait(loop, exitOK)
		w.says(loop, "are not heard any more: no such device")
		if n := strings.Count(loop.err.String(), "not heard any more"); n != 1 {
			t.Errorf("it says so %d times", n)
		}
	})
}
