package sim

import (
	"slices"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/seq"
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

// Payload returns count bytes of what a source writes, from offset on in the order of all its writes.
func (s *Scenario) Payload(source int, offset, count int) []byte {
	b := make([]byte, count)
	for i := range b {
		at := uint64(offset + i)
		b[i] = byte(mix(s.Seed+at>>3+uint64(source)<<48) >> (8 * (at & 7)))
	}
	return b
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
