package history

import (
	"time"

	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/sim"
	"github.com/rmcast/rmcast/wire"
)

// do does one step. What is about nothing that is there, or can have no effect any more, does nothing.
func (w *world) do(s *Step) {
	switch s.Do {
	case AddBranch:
		a := s.Args.(*Branch)
		w.switches = append(w.switches, w.n.Branch(w.switches[a.On], a.Down, a.Up))
		w.outages(a.Down, a.Up)
	case ChangeBranch:
		a := s.Args.(*Links)
		w.switches[s.Who].SetLinks(a.Down, a.Up)
		w.counts[LinkChanges]++
	case AddSource:
		w.addSource(s.Args.(*Source))
	case AddGroup:
		w.addGroup(s.Args.(*Group))
	case ChangeLinks:
		a := s.Args.(*Links)
		w.groups[s.Who-1].sim.SetLinks(a.Down, a.Up)
		w.counts[LinkChanges]++
		w.outages(a.Down, a.Up)
	case Stall, Resume, Leave, Restart:
		g := w.groups[s.Who-1]
		for i := range g.sim.Len() {
			if s.Member == 0 || s.Member == i+1 {
				w.doMember(s.Do, &w.members[g.first+i])
			}
		}
	default:
		w.doSource(s, &w.ledgers[s.Who-1])
	}
}

func (w *world) outages(links ...netem.Impairment) {
	for _, l := range links {
		w.counts[Outages] += uint64(len(l.Down))
	}
}

func (w *world) addSource(a *Source) {
	k := w.sources
	l := &w.ledgers[k]
	overhead := 48
	if w.h.V4 {
		overhead = 28
	}
	l.sim = w.n.Source(sim.SourceConfig{Switch: w.switches[a.On], Up: a.Up, Down: a.Down, Engine: func(c *session.SourceConfig) {
		a.apply(c, w.h.V4)
		l.slots, l.room, l.tsi, l.groupSize = c.Slots, c.Room, c.TSI, c.Parity.GroupSize
		l.limits(c.Rate, overhead)
	}})
	w.sources++
	w.hosts = append(w.hosts, k)
	w.outages(a.Down, a.Up)
	for i := range w.present {
		m := &w.members[i]
		w.listener(k, i).init(l, m.g, m.g.sim.Host(m.i), w.promises[k*len(w.members)+i])
	}
}

// apply sets what is not zero.
func (s *Source) apply(c *session.SourceConfig, v4 bool) {
	if s.MTU != 0 {
		if room, err := wire.NewRoom(s.MTU, !v4, false); err == nil {
			c.Room = room
		}
	}
	set := func(to *time.Duration, d time.Duration) {
		if d != 0 {
			*to = d
		}
	}
	set(&c.WindowAge, s.Age)
	set(&c.WindowHold, s.Hold)
	set(&c.Linger, s.Linger)
	set(&c.InitialGRTT, s.GRTT)
	set(&c.AmbientSPM, s.Ambient)
	if s.Slots != 0 {
		c.Slots = s.Slots
	}
	if s.Rate != 0 {
		c.Rate = s.Rate
	}
	if s.Group != 0 {
		c.InitialGroup = float64(s.Group)
	}
	if s.Repairs != 0 {
		c.RepairShare = s.Repairs
	}
	if s.Share != 0 {
		c.ReceiverShare = s.Share
	}
	c.First = seq.Num(s.First)
	if s.Parity != 0 {
		c.Parity = s.fec().WithDefaults()
	}
}

func (w *world) addGroup(a *Group) {
	g := &group{set: a, first: w.present}
	g.sim = w.n.Receivers(a.count(), sim.GroupConfig{
		Switch: w.switches[a.On], Down: a.Down, Up: a.Up, Hollow: a.Hollow, Shared: a.Shared,
		Engine: func(c *session.PeersConfig) {
			a.apply(c)
			g.peers = *c
		},
	})
	w.groups = append(w.groups, g)
	w.outages(a.Down, a.Up)
	for i := range a.count() {
		w.members[w.present] = member{g: g, i: i}
		w.hosts = append(w.hosts, -1-w.present)
		for k := range w.sources {
			w.listener(k, w.present).init(&w.ledgers[k], g, g.sim.Host(i), w.promises[k*len(w.members)+w.present])
		}
		w.present++
		w.counts[Receivers]++
		if w.sources > 0 && w.ledgers[0].sim.Stats().Packets > 0 {
			w.counts[Late]++
		}
	}
}

// apply sets what is not zero.
func (g *Group) apply(c *session.PeersConfig) {
	c.Join, c.Unordered, c.ReceiveOnly, c.UniformBackoff = g.Join, g.Unordered, g.ReceiveOnly, g.Uniform
	c.NoParity = g.NoParity
	c.MaxDelay, c.Expiry, c.NAKBackoff, c.NAKRepeat, c.NAKData = g.MaxDelay, g.Expiry, g.Backoff, g.Repeat, g.Data
	if g.Window != 0 {
		c.MaxWindow = g.Window
	}
	if g.Memory != 0 {
		c.WindowBytes = g.Memory
	}
	if g.MaxMessage != 0 {
		c.MaxMessage = g.MaxMessage
	}
	if g.MaxSources != 0 {
		c.MaxSources = g.MaxSources
	}
	if g.Backlog != 0 {
		c.Backlog = g.Backlog
	}
	if g.Timeout != 0 {
		c.RepairTimeout = g.Timeout
	}
}

func (w *world) doMember(do Verb, m *member) {
	switch do {
	case Stall, Resume:
		if !m.gone && m.stalled != (do == Stall) {
			m.stalled = do == Stall
			m.g.sim.SetStalled(m.i, m.stalled)
			if m.stalled {
				w.counts[Stalls]++
			}
		}
		return
	case Leave:
		if m.gone {
			return
		}
		w.counts[Leaves]++
		m.g.sim.Leave(m.i)
	case Restart:
		w.counts[Restarts]++
		m.g.sim.Restart(m.i)
	}
	for k := range w.sources {
		l := w.listener(k, m.g.first+m.i)
		if l.accepted && l.ended == nil {
			w.counts[Cut]++
		}
		l.restart()
	}
	m.gone, m.stalled = do == Leave, false
}

func (w *world) doSource(s *Step, l *ledger) {
	if l.finish && s.Do != ResetSource || l.reset {
		return
	}
	switch s.Do {
	case WriteStream, WriteMessage:
		a := s.Args.(*Write)
		size := a.Bytes
		if s.Do == WriteMessage {
			size = min(size, (l.slots-1)*l.room.Fragment())
			l.longest = max(l.longest, size)
		}
		for range a.times() {
			if b := l.write(size, s.Do == WriteMessage); s.Do == WriteMessage {
				l.sim.WriteMessage(b)
			} else {
				l.sim.Write(b)
			}
		}
	case Flush:
		l.close()
		l.sim.Flush()
		w.counts[Flushes]++
	case Finish:
		l.close()
		l.finish = true
		l.sim.Finish()
	case ResetSource:
		a := s.Args.(*Reset)
		l.finish, l.reset, l.code = true, true, uint8(a.Code)
		l.sim.Reset(uint8(a.Code))
		w.counts[Resets]++
	}
}

// loose lets applications that stall go on and sources finish, after the last step.
func (w *world) loose() {
	for i := range w.present {
		w.doMember(Resume, &w.members[i])
	}
	for k := range w.sources {
		w.doSource(&Step{Do: Finish}, &w.ledgers[k])
	}
}
