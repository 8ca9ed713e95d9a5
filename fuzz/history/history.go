package history

import (
	"fmt"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

// History is one life of a network, as a value: what there is and what happens, in steps. Two equal histories do the same to the
// nanosecond. When the last step is done, applications that stall go on and sources that are not told to end finish.
type History struct {
	Seed  uint64 // of every random choice in the network
	V4    bool
	Steps []Step // ascending by At
}

// Step is one thing that is done. Branches, sources and groups are numbered from 1, each kind by itself, by the steps that add them.
type Step struct {
	At     time.Duration
	Do     Verb
	Who    int // branch, source or group
	Member int // of the group, from 1; 0: all of it
	// Args says how: a *Branch, *Source, *Group, *Links, *Write or *Reset, as Do wants it. It is not changed once it is in a step.
	Args any
}

// Verb is what a step does.
type Verb uint8

// The steps.
const (
	AddBranch   Verb = iota // a switch, by a *Branch
	AddSource               // a source joins, by a *Source
	AddGroup                // receivers join, by a *Group
	WriteStream             // by a *Write
	WriteMessage
	Flush
	Finish
	ResetSource // by a *Reset
	Stall       // the application stops reading
	Resume
	Leave
	Restart      // leave, and join again knowing nothing; join, if it had left
	ChangeLinks  // of a group, by *Links
	ChangeBranch // its links, by *Links
)

// kind is what a step is about.
type kind uint8

const (
	branches kind = iota
	sources
	groups
)

// verbs are the words for Verb, what each is about, and what says how.
var verbs = [...]struct {
	name string
	of   kind
	args func() any // nil: nothing says more
}{
	AddBranch:    {"branch", branches, func() any { return new(Branch) }},
	AddSource:    {"source", sources, func() any { return new(Source) }},
	AddGroup:     {"receivers", groups, func() any { return new(Group) }},
	WriteStream:  {"write", sources, func() any { return new(Write) }},
	WriteMessage: {"message", sources, func() any { return new(Write) }},
	Flush:        {"flush", sources, nil},
	Finish:       {"finish", sources, nil},
	ResetSource:  {"reset", sources, func() any { return new(Reset) }},
	Stall:        {"stall", groups, nil},
	Resume:       {"resume", groups, nil},
	Leave:        {"leave", groups, nil},
	Restart:      {"restart", groups, nil},
	ChangeLinks:  {"links", groups, func() any { return new(Links) }},
	ChangeBranch: {"trunk", branches, func() any { return new(Links) }},
}

// String gives the verb as it stands in a text.
func (v Verb) String() string {
	if int(v) < len(verbs) {
		return verbs[v].name
	}
	return "unknown"
}

// adds reports whether v brings in something new.
func (v Verb) adds() bool { return v <= AddGroup }

// Branch is a switch below another, with a link in either direction that all behind it share.
type Branch struct {
	On       int              // the branch it hangs on; 0: the root
	Down, Up netem.Impairment // away from the root, towards it
}

// Links are the two directions of a link, for ChangeLinks and ChangeBranch.
type Links struct {
	Down, Up netem.Impairment
}

// Source is what a source is like. Zero settings are those of sim.SourceConfig.
type Source struct {
	On       int
	Up, Down netem.Impairment // what it sends, what comes to it

	Slots   int // of its window, a power of two
	Rate    flow.Rate
	MTU     int
	First   uint32 // the number of its first packet
	Age     time.Duration
	Hold    time.Duration
	Linger  time.Duration
	GRTT    time.Duration // first guesses of round trip time
	Group   int           // and group size
	Repairs float64       // share of Rate that repairs may take while data waits
	Share   float64       // share of Rate that one receiver's NAKs may cause
	Ambient time.Duration // AmbientSPM

	Parity     int     // packets of a transmission group; 0: no parity
	Goal       int     // fec.Goal
	Within     float64 // of fec.Config, as those after it
	Proactive  int
	Interleave int
}

// Group is what the receivers of a group are like, who each have a link of their own. Zero settings are those of sim.GroupConfig.
type Group struct {
	On       int
	Count    int // receivers; 0 is 1
	Down, Up netem.Impairment

	Join        session.Join
	Unordered   bool
	ReceiveOnly bool
	Uniform     bool // the backoff's law
	Hollow      bool
	NoParity    bool
	Shared      bool
	Window      int   // slots, a power of two
	Memory      int64 // bytes of payload
	MaxMessage  int
	MaxSources  int
	Backlog     int
	MaxDelay    time.Duration
	Timeout     time.Duration // RepairTimeout
	Expiry      time.Duration
	Backoff     time.Duration // NAKBackoff
	Repeat      time.Duration // NAKRepeat
	Data        time.Duration // NAKData
}

// Write is one piece of the stream, or one message, or several alike.
type Write struct {
	Bytes int // each; a message that the window cannot hold is cut down to what it can
	Times int // 0 is 1
}

// Reset ends a session at once.
type Reset struct {
	Code int // 0 to 63
}

// Most of what a history may have, so that a text cannot ask for the moon.
const (
	mostHosts = 100_000
	mostBytes = 1 << 34
	mostTime  = 24 * time.Hour
	biggest   = 65535 // bytes of one write or message
)

// Validate reports the first step that makes no sense.
func (h *History) Validate() error {
	var count [3]int
	members := []int{}
	at := time.Duration(0)
	var total int64
	for i := range h.Steps {
		s := &h.Steps[i]
		if err := s.validate(&count, members, h.V4); err != nil {
			return fmt.Errorf("history: step %d (%v %d): %w", i+1, s.Do, s.Who, err)
		}
		switch a := s.Args.(type) {
		case *Group:
			members = append(members, a.count())
		case *Write:
			total += int64(a.Bytes) * int64(a.times())
		}
		if s.At < at || s.At > mostTime {
			return fmt.Errorf("history: step %d is at %v, after one at %v; want them in order and within %v", i+1, s.At, at, mostTime)
		}
		at = s.At
	}
	hosts := count[sources]
	for _, n := range members {
		hosts += n
	}
	if hosts > mostHosts || total > mostBytes {
		return fmt.Errorf("history: %d hosts and %d bytes to write; at most %d and %d", hosts, total, mostHosts, int64(mostBytes))
	}
	return nil
}

func (s *Step) validate(count *[3]int, members []int, v4 bool) error {
	if int(s.Do) >= len(verbs) {
		return fmt.Errorf("no such verb")
	}
	of := verbs[s.Do].of
	if s.Do.adds() {
		count[of]++
		if s.Who != count[of] {
			return fmt.Errorf("the next is %d", count[of])
		}
	}
	if s.Who < 1 || s.Who > count[of] {
		return fmt.Errorf("there are %d until then", count[of])
	}
	if s.Member != 0 && (of != groups || s.Do.adds() || s.Do == ChangeLinks || s.Member < 0 || s.Member > members[s.Who-1]) {
		return fmt.Errorf("it has no receiver %d", s.Member)
	}
	return validateArgs(s.Args, count[branches], v4)
}

func validateArgs(args any, branches int, v4 bool) error {
	on := 0
	var links [2]*netem.Impairment
	switch a := args.(type) {
	case *Branch:
		branches-- // not itself
		on, links = a.On, [2]*netem.Impairment{&a.Down, &a.Up}
	case *Source:
		on, links = a.On, [2]*netem.Impairment{&a.Down, &a.Up}
		if err := a.validate(v4); err != nil {
			return err
		}
	case *Group:
		on, links = a.On, [2]*netem.Impairment{&a.Down, &a.Up}
		if err := a.validate(); err != nil {
			return err
		}
	case *Links:
		links = [2]*netem.Impairment{&a.Down, &a.Up}
	case *Write:
		if a.Bytes < 1 || a.Bytes > biggest || a.Times < 0 || a.Times > mostBytes/biggest {
			return fmt.Errorf("%d bytes, %d times; want 1 to %d, at most %d times", a.Bytes, a.Times, biggest, mostBytes/biggest)
		}
	case *Reset:
		if a.Code < 0 || a.Code > 63 {
			return fmt.Errorf("code %d, want 0 to 63", a.Code)
		}
	}
	if on < 0 || on > branches {
		return fmt.Errorf("no branch %d", on)
	}
	for _, l := range links {
		if l == nil {
			continue
		}
		if err := l.Validate(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) validate(v4 bool) error {
	switch {
	case s.Slots != 0 && (s.Slots < 2 || s.Slots > 1<<20 || s.Slots&(s.Slots-1) != 0):
		return fmt.Errorf("slots=%d is no power of two from 2 to 2^20", s.Slots)
	case s.Rate < 0 || s.Age < 0 || s.Hold < 0 || s.Linger < 0 || s.GRTT < 0 || s.Group < 0 || s.Repairs < 0 || s.Share < 0 || s.Ambient < 0:
		return fmt.Errorf("a negative setting")
	case s.Age > mostTime || s.Hold > mostTime || s.Linger > mostTime || s.GRTT > mostTime || s.Ambient > mostTime:
		return fmt.Errorf("a time of more than %v", mostTime)
	case s.Parity != 0:
		if err := s.fec().Validate(); err != nil {
			return err
		}
	case s.Goal != 0 || s.Within != 0 || s.Proactive != 0 || s.Interleave != 0:
		return fmt.Errorf("settings of parity, and parity=0")
	}
	if s.MTU != 0 {
		_, err := wire.NewRoom(s.MTU, !v4, false)
		return err
	}
	return nil
}

// fec is the configuration of the source's parity.
func (s *Source) fec() fec.Config {
	return fec.Config{GroupSize: s.Parity, Goal: fec.Goal(s.Goal), Within: s.Within, Proactive: s.Proactive, Interleave: s.Interleave}
}

func (g *Group) validate() error {
	switch {
	case g.Count < 0 || g.Count > mostHosts:
		return fmt.Errorf("count=%d", g.Count)
	case g.Window != 0 && (g.Window < 2 || g.Window > 1<<20 || g.Window&(g.Window-1) != 0):
		return fmt.Errorf("window=%d is no power of two from 2 to 2^20", g.Window)
	case g.Join > session.JoinTrail:
		return fmt.Errorf("join=%d", g.Join)
	case g.Memory < 0 || g.MaxMessage < 0 || g.MaxMessage > biggest || g.MaxSources < 0 || g.Backlog < 0:
		return fmt.Errorf("a limit that is negative or too large")
	case g.MaxDelay < 0 || g.Timeout < 0 || g.Expiry < 0 || g.Backoff < 0 || g.Repeat < 0 || g.Data < 0:
		return fmt.Errorf("a negative time")
	case g.MaxDelay > mostTime || g.Timeout > mostTime || g.Expiry > mostTime || g.Backoff > mostTime || g.Repeat > mostTime || g.Data > mostTime:
		return fmt.Errorf("a time of more than %v", mostTime)
	}
	return nil
}

func (g *Group) count() int { return max(g.Count, 1) }

func (w *Write) times() int { return max(w.Times, 1) }
