package history

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/sim"
	"github.com/rmcast/rmcast/wire"
)

// Violation is an invariant that did not hold in a history.
type Violation struct {
	Seed uint64        // the history's
	Rule string        // which invariant: copy, gap, ending, nak, source, rate, memory, end, stuck or panic
	At   time.Duration // when
	Step int           // the latest step that was done, from 1; 0: none was
	Who  string        // which source or receiver
	Text string        // what is wrong
}

// Error tells all of it on one line.
func (v *Violation) Error() string {
	return fmt.Sprintf("history: seed %d, step %d, at %v: %s%s: %s", v.Seed, v.Step, v.At, v.Who, v.Rule, v.Text)
}

// Runner runs histories, one after the other, and keeps its memory between them. The zero value is ready. It is not safe for
// concurrent use.
type Runner struct {
	// Watch is called for each event of the network before it is judged; true hides the event from the judge: so one can see
	// that a delivery left out is found. nil sees nothing.
	Watch func(*sim.Event) bool

	ledgers   []ledger
	listeners []listener
	members   []member
}

// world is one history that runs.
type world struct {
	*Runner
	h        *History
	n        *sim.Network
	switches []*sim.Switch
	groups   []*group
	sources  int   // of ledgers, those that are there
	hosts    []int // by host number: index of a source, or -1 - index of a member
	present  int   // of members
	step     int
	fault    *Violation
	counts   Counts
	peak     int // arrivals until memory is looked at
	promises []bool
}

// group is receivers that are alike.
type group struct {
	set   *Group
	sim   *sim.Group
	peers session.PeersConfig // as the engines have it
	first int                 // of members
}

// member is one receiver.
type member struct {
	g       *group
	i       int // of the group
	stalled bool
	gone    bool
}

func (g *group) expiry() time.Duration {
	if g.peers.Expiry > 0 {
		return g.peers.Expiry
	}
	return 30 * time.Second // of sources that are ours
}

// patience is how long a missing number is waited for at least.
func (g *group) patience() time.Duration {
	if g.peers.MaxDelay > 0 {
		return min(g.peers.MaxDelay, g.peers.RepairTimeout)
	}
	return g.peers.RepairTimeout
}

func (g *group) maxMessage() int { return g.peers.MaxMessage }

// holds reports whether the receive window surely has room for a message of so many bytes, by slots and by memory: chunks of 64 KiB, one
// for each size of packets at least, and 44 packets of the usual size in one.
func (g *group) holds(bytes int) bool {
	packets := bytes/400 + 2
	chunks := int64(packets/44 + 1 + bytes>>16 + 3)
	return packets <= g.peers.MaxWindow && chunks<<16 <= g.peers.WindowBytes
}

// Run runs h to its end, and adds what happened to c. It returns the first violation, nil if all invariants held.
func (r *Runner) Run(h *History, c *Counts) (fault *Violation) {
	w := &world{Runner: r, h: h}
	defer func() {
		if x := recover(); x != nil {
			w.fails("", fmt.Sprintf("panic: %v\n%s", x, debug.Stack()))
		}
		w.counts[Histories]++
		c.Add(&w.counts)
		fault = w.fault
	}()
	w.prepare()
	for i := range h.Steps {
		s := &h.Steps[i]
		if !w.run(s.At - w.n.Now()) {
			return nil
		}
		w.step = i + 1
		w.do(s)
		w.look()
	}
	w.loose()
	if w.run(w.bound()) {
		w.over()
	}
	return nil
}

func (w *world) prepare() {
	h := w.h
	hosts, srcs, unordered := 0, 0, false
	for i := range h.Steps {
		switch a := h.Steps[i].Args.(type) {
		case *Group:
			hosts += a.count()
			unordered = unordered || a.Unordered
		case *Source:
			srcs++
		}
	}
	w.promises = promises(h)
	w.ledgers = grow(w.ledgers, srcs)
	w.listeners = grow(w.listeners, srcs*hosts)
	w.members = grow(w.members, hosts)
	w.hosts = make([]int, 1, 1+srcs+hosts)
	k := 0
	for i := range h.Steps {
		if a, ok := h.Steps[i].Args.(*Source); ok {
			w.ledgers[k].init(k, a, unordered)
			k++
		}
	}
	kinds := sim.Of(sim.Sent, sim.Arrived, sim.Delivered, sim.Gap, sim.Ended, sim.Engine)
	if w.Watch != nil {
		kinds = sim.AllKinds
	}
	w.n = sim.New(sim.Config{Seed: h.Seed, V4: h.V4, Trace: w.sees, Kinds: kinds})
	w.switches = append(w.switches, w.n.Root())
}

// grow returns s with n elements, of which the old ones keep what they have.
func grow[T any](s []T, n int) []T {
	if n <= cap(s) {
		return s[:n]
	}
	return append(s[:cap(s)], make([]T, n-cap(s))...)
}

// fails books the first violation. text begins with the rule and a colon.
func (w *world) fails(who, text string) {
	if w.fault != nil {
		return
	}
	rule, rest, _ := strings.Cut(text, ": ")
	w.fault = &Violation{Seed: w.h.Seed, Rule: rule, Step: w.step, Who: who, Text: rest}
	if w.n != nil {
		w.fault.At = w.n.Now()
	}
}

// run lets the network work for d. It reports whether all is well.
func (w *world) run(d time.Duration) bool {
	_, err := w.n.RunUntil(d, func() bool { return w.fault != nil })
	if err != nil {
		w.fails("", "stuck: "+err.Error())
	}
	return w.fault == nil
}

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

// listener returns what receiver i hears of source k.
func (w *world) listener(k, i int) *listener { return &w.listeners[k*len(w.members)+i] }

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

// bound is how long all may take to come to an end after the last step: each source writes what it has, repairs taking what they may,
// waits for each window as long as it may, and lingers; then receivers wait for what is missing, and forget the source.
func (w *world) bound() time.Duration {
	d := time.Minute
	i := 0
	for k := range w.h.Steps {
		a, ok := w.h.Steps[k].Args.(*Source)
		if !ok {
			continue
		}
		var c session.SourceConfig
		c.Rate, c.Slots, c.WindowAge, c.Linger, c.RepairShare = 100*flow.Mbps, 32768, 2*time.Second, 2*time.Second, flow.DefaultRepairShare
		a.apply(&c, w.h.V4)
		l := &w.ledgers[i]
		i++
		packets := int64(l.written)/400 + int64(len(l.units))
		// A writer that waits for a slot does so for WindowAge and ten seconds at most.
		d += time.Duration(packets/int64(c.Slots)+1) * 2 * (c.WindowAge + 10*time.Second)
		data := c.Rate.Duration((l.written + 100*packets) * 2)
		if a.Parity != 0 {
			data *= 2 // what comes unasked is as much again at most
		}
		d += time.Duration(float64(data) / (1.001 - min(c.RepairShare, 1)))
		d += 6*c.Linger + c.WindowAge
	}
	for _, g := range w.groups {
		d = max(d, d+g.expiry()+g.peers.RepairTimeout)
	}
	return d
}

// over judges the end: nothing may be left.
func (w *world) over() {
	for k := range w.sources {
		l := &w.ledgers[k]
		st := l.sim.Stats()
		w.counts[Repairs] += st.Repairs
		w.counts[Parity] += st.Parity
		w.counts[Ahead] += st.Ahead
		w.counts[ParityNAKs] += st.ParityNAKs
		if n := len(l.sent); n > 0 && l.first.Add(n-1) < l.first {
			w.counts[Wraps]++
		}
		if !l.sim.Finished() {
			w.fails(w.name(l.sim.Host()), fmt.Sprintf("end: it is not finished after %v: %+v", w.n.Now(), st))
		}
		if !l.reset && l.bytes != l.written {
			w.fails(w.name(l.sim.Host()), fmt.Sprintf("end: it has sent %d bytes of %d", l.bytes, l.written))
		}
	}
	for i := range w.present {
		w.overMember(i)
	}
	for _, g := range w.groups {
		st := g.sim.Stats()
		total := &st.Sessions.Total
		w.counts[NAKs] += total.NAKs
		w.counts[Suppressed] += total.Suppressed
		w.counts[Restored] += total.Restored
		w.counts[FullWindows] += total.Refused.WindowFull
		w.counts[Jumps] += total.Refused.Jump
		w.counts[Messages] += st.Messages
		if g.set.Hollow {
			w.counts[HollowRead] += st.Messages
		}
	}
	st := w.n.Stats()
	w.counts[Packets] += st.Sent
	w.counts[Deliveries] += st.Deliveries
	w.counts[LostInNet] += st.Lost
	w.counts[Damaged] += st.Corrupt
}

func (w *world) overMember(i int) {
	m := &w.members[i]
	if m.gone {
		return
	}
	host := m.g.sim.Host(m.i)
	for k := range w.sources {
		l := w.listener(k, i)
		switch {
		case l.unclear:
			w.counts[Unclear]++
			continue
		case !l.accepted:
			w.counts[Unheard]++
		case l.ended == nil:
			w.fails(w.name(host), fmt.Sprintf("end: no end of source %d after %v, at %d of %d", k+1, w.n.Now(), l.next, len(l.src.sent)))
		}
		if l.promised {
			w.counts[Promised]++
			if l.ended == nil {
				w.fails(w.name(host), fmt.Sprintf("gap: it did not hear of source %d, though no network here can lose all", k+1))
			}
		}
	}
	m.g.sim.Sessions(m.i, func(tsi wire.TSI, st session.ReceiverStats) {
		w.fails(w.name(host), fmt.Sprintf("end: it still keeps %v after %v: %+v", tsi, w.n.Now(), st))
	})
}

// name tells a host, with a blank.
func (w *world) name(host int) string {
	if host < 1 || host >= len(w.hosts) {
		return ""
	}
	if k := w.hosts[host]; k >= 0 {
		return fmt.Sprintf("source %d ", k+1)
	}
	m := &w.members[-1-w.hosts[host]]
	for i, g := range w.groups {
		if g == m.g {
			return fmt.Sprintf("receiver %d.%d ", i+1, m.i+1)
		}
	}
	return ""
}

// look checks memory: of sources and receivers, at this instant.
func (w *world) look() {
	for k := range w.sources {
		l := &w.ledgers[k]
		if st := l.sim.Stats(); st.Unsent > l.slots || st.RepairsQueued > l.slots || st.Lead.Add(1).Sub(st.Trail)+st.Unsent > l.slots {
			w.fails(w.name(l.sim.Host()), fmt.Sprintf("memory: %d unsent, %d repairs queued, window [%d,%d], slots %d", st.Unsent, st.RepairsQueued, st.Trail, st.Lead, l.slots))
		}
	}
	for i := range w.present {
		w.lookAt(i)
	}
}

// lookAt checks the memory of receiver i.
func (w *world) lookAt(i int) {
	m := &w.members[i]
	c, known := &m.g.peers, 0
	m.g.sim.Sessions(m.i, func(tsi wire.TSI, st session.ReceiverStats) {
		known++
		if st.Held+st.Gaps > c.MaxWindow || !m.g.set.Hollow && st.WindowBytes > max(c.WindowBytes, 64<<10) {
			w.fails(w.name(m.g.sim.Host(m.i)), fmt.Sprintf("memory: of %v it holds %d and misses %d, in %d bytes; at most %d and %d", tsi, st.Held, st.Gaps, st.WindowBytes, c.MaxWindow, c.WindowBytes))
		}
	})
	if known > c.MaxSources {
		w.fails(w.name(m.g.sim.Host(m.i)), fmt.Sprintf("memory: %d sources known, at most %d", known, c.MaxSources))
	}
}

// tookAll reports whether the engine of l refused nothing for want of room or faith: what came, it has.
func (w *world) tookAll(l *listener) bool {
	took := true
	m := &w.members[-1-w.hosts[l.host]]
	m.g.sim.Sessions(m.i, func(tsi wire.TSI, st session.ReceiverStats) {
		if tsi == l.src.tsi && (st.Refused.WindowFull > 0 || st.Refused.Jump > 0) {
			took = false
		}
	})
	return took
}

// sees takes an event of the network.
func (w *world) sees(e *sim.Event) {
	if w.Watch != nil && w.Watch(e) || w.fault != nil {
		return
	}
	if fault := w.judge(e); fault != "" {
		w.fails(w.name(e.Host), fault)
	}
}

// judge returns what is wrong with an event, "" if nothing is.
func (w *world) judge(e *sim.Event) string {
	if e.Host < 1 || e.Host >= len(w.hosts) {
		return ""
	}
	if k := w.hosts[e.Host]; k >= 0 {
		if e.Kind == sim.Sent {
			return w.ledgers[k].says(e.At, e.Packet, len(e.Raw)+w.ledgers[k].room.Overhead())
		}
		return ""
	}
	i := -1 - w.hosts[e.Host]
	switch e.Kind {
	case sim.Sent:
		if e.Packet.Type != wire.TypeNAK {
			return ""
		}
		if l := w.about(e.Packet.TSI(), i); l != nil && !l.unclear {
			return l.asks(w, e.At, e.Packet, len(e.Raw)+48)
		}
	case sim.Arrived:
		if e.Packet.Type.Upstream() {
			return ""
		}
		if l := w.about(e.Packet.TSI(), i); l != nil {
			l.hears(e.At, e.Packet)
			if w.peak++; w.peak&63 == 0 {
				w.lookAt(i)
			}
		}
	case sim.Engine:
		if l := w.about(e.Source, i); l != nil && !l.unclear {
			return l.tells(&w.counts, e.Session)
		}
	default:
		if l := w.about(e.Source, i); l != nil && !l.unclear {
			return w.read(l, e)
		}
	}
	return ""
}

// about returns what receiver i hears of the session tsi.
func (w *world) about(tsi wire.TSI, i int) *listener {
	for k := range w.sources {
		if w.ledgers[k].tsi == tsi {
			return w.listener(k, i)
		}
	}
	return nil
}

func (w *world) read(l *listener, e *sim.Event) string {
	switch e.Kind {
	case sim.Delivered:
		return l.reads(&w.counts, e)
	case sim.Gap:
		var loss *session.LossError
		if errors.As(e.Err, &loss) {
			return l.misses(&w.counts, e.At, loss)
		}
	case sim.Ended:
		return l.ends(&w.counts, e.At, e.Err)
	}
	return ""
}
