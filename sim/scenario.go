package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

// Scenario is a small network and what happens in it, as text that people write: see ParseScenario. It can be run here, and,
// since it names nothing that only a simulator has, on other carriers too (see the tests in fuzz/).
type Scenario struct {
	Seed      uint64
	V4        bool
	Branches  []ScenarioBranch
	Receivers []ScenarioReceiver
	Sources   []ScenarioSource
	Drops     []ScenarioDrop
	Steps     []ScenarioStep // ascending by At
	End       time.Duration  // when it is over
}

// ScenarioBranch is a switch below another, by number: 0 is the root, i+1 that of Branches[i].
type ScenarioBranch struct {
	Name     string
	Parent   int
	Down, Up netem.Impairment
}

// ScenarioReceiver is one receiver. Zero settings are defaults.
type ScenarioReceiver struct {
	Name          string
	Switch        int // as in ScenarioBranch
	Down, Up      netem.Impairment
	Unordered     bool
	ReceiveOnly   bool
	Absent        bool // until it joins
	MaxDelay      time.Duration
	RepairTimeout time.Duration
	MaxWindow     int // slots
}

// ScenarioSource is one source. Zero settings are defaults.
type ScenarioSource struct {
	Name        string
	Switch      int
	Down, Up    netem.Impairment
	Rate        flow.Rate // 100 Mbit/s
	WindowBytes int
	Linger      time.Duration
}

// ScenarioDrop loses packets of one source, whatever the links do: those of the given types with numbers in [From, To), counted
// from the source's first packet.
type ScenarioDrop struct {
	Source   int
	Types    []wire.Type
	From, To int
	Receiver int // -1: on the way to any
	Times    int // at each receiver and number; 0: for ever
}

// ScenarioStep is one thing that is done.
type ScenarioStep struct {
	At       time.Duration
	Source   int // or -1
	Receiver int // or -1
	Verb     string
	Bytes    int // of write and message; code of reset
}

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

// Payload returns count bytes of what a source writes, from offset on in the order of all its writes.
func (s *Scenario) Payload(source int, offset, count int) []byte {
	b := make([]byte, count)
	for i := range b {
		at := uint64(offset + i)
		b[i] = byte(mix(s.Seed+at>>3+uint64(source)<<48) >> (8 * (at & 7)))
	}
	return b
}

// Reading is what one receiver's application read of one source, in order, for a Report.
type Reading struct {
	Receiver, Source string
	Parts            []ReadPart
	End              error // nil: none yet
}

// ReadPart is bytes that were read without a gap, or a gap.
type ReadPart struct {
	Bytes  int
	SHA256 string    // of them, the first 16 hexadecimal digits
	Lost   seq.Range // if Bytes is 0; counted from the source's first packet
	Reason session.LossReason
}

// Reader collects a Reading.
type Reader struct {
	Reading
	Messages bool // boundaries count: each message is a part
	part     bytes.Buffer
}

// Read adds bytes read.
func (r *Reader) Read(b []byte) {
	r.part.Write(b)
	if r.Messages {
		r.flush()
	}
}

// Gap adds a loss report; first is the number of the source's first packet.
func (r *Reader) Gap(e *session.LossError, first seq.Num) {
	r.flush()
	span := seq.Range{From: seq.Num(e.Lost.From.Sub(first)), To: seq.Num(e.Lost.To.Sub(first))}
	if k := len(r.Parts) - 1; k >= 0 && r.Parts[k].Bytes == 0 && r.Parts[k].Lost.To == span.From && r.Parts[k].Reason == e.Reason {
		r.Parts[k].Lost.To = span.To // told in one piece or two: when it was known decides
		return
	}
	r.Parts = append(r.Parts, ReadPart{Lost: span, Reason: e.Reason})
}

// Finish adds the end.
func (r *Reader) Finish(err error) {
	r.flush()
	r.End = err
}

func (r *Reader) flush() {
	if r.part.Len() == 0 {
		return
	}
	sum := sha256.Sum256(r.part.Bytes())
	r.Parts = append(r.Parts, ReadPart{Bytes: r.part.Len(), SHA256: hex.EncodeToString(sum[:8])})
	r.part.Reset()
}

// String tells the reading in one line.
func (r *Reading) String() string {
	out := r.Receiver + " reads of " + r.Source + ":"
	for _, p := range r.Parts {
		if p.Bytes == 0 {
			out += fmt.Sprintf(" lost %v (%v)", p.Lost, p.Reason)
		} else {
			out += fmt.Sprintf(" %d bytes %s", p.Bytes, p.SHA256)
		}
		out += ","
	}
	var reset *session.ResetError
	switch {
	case r.End == nil:
		return out + " no end"
	case errors.As(r.End, &reset):
		return out + fmt.Sprintf(" reset with code %d", reset.Code)
	case errors.Is(r.End, io.EOF):
		return out + " EOF"
	}
	return out + " " + strings.TrimPrefix(r.End.Error(), "session: ")
}

// Dropper decides by a scenario's drops.
type Dropper struct {
	s     *Scenario
	first map[wire.TSI]seq.Num
	done  map[[4]int]int
}

// NewDropper returns one that has seen nothing.
func (s *Scenario) NewDropper() *Dropper {
	return &Dropper{s: s, first: map[wire.TSI]seq.Num{}, done: map[[4]int]int{}}
}

// First returns the number of the first packet of a source that has sent an SPM.
func (d *Dropper) First(tsi wire.TSI) seq.Num { return d.first[tsi] }

// Drop reports whether p, of a source, is lost on the way to a receiver. It must see every packet, in the order in which the source
// sends them: the first SPM tells where its numbers begin.
func (d *Dropper) Drop(source, receiver int, p *wire.Packet) bool {
	if p.Type.Upstream() {
		return false
	}
	first, ok := d.first[p.TSI()]
	if !ok {
		if p.Type != wire.TypeSPM {
			return false
		}
		first = p.Trail
		d.first[p.TSI()] = first
	}
	n := p.Sqn.Sub(first)
	if p.Type == wire.TypeSPM {
		n = int(p.Sqn) // its own count
	}
	for i, rule := range d.s.Drops {
		if rule.Source != source || rule.Receiver >= 0 && rule.Receiver != receiver || !slices.Contains(rule.Types, p.Type) || n < rule.From || n >= rule.To {
			continue
		}
		if rule.Times > 0 {
			key := [4]int{i, receiver, n, int(p.Type)}
			if d.done[key] >= rule.Times {
				continue
			}
			d.done[key]++
		}
		return true
	}
	return false
}

// Report is what a scenario came to.
type Report struct {
	Readings []*Reader // by receiver, then source; only those with something in them
	Trace    []string  // packets sent and lost, in order; only with Run's trace
	Stats    Stats
}

// String tells all readings, a line each.
func (r *Report) String() string {
	var b strings.Builder
	for _, x := range r.Readings {
		b.WriteString(x.String() + "\n")
	}
	return b.String()
}

// Run runs the scenario on a Network of its own.
func (s *Scenario) Run(trace bool) (*Report, error) {
	rep := &Report{}
	drops := s.NewDropper()
	sources := map[int]int{} // by host number
	receivers := map[int]int{}
	n := New(Config{Seed: s.Seed, V4: s.V4, Kinds: Of(Sent, Lost), Trace: func(e *Event) {
		if trace {
			rep.Trace = append(rep.Trace, s.describe(e, sources, receivers))
		}
	}, Drop: func(from, to int, p *wire.Packet) bool {
		src, ok := sources[from]
		rcv, also := receivers[to]
		return ok && also && drops.Drop(src, rcv, p)
	}})
	switches := []*Switch{n.Root()}
	for _, b := range s.Branches {
		switches = append(switches, n.Branch(switches[b.Parent], b.Down, b.Up))
	}
	tsis := map[wire.TSI]int{}
	var srcs []*Source
	for i, x := range s.Sources {
		src := n.Source(SourceConfig{Switch: switches[x.Switch], Down: x.Down, Up: x.Up, Engine: x.engine})
		sources[src.Host()], tsis[src.TSI()] = i, i
		srcs = append(srcs, src)
	}
	readers := make([]*Reader, len(s.Receivers)*len(s.Sources))
	var groups []*Group
	for i, x := range s.Receivers {
		deliver := func(e *Event) {
			src := tsis[e.Source]
			at := i*len(s.Sources) + src
			if readers[at] == nil {
				readers[at] = &Reader{Reading: Reading{Receiver: x.Name, Source: s.Sources[src].Name}, Messages: x.Unordered}
			}
			var loss *session.LossError
			switch {
			case e.Kind == Delivered:
				readers[at].Read(e.Data)
			case errors.As(e.Err, &loss):
				readers[at].Gap(loss, 0)
			default:
				readers[at].Finish(e.Err)
			}
		}
		g := n.Receivers(1, GroupConfig{Switch: switches[x.Switch], Down: x.Down, Up: x.Up, Engine: x.engine, Absent: x.Absent, Deliver: deliver})
		receivers[g.Host(0)] = i
		groups = append(groups, g)
	}
	written := make([]int, len(srcs))
	for _, step := range s.Steps {
		n.At(step.At, func() { s.do(step, srcs, groups, written) })
	}
	err := n.Run(s.End)
	for _, r := range readers {
		if r != nil {
			r.flush()
			rep.Readings = append(rep.Readings, r)
		}
	}
	rep.Stats = n.Stats()
	return rep, err
}

// do does one step.
func (s *Scenario) do(step ScenarioStep, srcs []*Source, groups []*Group, written []int) {
	if step.Source >= 0 {
		src := srcs[step.Source]
		switch step.Verb {
		case "write", "message":
			b := s.Payload(step.Source, written[step.Source], step.Bytes)
			written[step.Source] += len(b)
			if step.Verb == "write" {
				src.Write(b)
			} else {
				src.WriteMessage(b)
			}
		case "flush":
			src.Flush()
		case "finish":
			src.Finish()
		case "reset":
			src.Reset(uint8(step.Bytes))
		}
		return
	}
	g := groups[step.Receiver]
	switch step.Verb {
	case "stall", "resume":
		g.SetStalled(0, step.Verb == "stall")
	case "leave":
		g.Leave(0)
	case "join":
		g.Join()
	}
}

// engine sets what the scenario says of a source. The first guesses are those of one link, as on the other carriers.
func (x *ScenarioSource) engine(c *session.SourceConfig) {
	c.InitialGRTT, c.InitialGroup = 10*time.Millisecond, 10
	if x.Rate > 0 {
		c.Rate = x.Rate
	}
	if x.Linger > 0 {
		c.Linger = x.Linger
	}
	for x.WindowBytes > 0 && c.Slots > 2 && c.Slots*c.Room.Stream() > x.WindowBytes {
		c.Slots /= 2
	}
}

// engine sets what the scenario says of a receiver.
func (x *ScenarioReceiver) engine(c *session.PeersConfig) {
	c.HopLimit = 1
	c.Unordered, c.ReceiveOnly, c.MaxDelay = x.Unordered, x.ReceiveOnly, x.MaxDelay
	if x.RepairTimeout > 0 {
		c.RepairTimeout = x.RepairTimeout
	}
	if x.MaxWindow > 0 {
		c.MaxWindow = x.MaxWindow
	}
}

// describe tells a packet sent or lost, with names for hosts.
func (s *Scenario) describe(e *Event, sources, receivers map[int]int) string {
	name := func(host int) string {
		if i, ok := sources[host]; ok {
			return s.Sources[i].Name
		}
		if i, ok := receivers[host]; ok {
			return s.Receivers[i].Name
		}
		return "somebody"
	}
	at := fmt.Sprintf("%.6f ", e.At.Seconds())
	switch {
	case e.Kind == Lost && e.Host == 0:
		return at + "  lost on a shared link: " + describe(e.Packet)
	case e.Kind == Lost:
		return at + "  lost on the way to " + name(e.Host) + ": " + describe(e.Packet)
	}
	return at + name(e.Host) + " " + describe(e.Packet)
}
