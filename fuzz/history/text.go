package history

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
)

// ParseHistory reads what String prints: a seed, perhaps "ipv4", and one step a line, with an instant, a verb, what it is about, and
// settings, of which those left out are zero. A receiver is named by its group and its number in it. # begins a comment.
//
//	seed 17
//	0s branch 1 down="loss 1% delay 5ms"
//	0s source 1 slots=64 rate=20Mbit/s
//	0s receivers 1 on=1 count=3 up="delay 5ms"
//	10ms write 1 bytes=1000 times=20
//	12ms stall 1.2
//	300ms finish 1
//
// Verbs are branch, source and receivers, which add one; write, message, flush, finish and reset of a source; stall, resume, leave and
// restart of a receiver or a group; links of a group, and trunk: the links of a branch. Settings have the names of the fields of Branch,
// Source, Group, Links, Write and Reset. Errors name the line.
func ParseHistory(text string) (*History, error) {
	h := &History{}
	seeded := false
	for i, line := range strings.Split(text, "\n") {
		w, err := split(line)
		switch {
		case err != nil:
		case len(w) == 0:
		case w[0] == "seed" && len(w) == 2:
			seeded = true
			h.Seed, err = strconv.ParseUint(w[1], 0, 64)
		case w[0] == "ipv4" && len(w) == 1:
			h.V4 = true
		default:
			var s Step
			if s, err = parseStep(w); err == nil {
				h.Steps = append(h.Steps, s)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("history: line %d: %w", i+1, err)
		}
	}
	if !seeded {
		return nil, errors.New("history: there is no seed")
	}
	if err := h.Validate(); err != nil {
		return nil, err
	}
	return h, nil
}

// split cuts a line into words; a part in quotes belongs to its word, with its blanks and without its quotes.
func split(line string) (out []string, err error) {
	word, in, quoted := strings.Builder{}, false, false
	for _, c := range line {
		switch {
		case c == '"':
			quoted, in = !quoted, true
		case quoted || !unicode.IsSpace(c) && c != '#':
			word.WriteRune(c)
			in = true
		default:
			if in {
				out = append(out, word.String())
				word.Reset()
				in = false
			}
			if c == '#' {
				return out, nil
			}
		}
	}
	if quoted {
		return nil, errors.New("a quote is not closed")
	}
	if in {
		out = append(out, word.String())
	}
	return out, nil
}

func parseStep(w []string) (s Step, err error) {
	if len(w) < 3 {
		return s, errors.New("want an instant, a verb and what it is about")
	}
	if s.At, err = time.ParseDuration(w[0]); err != nil || s.At < 0 {
		return s, fmt.Errorf("%q is no instant", w[0])
	}
	if s.Do, err = parseVerb(w[1]); err != nil {
		return s, err
	}
	group, member, one := strings.Cut(w[2], ".")
	if s.Who, err = strconv.Atoi(group); err != nil {
		return s, fmt.Errorf("%q is no number", w[2])
	}
	if one {
		if s.Member, err = strconv.Atoi(member); err != nil || s.Member < 1 {
			return s, fmt.Errorf("%q names no receiver", w[2])
		}
	}
	if make := verbs[s.Do].args; make != nil {
		s.Args = make()
	}
	for _, x := range w[3:] {
		name, value, _ := strings.Cut(x, "=")
		if err := setField(s.Args, name, value); err != nil {
			return s, err
		}
	}
	return s, nil
}

func parseVerb(s string) (Verb, error) {
	for v := range verbs {
		if verbs[v].name == s {
			return Verb(v), nil
		}
	}
	return 0, fmt.Errorf("no verb %q", s)
}

// String gives h as text that ParseHistory reads back.
func (h *History) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d\n", h.Seed)
	if h.V4 {
		b.WriteString("ipv4\n")
	}
	for i := range h.Steps {
		b.WriteString(h.Steps[i].String())
		b.WriteByte('\n')
	}
	return b.String()
}

// String gives the step as a line of text.
func (s Step) String() string {
	out := fmt.Sprintf("%v %v %d", s.At, s.Do, s.Who)
	if s.Member > 0 {
		out += "." + strconv.Itoa(s.Member)
	}
	if s.Args == nil {
		return out
	}
	v := reflect.ValueOf(s.Args).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			out += " " + fieldName(v.Type().Field(i).Name)
			if text := formatField(f.Interface()); text != "" {
				out += "=" + text
			}
		}
	}
	return out
}

// fieldName returns a field's name in a text: MaxDelay is max-delay.
func fieldName(s string) string {
	var b strings.Builder
	for i, c := range s {
		if i > 0 && unicode.IsUpper(c) && unicode.IsLower(rune(s[i-1])) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

var joins = [...]string{session.JoinStart: "start", session.JoinNow: "now", session.JoinTrail: "trail"}

// formatField returns a setting that is not zero; nothing where its name says it all.
func formatField(x any) string {
	switch x := x.(type) {
	case bool:
		return ""
	case netem.Impairment:
		return `"` + x.String() + `"`
	case flow.Rate:
		return strings.ReplaceAll(x.String(), " ", "")
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	case session.Join:
		return joins[x]
	}
	return fmt.Sprint(x)
}

// setField sets the field of what args points to that has a name in a text.
func setField(args any, name, value string) error {
	if args == nil {
		return fmt.Errorf("%q: there is nothing to set", name)
	}
	v := reflect.ValueOf(args).Elem()
	for i := range v.NumField() {
		if fieldName(v.Type().Field(i).Name) == name {
			if err := parseField(v.Field(i).Addr().Interface(), value); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		}
	}
	return fmt.Errorf("no setting %q", name)
}

func parseField(to any, s string) (err error) {
	switch to := to.(type) {
	case *bool:
		if *to = true; s != "" {
			return fmt.Errorf("%q: want no value", s)
		}
	case *int:
		*to, err = strconv.Atoi(s)
	case *int64:
		*to, err = strconv.ParseInt(s, 10, 64)
	case *uint32:
		var n uint64
		n, err = strconv.ParseUint(s, 10, 32)
		*to = uint32(n)
	case *float64:
		*to, err = strconv.ParseFloat(s, 64)
	case *time.Duration:
		*to, err = time.ParseDuration(s)
	case *flow.Rate:
		*to, err = flow.ParseRate(s)
	case *netem.Impairment:
		*to, err = netem.ParseImpairment(s)
	case *session.Join:
		for i, name := range joins {
			if name == s {
				*to = session.Join(i)
				return nil
			}
		}
		err = fmt.Errorf("%q is not start, now or trail", s)
	default:
		panic(fmt.Sprintf("BUG: history: a setting of type %T", to))
	}
	return err
}
