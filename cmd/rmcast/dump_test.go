package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/internal/testvec"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

const captures = "../../internal/testvec/testdata/"

var rewrite = flag.Bool("dump", false, "write testdata/dump anew")

// What is said of real packets of OpenPGM and ZeroMQ; read the difference after -dump.
func TestDumpCaptures(t *testing.T) {
	for _, name := range []string{"01-plain-nak", "02-fragment-nak", "04-fec-parity-nak", "08-late-join-spmr", "11-ipv6", "14-zeromq-epgm"} {
		for _, verbose := range []string{"", "-v"} {
			if verbose != "" && name != "04-fec-parity-nak" {
				continue
			}
			args := strings.Fields("dump " + verbose + " -count 30 " + captures + name + ".pcap")
			code, out, stderr := bare(t, args...)
			if code != exitOK || !strings.Contains(stderr, " packets of ") {
				t.Errorf("%s: exit %d, %q", name, code, stderr)
			}
			golden := "testdata/dump/" + name + verbose + ".txt"
			if *rewrite {
				if err := os.MkdirAll("testdata/dump", 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, []byte(out), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if out != string(want) {
				t.Errorf("%s is not %s; run the test with -dump and read the difference:\n%s", name, golden, out)
			}
			for line := range strings.Lines(out) {
				if n := utf8.RuneCountInString(line); n > 81 && verbose == "" {
					t.Errorf("%s: a line of %d: %s", name, n, line)
				}
			}
		}
	}
}

// All captures can be read, and what is broken in them is counted: OpenPGM's parity packets have wrong checksums.
func TestDumpAll(t *testing.T) {
	for _, c := range testvec.Captures() {
		code, out, _ := bare(t, "dump", "-json", captures+c.Name+".pcap")
		if code != exitOK {
			t.Errorf("%s: exit %d", c.Name, code)
		}
		done := event(t, events(t, out), "done")
		if int(done["packets"].(float64)+done["broken"].(float64)) != len(c.Datagrams) {
			t.Errorf("%s: %v, want %d datagrams", c.Name, done, len(c.Datagrams))
		}
	}
}

func TestDumpErrors(t *testing.T) {
	text := t.TempDir() + "/text"
	if err := os.WriteFile(text, []byte("no capture, but long enough to be one"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ file, want string }{{text, "not a capture"}, {"none.pcap", "no such file"}} {
		if code, _, stderr := bare(t, "dump", c.file); code != exitFailed || !strings.Contains(strings.Join(strings.Fields(stderr), " "), c.want) {
			t.Errorf("%s: exit %d, %q", c.file, code, stderr)
		}
	}
	b, err := os.ReadFile(captures + "01-plain-nak.pcap")
	if err != nil {
		t.Fatal(err)
	}
	var out, stderr bytes.Buffer
	e := &env{ctx: t.Context(), in: bytes.NewReader(b[:len(b)-5]), out: &out, err: &stderr, size: func() (int, int) { return 80, 24 }}
	if code := run(e, []string{"dump", "-"}); code != exitOK || !strings.Contains(stderr.String(), "in the middle of a packet") {
		t.Errorf("a capture that is cut: %d, %q", code, stderr.String())
	}
}

// A group is watched while two send: each is a session, with its rate, its loss as it is here, and its receivers; nothing is sent for it.
func TestTopAndDumpLive(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host(5).SetIngress(netem.Impairment{Loss: 0.1})
		top := w.start(5, "top", "-json", "-for", "12s", "demo")
		table := w.start(5, "top", "-for", "12s", "demo")
		dump := w.start(6, "dump", "-for", "12s", "demo")
		recv := w.start(2, "cat", "demo")
		send := w.start(1, "cat", "-send", "-rate", "2M", "demo")
		time.Sleep(time.Second)
		go func() {
			io.WriteString(send.in, strings.Repeat("0123456789", 150_000))
			send.in.Close()
		}()
		w.wait(send, exitOK)
		w.wait(recv, exitOK)
		w.wait(top, exitOK)
		w.wait(dump, exitOK)
		w.wait(table, exitOK)
		if n := w.host(5).Counters().SentPackets + w.host(6).Counters().SentPackets; n != 0 {
			t.Errorf("watching sent %d packets", n)
		}
		best := 0.0
		for _, o := range events(t, top.out.String()) {
			if o["event"] == "session" {
				best = max(best, o["rate"].(float64))
			}
		}
		last := event(t, events(t, top.out.String()), "session")
		if loss := last["loss"].(float64); loss < 0.04 || loss > 0.2 || best < 1.5e6 || best > 2.2e6 || last["kind"] != "rmcast" || last["state"] != "ended" {
			t.Errorf("a session of 2 Mbit/s with 10 %% loss is %v, at most %v bit/s", last, best)
		}
		if got := table.out.String(); !strings.Contains(got, "SOURCE") || !strings.Contains(got, "10.0.0.1") {
			t.Errorf("the table is\n%s", got)
		}
		if got := dump.out.String(); !strings.Contains(got, "session a: rmcast source 10.0.0.1, TSI ") || !strings.Contains(got, " ODATA ") || !strings.Contains(got, ", ends") {
			t.Errorf("the dump is\n%.2000s", got)
		}
		w.says(dump, "listening to demo (239.193.147.137:55554) on eth0", "packets of 1 session")
	})
}

// idleConn is a Conn of eth0 that is not used.
type idleConn struct{ dgram.Conn }

func (idleConn) Info() dgram.Info { return dgram.Info{Interface: "eth0"} }

// The table fits every width, and what is most important stays.
func TestTopFits(t *testing.T) {
	now := time.Unix(1000, 0)
	g := &groupBoard{access: &access{to: &target{name: "demo"}}, w: newWatcher(), began: now, conn: idleConn{}}
	tp := &top{board: g}
	for i := range 30 {
		p := wire.Packet{Type: wire.TypeODATA, SourcePort: uint16(i + 1), DestinationPort: 7500, Sqn: seq.Num(i), Payload: []byte("x")}
		if _, _, _, err := g.w.add(heard{at: now, b: p.Append(nil), ipBytes: 1e9}); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		width, height := rapid.IntRange(20, 200).Draw(t, "width"), rapid.IntRange(3, 60).Draw(t, "height")
		text := tp.table(now, width, height)
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if len(lines) > height {
			t.Fatalf("%d lines", len(lines))
		}
		for _, l := range lines {
			if utf8.RuneCountInString(l) > width {
				t.Fatalf("a line of %d: %q", utf8.RuneCountInString(l), l)
			}
		}
	})
	if text := tp.table(now, 40, 4); !strings.Contains(text, "RATE") || !strings.Contains(text, "LOSS") || strings.Contains(text, "KIND") {
		t.Errorf("in 40 columns:\n%s", text)
	}
}

func TestLabel(t *testing.T) {
	got := fmt.Sprintln(label(0), label(25), label(26), label(27), label(701), label(702))
	if want := "a z aa ab zz aaa\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestNumbers(t *testing.T) {
	if got := numbers([]seq.Num{14, 5, 12, 13}); got != "5 12-14" {
		t.Errorf("%q", got)
	}
	if got := numbers([]seq.Num{0, 1<<32 - 1, 1<<32 - 2}); got != "4294967294-0" {
		t.Errorf("across zero: %q", got)
	}
}
