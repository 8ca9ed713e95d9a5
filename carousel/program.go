package carousel

import (
	"fmt"
	"time"
)

// program decides what is sent next: roots when they are due, the manifests' symbols between the data's, what receivers asked for, and data by the objects' shares. It has
// no clock: now is the time since Send began, and does not go back.
type program struct {
	cfg    SendConfig
	layers int
	items  []item
	shares shares
	packet int64 // that were sent, on the lowest layer
	credit int   // data packets that manifests have not used
	pass   int   // the item whose manifest had a packet last

	// What was asked for. ended, asked and extra are about the time after the last turn.
	queued   int     // symbols of all answers
	answer   float64 // answers that may be sent between the turns' packets now
	answerer int     // the item that had one last
	ended    bool
	asked    time.Duration // when the last turn was over, or when there was a request for the last time since
	extra    int64         // answers that may be sent still
}

// item is an object in a program.
type item struct {
	id       ID
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
	answers  answers
	heard    uint8 // requests, modulo heardMost

	// Offers follow roots and, several of them in short order, what changes them, as each may be lost.
	offerAt   time.Duration // when the next is due
	offerGap  time.Duration // to the one after it
	offerMark int64         // packet when the last was sent
}

// action is a packet to send.
type action struct {
	item          int
	kind          kind
	block, symbol int
	layer         int
	begins        bool // the first packet of a turn
	answer        bool // it was asked for
}

const (
	manifestShare = 20                     // one packet in so many at most is a manifest's
	manifestBurst = 64                     // packets that may be made up for at once
	rootLatest    = 900 * time.Millisecond // with the wait for the packet before, it is a second
	rootPackets   = 200                    // that are sent between roots, if they are sooner than that
	answerBurst   = 16                     // answers that may be made up for at once
	offerGap      = 20 * time.Millisecond  // between an offer and its first repetition
	offerGaps     = 320 * time.Millisecond // from which on it waits for the next root
	offerPackets  = 10                     // between offers of an object, if there are any to send
	never         = time.Duration(1<<63 - 1)
)

func newProgram(cfg SendConfig, layers int) *program {
	return &program{cfg: cfg, layers: layers, credit: (manifestShare - 1) * manifestBurst}
}

// add enters an object, whose first turn begins at packet start.
func (p *program) add(o *Object, start int64) {
	k := o.manifestPart.k(0)
	it := item{id: o.root.ID(), order: newOrder(o.part, start, p.cfg.ParityFirst && !o.cfg.NoParity, p.cfg.BlockByBlock), symbols: o.part.symbols, manifest: k, noParity: o.cfg.NoParity, rootDue: true, offerAt: never, offerGap: offerGaps}
	if it.noParity {
		it.order.cycle = 1
	}
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
	if i := p.offering(now, offerPackets); i >= 0 {
		return p.offer(i, now), 0, true
	}
	if p.answer >= 1 {
		if i := p.answering(); i >= 0 {
			p.answer--
			return p.answered(i, now), 0, true
		}
	}
	if i := p.shares.take(); i >= 0 {
		return p.data(i), 0, true
	}
	if p.end(now) {
		return p.next(now)
	}
	if i := p.answering(); i >= 0 && p.extra > 0 {
		p.extra--
		return p.answered(i, now), 0, true
	}
	if i := p.offering(now, 1); i >= 0 {
		return p.offer(i, now), 0, true
	}
	if i := p.passing(); i >= 0 { // there is no data to send it between
		return p.manifest(i), 0, true
	}
	return action{}, p.wait(now), false
}

// end reports whether there is no turn left for the first time, and notes it.
func (p *program) end(now time.Duration) bool {
	if p.ended || !p.over() {
		return false
	}
	p.ended, p.asked, p.answer = true, now, 0
	for i := range p.items {
		it := &p.items[i]
		p.offerSoon(it, now)
		p.extra += int64(p.cfg.Turns) * it.symbols
	}
	return true
}

// over reports whether there is no turn left.
func (p *program) over() bool {
	for i := range p.items {
		if !p.items[i].over {
			return false
		}
	}
	return true
}

// attends reports whether requests are answered though there is no turn left.
func (p *program) attends(now time.Duration) bool {
	return p.cfg.Requests != nil && (!p.ended || p.extra > 0 && now < p.asked+p.cfg.AnswerWait)
}

// ask enters what a receiver asks for, and returns how many symbols that adds, or an error if the object has no such block, or is not sent.
func (p *program) ask(id ID, list []need, now time.Duration) (added int, err error) {
	for i := range p.items {
		it := &p.items[i]
		if it.id != id {
			continue
		}
		if it.noParity {
			return 0, fmt.Errorf("%w: object %v has no parity", ErrInvalid, id)
		}
		if err := checkNeeds(list, &it.order.part); err != nil {
			return 0, err
		}
		for _, n := range list {
			added += it.answers.ask(n, p.cfg.AnswerMost-p.queued-added, now)
		}
		p.queued += added
		p.asked = max(p.asked, now)
		it.heard = (it.heard + 1) % heardMost
		p.offerSoon(it, now)
		return added, nil
	}
	return 0, fmt.Errorf("%w: object %v is not sent", ErrInvalid, id)
}

// answering returns an object with answers to send, taking turns, or -1.
func (p *program) answering() int {
	if p.queued == 0 {
		return -1
	}
	for n := range p.items {
		if i := (p.answerer + 1 + n) % len(p.items); p.items[i].answers.left > 0 {
			return i
		}
	}
	panic("BUG: carousel: answers of no object")
}

// answered is the next packet of an answer.
func (p *program) answered(i int, now time.Duration) action {
	it := &p.items[i]
	block := it.answers.take(now)
	p.queued--
	if p.answerer = i; it.answers.left == 0 {
		p.offerSoon(it, now) // it says that there is nothing more
	}
	p.credit = min(p.credit+1, (manifestShare-1)*manifestBurst)
	p.packet++
	return action{item: i, kind: kindData, block: block, symbol: it.order.of(block), answer: true}
}

// offerSoon has an object's offer sent now, and repeated.
func (p *program) offerSoon(it *item, now time.Duration) {
	if p.cfg.Requests != nil && it.offerMark > 0 { // not before the first root
		it.offerAt, it.offerGap = now, offerGap
	}
}

// offering returns an object whose offer is due, so many packets after the one before, or -1.
func (p *program) offering(now time.Duration, packets int64) int {
	for i := range p.items {
		if it := &p.items[i]; now >= it.offerAt && p.packet-it.offerMark >= packets {
			return i
		}
	}
	return -1
}

func (p *program) offer(i int, now time.Duration) action {
	it := &p.items[i]
	it.offerMark, it.offerAt = p.packet, now+it.offerGap
	if it.offerGap *= 2; it.offerGap > offerGaps {
		it.offerAt, it.offerGap = never, offerGaps
	}
	p.packet++
	return action{item: i, kind: kindOffer}
}

// offered is what an object's offer says.
func (p *program) offered(i int) offer {
	it := &p.items[i]
	n := min(len(it.answers.list), mostNeeds(it.order.part.symbolBytes))
	return offer{over: p.ended, full: n < len(it.answers.list) || p.queued >= p.cfg.AnswerMost, heard: it.heard, list: it.answers.list[:n]}
}

// due reports whether an object is to be announced.
func (p *program) due(it *item, now time.Duration) bool {
	if it.over && !(p.ended && p.attends(now)) {
		return false
	}
	since := now - it.rootAt
	return it.rootDue || since >= rootLatest || since >= p.cfg.RootInterval && p.packet-it.rootMark >= rootPackets
}

func (p *program) root(i int, now time.Duration) action {
	it := &p.items[i]
	it.rootDue, it.rootAt, it.rootMark = false, now, p.packet
	if p.cfg.Requests != nil {
		it.offerAt = min(it.offerAt, now)
	}
	if it.passLeft == 0 {
		it.passLeft = it.manifest
	}
	if it.symbols == 0 && !it.over { // its turns are announcements
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
	cycle := it.order.turn / it.order.cycle
	a.block, a.symbol = it.order.take()
	a.layer = layerOf(a.symbol, cycle, p.layers)
	if it.order.next == 0 { // the turn is over
		if p.cfg.Turns > 0 {
			it.rootDue = true // a few turns of something small are over before a root is due
		}
		if it.over = it.order.turn == p.cfg.Turns; it.over {
			p.shares.leave(i)
		}
	}
	if a.layer > 0 {
		return a // all else is about the lowest
	}
	p.credit = min(p.credit+1, (manifestShare-1)*manifestBurst)
	p.answer = min(p.answer+p.cfg.AnswerShare/(1-p.cfg.AnswerShare), answerBurst)
	p.packet++
	return a
}

// wait is how long there is nothing to send.
func (p *program) wait(now time.Duration) (wait time.Duration) {
	for i := range p.items {
		if it := &p.items[i]; !it.over || p.attends(now) {
			if left := max(1, min(it.rootAt+rootLatest, it.offerAt)-now); wait == 0 || left < wait {
				wait = left
			}
		}
	}
	if left := p.asked + p.cfg.AnswerWait - now; p.ended && wait > 0 {
		wait = min(wait, left)
	}
	if left := p.cfg.Duration - now; p.cfg.Duration > 0 && wait > 0 {
		wait = min(wait, left)
	}
	return wait
}
