package sim

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/session"
)

// What a scenario may not say. Each line stands alone after a source and a receiver.
func TestParseScenarioErrors(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"fish", `"fish" wants something after it`},
		{"fish 1", `unknown word "fish"`},
		{"seed -1", `seed: "-1" is not a number from 0 to 2^64-1`},
		{"seed 1 2", `unknown word "2"`},
		{"ipv4 yes", `unknown word "yes"`},
		{"end 0s", "end: 0s is not a time up to 24h0m0s"},
		{"end 25h", "end: 25h0m0s is not a time up to 24h0m0s"},
		{"end soon", `time: invalid duration "soon"`},
		{"end 1s 2s", `unknown word "2s"`},
		{`receiver ""`, "a name is empty"},
		{"receiver s", `there are two of the name "s"`},
		{"branch s", `there are two of the name "s"`},
		{"source r", `there are two of the name "r"`},
		{"receiver x at", `"at" wants something after it`},
		{"receiver x at y", `no branch "y"`},
		{"receiver x window=100", "window: 100 is not a power of two from 2 to 65536"},
		{"receiver x window=-4", "window: -4 is not a power of two from 2 to 65536"},
		{"receiver x window=131072", "window: 131072 is not a power of two from 2 to 65536"},
		{"receiver x window", `unknown word "window"`},
		{"receiver x window=", `window: "" is not a number`},
		{"receiver x unordered=yes", `unknown word "unordered=yes"`},
		{"receiver x max-delay=-1s", "max-delay: -1s is not a time up to 24h0m0s"},
		{"receiver x repair-timeout=48h", "repair-timeout: 48h0m0s is not a time up to 24h0m0s"},
		{"source x linger=0s", "linger: 0s is not a time up to 24h0m0s"},
		{"source x rate=0", `rate: 0 bit/s is none`},
		{"source x window=0", "window: 0 is not from 1 to 67108864"},
		{"source x window=1e9", `window: "1e9" is not a number`},
		{"source x fish", `unknown word "fish"`},
		{"branch x fish", `unknown word "fish"`},
		{`receiver x down "delay 1ms`, "a quote is not closed"},
		{"drop s odata", "drop wants a source, types and numbers"},
		{"drop r odata 1", `no source "r"`},
		{"drop s fish 1", `no type "fish"`},
		{"drop s odata 3-2", "drop: 2 is not from 3 to 2147483646"},
		{"drop s odata -2", `drop: "" is not a number`},
		{"drop s odata 1-9223372036854775807", "drop: 9223372036854775807 is not from 1 to 2147483646"},
		{"drop s odata 1 to s", `no receiver "s"`},
		{"drop s odata 1 to", `unknown word "to"`},
		{"drop s odata 1 times=0", "times: 0 is not from 1 to 2147483647"},
		{"at 1s s", "at wants a time, a name and what to do"},
		{"at -1s s flush", "at: -1s is not a time up to 24h0m0s"},
		{"at 1s s fish", `unknown word "fish"`},
		{"at 1s s stall", `no receiver "s"`},
		{"at 1s r flush", `no source "r"`},
		{"at 1s s write", `"write" wants 1 words after it`},
		{"at 1s s write 67108865", "write: 67108865 is not from 1 to 67108864"},
		{"at 1s s write 0", "write: 0 is not from 1 to 67108864"},
		{"at 1s s message 0", "message: 0 is not from 1 to 45349528"},
		{"at 1s small message 2800", "message: 2800 is not from 1 to 1384"},
		{"at 1s s reset 64", "reset: 64 is not from 0 to 63"},
		{"at 1s s write 60000000\nat 1s s write 60000000", "more than 67108864 bytes are written"},
	} {
		_, err := ParseScenario("source s\nreceiver r\nsource small window=3000\n" + c.line + "\nend 1s")
		want := fmt.Sprintf("sim: line %d: %s", 4+strings.Count(c.line, "\n"), c.want)
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v\nwant %v", c.line, err, want)
		}
	}
}

// A text cannot ask for more hosts, switches and things to do than there is memory for.
func TestParseScenarioBounds(t *testing.T) {
	for _, c := range []struct {
		line string
		most int
	}{{"source x%d", 16}, {"receiver x%d", 1000}, {"branch x%d", 1000}, {"drop s odata %d", 10_000}, {"at %dms s flush", 10_000}} {
		var b strings.Builder
		b.WriteString("source s\nreceiver r\n")
		for i := range c.most + 1 {
			fmt.Fprintf(&b, c.line+"\n", i)
		}
		_, err := ParseScenario(b.String())
		word, _, _ := strings.Cut(c.line, " ")
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("more than %d lines begin with %q", c.most, word)) {
			t.Errorf("%q: %v", c.line, err)
		}
	}
}

// FuzzParseScenario: any text is a scenario or an error that names the line; a scenario runs to its end, and again in the same way.
func FuzzParseScenario(f *testing.F) {
	f.Add("source s\nreceiver r down \"loss 10% delay 1ms\"\nat 0ms s write 20000\nat 10ms s finish\nend 1s")
	f.Add("ipv4\nseed 7\nbranch b down \"loss every 9\"\nsource s window=3000 rate=1mbit linger=1s\nreceiver r at b unordered window=16\n" +
		"drop s data 2-4 to r times=1\nat 0ms s message 1000\nat 20ms r stall\nat 90ms r resume\nat 100ms s reset 5\nend 500ms")
	f.Add("source a\nsource b\nreceiver r absent receive-only max-delay=20ms repair-timeout=1s\nat 1ms r join\nat 5ms r leave\nat 2ms a flush\nend 10ms")
	message := regexp.MustCompile(`^sim: (line [0-9]+: .|a scenario needs .)`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseScenario(text)
		if err != nil {
			if !message.MatchString(err.Error()) {
				t.Errorf("%q", err)
			}
			return
		}
		bytes := 0
		for _, step := range s.Steps {
			if bytes += step.Bytes; bytes > 1<<17 {
				return
			}
		}
		if len(s.Receivers) > 5 || len(s.Sources) > 2 || len(s.Steps) > 20 {
			return
		}
		s.End = min(s.End, 300*time.Millisecond)
		var out [2]string
		for i := range out {
			rep, err := s.Run(true)
			if err != nil {
				if !errors.Is(err, ErrStuck) {
					t.Fatal(err)
				}
				return
			}
			out[i] = strings.Join(rep.Trace, "\n") + rep.String()
		}
		if out[0] != out[1] {
			t.Errorf("two runs differ:\n%s\n\n%s", out[0], out[1])
		}
	})
}

// A Reader tells bytes without gaps as one part, messages as theirs, and neighbouring losses of one reason as one.
func TestReader(t *testing.T) {
	r := &Reader{Reading: Reading{Receiver: "r", Source: "s"}}
	gap := func(from, to seq.Num, why session.LossReason) {
		r.Gap(&session.LossError{Lost: seq.Range{From: from, To: to}, Reason: why}, 100)
	}
	r.Read([]byte("ab"))
	r.Read([]byte("c"))
	gap(102, 104, session.LossTimeout)
	gap(104, 105, session.LossTimeout)
	gap(105, 106, session.LossTrail)
	r.Read([]byte("abc"))
	const abc = "3 bytes ba7816bf8f01cfea"
	want := "r reads of s: " + abc + ", lost [2,5) (no repair came in time), lost [5,6) (the source's window moved past it), " + abc + ", no end"
	r.Finish(nil)
	if got := r.String(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	m := &Reader{Messages: true}
	m.Read([]byte("abc"))
	m.Read([]byte("abc"))
	m.Read(nil)
	m.Finish(session.ErrSourceLost)
	if got, want := m.String(), " reads of : "+abc+", "+abc+", "+strings.TrimPrefix(session.ErrSourceLost.Error(), "session: "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
