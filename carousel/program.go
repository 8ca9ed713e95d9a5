package carousel

import "time"

// program decides what is sent next: roots when they are due, the manifests' symbols between the data's, and data by the objects' shares. It has
// no clock: now is the time since Send began, and does not go back.
type program struct {
	cfg    SendConfig
	items  []item
	shares shares
	packet int64 // that were sent
	credit int   // data packets that manifests have not used
	pass   int   // the item whose manifest had a packet last
}

// item is an object in a program.
type item struct {
	order    order
	symbols  int64 // of data
	manifest int   // symbols of the manifest
	noParity bool

	over     bool // its last turn is sent, but perhaps not its manifest
	rootDue  bool
	rootAt   time.Duration
	rootMark int64 // packet when the last root was sent
	passLeft int   // symbols of the manifest that are still sent after the last root
	next     int   // symbol of the manifest, data and parity
	turns    int   // that have begun
}

// action is a packet to send.
type action struct {
	item          int
	kind          kind
	block, symbol int
	begins        bool // the first packet of a turn
}

const (
	manifestShare = 20                     // one packet in so many at most is a manifest's
	manifestBurst = 64                     // packets that may be made up for at once
	rootLatest    = 900 * time.Millisecond // with the wait for the packet before, it is a second
	rootPackets   = 200                    // that are sent between roots, if they are sooner than that
)

func newProgram(cfg SendConfig) *program {
	return &program{cfg: cfg, credit: (manifestShare - 1) * manifestBurst}
}

// add enters an object, whose first turn begins at packet start.
func (p *program) add(o *Object, start int64) {
	k := o.manifestPart.k(0)
	it := item{order: newOrder(o.part, start, p.cfg.ParityFirst && !o.cfg.NoParity), symbols: o.part.symbols, manifest: k, noParity: o.cfg.NoParity, rootDue: true}
	p.items = append(p.items, it)
	p.shares.add(max(1, o.cfg.Priority))
	if it.symbols == 0 {
		p.shares.leave(len(p.items) - 1)
	}
}

// next returns the next packet. Without one, ok is false; then wait is how long there is none, or 0 if all is sent.
func (p *program) next(now time.Duration) (a action, wait time.Duration, ok bool) {
	if p.cfg.Duration > 0 && now >= p.cfg.Duration {
		return action{}, 0, false
	}
	for i := range p.items {
		if p.due(&p.items[i], now) {
			return p.root(i, now), 0, true
		}
	}
	if p.credit >= manifestShare-1 {
		if i := p.passing(); i >= 0 {
			p.credit -= manifestShare - 1
			return p.manifest(i), 0, true
		}
	}
	if i := p.shares.take(); i >= 0 {
		return p.data(i), 0, true
	}
	if i := p.passing(); i >= 0 { // there is no data to send it between
		return p.manifest(i), 0, true
	}
	return action{}, p.wait(now), false
}

// due reports whether an object is to be announced.
func (p *program) due(it *item, now time.Duration) bool {
	if it.over {
		return false
	}
	since := now - it.rootAt
	return it.rootDue || since >= rootLatest || since >= p.cfg.RootInterval && p.packet-it.rootMark >= rootPackets
}

func (p *program) root(i int, now time.Duration) action {
	it := &p.items[i]
	it.rootDue, it.rootAt, it.rootMark = false, now, p.packet
	if it.passLeft == 0 {
		it.passLeft = it.manifest
	}
	if it.symbols == 0 { // its turns are announcements
		it.turns++
		it.over = p.cfg.Turns > 0 && it.turns >= p.cfg.Turns
	}
	p.packet++
	return action{item: i, kind: kindRoot}
}

// passing returns an object with symbols of the manifest to send, taking turns, or -1.
func (p *program) passing() int {
	for n := range p.items {
		if i := (p.pass + 1 + n) % len(p.items); p.items[i].passLeft > 0 {
			return i
		}
	}
	return -1
}

func (p *program) manifest(i int) action {
	it := &p.items[i]
	a := action{item: i, kind: kindManifest, symbol: it.next}
	it.passLeft--
	it.next = (it.next + 1) % (2 * it.manifest)
	p.pass = i
	p.packet++
	return a
}

func (p *program) data(i int) action {
	it := &p.items[i]
	a := action{item: i, kind: kindData, begins: it.order.next == 0}
	a.block, a.symbol = it.order.take()
	if it.order.next == 0 { // the turn is over
		if it.noParity {
			it.order.parity = false
		}
		if p.cfg.Turns > 0 {
			it.rootDue = true // a few turns of something small are over before a root is due
		}
		if it.over = it.order.turn == p.cfg.Turns; it.over {
			p.shares.leave(i)
		}
	}
	p.credit = min(p.credit+1, (manifestShare-1)*manifestBurst)
	p.packet++
	return a
}

// wait is how long there is nothing to send.
func (p *program) wait(now time.Duration) (wait time.Duration) {
	for i := range p.items {
		if it := &p.items[i]; !it.over {
			if left := max(1, it.rootAt+rootLatest-now); wait == 0 || left < wait {
				wait = left
			}
		}
	}
	if left := p.cfg.Duration - now; p.cfg.Duration > 0 && wait > 0 {
		wait = min(wait, left)
	}
	return wait
}
