package main

import (
	"bytes"
	"context"
	"math"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/rmcast/rmcast/flow"
)

// bare runs a command that needs no network, and returns its exit code and what it wrote.
func bare(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	var o, x bytes.Buffer
	e := &env{ctx: context.Background(), in: strings.NewReader(""), out: &o, err: &x, size: func() (int, int) { return 80, 24 }, host: "here"}
	code = run(e, args)
	return code, o.String(), x.String()
}

// Every help fits a screen of 80x24 with a line for the prompt, and has an example of its command.
func TestHelpFits(t *testing.T) {
	helps := [][]string{{}, {"help"}, {"--help"}, {"help", "options"}}
	for _, c := range root(&env{out: os.Stdout, err: os.Stderr}).VisibleCommands() {
		helps = append(helps, []string{"help", c.Name})
		if c.Name == "help" {
			continue
		}
		code, long, _ := bare(t, c.Name, "--help")
		if _, short, _ := bare(t, "help", c.Name); long != short || code != exitOK {
			t.Errorf("%s --help and help %s differ:\n%s\n%s", c.Name, c.Name, long, short)
		}
		if !strings.Contains(exampleOf(c.Name), "rmcast "+c.Name+" ") && !strings.HasSuffix(exampleOf(c.Name), "rmcast "+c.Name) {
			t.Errorf("%s has the example %q", c.Name, exampleOf(c.Name))
		}
	}
	for _, args := range helps {
		code, out, stderr := bare(t, args...)
		if code != exitOK || stderr != "" || out == "" {
			t.Errorf("%q: exit %d, %q", args, code, stderr)
		}
		lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
		if len(lines) >= helpHeight && args != nil && !(len(args) == 2 && args[1] == "options") || len(lines) > helpHeight {
			t.Errorf("%q has %d lines:\n%s", args, len(lines), out)
		}
		for _, l := range lines {
			if utf8.RuneCountInString(l) > helpWidth {
				t.Errorf("%q: %d characters: %s", args, utf8.RuneCountInString(l), l)
			}
		}
	}
}

// What is used wrongly ends with 2, and says what to do.
func TestUsage(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, f := range []string{"file", "short.key"} {
		if err := os.WriteFile(f, []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args string
		want string
	}{
		{"sned", "there is no command \"sned\" Did you mean rmcast send?"},
		{"send", "rmcast send needs a FILE or DIR, and a NAME"},
		{"send file", "needs a FILE or DIR, and a NAME For example:"},
		{"send demo file", "The NAME comes last: rmcast send file demo"},
		{"send nothing demo", "there is no file or directory \"nothing\""},
		{"send file my files", "it has to be in quotes"},
		{"send file ./file", "no name is given"},
		{"send file demo -rate 10MB", "rates are in bits per second"},
		{"send file demo -rate 10", "write 10M for"},
		{"send file demo -x", "there is no option -x rmcast help send"},
		{"send file demo -rate", "-rate needs a value"},
		{"send file demo -for -3s", "-for is negative"},
		{"send file demo -turns 0", "-turns is 0"},
		{"send file demo -4 -6", "exclude each other"},
		{"send file demo -hops 300", "-hops is 300"},
		{"send file 192.0.2.7:7500", "is not a multicast group"},
		{"send file 239.192.0.9", "no port: write 239.192.0.9:7500"},
		{"send file 239.300.0.9:1", "is not an IP address"},
		{"send file ff15::1", "no port: write [ff15::1]:7500"},
		{"send file [ff15::1]:7500 -4", "of the family"},
		{"loop file demo -fixed", "-fixed -rate 20M"},
		{"recv", "rmcast recv needs a NAME or a GROUP"},
		{"recv one two three", "rmcast recv 'one two three'"},
		{"recv demo file", "file is a file, not a directory"},
		{"recv demo -from 239.192.0.9", "the address of a machine"},
		{"recv demo -key short.key", "has 1 bytes, want 16 to 64"},
		{"help nothing", "there is no command"},
	} {
		code, out, stderr := bare(t, strings.Fields(c.args)...)
		if code != exitUsage || out != "" || !strings.Contains(strings.Join(strings.Fields(stderr), " "), c.want) || !strings.HasPrefix(stderr, "rmcast: ") {
			t.Errorf("%s: exit %d, %q; want %q", c.args, code, stderr, c.want)
		}
	}
	if code, _, stderr := bare(t, "recv", "demo", "-key", "none"); code != exitFailed || !strings.Contains(stderr, "head -c 32 /dev/urandom > none") {
		t.Errorf("a key that is not there: %d, %q", code, stderr)
	}
	if code, _, stderr := bare(t, "recv", " demo"); code != exitUsage || !strings.Contains(stderr, "space") {
		t.Errorf("a name with a space at the end: %d, %q", code, stderr)
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "pwsh"} {
		if code, out, _ := bare(t, "completion", shell); code != exitOK || !strings.Contains(out, "rmcast") && shell != "pwsh" || len(out) < 100 {
			t.Errorf("%s: exit %d, %d bytes", shell, code, len(out))
		}
	}
	defer func(args []string) { os.Args = args }(os.Args)
	os.Args = []string{"rmcast", "--generate-shell-completion"} // the library looks there
	_, out, _ := bare(t, os.Args[1:]...)
	for _, name := range []string{"send", "recv", "loop"} {
		if !strings.Contains(out, name) {
			t.Errorf("completion of commands is %q, without %s", out, name)
		}
	}
	if _, out, _ := bare(t, "send", "--rec", "--generate-shell-completion"); !strings.Contains(out, "--receivers") {
		t.Errorf("completion of options is %q", out)
	}
}

func TestTarget(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	for _, c := range []struct {
		given string
		o     netOptions
		have  families
		want  string
	}{
		{"example.com", netOptions{}, families{true, true}, "239.194.226.60:56659"},
		{"example.com", netOptions{}, families{false, true}, "[ff18:873e:378f:f6a5:a1f6:fa49:95f1:faf]:56659"},
		{"example.com", netOptions{}, families{false, false}, "239.194.226.60:56659"},
		{"example.com", netOptions{v6: true}, families{true, true}, "[ff18:873e:378f:f6a5:a1f6:fa49:95f1:faf]:56659"},
		{"example.com", netOptions{v4: true}, families{false, true}, "239.194.226.60:56659"},
		{"two words", netOptions{v6: true}, families{}, "[ff18:5fc5:93fa:a17c:fc66:999e:3e86:bbd]:60784"},
		{"239.192.0.9:7500", netOptions{}, families{}, "239.192.0.9:7500"},
		{"[ff15::8000:1%eth0]:7500", netOptions{}, families{}, "[ff15::8000:1%eth0]:7500"},
		{"239.192.0.9", netOptions{raw: true}, families{}, "239.192.0.9:0"},
	} {
		got, err := parseTarget(c.given, &c.o, c.have)
		if err != nil || got.group.String() != c.want {
			t.Errorf("%q with %+v and %+v is %v, %v; want %s", c.given, c.o, c.have, got, err, c.want)
		}
	}
	secret, err := parseTarget("example.com", &netOptions{key: key}, families{true, true})
	if err != nil || !secret.group.Addr().Is6() {
		t.Errorf("a secret group is %v, %v; want IPv6", secret, err)
	}
	if _, err := parseTarget("239.192.0.9:7500", &netOptions{key: key}, families{}); err == nil {
		t.Error("a key with a literal group is taken")
	}
}

// Whatever a gauge has to say, it fits the terminal and leaves room for a bar.
func TestGaugeFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := gauge{
			name: rapid.StringN(0, 60, -1).Draw(t, "name"), total: rapid.Int64Range(0, 1<<50).Draw(t, "total"), rate: flow.Rate(rapid.Int64Range(0, 1e11).Draw(t, "rate")),
			eta: time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "eta")), loss: rapid.Float64Range(0, 1).Draw(t, "loss"), repairs: rapid.Uint64Range(0, 1<<40).Draw(t, "repairs"),
			note: rapid.StringN(0, 30, -1).Draw(t, "note"),
		}
		g.done = rapid.Int64Range(0, max(g.total, 1)).Draw(t, "done")
		width := rapid.IntRange(24, 200).Draw(t, "width")
		if used := utf8.RuneCountInString(g.left(width)) + utf8.RuneCountInString(g.right(width)) + minBar + 3; used > width {
			t.Fatalf("%q and %q leave no room in %d", g.left(width), g.right(width), width)
		}
		// The bar does not jump while it fills.
		later := g
		later.done, later.rate, later.eta = g.total, flow.Rate(rapid.Int64Range(0, 1e11).Draw(t, "later rate")), time.Duration(rapid.Int64Range(0, 3e12).Draw(t, "later eta"))
		g.eta, g.repairs, later.repairs, later.loss = min(g.eta, 3e12), g.repairs%1000, rapid.Uint64Range(0, 9999).Draw(t, "later repairs"), rapid.Float64Range(0, 1).Draw(t, "later loss")
		if a, b := utf8.RuneCountInString(g.left(width)+g.right(width)), utf8.RuneCountInString(later.left(width)+later.right(width)); a != b {
			t.Fatalf("%q and %q take %d characters, %q and %q %d", g.left(width), g.right(width), a, later.left(width), later.right(width), b)
		}
	})
	g := gauge{name: "photos", done: 43e6, total: 100e6, rate: 112e6, eta: 4 * time.Second, loss: 0.012, repairs: 1234, note: "1 of 2 done"}
	if got, want := g.line(), "photos 43 % of 100 MB, 112 Mbit/s, 4.0 s left, 1 of 2 done, loss 1.2 %, 1,234 repairs"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := g.right(60), "112 Mbit/s   0:04 left   1 of 2 done"; got != want {
		t.Errorf("in 60 columns %q, want %q", got, want)
	}
	if got := g.right(40); got != "112 Mbit/s " {
		t.Errorf("in 40 columns %q", got)
	}
	for d, want := range map[time.Duration]string{1: "0:01", time.Second: "0:01", 61 * time.Second: "1:01", 59*time.Minute + 59*time.Second + 1: "1:00:00", 125 * time.Minute: "2:05:00"} {
		if got := clock(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestMeter(t *testing.T) {
	var m meter
	now := time.Unix(0, 0)
	var got flow.Rate
	for i := range 100 { // 1 MB/s, then 2
		bytes := int64(i) * 100_000
		if i > 50 {
			bytes += int64(i-50) * 100_000
		}
		got = m.add(now.Add(time.Duration(i)*100*time.Millisecond), bytes)
	}
	if math.Abs(float64(got)-16e6) > 1e5 {
		t.Errorf("%v, want 16 Mbit/s", got)
	}
	if len(m.points) > 32 {
		t.Errorf("%d points are kept", len(m.points))
	}
}
