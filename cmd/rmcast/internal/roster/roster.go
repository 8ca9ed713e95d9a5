package roster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rmcast/rmcast/fec"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/transport"
)

const (
	Port      = 4                      // is added to the data-destination port: carousel has the ones before
	Interval  = 2 * time.Second        // between a member's notes, in the mean
	Lonely    = 30 * time.Second       // the same of one that is Quiet and alone
	Greet     = 200 * time.Millisecond // a new member is told by all who is there within this
	Expiry    = 10 * time.Second       // silence after which a member counts as gone
	Farewells = 5                      // last notes
	farewell  = 60 * time.Millisecond  // between them
	soonest   = 50 * time.Millisecond  // between notes
	idLength  = 16

	// MaxMembers bounds how many are known; others are not heard.
	MaxMembers = 4096
	rawPort    = 7500
)

// Config says who joins what.
type Config struct {
	Network   string
	Group     netip.AddrPort
	Transport transport.Config // interface, hop limit, MTU, network: the rest is not looked at
	Host      string
	Role      string
	What      string
	Place     string
	Silent    bool // hear, and say nothing
	Pong      bool // answer pings
	Quiet     bool // while nobody else is there, a note every Lonely is enough
}

// Member is what is known of another.
type Member struct {
	Note             // the last
	Addr  netip.Addr // from where its notes come
	Since time.Time  // when it was first heard
	Seen  time.Time  // when it was last heard
	Gone  bool       // it left, or was silent for Expiry

	Missed float64       // the part of its notes that did not come, 0 to 1
	Pinged bool          // it has answered a ping of ours
	RTT    time.Duration // of the last answer, without the time that it waited there
	Least  time.Duration // the shortest
	Lost   float64       // the part of our pings that did not reach it, 0 to 1

	firstSeq, heard   int64
	pingFirst, pinged int64 // pings of its that came here
	lastPong          int64
}

// Roster is a member's view of its group. Its methods may be called from several goroutines.
type Roster struct {
	cfg      Config
	source   *transport.Source // nil if silent
	listener *transport.Listener
	ctx      context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup
	changed  chan struct{}
	wake     chan struct{}
	began    time.Time

	mu      sync.Mutex
	me      Note
	members map[string]*Member
	pongs   []owed
	sayAt   time.Time
}

// owed is an answer that waits to be sent.
type owed struct {
	Pong
	since time.Time
}

// Join enters a group's roster.
func Join(ctx context.Context, cfg Config) (*Roster, error) {
	c := &transport.Config{
		Interface: cfg.Transport.Interface, HopLimit: cfg.Transport.HopLimit, MTU: cfg.Transport.MTU, Network: cfg.Transport.Network,
		DestinationPort: port(cfg.Group.Port()), Logger: slog.New(slog.DiscardHandler),
		Rate: flow.Mbps, Fixed: true, WindowBytes: 1 << 16, Linger: -1,
		HeartbeatMin: 5 * time.Second, HeartbeatMax: 5 * time.Second, AmbientSPM: 5 * time.Second, FEC: fec.Config{Off: true}, // nobody repairs notes
		Unordered: true, ReceiveOnly: true, MaxSources: MaxMembers, Expiry: 3 * Expiry,
	}
	r := &Roster{
		cfg: cfg, changed: make(chan struct{}, 1), wake: make(chan struct{}, 1), members: map[string]*Member{}, began: time.Now(),
		me: Note{ID: fmt.Sprintf("%016x", rand.Uint64()), Host: cfg.Host, Role: cfg.Role, What: cfg.What, Place: cfg.Place, State: Wait},
	}
	var err error
	group := beside(cfg.Group).String()
	if r.listener, err = transport.ListenContext(ctx, cfg.Network, group, c); err != nil {
		return nil, err
	}
	if !cfg.Silent {
		c.ReceiveOnly = false
		if r.source, err = transport.DialContext(ctx, cfg.Network, group, c); err != nil {
			r.listener.Close()
			return nil, err
		}
	}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	r.running.Go(r.hear)
	r.running.Go(r.watch)
	return r, nil
}

// beside is where a group's roster is: in the same group, so that what forwards one forwards the other, on the next UDP port, so that members do not get
// the group's data a second time.
func beside(group netip.AddrPort) netip.AddrPort {
	switch p := group.Port(); p {
	case 0: // raw IP
		return group
	case 65535:
		return netip.AddrPortFrom(group.Addr(), p-1)
	default:
		return netip.AddrPortFrom(group.Addr(), p+1)
	}
}

// port is the PGM data-destination port of a roster, which is another one than the data's where there are no UDP ports.
func port(group uint16) uint16 {
	p := int(group)
	if p == 0 {
		p = rawPort
	}
	if p += Port; p > 65534 { // none is 0, and the next is parity's
		p -= 65534
	}
	return uint16(p)
}

// Me returns the note that this member says now.
func (r *Roster) Me() Note {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.me
}

// Say changes what this member says of itself, and says it soon.
func (r *Roster) Say(change func(*Note)) {
	r.mu.Lock()
	before := r.me
	change(&r.me)
	soon := before.State != r.me.State || before.What != r.me.What || before.Objects != r.me.Objects || r.me.Ping != before.Ping
	if soon {
		r.sayAt = time.Time{}
	}
	r.mu.Unlock()
	if soon {
		r.poke()
	}
}

// Ping asks all members for an answer; n counts from 1.
func (r *Roster) Ping(n int64) {
	r.Say(func(me *Note) { me.Ping = &Ping{N: n, At: time.Since(r.began).Microseconds()} })
}

// Members returns who was heard, by host and id: also those who left, until Expiry after that.
func (r *Roster) Members() []Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Member, 0, len(r.members))
	for _, m := range r.members {
		list = append(list, *m)
	}
	slices.SortFunc(list, func(a, b Member) int {
		if c := strings.Compare(a.Host, b.Host); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

// Changed has a value when somebody said something, came or went.
func (r *Roster) Changed() <-chan struct{} { return r.changed }

// Socket returns what there is to say of the socket by which this member speaks, or hears if it is silent, and whether its interface was asked for by name.
func (r *Roster) Socket() (s transport.SocketStats, named bool) {
	if r.source != nil {
		s = r.source.Stats().Socket
	} else {
		s = r.listener.Stats().Socket
	}
	return s, r.cfg.Transport.Interface != ""
}

// Leave says good-bye and ends.
func (r *Roster) Leave() {
	if r.source != nil {
		r.mu.Lock()
		r.me.Left, r.me.Ping = true, nil
		r.mu.Unlock()
		for i := range Farewells {
			if i > 0 {
				time.Sleep(farewell)
			}
			r.send()
		}
		_ = r.source.Flush()
	}
	r.cancel()
	r.listener.Close()
	r.running.Wait()
	if r.source != nil {
		_ = r.source.Close()
	}
}

func (r *Roster) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *Roster) change() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// hear takes the notes of all.
func (r *Roster) hear() {
	for {
		session, err := r.listener.AcceptReceiver()
		if err != nil {
			return
		}
		r.running.Go(func() {
			defer session.Close()
			stop := context.AfterFunc(r.ctx, func() { _ = session.SetReadDeadline(time.Unix(0, 1)) })
			defer stop()
			addr := session.RemoteAddr().(*transport.Addr).Host().Addr()
			b := make([]byte, 1<<16)
			for {
				n, err := session.ReadMessage(b)
				var loss *transport.LossError
				switch {
				case err == nil:
					if note, err := parse(b[:n]); err == nil {
						r.take(note, addr, time.Now())
					}
				case errors.As(err, &loss):
				case errors.Is(err, io.ErrShortBuffer):
					return
				default:
					return
				}
			}
		})
	}
}

// take enters a note.
func (r *Roster) take(n *Note, addr netip.Addr, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n.ID == r.me.ID {
		return
	}
	m := r.members[n.ID]
	switch {
	case m == nil && len(r.members) >= MaxMembers:
		return
	case m == nil:
		m = &Member{Since: now, firstSeq: n.Seq}
		r.members[n.ID] = m
		if r.source != nil && !n.Left {
			r.soon(now.Add(rand.N(Greet)))
		}
	case n.Seq <= m.Seq:
		return // overtaken
	}
	m.Note, m.Addr, m.Seen, m.Gone = *n, addr, now, n.Left
	m.heard++
	m.Missed = 1 - float64(m.heard)/float64(m.Seq-m.firstSeq+1)
	r.answer(m, now)
	for _, p := range n.Pongs {
		if p.To == r.me.ID && p.N > m.lastPong && p.Got > 0 && p.N >= p.From {
			m.lastPong, m.Pinged = p.N, true
			m.RTT = max(time.Since(r.began)-time.Duration(p.At+p.Held)*time.Microsecond, 0)
			if m.Least == 0 || m.RTT < m.Least {
				m.Least = m.RTT
			}
			m.Lost = max(0, 1-float64(p.Got)/float64(p.N-p.From+1))
		}
	}
	r.change()
}

// answer notes that a ping came.
func (r *Roster) answer(m *Member, now time.Time) {
	p := m.Ping
	if p == nil || !r.cfg.Pong || r.source == nil {
		return
	}
	if m.pinged == 0 {
		m.pingFirst = p.N
	}
	if p.N < m.pingFirst+m.pinged { // this one was heard before, in another note
		return
	}
	m.pinged++
	r.pongs = append(r.pongs, owed{Pong{To: m.ID, N: p.N, At: p.At, Got: m.pinged, From: m.pingFirst}, now})
	r.soon(now.Add(rand.N(10 * time.Millisecond)))
}

// soon has a note said at the given time, if none is due before. The lock is held.
func (r *Roster) soon(at time.Time) {
	if at.Before(r.sayAt) {
		r.sayAt = at
		r.poke()
	}
}

// watch says notes when they are due, and notices who is silent.
func (r *Roster) watch() {
	last := time.Time{}
	for {
		r.mu.Lock()
		at := r.sayAt
		r.mu.Unlock()
		if early := last.Add(soonest); at.Before(early) {
			at = early
		}
		select {
		case <-r.ctx.Done():
			return
		case <-r.wake:
			continue
		case <-time.After(time.Until(at)):
		}
		last = time.Now()
		if r.source != nil {
			r.send()
		} else {
			r.mu.Lock()
			r.sayAt = last.Add(Interval)
			r.mu.Unlock()
		}
		r.sweep(last)
	}
}

// send says the note now.
func (r *Roster) send() {
	now := time.Now()
	r.mu.Lock()
	note := r.me
	r.me.Seq++
	r.me.Ping = nil
	pongs := r.pongs[:min(len(r.pongs), maxPongs)]
	for _, o := range pongs {
		o.Held = now.Sub(o.since).Microseconds()
		note.Pongs = append(note.Pongs, o.Pong)
	}
	r.pongs = slices.Delete(r.pongs, 0, len(pongs))
	r.sayAt = now.Add(Interval/2 + rand.N(Interval))
	if r.cfg.Quiet && r.alone() {
		r.sayAt = now.Add(Lonely)
	}
	if len(r.pongs) > 0 {
		r.sayAt = now
	}
	r.mu.Unlock()
	_ = r.source.SetWriteDeadline(now.Add(time.Second))
	_ = r.source.WriteMessage(note.append()) // if it fails it is as good as lost
}

// alone reports whether nobody else is there. It is called with the lock.
func (r *Roster) alone() bool {
	for _, m := range r.members {
		if !m.Gone {
			return false
		}
	}
	return true
}

// sweep marks who is silent as gone, and forgets who has been for long.
func (r *Roster) sweep(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, m := range r.members {
		silent := now.Sub(m.Seen)
		if silent > Expiry && !m.Gone {
			m.Gone = true
			r.change()
		}
		if silent > 6*Expiry {
			delete(r.members, id)
		}
	}
}
