package sim

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/wire"
)

// ParseScenario reads a scenario, one statement a line; # begins a comment, and what stands in "quotes" is an impairment in the words
// of netem.ParseImpairment. Down is always away from the root, up towards it; for a host down is what comes to it.
//
//	seed N
//	ipv4
//	branch NAME [at BRANCH] [down "…"] [up "…"]
//	source NAME [at BRANCH] [down "…"] [up "…"] [rate=RATE] [window=BYTES] [linger=TIME]
//	receiver NAME [at BRANCH] [down "…"] [up "…"] [unordered] [receive-only] [absent]
//	         [max-delay=TIME] [repair-timeout=TIME] [window=PACKETS]              all on one line
//	drop SOURCE TYPE[,TYPE…] FROM[-TO] [to RECEIVER] [times=N]
//	at TIME SOURCE write|message BYTES
//	at TIME SOURCE flush|finish
//	at TIME SOURCE reset CODE
//	at TIME RECEIVER stall|resume|leave|join
//	end TIME
//
// A branch, source or receiver must stand before it is named. Types are those of PGM in lower case (odata, rdata, spm, ncf), and data for
// odata and rdata together; numbers count from the source's first packet, those of SPMs are their own, and TO is included. Times are as
// in time.ParseDuration, up to a day; a receiver's window is a power of two.
//
// There may be 16 sources, 1,000 receivers and branches, 10,000 drops and steps, and 64 MiB may be written. Errors name the line.
func ParseScenario(text string) (*Scenario, error) {
	p := parser{s: &Scenario{}, lines: map[string]int{}}
	for line := range strings.Lines(text) {
		p.line++
		if err := p.parseLine(strings.TrimSuffix(line, "\n")); err != nil {
			return nil, fmt.Errorf("sim: line %d: %w", p.line, err)
		}
	}
	s := p.s
	switch {
	case len(s.Sources) == 0 || len(s.Receivers) == 0:
		return nil, errors.New("sim: a scenario needs a source and a receiver")
	case s.End == 0:
		return nil, errors.New("sim: a scenario needs an end")
	}
	slices.SortStableFunc(s.Steps, func(a, b ScenarioStep) int { return cmp.Compare(a.At, b.At) })
	return s, nil
}

// Bounds, so that no text asks for more memory than a machine has.
const (
	mostWritten = 64 << 20
	longest     = 24 * time.Hour
	mostWindow  = 1 << 16
)

var mostLines = map[string]int{"source": 16, "receiver": 1000, "branch": 1000, "drop": 10_000, "at": 10_000}

type parser struct {
	s       *Scenario
	line    int
	lines   map[string]int // by first word
	written int            // bytes
}

// number reads a number from least to most.
func number(what, text string, least, most int) (int, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s: %q is not a number", what, text)
	case n < int64(least) || n > int64(most):
		return 0, fmt.Errorf("%s: %d is not from %d to %d", what, n, least, most)
	}
	return int(n), nil
}

// span reads a time, which is longer than 0 unless zero is allowed.
func span(what, text string, zero bool) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, err
	case d < 0 || d > longest || d == 0 && !zero:
		return 0, fmt.Errorf("%s: %v is not a time up to %v", what, d, longest)
	}
	return d, nil
}

// words cuts a line into words; what stands in quotes is one.
func words(line string) ([]string, error) {
	var out []string
	for {
		line = strings.TrimLeft(line, " \t\r")
		if line == "" || line[0] == '#' {
			return out, nil
		}
		if line[0] == '"' {
			text, rest, ok := strings.Cut(line[1:], `"`)
			if !ok {
				return nil, errors.New("a quote is not closed")
			}
			out, line = append(out, text), rest
			continue
		}
		end := strings.IndexAny(line, " \t\r")
		if end < 0 {
			end = len(line)
		}
		out, line = append(out, line[:end]), line[end:]
	}
}

func (p *parser) parseLine(line string) error {
	w, err := words(line)
	if err != nil || len(w) == 0 {
		return err
	}
	s := p.s
	if w[0] == "ipv4" {
		s.V4 = true
		return end(w[1:])
	}
	if len(w) < 2 {
		return fmt.Errorf("%q wants something after it", w[0])
	}
	if most, ok := mostLines[w[0]]; ok {
		if p.lines[w[0]]++; p.lines[w[0]] > most {
			return fmt.Errorf("more than %d lines begin with %q", most, w[0])
		}
	}
	switch w[0] {
	case "seed":
		if s.Seed, err = strconv.ParseUint(w[1], 10, 64); err != nil {
			return fmt.Errorf("seed: %q is not a number from 0 to 2^64-1", w[1])
		}
		return end(w[2:])
	case "end":
		if s.End, err = span("end", w[1], false); err != nil {
			return err
		}
		return end(w[2:])
	case "drop":
		return p.parseDrop(w[1:])
	case "at":
		return p.parseStep(w[1:])
	}
	return p.parseNode(w[0], w[1], w[2:])
}

// end wants nothing more on the line.
func end(w []string) error {
	if len(w) > 0 {
		return fmt.Errorf("unknown word %q", w[0])
	}
	return nil
}

// parseNode reads what makes a branch or a host.
func (p *parser) parseNode(what, name string, w []string) (err error) {
	s := p.s
	taken := s.branch(name) >= 0 || s.source(name) >= 0 || s.receiver(name) >= 0
	switch what {
	case "branch":
		b := ScenarioBranch{Name: name}
		err = s.settings(w, &b.Parent, &b.Down, &b.Up, nil)
		s.Branches = append(s.Branches, b)
	case "source":
		x := ScenarioSource{Name: name}
		err = s.settings(w, &x.Switch, &x.Down, &x.Up, x.set)
		s.Sources = append(s.Sources, x)
	case "receiver":
		x := ScenarioReceiver{Name: name}
		err = s.settings(w, &x.Switch, &x.Down, &x.Up, x.set)
		s.Receivers = append(s.Receivers, x)
	default:
		return fmt.Errorf("unknown word %q", what)
	}
	switch {
	case name == "":
		return errors.New("a name is empty")
	case taken:
		return fmt.Errorf("there are two of the name %q", name)
	}
	return err
}

func (s *Scenario) branch(name string) int {
	return slices.IndexFunc(s.Branches, func(x ScenarioBranch) bool { return x.Name == name })
}

func (s *Scenario) source(name string) int {
	return slices.IndexFunc(s.Sources, func(x ScenarioSource) bool { return x.Name == name })
}

func (s *Scenario) receiver(name string) int {
	return slices.IndexFunc(s.Receivers, func(x ScenarioReceiver) bool { return x.Name == name })
}

// settings reads what follows a name.
func (s *Scenario) settings(w []string, at *int, down, up *netem.Impairment, set func(key, value string) error) error {
	for i := 0; i < len(w); i++ {
		switch w[i] {
		case "at", "down", "up":
			if i++; i == len(w) {
				return fmt.Errorf("%q wants something after it", w[i-1])
			}
			if w[i-1] == "at" {
				if *at = s.branch(w[i]) + 1; *at == 0 {
					return fmt.Errorf("no branch %q", w[i])
				}
				continue
			}
			imp, err := netem.ParseImpairment(w[i])
			if err != nil {
				return err
			}
			if w[i-1] == "down" {
				*down = imp
			} else {
				*up = imp
			}
		default:
			if set == nil {
				return end(w[i:])
			}
			key, value, ok := strings.Cut(w[i], "=")
			if ok {
				key += "="
			}
			if err := set(key, value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *ScenarioSource) set(key, value string) (err error) {
	switch key {
	case "rate=":
		if x.Rate, err = flow.ParseRate(value); err == nil && x.Rate == 0 {
			err = errors.New("rate: 0 bit/s is none")
		}
	case "window=":
		x.WindowBytes, err = number("window", value, 1, mostWritten)
	case "linger=":
		x.Linger, err = span("linger", value, false)
	default:
		err = unknown(key, value)
	}
	return err
}

func (x *ScenarioReceiver) set(key, value string) (err error) {
	switch key {
	case "unordered":
		x.Unordered = true
	case "receive-only":
		x.ReceiveOnly = true
	case "absent":
		x.Absent = true
	case "max-delay=":
		x.MaxDelay, err = span("max-delay", value, false)
	case "repair-timeout=":
		x.RepairTimeout, err = span("repair-timeout", value, false)
	case "window=":
		x.MaxWindow, err = strconv.Atoi(value)
		switch {
		case err != nil:
			err = fmt.Errorf("window: %q is not a number", value)
		case x.MaxWindow < 2 || x.MaxWindow > mostWindow || x.MaxWindow&(x.MaxWindow-1) != 0:
			err = fmt.Errorf("window: %d is not a power of two from 2 to %d", x.MaxWindow, mostWindow)
		}
	default:
		err = unknown(key, value)
	}
	return err
}

func unknown(key, value string) error { return fmt.Errorf("unknown word %q", key+value) }

var dropTypes = map[string][]wire.Type{
	"data": {wire.TypeODATA, wire.TypeRDATA}, "odata": {wire.TypeODATA}, "rdata": {wire.TypeRDATA}, "spm": {wire.TypeSPM}, "ncf": {wire.TypeNCF},
}

func (p *parser) parseDrop(w []string) (err error) {
	if len(w) < 3 {
		return errors.New("drop wants a source, types and numbers")
	}
	s := p.s
	d := ScenarioDrop{Source: s.source(w[0]), Receiver: -1}
	if d.Source < 0 {
		return fmt.Errorf("no source %q", w[0])
	}
	for name := range strings.SplitSeq(w[1], ",") {
		types, ok := dropTypes[name]
		if !ok {
			return fmt.Errorf("no type %q", name)
		}
		d.Types = append(d.Types, types...)
	}
	from, to, both := strings.Cut(w[2], "-")
	if d.From, err = number("drop", from, 0, math.MaxInt32-1); err != nil {
		return err
	}
	d.To = d.From + 1
	if both {
		if d.To, err = number("drop", to, d.From, math.MaxInt32-1); err != nil {
			return err
		}
		d.To++
	}
	for i := 3; i < len(w); i++ {
		key, value, _ := strings.Cut(w[i], "=")
		switch {
		case key == "times":
			if d.Times, err = number("times", value, 1, math.MaxInt32); err != nil {
				return err
			}
		case w[i] == "to" && i+1 < len(w):
			i++
			if d.Receiver = s.receiver(w[i]); d.Receiver < 0 {
				return fmt.Errorf("no receiver %q", w[i])
			}
		default:
			return end(w[i:])
		}
	}
	s.Drops = append(s.Drops, d)
	return nil
}

// verbs says what may be done to whom: the number of words after, and whether it is done to a source.
var verbs = map[string]struct {
	args   int
	source bool
}{
	"write": {1, true}, "message": {1, true}, "flush": {0, true}, "finish": {0, true}, "reset": {1, true},
	"stall": {0, false}, "resume": {0, false}, "leave": {0, false}, "join": {0, false},
}

func (p *parser) parseStep(w []string) error {
	if len(w) < 3 {
		return errors.New("at wants a time, a name and what to do")
	}
	at, err := span("at", w[0], true)
	if err != nil {
		return err
	}
	s := p.s
	step := ScenarioStep{At: at, Source: s.source(w[1]), Receiver: s.receiver(w[1]), Verb: w[2]}
	v, ok := verbs[w[2]]
	switch {
	case !ok:
		return fmt.Errorf("unknown word %q", w[2])
	case v.source && step.Source < 0:
		return fmt.Errorf("no source %q", w[1])
	case !v.source && step.Receiver < 0:
		return fmt.Errorf("no receiver %q", w[1])
	case len(w) != 3+v.args:
		return fmt.Errorf("%q wants %d words after it", w[2], v.args)
	}
	switch w[2] {
	case "write":
		step.Bytes, err = number(w[2], w[3], 1, mostWritten)
	case "message":
		step.Bytes, err = number(w[2], w[3], 1, s.Sources[step.Source].maxMessage())
	case "reset":
		step.Bytes, err = number(w[2], w[3], 0, 63)
	}
	if err != nil {
		return err
	}
	if v.source && w[2] != "reset" {
		if p.written += step.Bytes; p.written > mostWritten {
			return fmt.Errorf("more than %d bytes are written", mostWritten)
		}
	}
	s.Steps = append(s.Steps, step)
	return nil
}
