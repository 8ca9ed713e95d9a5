package netem

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseTopology reads a topology: one branch, sender or receiver a line, in the words of [ParseImpairment]:
//
//	branch [at SWITCH] [both: IMPAIRMENT] [down: IMPAIRMENT] [up: IMPAIRMENT]
//	sender …
//	receiver …
//
// Branches make the switches 1, 2, … in their order; without "at" things are at the root, switch 0. "both:" is down: and up: at
// once. Receivers are repeated as [Topology] says. A "#" begins a comment.
//
//	branch both: delay 5ms          # switch 1
//	receiver at 1 down: loss 10%    # the receivers 0, 2, 4, …
//	receiver                        # 1, 3, 5, …
func ParseTopology(s string) (Topology, error) {
	var t Topology
	sender := false
	for i, line := range strings.Split(s, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		p, err := parsePort(words[1:])
		if err != nil {
			return Topology{}, fmt.Errorf("netem: line %d: %w", i+1, err)
		}
		switch words[0] {
		case "branch":
			t.Branches = append(t.Branches, Branch{Parent: p.Switch, Down: p.Down, Up: p.Up})
		case "receiver":
			t.Receivers = append(t.Receivers, p)
		case "sender":
			if sender {
				return Topology{}, fmt.Errorf("netem: line %d: a second sender", i+1)
			}
			t.Sender, sender = p, true
		default:
			return Topology{}, fmt.Errorf("netem: line %d: %q is not branch, sender or receiver", i+1, words[0])
		}
	}
	if err := t.Validate(); err != nil {
		return Topology{}, err
	}
	return t, nil
}

// parsePort reads what comes after the first word of a line.
func parsePort(words []string) (p Port, err error) {
	if len(words) >= 2 && words[0] == "at" {
		if p.Switch, err = strconv.Atoi(words[1]); err != nil {
			return p, fmt.Errorf("at %q: not the number of a switch", words[1])
		}
		words = words[2:]
	}
	seen := [2]bool{} // down, up
	for len(words) > 0 {
		end := 1
		for end < len(words) && !strings.HasSuffix(words[end], ":") {
			end++
		}
		down, up := words[0] != "up:", words[0] != "down:"
		if down && up && words[0] != "both:" {
			return p, fmt.Errorf("%q is not both:, down: or up: and an impairment", words[0])
		}
		if down && seen[0] || up && seen[1] {
			return p, fmt.Errorf("%s is given twice", words[0])
		}
		seen[0], seen[1] = seen[0] || down, seen[1] || up
		imp, err := ParseImpairment(strings.Join(words[1:end], " "))
		if err != nil {
			return p, fmt.Errorf("%s %s", words[0], strings.TrimPrefix(err.Error(), "netem: "))
		}
		if down {
			p.Down = imp
		}
		if up {
			p.Up = imp
		}
		words = words[end:]
	}
	return p, nil
}

// String returns the shortest text that parses to t.
func (t Topology) String() string {
	var b strings.Builder
	for _, br := range t.Branches {
		b.WriteString("branch" + Port{Switch: br.Parent, Down: br.Down, Up: br.Up}.text() + "\n")
	}
	if s := t.Sender.text(); s != "" {
		b.WriteString("sender" + s + "\n")
	}
	for _, p := range t.Receivers {
		b.WriteString("receiver" + p.text() + "\n")
	}
	return b.String()
}

// text returns what comes after the first word of p's line, empty or with a space in front.
func (p Port) text() (s string) {
	if p.Switch != 0 {
		s = " at " + strconv.Itoa(p.Switch)
	}
	down, up := p.Down.String(), p.Up.String()
	switch {
	case down == up && down != "":
		return s + " both: " + down
	case down != "":
		s += " down: " + down
	}
	if up != "" {
		s += " up: " + up
	}
	return s
}

// UnmarshalText is ParseTopology, for flags and files.
func (t *Topology) UnmarshalText(b []byte) error {
	got, err := ParseTopology(string(b))
	if err == nil {
		*t = got
	}
	return err
}

// MarshalText is String; the error is that of Validate.
func (t Topology) MarshalText() ([]byte, error) { return []byte(t.String()), t.Validate() }
