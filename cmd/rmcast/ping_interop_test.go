//go:build interop && linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rmcast/rmcast/netem"
)

// foreigner is a source that is not of this library: OpenPGM's, or ZeroMQ's publisher. Their programs are those of package interop.
type foreigner struct {
	program string
	flags   []string // of the compiler
	args    func(t *testing.T, addr, group netip.Addr) []string
	least   float64 // bytes in a packet
	most    float64
}

const foreignPort = 7500

var foreigners = map[string]foreigner{
	"OpenPGM": {"pgm_tx", nil, func(t *testing.T, addr, group netip.Addr) []string {
		return openPGM(t, addr, group, 60*250_000) // enough for a minute
	}, 500, 1376},
	"ZeroMQ": {"zmq_pub", []string{"-l:libzmq.so.5"}, func(t *testing.T, addr, group netip.Addr) []string {
		return []string{"-e", fmt.Sprintf("epgm://%v;%v:%d", addr, group, foreignPort), "-r", "10000", "-l", "700"}
	}, 700, 1500},
}

// openPGM are the arguments of OpenPGM's source of so many bytes, in packets of 1376, 500, 1200 and again. MTUs are as package interop explains them.
func openPGM(t *testing.T, addr, group netip.Addr, bytes int) []string {
	mtu, port := "1496", fmt.Sprint(foreignPort)
	if addr.Is6() {
		mtu = "1500"
	}
	return []string{"-n", fmt.Sprintf("%v;%v", addr, group), "-u", port, "-p", port, "-m", mtu, "-r", "250000", "-a", "1376,500,1200", someFile(t, bytes)}
}

// unavailable skips a test, or fails it when what it needs is required.
func unavailable(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("INTEROP_REQUIRED") != "" {
		t.Fatalf("INTEROP_REQUIRED is set, but %v", err)
	}
	t.Skipf("skipped: %v", err)
}

// compiled compiles a foreign program.
func compiled(t *testing.T, f foreigner) string {
	t.Helper()
	flags := f.flags
	if flags == nil {
		out, err := exec.Command("pkg-config", "--cflags", "--libs", "openpgm-5.3").Output()
		if err != nil {
			unavailable(t, fmt.Errorf("pkg-config knows no openpgm-5.3 (Debian: libpgm-dev): %w", err))
		}
		flags = strings.Fields(string(out))
	}
	path := filepath.Join(t.TempDir(), f.program)
	out, err := exec.Command("cc", append([]string{"-O1", "-o", path, filepath.Join("../../interop/testdata", f.program+".c")}, flags...)...).CombinedOutput()
	switch {
	case err == nil:
	case f.flags != nil: // ZeroMQ is a wish, as in package interop
		t.Skipf("skipped: %s.c: %v\n%s", f.program, err, out)
	default:
		unavailable(t, fmt.Errorf("%s.c: %w\n%s", f.program, err, out))
	}
	return path
}

// startForeigner starts a foreign source at the lab's sender. It sends when begin is called, and ends with the test. What it says is read from said.
func startForeigner(t *testing.T, l *netem.Lab, f foreigner, group netip.Addr) (said *bufio.Reader, begin func()) {
	t.Helper()
	addr := netem.Sender.Addr4()
	if group.Is6() {
		addr = netem.Sender.Addr6()
	}
	cmd := exec.Command(compiled(t, f), f.args(t, addr, group)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr buffer
	cmd.Stderr = &stderr
	if err := l.Start(netem.Sender, cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %v\n%.2000s", f.program, cmd.ProcessState, &stderr)
		}
	})
	said = bufio.NewReader(out)
	if line, err := said.ReadString('\n'); strings.TrimSpace(line) != "ready" {
		t.Fatalf("%s says %q, %v\n%s", f.program, line, err, &stderr)
	}
	return said, func() {
		if _, err := io.WriteString(in, "\n"); err != nil {
			t.Errorf("%s has ended: %v\n%s", f.program, err, &stderr)
		}
	}
}

// ping, top and dump name a source of another program, and say of it what can be known: its rate, the time in which it answers, what of it gets lost here.
func TestForeignSource(t *testing.T) {
	if err := netem.Available(); err != nil {
		unavailable(t, err)
	}
	for name, f := range foreigners {
		for _, group := range []string{"239.192.0.9", "ff15::8000:9"} {
			t.Run(name+"/"+group, func(t *testing.T) { testForeign(t, f, netip.MustParseAddr(group)) })
		}
	}
}

func testForeign(t *testing.T, f foreigner, group netip.Addr) {
	l := lab(t, netem.LabConfig{Receivers: 2, Wire: true})
	if err := l.SetLoss(1, 0.2); err != nil {
		t.Fatal(err)
	}
	to, addr := netip.AddrPortFrom(group, foreignPort).String(), netem.Sender.Addr4().String()
	if group.Is6() {
		addr = netem.Sender.Addr6().String()
	}
	_, begin := startForeigner(t, l, f, group)
	begin()
	ping, table, lossy := process(t, l, 0, "ping", to, "-count", "3", "-json"), process(t, l, 0, "ping", to, "-count", "3"), process(t, l, 1, "ping", to, "-count", "3", "-json")
	top, screen := process(t, l, 0, "top", to, "-for", "4s", "-json"), process(t, l, 0, "top", to, "-for", "4s")
	dump, text := process(t, l, 0, "dump", to, "-count", "60", "-json"), process(t, l, 0, "dump", to, "-count", "60", "-v")
	for _, c := range []*child{ping, table, lossy, top, screen, dump, text} {
		c.wait(exitOK)
	}

	s := event(t, events(t, ping.out.String()), "source")
	if s["addr"] != addr || s["kind"] != "PGM" || !positiveNumber(s["packets"]) || s["loss"] == nil || !positiveNumber(s["answers"]) || !positiveNumber(s["rtt"]) {
		t.Errorf("ping says %v", s)
	}
	tsi := fmt.Sprint(s["tsi"])
	if row := rowOf(table, addr); len(row) < 7 || row[1] != "PGM" || row[len(row)-1] != tsi {
		t.Errorf("ping's row is %q", row)
	}
	if s := event(t, events(t, lossy.out.String()), "source"); s["tsi"] != tsi || !positiveNumber(s["loss"]) {
		t.Errorf("ping behind a link with loss says %v", s)
	}

	sends := false
	for _, o := range events(t, top.out.String()) {
		if o["event"] != "session" {
			continue
		}
		if o["tsi"] != tsi || o["source"] != addr || o["kind"] != "PGM" {
			t.Errorf("top says %v", o)
		}
		if packets, bytes := o["packets"].(float64), o["bytes"].(float64); bytes < packets*f.least || bytes > packets*f.most {
			t.Errorf("top counts %v bytes in %v packets of %v to %v", bytes, packets, f.least, f.most)
		}
		sends = sends || o["state"] == "sends" && positiveNumber(o["rate"])
	}
	if !sends {
		t.Error("top says never that it sends, and how fast")
	}
	if row := strings.Join(rowOf(screen, "a "+addr), " "); !strings.Contains(row, "bit/s") {
		t.Errorf("top's row is %q", row)
	}

	types := map[any]int{}
	for _, o := range events(t, dump.out.String()) {
		switch o["event"] {
		case "packet":
			types[o["type"]]++
			if o["tsi"] != tsi {
				t.Errorf("dump says %v", o)
			}
		case "broken":
			t.Errorf("dump says %v", o)
		}
	}
	if types["ODATA"] == 0 {
		t.Errorf("dump has seen %v", types)
	}
	text.says("session a: PGM source "+addr+", TSI "+tsi, " a "+addr+" ODATA ", "TSI "+tsi+", ports ")
}

// Of a source that says no more than that it is there, ping knows how soon it answers, and not what gets lost.
func TestForeignSourceIdle(t *testing.T) {
	if err := netem.Available(); err != nil {
		unavailable(t, err)
	}
	l := lab(t, netem.LabConfig{})
	f := foreigners["OpenPGM"]
	f.args = func(t *testing.T, addr, group netip.Addr) []string { return openPGM(t, addr, group, 1000) }
	said, begin := startForeigner(t, l, f, netip.MustParseAddr("239.192.0.9"))
	begin()
	if line, err := said.ReadString('\n'); strings.TrimSpace(line) != "sent 1 1000" {
		t.Fatalf("it says %q, %v", line, err)
	}
	addr := netem.Sender.Addr4().String()
	ping, table := process(t, l, 0, "ping", "239.192.0.9:7500", "-count", "3", "-json"), process(t, l, 0, "ping", "239.192.0.9:7500", "-count", "3")
	ping.wait(exitOK)
	table.wait(exitOK)
	if s := event(t, events(t, ping.out.String()), "source"); s["addr"] != addr || s["kind"] != "PGM" || s["packets"] != 0.0 || s["loss"] != nil || !positiveNumber(s["rtt"]) {
		t.Errorf("ping says %v", s)
	}
	if row := rowOf(table, addr); len(row) != 6 || row[1] != "PGM" || row[4] != "-" {
		t.Errorf("ping's row is %q", row)
	}
}

func positiveNumber(v any) bool {
	x, ok := v.(float64)
	return ok && x > 0
}

// rowOf returns the words of the last line of a command's output that begins with a text.
func rowOf(c *child, begin string) (words []string) {
	for line := range strings.Lines(c.out.String()) {
		if w := strings.Fields(line); strings.HasPrefix(strings.Join(w, " ")+" ", begin+" ") {
			words = w
		}
	}
	return words
}
