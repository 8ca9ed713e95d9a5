package history

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rmcast/rmcast/sim"
	"github.com/rmcast/rmcast/wire"
)

// Random histories of fixed seeds keep all invariants, and the generator brings about all that there is.
func TestSeeds(t *testing.T) {
	count := uint64(5000)
	if testing.Short() {
		count = 500
	}
	var r Runner
	var c Counts
	for seed := range count {
		if v := r.Run(Generate(seed, Short), &c); v != nil {
			h, _ := r.Shrink(Generate(seed, Short), v, 10*time.Second)
			t.Fatalf("%v\nthe shortest found:\n%s", v, r.Report(h, 60))
		}
	}
	t.Log(c.String())
	if testing.Short() {
		return
	}
	for i, n := range c {
		// Unclear ones are rare, and nothing can be said of them.
		if n == 0 && Count(i) != Unclear {
			t.Errorf("%v never happened", Count(i))
		}
	}
	if c[Unclear]*1000 > c[Histories] {
		t.Errorf("%d sessions in %d histories are unclear: too many to leave out", c[Unclear], c[Histories])
	}
}

// Larger ones do.
func TestLong(t *testing.T) {
	count := uint64(60)
	if testing.Short() {
		count = 5
	}
	var r Runner
	var c Counts
	for seed := range count {
		if v := r.Run(Generate(seed, Long), &c); v != nil {
			t.Fatal(v)
		}
	}
	t.Log(c.String())
}

// What went wrong once goes well now. Each file says what it was.
func TestInputs(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no inputs", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		h, err := ParseHistory(string(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var r Runner
		var c Counts
		if v := r.Run(h, &c); v != nil {
			t.Errorf("%s: %s", name, r.Report(h, 60))
		}
		if !strings.HasPrefix(string(text), "# ") {
			t.Errorf("%s does not say what it is", name)
		}
	}
}

// A history is a value: its text is the same history, which does the same, also in a Runner that has run another.
func TestText(t *testing.T) {
	var r Runner
	for seed := range uint64(300) {
		size := Short
		if seed%10 == 0 {
			size = Long
		}
		h := Generate(seed, size)
		got, err := ParseHistory(h.String())
		if err != nil {
			t.Fatalf("seed %d: %v\n%v", seed, err, h)
		}
		if !reflect.DeepEqual(got, h) {
			t.Fatalf("seed %d:\n%v\nread back:\n%v", seed, h, got)
		}
		if size == Long {
			continue
		}
		var a, b Counts
		r.Run(h, &a)
		new(Runner).Run(got, &b)
		if a != b {
			t.Errorf("seed %d:\n%v\nread back:\n%v", seed, &a, &b)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                            "no seed",
		"seed x":                                      "line 1",
		"seed 1\n0s source":                           "line 2: want an instant",
		"seed 1\nsoon source 1":                       `"soon" is no instant`,
		"seed 1\n0s sing 1":                           `no verb "sing"`,
		"seed 1\n0s source x":                         `"x" is no number`,
		"seed 1\n0s source 2":                         "step 1 (source 2): the next is 1",
		"seed 1\n0s source 1 slots=3":                 "slots=3 is no power of two",
		"seed 1\n0s source 1 speed=3":                 `no setting "speed"`,
		"seed 1\n0s source 1 on=1":                    "no branch 1",
		"seed 1\n0s branch 1 on=1":                    "no branch 1",
		"seed 1\n0s source 1 up=\"loss 2%":            "a quote is not closed",
		"seed 1\n0s source 1 up=\"loss 200%\"":        "loss",
		"seed 1\n0s write 1 bytes=1":                  "there are 0 until then",
		"seed 1\n0s source 1\n0s write 1":             "0 bytes",
		"seed 1\n0s source 1\n0s write 1 bytes=70000": "70000 bytes",
		"seed 1\n0s source 1\n0s flush 1 bytes=1":     "nothing to set",
		"seed 1\n0s source 1\n0s reset 1 code=64":     "code 64",
		"seed 1\n0s receivers 1\n0s stall 1.2":        "no receiver 2",
		"seed 1\n0s receivers 1\n0s stall 1.0":        "names no receiver",
		"seed 1\n0s receivers 1 join=late":            "is not start, now or trail",
		"seed 1\n0s receivers 1 hollow=yes":           "want no value",
		"seed 1\n0s receivers 1 window=1":             "window=1",
		"seed 1\n1s receivers 1\n0s stall 1":          "in order",
		"seed 1\n0s receivers 1 count=200000":         "count=200000",
	} {
		if _, err := ParseHistory(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
	}
}

// What the judge is for, it sees: each of these hides or changes events of histories in which all is well, and the violation must be
// found soon, by its rule, and in a history of a few steps.
func TestPlanted(t *testing.T) {
	every := func(n int, hide func(*sim.Event) bool) func() func(*sim.Event) bool {
		return func() func(*sim.Event) bool {
			count := 0
			return func(e *sim.Event) bool {
				if !hide(e) {
					return false
				}
				count++
				return count%n == 0
			}
		}
	}
	packet := func(kind sim.Kind, typ wire.Type) func(*sim.Event) bool {
		return func(e *sim.Event) bool { return e.Kind == kind && e.Packet.Type == typ }
	}
	for _, c := range []struct {
		name, rule string
		steps      int // at most, of the shrunk history
		hide       func() func(*sim.Event) bool
	}{
		{"a delivery is lost", "copy", 6, every(3, func(e *sim.Event) bool { return e.Kind == sim.Delivered })},
		{"the last delivery is lost", "ending", 4, func() func(*sim.Event) bool {
			seen := map[int]bool{}
			return func(e *sim.Event) bool {
				first := e.Kind == sim.Delivered && !seen[e.Host]
				if first {
					seen[e.Host] = true
				}
				return first && e.Bytes > 100
			}
		}},
		{"a loss is not told", "copy", 8, every(1, func(e *sim.Event) bool { return e.Kind == sim.Gap })},
		{"the end is not told", "end", 4, every(2, func(e *sim.Event) bool { return e.Kind == sim.Ended && errors.Is(e.Err, io.EOF) })},
		{"a NAK for what nobody knows of", "nak", 6, every(1, packet(sim.Arrived, wire.TypeSPM))},
		{"data that was never sent", "source", 5, every(2, packet(sim.Sent, wire.TypeODATA))},
		{"wrong bytes", "copy", 5, func() func(*sim.Event) bool {
			return func(e *sim.Event) bool {
				if e.Kind == sim.Delivered && e.Bytes > 50 && e.Data != nil {
					e.Data[e.Bytes/2] ^= 1
				}
				return false
			}
		}},
		{"sooner than the rate allows", "rate", 5, func() func(*sim.Event) bool {
			return func(e *sim.Event) bool {
				if e.Kind == sim.Sent && e.Packet.Type == wire.TypeODATA {
					e.At = 0
				}
				return false
			}
		}},
		{"twice", "copy", 5, func() func(*sim.Event) bool {
			last := 0
			return func(e *sim.Event) bool {
				if e.Kind == sim.Delivered {
					if last > 0 && e.Bytes != last {
						e.Bytes = last
					}
					last = e.Bytes
				}
				return false
			}
		}},
	} {
		var counts Counts
		seed, r := uint64(0), Runner{}
		var v *Violation
		for ; v == nil && seed < 2000; seed++ {
			r.Watch = c.hide()
			v = r.Run(Generate(seed, Short), &counts)
			if v != nil && v.Rule != c.rule {
				v = nil // another rule saw it first
			}
		}
		if v == nil {
			t.Errorf("%s: not found in 2000 histories", c.name)
			continue
		}
		fresh := &renewing{plant: c.hide}
		r.Watch = fresh.watch
		h := Generate(seed-1, Short)
		short, v := r.Shrink(h, v, 5*time.Second)
		t.Logf("%s: found with seed %d, %d steps of %d left: %v", c.name, seed-1, len(short.Steps), len(h.Steps), v)
		if len(short.Steps) > c.steps {
			t.Errorf("%s: the shortest history found has %d steps, want at most %d:\n%v", c.name, len(short.Steps), c.steps, short)
		}
		if report := r.Report(short, 10); !strings.Contains(report, "seed ") || strings.Count(report, "\n") < 3 {
			t.Errorf("%s: a report that says little:\n%s", c.name, report)
		}
	}
}

// renewing makes a plant anew for each history: time begins again.
type renewing struct {
	plant func() func(*sim.Event) bool
	now   func(*sim.Event) bool
	at    time.Duration
}

func (r *renewing) watch(e *sim.Event) bool {
	if e.At < r.at || r.now == nil {
		r.now = r.plant()
	}
	r.at = e.At
	return r.now(e)
}
