package netem

import "slices"

// Switch is where links of a [Fabric] or a [Relay] meet. It sends a packet on over each link behind which somebody wants it, once.
type Switch struct {
	t        *tree
	parent   *Switch // nil: the root
	children []*Switch
	down, up line // between parent and this switch
	groups   map[endpoint]*members
}

// SwitchCounters counts what went over the link between a switch and the one above it, while it was not perfect. They begin anew with
// each change of the link.
type SwitchCounters struct{ Down, Up LinkStats }

// members are those who have joined a group at a switch and below it.
type members struct {
	hosts []*Host // at the switch itself, each once, in the order of joining
	count int     // these and those below
}

// line is one direction of a link that can be exchanged.
type line struct {
	l       *Link // nil: perfect
	stream  uint64
	changes uint64
	rate    int64 // bit/s, 0 is unlimited
	drops   bool  // it has a queue that can be full
}

// set exchanges the link. A changed link draws new numbers, or the pattern of its losses would begin anew.
func (l *line) set(i Impairment, seed uint64) {
	if err := i.Validate(); err != nil {
		panic(err)
	}
	l.rate, l.drops = i.Rate, i.Rate > 0 || i.Limit > 0 || i.LimitBytes > 0
	l.l = nil
	if i.Perfect() {
		return
	}
	l.l = NewLink(i, seed, l.stream^l.changes<<1)
	l.changes++
}

func (l *line) stats() LinkStats {
	if l.l == nil {
		return LinkStats{}
	}
	return l.l.Stats()
}

// newSwitch adds a switch below parent, which may be nil.
func (t *tree) newSwitch(parent *Switch, down, up Impairment) *Switch {
	s := &Switch{t: t, parent: parent, groups: map[endpoint]*members{}}
	if parent != nil {
		id := branchID(len(t.switches) - 1)
		s.down.stream, s.up.stream = id|downStream, id
		s.down.set(down, t.seed)
		s.up.set(up, t.seed)
		parent.children = append(parent.children, s)
	}
	t.switches = append(t.switches, s)
	return s
}

// SetDown changes what happens to packets on the way from the switch above to this one. Packets under way stay as they are. It
// panics if the impairment is not valid, and at the root, which has no link up.
func (s *Switch) SetDown(i Impairment) { s.set(&s.down, i) }

// SetUp changes what happens to packets on the way to the switch above.
func (s *Switch) SetUp(i Impairment) { s.set(&s.up, i) }

func (s *Switch) set(l *line, i Impairment) {
	if s.parent == nil {
		panic("netem: the root has no link up")
	}
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	l.set(i, s.t.seed)
}

// Counters returns the counters of the link to the switch above.
func (s *Switch) Counters() SwitchCounters {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	return SwitchCounters{Down: s.down.stats(), Up: s.up.stats()}
}

// join makes s and those above it send to h what comes for e.
func (s *Switch) join(h *Host, e endpoint) {
	for at := s; at != nil; at = at.parent {
		m := at.groups[e]
		if m == nil {
			m = &members{}
			at.groups[e] = m
		}
		m.count++
		if at == s {
			m.hosts = append(m.hosts, h)
		}
	}
}

// leave undoes join.
func (s *Switch) leave(h *Host, e endpoint) {
	for at := s; at != nil; at = at.parent {
		m := at.groups[e]
		if at == s {
			i := slices.Index(m.hosts, h)
			m.hosts = slices.Delete(m.hosts, i, i+1)
		}
		if m.count--; m.count == 0 {
			delete(at.groups, e)
		}
	}
}

// count returns how many have joined e at s and below it.
func (s *Switch) count(e endpoint) int {
	if m := s.groups[e]; m != nil {
		return m.count
	}
	return 0
}

// towards returns the neighbour of s that is nearer to another switch.
func (s *Switch) towards(dst *Switch) *Switch {
	for ; dst != nil; dst = dst.parent {
		if dst.parent == s {
			return dst
		}
	}
	return s.parent
}

// bounded reports whether a queue between the root and h can be full.
func (h *Host) bounded() bool {
	if h.ingress.drops {
		return true
	}
	for s := h.at; s != nil; s = s.parent {
		if s.down.drops {
			return true
		}
	}
	return false
}
