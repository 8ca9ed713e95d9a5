package flow

import (
	"net/netip"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// Report is what a receiver says of itself, as it is on the wire: counters since its beginning, which wrap around. The caller has checked
// that Lead is a number that was sent; all the rest may be invented.
type Report struct {
	ID     uint64 // as the receiver calls itself; 0 is nobody, and ignored
	From   netip.Addr
	Lead   seq.Num       // the highest number whose ODATA came
	Held   time.Duration // since it came
	Clock  uint32        // the receiver's clock when it came, in microseconds
	Bytes  uint32        // IP bytes of all data packets, in units of 64
	Heard  uint32        // packets of ODATA
	Room   int           // packets beyond Lead that its window can take
	Front  seq.Num       // everything before this is there
	Behind bool          // its application does not keep up
	Loss   float64       // share of ODATA it lost of late, by its own estimate; less than 0: it tells none
	RTT    time.Duration // of this report; 0: none
}

// GroupConfig configures a Group.
type GroupConfig struct {
	Slow Slow // Validate accepts it
	Max  int  // receivers that are known at a time; default 1024
}

const (
	groupDefaultMax = 1024
	groupPerAddr    = 64                // ids that one address may claim
	groupSilence    = 10 * time.Second  // after this a receiver is not known any more
	groupYield      = time.Second       // and after this it makes room in a full table
	groupRecent     = 2 * time.Second   // reports this old tell of now
	groupRoomAge    = time.Second       // how long the acker's room holds without another report
	groupEvicted    = 1024              // ids that are remembered as evicted, the latest
	groupEvents     = 256               // events kept until they are asked for
	groupWorse      = 0.75              // PGMCC draft, 3.5.2: who gets less than this part of the acker's rate replaces it
	groupConfirm    = 2                 // after so many intervals
	groupAscent     = time.Second       // how long a new acker has, at most, until the rate shows what it can take
	groupBetter     = 0.9               // who gets this part of the acker's rate keeps up
	groupHeadroom   = 1.25              // of Floor, before who was below it is followed again
	groupTrial      = 10 * time.Second  // between trials of another acker, doubled while they show nothing
	groupTrialMost  = 160 * time.Second // until this
	groupSample     = 8                 // receivers whose reports are wanted to know the others
)

// Group knows the receivers that report, chooses the one that sets the pace (the acker), and says which receivers are too slow to be
// followed.
//
// A source sends the same to all, so that rates of different times say little: in a ramp whoever reported earlier would look slow. A Group
// compares what a receiver got over a range of numbers with what the acker got over the same range (its ratio).
//
//  1. The acker is followed. It changes when another followed receiver's ratio was less than 3/4 in two intervals, when it is silent,
//     slow or evicted.
//  2. Who is not known is followed: a receiver without reports is no worse than the acker, or it would speak up.
//  3. What is not known to differ counts as equal to the acker.
//  4. All tables are bounded, whatever is invented; a newcomer never takes the place of a receiver heard within a second. Nobody is
//     evicted under an id that somebody else claims too.
//
// The calls' order: Report for each, then Acker, Switched and Events; Advance at the Deadline. now must not go backwards between calls. Its
// costs are O(1) a report, but O(n) when the acker changes or a receiver's standing does. A Group is not safe for concurrent use.
type Group struct {
	cfg   GroupConfig
	named map[uint64]bool // FollowNamed
	size  float64         // receivers, as the caller estimates
	paced Rate            // in force at the source, 0 unknown
	ledAt mono.Time       // when the acker began to set it
	rest  mono.Time       // when the source had nothing to send, the latest; Never: it always had

	members map[groupKey]*groupMember
	hosts   map[netip.Addr]*groupHost
	order   groupOrder // by when they were heard
	news    groupOrder // of those in it that reported once
	evicted map[uint64]bool
	gone    []uint64 // evicted ids in order, a ring once it is full
	goneAt  int

	acker *groupMember
	line  groupLine // what the acker got
	told  bool      // Switched was asked since the acker changed
	pace  Rate

	lates   int          // members that are late
	tight   *groupMember // whose room holds the source; nil: nobody's does
	limit   seq.Num      // the first number beyond it
	dirty   bool         // tight and limit are to be found anew
	blocked mono.Time    // since when the source waits for that limit; Never: it does not
	limits  []*groupMember

	now      mono.Time
	trialAt  mono.Time // Never: no trials
	trialGap time.Duration
	trialOf  *groupMember // the acker before the trial that is under way; nil: none is

	events []GroupEvent
	stats  GroupStats
}

type groupKey struct {
	id   uint64
	from netip.Addr
}

// groupHost is an address that receivers report from.
type groupHost struct {
	members int
	left    int // of them, not followed
}

// groupMember is a receiver that reported.
type groupMember struct {
	key    groupKey
	heard  mono.Time
	cameBy mono.Time // the latest lead came before this
	said   mono.Time // when the latest report came that was taken
	count  int       // reports that went on from the one before
	old    int       // reports in a row that seemed old
	clock  uint32
	bytes  uint32
	pkts   uint32
	room   int

	mark, last groupPoint // the present interval's begin, and the latest report
	end        groupPoint // of an interval that is to be compared
	ended      bool       // there is one
	late       bool       // Behind in the latest report
	ratio      float64    // smoothed, of the acker's delivery rate over the same numbers; 0 unknown
	rate       Rate       // in the latest interval
	loss       float64    // smoothed, by numbers; less than 0 unknown
	says       float64    // loss that it reports, less than 0: none
	rtt        time.Duration

	low      int       // intervals in a row with a ratio below groupWorse
	lowSince mono.Time // when the first of them was taken
	bad      mono.Time // since when it is below Floor; Never: it is not
	good     mono.Time // since when it keeps up, while left; Never: it does not
	left     bool      // not followed, for it is slow
	slow     bool      // and that was told
	falls    int       // times that it was left
	fresh    bool      // it is in news

	links [2]groupLink
}

// NewGroup returns a group of which nobody has been heard.
func NewGroup(cfg GroupConfig) *Group {
	cfg.Slow = cfg.Slow.WithDefaults()
	if cfg.Max <= 0 {
		cfg.Max = groupDefaultMax
	}
	g := &Group{
		cfg: cfg, members: make(map[groupKey]*groupMember), hosts: make(map[netip.Addr]*groupHost), evicted: make(map[uint64]bool),
		news: groupOrder{chain: 1}, blocked: mono.Never, rest: mono.Never, trialAt: mono.Never, trialGap: groupTrial, told: true,
	}
	if cfg.Slow.Mode == FollowNamed {
		g.named = make(map[uint64]bool, len(cfg.Slow.Named))
		for _, id := range cfg.Slow.Named {
			g.named[id] = true
		}
	}
	return g
}

// SetSize tells how many receivers there are, as far as that can be estimated. Those that do not report count as equal to the acker when
// the median or the slowest part are asked for.
func (g *Group) SetSize(receivers float64) { g.size = receivers }

// SetPace tells the rate in force at the source. When it is below Floor, and the acker's delivery is too, that is the acker's doing, and not
// that of an application that sends little.
func (g *Group) SetPace(r Rate) { g.paced = r }

// Limited tells that nothing waits to be sent: what receivers get then is no less than there is.
func (g *Group) Limited(now mono.Time) { g.rest = now }

// Report takes a receiver's report. d is what came since its last one, and acker says that it is the acker's and Congestion should have it,
// after Switched. A first report, and one that follows an odd one, has Lead, Held and Room only.
func (g *Group) Report(now mono.Time, r Report) (d Delivery, acker bool) {
	g.Advance(now)
	if g.evicted[r.ID] {
		g.stats.Dropped++
		return Delivery{}, false
	}
	m, known := g.member(now, r)
	if m == nil {
		g.stats.Refused++
		return Delivery{}, false
	}
	r = r.sane()
	d = Delivery{Lead: r.Lead, Held: r.Held, Room: r.Room}
	if known {
		switch m.step(now, &r, &d) {
		case groupOld:
			g.stats.Old++
			return Delivery{}, false
		case groupOdd:
			g.stats.Odd++
			g.restart(m)
			m.take(now, r)
			g.setLate(m, r.Behind)
			return Delivery{}, false
		}
	}
	g.stats.Reports++
	g.measure(now, m) // of what was known before: only then the acker's later report may be there too
	if g.evicted[r.ID] {
		return Delivery{}, false
	}
	m.advance(&d)
	m.take(now, r)
	g.setLate(m, r.Behind)
	if known {
		g.prove(m)
	}
	if m == g.acker {
		g.line.add(m.last)
	}
	if g.acker == nil && g.mayLead(m) && (!m.left || !g.cfg.Slow.Mode.floors()) {
		g.follow(m) // nobody is left that could be better
		g.lead(now, m)
	}
	return d, m == g.acker
}

// restart begins m's counters anew.
func (g *Group) restart(m *groupMember) {
	m.count, m.low, m.bad = 0, 0, mono.Never
	if m == g.acker {
		g.line.clear()
	}
}

// Acker returns the receiver that sets the pace.
func (g *Group) Acker() (id uint64, ok bool) {
	if g.acker == nil {
		return 0, false
	}
	return g.acker.key.id, true
}

// Switched reports whether another receiver sets the pace since it was asked last, and that one's delivery rate, 0 if it is unknown. It
// is false while there is none.
func (g *Group) Switched() (pace Rate, yes bool) {
	if g.told || g.acker == nil {
		return 0, false
	}
	g.told = true
	return g.pace, true
}

// Silent tells that the acker has not reported for so long that it is taken to be gone. Another one takes its place if any is known that may.
func (g *Group) Silent(now mono.Time) {
	g.Advance(now)
	if m := g.acker; m != nil {
		g.forget(m)
		g.elect(now)
	}
}

// Slow returns the rate below which receivers speak up unasked: 3/4 of the acker's, or Unlimited where more receivers' reports are wanted.
// It is 0 when there is nothing to compare with.
func (g *Group) Slow() Rate {
	rate := g.line.rate()
	switch {
	case rate == 0:
		return 0
	case g.wantsSample():
		return Unlimited
	}
	return rate.scale(groupWorse)
}

// Follows reports whether receivers at from are followed: false where all that are known there are slow and left behind. Their loss, round
// trips and repairs are to count little.
func (g *Group) Follows(from netip.Addr) bool {
	h := g.hosts[from]
	return h == nil || h.left < h.members
}

// Evicted reports whether id was evicted: it is to be told so, and what it sends is to be dropped.
func (g *Group) Evicted(id uint64) bool { return g.evicted[id] }

// Advance forgets who has been silent for long, and leaves behind whose application has stood still for Grace.
func (g *Group) Advance(now mono.Time) {
	g.now = now
	if now >= g.stallEnd() {
		g.fall(now, g.tight)
	}
	for m := g.oldest(); m != nil && now.Sub(m.heard) >= groupSilence; m = g.oldest() {
		g.forget(m)
	}
	if now >= g.trialAt {
		g.trial(now)
	}
}

// Deadline returns when Advance has something to do.
func (g *Group) Deadline() mono.Time {
	at := min(g.stallEnd(), g.trialAt)
	if m := g.oldest(); m != nil {
		at = min(at, m.heard.Add(groupSilence))
	}
	return at
}
