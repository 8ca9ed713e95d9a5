package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/wire"
)

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
	c.Slots = x.slots(c.Slots, c.Room)
}

// slots returns how many slots make the window, where most is the default.
func (x *ScenarioSource) slots(most int, room wire.Room) int {
	for x.WindowBytes > 0 && most > 2 && most*room.Stream() > x.WindowBytes {
		most /= 2
	}
	return most
}

// maxMessage is the longest message that the window holds, with either kind of addresses.
func (x *ScenarioSource) maxMessage() int {
	room, err := wire.NewRoom(mtu, true, false)
	if err != nil {
		panic("BUG: sim: " + err.Error())
	}
	return (x.slots(sourceSlots, room) - 1) * room.Fragment()
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
