package channel

import (
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write the tables of docs/channel.md anew; then read the diff")

const page = "../docs/channel.md"

// The tables of docs/channel.md are those that this package makes: other implementations are checked against them, so that a difference
// is a change of what names mean.
func TestPage(t *testing.T) {
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "\r\n", "\n") // as git may have it on Windows
	want := text
	for name, table := range map[string]string{"vectors": vectors(t), "chances": chances()} {
		begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->\n"
		head, rest, ok1 := strings.Cut(want, begin)
		_, tail, ok2 := strings.Cut(rest, end)
		if !ok1 || !ok2 {
			t.Fatalf("%s has no place for %s", page, name)
		}
		want = head + begin + table + end + tail
	}
	if *rewrite {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if text != want {
		got, wanted := strings.Split(text, "\n"), strings.Split(want, "\n")
		for i := range min(len(got), len(wanted)) {
			if got[i] != wanted[i] {
				t.Errorf("%s:%d:\n%s\nwant\n%s", page, i+1, got[i], wanted[i])
			}
		}
		t.Fatalf("%s is not what go test ./channel -run TestPage -rewrite makes: %d lines, want %d", page, len(got), len(wanted))
	}
}

func vectors(t *testing.T) string {
	var key [64]byte
	for i := range key {
		key[i] = byte(i)
	}
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	var b strings.Builder
	b.WriteString("| name | scope | range | key, bytes | period | at | group |\n|---|---|---|---:|---:|---|---|\n")
	row := func(c Channel) {
		scope, err := c.check()
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		digits := "-"
		if c.Key != nil {
			digits = fmt.Sprint(len(c.Key))
		}
		period, at := "-", "-"
		if c.Period > 0 {
			period, at = fmt.Sprint(c.seconds()), c.At.UTC().Format(time.RFC3339)
		}
		in := map[kind]string{{false, false}: "ff1x", {false, true}: "ff3x", {true, false}: "239/8", {true, true}: "232/8"}[kind{c.IPv4, c.SourceSpecific}]
		name := c.Name
		if len(name) > 40 {
			name = fmt.Sprintf("%d x %s", len(name), name[:1])
		}
		g, _ := c.Group()
		fmt.Fprintf(&b, "| `%s` | %v | %s | %s | %s | %s | `%v` |\n", name, scope, in, digits, period, at, g)
	}
	for _, name := range []string{"example.com", "Example.com", "a", "größe", "日本語", "two words", strings.Repeat("x", MaxName)} {
		row(Channel{Name: name})
	}
	for _, s := range scopes {
		row(Channel{Name: "example.com", Scope: s.Scope, SourceSpecific: true})
	}
	for _, s := range []Scope{Realm, Admin, Site, Organization} {
		row(Channel{Name: "example.com", Scope: s, IPv4: true})
	}
	row(Channel{Name: "example.com", IPv4: true, SourceSpecific: true})
	for _, n := range []int{MinKey, 32, MaxKey} {
		row(Channel{Name: "example.com", Key: key[:n]})
	}
	for _, s := range []Scope{Link, Site} {
		row(Channel{Name: "example.com", Scope: s, Key: key[:32]})
	}
	row(Channel{Name: "example.com", SourceSpecific: true, Key: key[:32]})
	row(Channel{Name: "example.com", IPv4: true, Key: key[:32]})
	row(Channel{Name: "example.com", IPv4: true, SourceSpecific: true, Key: key[:32]})
	for _, at := range []time.Time{noon, noon.Add(time.Hour - 1), noon.Add(time.Hour), time.Unix(0, 0), time.Unix(-1, 0)} {
		row(Channel{Name: "example.com", Period: time.Hour, At: at})
	}
	row(Channel{Name: "example.com", Period: 24 * time.Hour, At: noon})
	row(Channel{Name: "example.com", Period: time.Hour, At: noon, Key: key[:32]})
	d := Channel{Name: "example.com"}.digest(Global)
	fmt.Fprintf(&b, "\nThe whole digest of `example.com`, without key and period:\n\n```\n%s\n%s\n```\n", hex.EncodeToString(d[:32]), hex.EncodeToString(d[32:]))
	return b.String()
}

// chances is the table of birthdays.
func chances() string {
	var b strings.Builder
	b.WriteString("| of | there are | 1 % at | 50 % at | 10,000 names: pairs that meet |\n|---|---:|---:|---:|---:|\n")
	for _, r := range []struct {
		what string
		size float64
	}{
		{"IPv6, any source: groups", math.Exp2(112)},
		{"IPv6, any source: Ethernet addresses", math.Exp2(32)},
		{"IPv6, source-specific: groups and Ethernet addresses", specific6Size},
		{"IPv4, 232/8: groups", specificSize},
		{"IPv4, 232/8: Ethernet addresses", specificSize / 2},
		{"IPv4, 239.192/14: groups and Ethernet addresses", organizationSize},
		{"IPv4, 239.192/14: groups with port", organizationSize * ports},
		{"IPv4, 239.255/16: groups and Ethernet addresses", localSize},
		{"IPv4, 239.255/16: groups with port", localSize * ports},
	} {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %.2g |\n", r.what, figure(r.size), figure(birthday(r.size, 0.01)), figure(birthday(r.size, 0.5)), 1e4*(1e4-1)/2/r.size)
	}
	return b.String()
}

func figure(f float64) string {
	if f >= 1e10 {
		return fmt.Sprintf("%.3g", f)
	}
	s := strconv.FormatInt(int64(f), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// birthday returns how many names there are when, of size places, two share one with that chance: the least count if it can be had by counting.
func birthday(size, chance float64) float64 {
	if size > 1e12 {
		return math.Sqrt(float64(-2 * size * math.Log1p(-chance)))
	}
	n, all := 1.0, 0.0 // all: the logarithm of the chance that n names all have a place of their own
	for all > math.Log1p(-chance) {
		all += math.Log1p(-n / size)
		n++
	}
	return n
}

// The least count is 23 people for half a chance of one birthday, and the approximation agrees where both can be had.
func TestBirthday(t *testing.T) {
	if n := birthday(365, 0.5); n != 23 {
		t.Errorf("%v people share a birthday, want 23", n)
	}
	if exact, near := birthday(1e9, 0.5), math.Sqrt(2e9*math.Ln2); math.Abs(exact-near) > 2 {
		t.Errorf("%v names, by the approximation %v", exact, near)
	}
}
