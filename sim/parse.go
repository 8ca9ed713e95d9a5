package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/wire"
)

// ParseScenario reads a scenario, one statement a line; # begins a comment, and what stands in "quotes" is an impairment in the words of
// netem.ParseImpairment. Down is always away from the root, up towards it; for a host down is what comes to it.
//
//	seed N
//	ipv4
//	branch NAME [at BRANCH] [down "…"] [up "…"]
//	source NAME [at BRANCH] [down "…"] [up "…"] [rate=RATE] [window=BYTES] [linger=TIME]
//	receiver NAME [at BRANCH] [down "…"] [up "…"] [unordered] [receive-only] [absent] [max-delay=TIME] [repair-timeout=TIME] [window=PACKETS]
//	drop SOURCE TYPE[,TYPE…] FROM[-TO] [to RECEIVER] [times=N]
//	at TIME SOURCE write|message BYTES
//	at TIME SOURCE flush|finish
//	at TIME SOURCE reset CODE
//	at TIME RECEIVER stall|resume|leave|join
//	end TIME
//
// A branch, source or receiver must stand before it is named. Types are those of PGM in lower case (odata, rdata, spm, ncf), and data for
// odata and rdata together. TO is included. Errors name the line.
func ParseScenario(text string) (*Scenario, error) {
	s := &Scenario{}
	for i, line := range strings.Split(text, "\n") {
		if err := s.parseLine(line); err != nil {
			return nil, fmt.Errorf("sim: line %d: %w", i+1, err)
		}
	}
	switch {
	case len(s.Sources) == 0 || len(s.Receivers) == 0:
		return nil, errors.New("sim: a scenario needs a source and a receiver")
	case s.End <= 0:
		return nil, errors.New("sim: a scenario needs an end")
	}
	slices.SortStableFunc(s.Steps, func(a, b ScenarioStep) int { return int(max(-1, min(1, a.At-b.At))) })
	return s, nil
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

func (s *Scenario) parseLine(line string) error {
	w, err := words(line)
	if err != nil || len(w) == 0 {
		return err
	}
	if len(w) == 1 && w[0] == "ipv4" {
		s.V4 = true
		return nil
	}
	if len(w) < 2 {
		return fmt.Errorf("%q wants something after it", w[0])
	}
	switch w[0] {
	case "seed":
		s.Seed, err = strconv.ParseUint(w[1], 10, 64)
	case "end":
		s.End, err = time.ParseDuration(w[1])
	case "branch":
		b := ScenarioBranch{Name: w[1]}
		err = s.settings(w[2:], &b.Parent, &b.Down, &b.Up, nil)
		s.Branches = append(s.Branches, b)
	case "source":
		x := ScenarioSource{Name: w[1]}
		err = s.settings(w[2:], &x.Switch, &x.Down, &x.Up, x.set)
		s.Sources = append(s.Sources, x)
	case "receiver":
		x := ScenarioReceiver{Name: w[1]}
		err = s.settings(w[2:], &x.Switch, &x.Down, &x.Up, x.set)
		s.Receivers = append(s.Receivers, x)
	case "drop":
		return s.parseDrop(w[1:])
	case "at":
		return s.parseStep(w[1:])
	default:
		err = fmt.Errorf("unknown word %q", w[0])
	}
	if err == nil && s.named(w[1]) > 1 && (w[0] == "branch" || w[0] == "source" || w[0] == "receiver") {
		err = fmt.Errorf("there are two of the name %q", w[1])
	}
	return err
}

func (s *Scenario) named(name string) int {
	count := 0
	for _, b := range s.Branches {
		if b.Name == name {
			count++
		}
	}
	if s.source(name) >= 0 {
		count++
	}
	if s.receiver(name) >= 0 {
		count++
	}
	return count
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
				k := slices.IndexFunc(s.Branches, func(b ScenarioBranch) bool { return b.Name == w[i] })
				if k < 0 {
					return fmt.Errorf("no branch %q", w[i])
				}
				*at = k + 1
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
			key, value, _ := strings.Cut(w[i], "=")
			if set == nil {
				return fmt.Errorf("unknown word %q", w[i])
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
	case "rate":
		x.Rate, err = flow.ParseRate(value)
	case "window":
		x.WindowBytes, err = strconv.Atoi(value)
	case "linger":
		x.Linger, err = time.ParseDuration(value)
	default:
		err = fmt.Errorf("unknown word %q", key)
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
	case "max-delay":
		x.MaxDelay, err = time.ParseDuration(value)
	case "repair-timeout":
		x.RepairTimeout, err = time.ParseDuration(value)
	case "window":
		x.MaxWindow, err = strconv.Atoi(value)
	default:
		err = fmt.Errorf("unknown word %q", key)
	}
	return err
}

var dropTypes = map[string][]wire.Type{
	"data": {wire.TypeODATA, wire.TypeRDATA}, "odata": {wire.TypeODATA}, "rdata": {wire.TypeRDATA}, "spm": {wire.TypeSPM}, "ncf": {wire.TypeNCF},
}

func (s *Scenario) parseDrop(w []string) error {
	if len(w) < 3 {
		return errors.New("drop wants a source, types and numbers")
	}
	d := ScenarioDrop{Source: s.source(w[0]), Receiver: -1}
	if d.Source < 0 {
		return fmt.Errorf("no source %q", w[0])
	}
	for _, name := range strings.Split(w[1], ",") {
		types, ok := dropTypes[name]
		if !ok {
			return fmt.Errorf("no type %q", name)
		}
		d.Types = append(d.Types, types...)
	}
	from, to, both := strings.Cut(w[2], "-")
	var err error
	if d.From, err = strconv.Atoi(from); err != nil {
		return err
	}
	d.To = d.From + 1
	if both {
		if d.To, err = strconv.Atoi(to); err != nil {
			return err
		}
		d.To++
	}
	for i := 3; i < len(w); i++ {
		key, value, _ := strings.Cut(w[i], "=")
		switch {
		case key == "times":
			if d.Times, err = strconv.Atoi(value); err != nil {
				return err
			}
		case w[i] == "to" && i+1 < len(w):
			i++
			if d.Receiver = s.receiver(w[i]); d.Receiver < 0 {
				return fmt.Errorf("no receiver %q", w[i])
			}
		default:
			return fmt.Errorf("unknown word %q", w[i])
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

func (s *Scenario) parseStep(w []string) error {
	if len(w) < 3 {
		return errors.New("at wants a time, a name and what to do")
	}
	at, err := time.ParseDuration(w[0])
	if err != nil {
		return err
	}
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
	if v.args == 1 {
		if step.Bytes, err = strconv.Atoi(w[3]); err != nil {
			return err
		}
		if step.Bytes < 0 || step.Bytes == 0 && w[2] == "message" || w[2] == "reset" && step.Bytes > 63 {
			return fmt.Errorf("%s %d is out of range", w[2], step.Bytes)
		}
	}
	s.Steps = append(s.Steps, step)
	return nil
}

