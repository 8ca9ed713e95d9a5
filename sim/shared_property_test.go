package sim

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

// TestSharedProperty: whatever happens in a network, it happens in the same way whether receivers share engines or not.
func TestSharedProperty(t *testing.T) { rapid.Check(t, sharedIsPlain) }

// FuzzShared is TestSharedProperty with histories that a fuzzer thinks of.
func FuzzShared(f *testing.F) { f.Fuzz(rapid.MakeFuzz(sharedIsPlain)) }

func sharedIsPlain(t *rapid.T) {
	h := drawHistory(t)
	plain, _ := h.run(t, false, false)
	shared, _ := h.run(t, true, false)
	if again, _ := h.run(t, true, false); !reflect.DeepEqual(shared, again) {
		t.Errorf("a second run differs:\n%+v\n%+v", shared, again)
	}
	if reflect.DeepEqual(plain, shared) {
		return
	}
	_, lines := h.run(t, false, true)
	_, others := h.run(t, true, true)
	what := ""
	for i, g := range plain.groups {
		if g != shared.groups[i] {
			what += fmt.Sprintf("group %d\nplain  %+v\nshared %+v\n", i, g, shared.groups[i])
		}
	}
	t.Fatalf("plain and shared differ\n%+v\n%+v\n%s%s\n%v", plain.stats, shared.stats, what, difference(lines, others), &h)
}

// difference tells the first lines that only one side has.
func difference(plain, shared []string) string {
	count := map[string]int{}
	for _, l := range shared {
		count[l]++
	}
	var only []string
	for _, l := range plain {
		if count[l]--; count[l] < 0 {
			only = append(only, l+" (plain)")
		}
	}
	for l, k := range count {
		for range k {
			only = append(only, l+" (shared)")
		}
	}
	slices.Sort(only)
	return strings.Join(only[:min(len(only), 20)], "\n")
}

// history is a random network and what is done in it.
type history struct {
	seed     uint64
	v4       bool
	drop     uint64 // one packet in so many, on the way to each host; 0: none
	branches []historyBranch
	groups   []historyGroup
	sources  []historySource
	steps    []historyStep
}

type historyBranch struct {
	parent   int // 0 is the root
	down, up netem.Impairment
}

type historyGroup struct {
	at, count int
	down, up  netem.Impairment
	hollow    bool
	absent    bool
	engine    session.PeersConfig // what is not zero counts
}

type historySource struct {
	at       int
	down, up netem.Impairment
	rate     flow.Rate
	slots    int
	group    float64
	parity   fec.Config
}

type historyStep struct {
	at       time.Duration
	what     string
	who, i   int // group and receiver, source, or branch
	bytes    int
	down, up netem.Impairment
}

// String tells the history, without what is zero.
func (h *history) String() string {
	out := fmt.Sprintf("seed %d, v4 %v, drop %d\n", h.seed, h.v4, h.drop)
	for i, b := range h.branches {
		out += fmt.Sprintf("branch %d at %d down %q up %q\n", i+1, b.parent, b.down, b.up)
	}
	for i, g := range h.groups {
		out += fmt.Sprintf("group %d of %d at %d down %q up %q hollow %v absent %v %s\n", i, g.count, g.at, g.down, g.up, g.hollow, g.absent, g.options())
	}
	for i, s := range h.sources {
		out += fmt.Sprintf("source %d at %d down %q up %q %v, %d slots, group %v, parity %+v\n", i, s.at, s.down, s.up, s.rate, s.slots, s.group, s.parity)
	}
	for _, s := range h.steps {
		out += fmt.Sprintf("%v %s %d.%d bytes %d down %q up %q\n", s.at, s.what, s.who, s.i, s.bytes, s.down, s.up)
	}
	return out
}

func (g *historyGroup) options() string {
	c := g.engine
	return fmt.Sprintf("unordered %v mute %v join %d window %d, %d bytes, delay %v, expiry %v, no parity %v",
		c.Unordered, c.ReceiveOnly, c.Join, c.MaxWindow, c.WindowBytes, c.MaxDelay, c.Expiry, c.NoParity)
}

// ending is all that is compared.
type ending struct {
	sum    uint64
	groups []GroupStats
	each   []GroupStats
	stats  Stats
}

func drawHistory(t *rapid.T) history {
	h := history{
		seed: rapid.Uint64().Draw(t, "seed"), v4: rapid.Bool().Draw(t, "v4"),
		drop: rapid.SampledFrom([]uint64{0, 0, 20}).Draw(t, "drop"),
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "branches") {
		h.branches = append(h.branches, historyBranch{rapid.IntRange(0, i).Draw(t, "parent"), drawImpairment(t), drawImpairment(t)})
	}
	at := rapid.IntRange(0, len(h.branches))
	for range rapid.IntRange(1, 3).Draw(t, "groups") {
		h.groups = append(h.groups, historyGroup{
			at: at.Draw(t, "at"), count: rapid.SampledFrom([]int{1, 0, 2, 3, 5, 9, 40}).Draw(t, "count"), down: drawLink(t), up: drawLink(t),
			hollow: rapid.Bool().Draw(t, "hollow"), absent: rapid.IntRange(0, 3).Draw(t, "absent") == 3,
			engine: session.PeersConfig{
				Unordered: rapid.IntRange(0, 4).Draw(t, "unordered") == 4, ReceiveOnly: rapid.IntRange(0, 4).Draw(t, "mute") == 4,
				Join: session.Join(rapid.IntRange(0, 2).Draw(t, "join")), MaxWindow: rapid.SampledFrom([]int{0, 16, 256}).Draw(t, "window"),
				WindowBytes: rapid.SampledFrom([]int64{0, 1 << 16}).Draw(t, "bytes"),
				MaxDelay:    rapid.SampledFrom([]time.Duration{0, 50 * time.Millisecond}).Draw(t, "max delay"),
				Expiry:      rapid.SampledFrom([]time.Duration{0, 700 * time.Millisecond}).Draw(t, "expiry"),
				NoParity:    rapid.IntRange(0, 5).Draw(t, "no parity") == 5,
			},
		})
	}
	sources := rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(t, "sources")
	for range sources {
		h.sources = append(h.sources, historySource{
			at: at.Draw(t, "at"), down: drawLink(t), up: drawImpairment(t), rate: rapid.SampledFrom([]flow.Rate{20 * flow.Mbps, flow.Mbps, 100 * flow.Mbps}).Draw(t, "rate"),
			slots: rapid.SampledFrom([]int{1024, 64}).Draw(t, "slots"), group: rapid.SampledFrom([]float64{1000, 5}).Draw(t, "group"),
			parity: rapid.SampledFrom([]fec.Config{{}, {}, {GroupSize: 64}, {GroupSize: 8, Goal: fec.LeastBytes}, {GroupSize: 2, Goal: fec.LeastBytes},
				{GroupSize: 16, Proactive: 2, Interleave: 3}, {GroupSize: 128, Goal: fec.LeastDelay, Within: 0.5}}).Draw(t, "parity"),
		})
	}
	const end = 3 * time.Second
	for range rapid.IntRange(0, 12).Draw(t, "steps") {
		h.steps = append(h.steps, h.drawStep(t, end))
	}
	for i := range h.sources {
		h.steps = append(h.steps, historyStep{at: end, what: "finish", who: i})
	}
	return h
}

func (h *history) drawStep(t *rapid.T, end time.Duration) historyStep {
	s := historyStep{
		at:   time.Duration(rapid.Int64Range(0, int64(end)).Draw(t, "at")),
		what: rapid.SampledFrom([]string{"stream", "message", "messages", "flush", "leave", "restart", "join", "stall", "resume", "links", "branch", "reset"}).Draw(t, "what"),
	}
	switch s.what {
	case "stream", "message", "messages", "flush", "reset":
		s.who, s.bytes = rapid.IntRange(0, len(h.sources)-1).Draw(t, "source"), rapid.IntRange(1, 30_000).Draw(t, "bytes")
	case "branch":
		s.who = rapid.IntRange(0, len(h.branches)).Draw(t, "branch") - 1
		s.down, s.up = drawImpairment(t), drawImpairment(t)
	case "links":
		s.who, s.down, s.up = rapid.IntRange(0, len(h.groups)-1).Draw(t, "group"), drawLink(t), drawLink(t)
	default:
		s.who = rapid.IntRange(0, len(h.groups)-1).Draw(t, "group")
		s.i = rapid.IntRange(0, max(h.groups[s.who].count-1, 0)).Draw(t, "receiver")
	}
	return s
}

// drawLink draws a link of receivers: mostly one that leaves them engines to share.
func drawLink(t *rapid.T) netem.Impairment {
	if rapid.IntRange(0, 3).Draw(t, "any") == 3 {
		return drawImpairment(t)
	}
	return netem.Impairment{
		Loss:  rapid.SampledFrom([]float64{0, 0.02, 0.2}).Draw(t, "loss"),
		Delay: rapid.SampledFrom([]time.Duration{0, time.Millisecond, 20 * time.Millisecond}).Draw(t, "delay"),
	}
}

func drawImpairment(t *rapid.T) netem.Impairment {
	return rapid.SampledFrom([]netem.Impairment{
		{}, {Delay: time.Millisecond}, {Loss: 0.1}, {Loss: 1}, {Delay: 5 * time.Millisecond, Jitter: 2 * time.Millisecond}, {Duplicate: 0.3, Loss: 0.1},
		{Corrupt: 0.1}, {MTU: 1000}, {Rate: 5_000_000, Limit: 20}, {Delay: time.Millisecond, Reorder: 0.2},
		{Down: []netem.Outage{{From: 300 * time.Millisecond, For: 200 * time.Millisecond, Every: 900 * time.Millisecond}}},
		{Loss: 0.05, Delay: 40 * time.Millisecond, Corrupt: 0.05, Duplicate: 0.1},
	}).Draw(t, "impairment")
}

// run lets it happen.
func (h *history) run(t interface{ Fatal(...any) }, shared, trace bool) (end ending, lines []string) {
	cfg := Config{Seed: h.seed, V4: h.v4, Hash: true}
	if h.drop > 0 {
		cfg.Drop = func(from, to int, p *wire.Packet) bool {
			return mix(uint64(from)+uint64(to)<<20+uint64(p.Type)<<40+uint64(p.Sqn)<<48)%h.drop == 0
		}
	}
	if trace {
		cfg.Trace = func(e *Event) { lines = append(lines, fmt.Sprintf("%012d %v", e.At, e)) }
	}
	n := New(cfg)
	switches := []*Switch{n.Root()}
	for _, b := range h.branches {
		switches = append(switches, n.Branch(switches[b.parent], b.down, b.up))
	}
	var sources []*Source
	var groups []*Group
	add := func(s historySource) {
		sources = append(sources, n.Source(SourceConfig{Switch: switches[s.at], Down: s.down, Up: s.up, Engine: func(c *session.SourceConfig) {
			c.Rate, c.Slots, c.InitialGroup, c.InitialGRTT = s.rate, s.slots, s.group, 50*time.Millisecond
			if s.parity.GroupSize > 0 {
				c.Parity = s.parity.WithDefaults()
			}
		}}))
	}
	add(h.sources[0])
	for _, g := range h.groups {
		groups = append(groups, n.Receivers(g.count, GroupConfig{
			Switch: switches[g.at], Down: g.down, Up: g.up, Hollow: g.hollow, Shared: shared, Absent: g.absent, Engine: g.configure,
		}))
	}
	for _, s := range h.sources[1:] {
		n.At(400*time.Millisecond, func() { add(s) })
	}
	for _, s := range h.steps {
		n.At(s.at, func() { s.do(sources, groups, switches) })
	}
	if err := n.Run(8 * time.Second); err != nil {
		t.Fatal(err)
	}
	end = ending{sum: n.TraceHash(), stats: n.Stats()}
	end.stats.Engines, end.stats.Events = 0, 0
	for _, g := range groups {
		end.groups = append(end.groups, g.Stats())
		for i := range g.Len() {
			st, _ := g.Receiver(i)
			end.each = append(end.each, st)
		}
	}
	return end, lines
}

func (g *historyGroup) configure(c *session.PeersConfig) {
	x := g.engine
	c.Unordered, c.ReceiveOnly, c.Join, c.MaxDelay, c.Expiry, c.NoParity = x.Unordered, x.ReceiveOnly, x.Join, x.MaxDelay, x.Expiry, x.NoParity
	if x.MaxWindow > 0 {
		c.MaxWindow = x.MaxWindow
	}
	if x.WindowBytes > 0 {
		c.WindowBytes = x.WindowBytes
	}
}

func (s *historyStep) do(sources []*Source, groups []*Group, switches []*Switch) {
	switch s.what {
	case "stream", "message", "messages", "flush", "finish", "reset":
		if s.who >= len(sources) {
			return
		}
		src := sources[s.who]
		switch s.what {
		case "stream":
			src.Stream(int64(s.bytes))
		case "message":
			src.WriteMessage(make([]byte, s.bytes))
		case "messages":
			for range 60 {
				src.WriteMessage(make([]byte, s.bytes/1000+1))
			}
		case "flush":
			src.Flush()
		case "finish":
			src.Finish()
		case "reset":
			src.Reset(uint8(s.bytes & 63))
		}
		return
	case "branch":
		if s.who >= 0 {
			switches[s.who+1].SetLinks(s.down, s.up)
		}
		return
	case "links":
		groups[s.who].SetLinks(s.down, s.up)
		return
	}
	g := groups[s.who]
	if g.Len() == 0 {
		return
	}
	switch s.what {
	case "leave":
		g.Leave(s.i)
	case "restart":
		g.Restart(s.i)
	case "join":
		g.Join()
	case "stall", "resume":
		g.SetStalled(s.i, s.what == "stall")
	}
}
