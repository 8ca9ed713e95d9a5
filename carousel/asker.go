package carousel

import (
	"math"
	"math/rand/v2"
	"time"
)

// asker decides for a receiver when to ask a source for what is missing, and for how much. It has no clock: now is the time since Ask began, and does not
// go back. For each object it is in one of these states:
//
//	idle         hardly anything that comes is of use, or the turns are over, or blocks have stalled: back off
//	backing off  when the time comes: nothing is missing: idle; it is offered: held; else ask, and wait
//	waiting      it is offered: held; a request was answered meanwhile: back off; nothing: back off, and wait twice as long the next time
//	held         it is offered no more: nothing is missing: idle; else back off
//
// It does not ask unless the source's offers come, which say that it answers. Nobody hears the others' requests, but everybody the offers: of many
// who lack something the first to ask speaks for all.
type asker struct {
	cfg AskConfig
	rng *rand.Rand
	of  map[ID]*asking
	out []byte
}

// asking is what an asker knows of an object.
type asking struct {
	state   askState
	offers  uint64        // of the object, that were seen
	offerAt time.Duration // when the last one was
	due     time.Duration // when to ask, or to ask again

	// The packets of data that had come when the window began in which they are counted, those of use, and when that was.
	packets, stored uint64
	since           time.Duration

	heard uint8 // of the last offer before the request
	some  bool  // it is about blocks that have stalled, and not about all that are open
	tries int
	gone  bool    // it asked in vain, and asks no more
	rate  float64 // the part of what is offered that arrives
	of    [2]int  // symbols that were offered, and of them those that arrived, of late
	held  []need  // what was missing of what was offered or asked for, when it was
	given []need  // what was offered, or asked for, of the same blocks
}

type askState uint8

const (
	askIdle askState = iota
	askBackOff
	askWaiting
	askHeld
)

const (
	askWindow  = 64              // packets that are judged together
	askUse     = 4               // if less than one in so many is of use it is time to ask
	askSilence = 2 * time.Second // without data, while offers come
	askOffer   = 3 * time.Second // after which an offer is old
	askRepeat  = time.Second     // the first wait for an offer
	askTries   = 8               // requests in vain: four minutes
	rateDoubt  = 16              // symbols that it takes for arrived before it has seen any
	rateMemory = 1024            // after so many what was before counts half
)

func newAsker(cfg AskConfig, rng *rand.Rand) *asker {
	return &asker{cfg: cfg, rng: rng, of: map[ID]*asking{}}
}

// step looks at an Inbox, and returns a request to send, or nil. It is valid until the next call.
func (k *asker) step(now time.Duration, in *Inbox) []byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	for id := range k.of {
		if in.objects[id] == nil {
			delete(k.of, id)
		}
	}
	for _, id := range in.order {
		o := in.objects[id]
		if o.done || o.man == nil {
			continue
		}
		a := k.of[id]
		if a == nil {
			a = &asking{rate: 1}
			a.window(now, &in.stats)
			k.of[id] = a
		}
		if list := k.object(now, a, o, &in.stats); len(list) > 0 {
			k.out = appendPacket(k.out[:0], head{kind: kindRequest, id: id}, appendNeeds(nil, list))
			return k.out
		}
	}
	return nil
}

// object is step for one object. It returns what to ask for.
func (k *asker) object(now time.Duration, a *asking, o *incoming, st *InboxStats) []need {
	fresh := o.offers != a.offers
	if fresh {
		a.offers, a.offerAt = o.offers, now
	}
	if o.offers == 0 || now-a.offerAt > askOffer {
		a.idle(now, st) // nobody answers
		return nil
	}
	switch a.state {
	case askIdle:
		if a.wanted(now, &k.cfg, o, st) {
			k.backOff(now, a)
		}
	case askBackOff:
		if now < a.due {
			return nil
		}
		missing := a.missing(o)
		if len(missing) == 0 {
			a.idle(now, st)
			return nil
		}
		list := a.lacking(missing, o)
		if len(list) == 0 {
			a.hold(missing, o)
			return nil
		}
		if a.tries == askTries {
			a.gone = true
			a.idle(now, st)
			return nil
		}
		a.state, a.due = askWaiting, now+askRepeat<<a.tries
		a.tries++
		a.heard = o.offer.heard
		a.held, a.given = append(a.held[:0], missing...), append(a.given[:0], list...)
		return list
	case askWaiting:
		missing := a.missing(o)
		switch {
		case len(missing) == 0:
			a.idle(now, st)
		case fresh && covers(&o.offer, missing):
			a.tries, a.gone = 0, false
			a.hold(missing, o)
		case fresh && o.offer.heard != a.heard: // and what it offered was sent already
			a.tries, a.gone = 0, false
			a.learn(missing)
			k.backOff(now, a)
		case now >= a.due:
			k.backOff(now, a)
		}
	case askHeld:
		missing := a.missing(o)
		switch {
		case len(missing) == 0:
			a.idle(now, st)
		case fresh && !covers(&o.offer, missing):
			a.learn(missing)
			k.backOff(now, a)
		}
	}
	return nil
}

func (a *asking) idle(now time.Duration, st *InboxStats) {
	a.state, a.tries = askIdle, 0
	a.window(now, st)
}

func (a *asking) window(now time.Duration, st *InboxStats) {
	a.since, a.stored, a.packets = now, st.Stored, st.dataPackets()
}

func (s *InboxStats) dataPackets() uint64 { return s.Stored + s.Duplicate + s.Unneeded }

// wanted reports whether waiting for what comes anyway takes too long.
func (a *asking) wanted(now time.Duration, cfg *AskConfig, o *incoming, st *InboxStats) bool {
	packets, stored := st.dataPackets()-a.packets, st.Stored-a.stored
	a.some = false
	switch {
	case o.offer.over && len(o.offer.list) == 0:
	case o.hasStalled():
		a.some = true
	case packets == 0 && now-a.since >= askSilence:
	case packets >= askWindow:
		a.window(now, st)
		if askUse*stored >= packets {
			return false
		}
		total := 0
		for _, n := range a.missing(o) {
			total += n.symbols
		}
		if float64(total) > cfg.Last*float64(o.part.symbols) {
			return false
		}
	default:
		return false
	}
	return !a.gone
}

// backOff has it ask later, at a random time of a truncated exponential distribution (RFC 5401, RandomBackoff): of any number of receivers few are early.
func (k *asker) backOff(now time.Duration, a *asking) {
	lambda := math.Log(float64(k.cfg.Receivers)) + 1
	t := math.Log1p(k.rng.Float64()*math.Expm1(lambda)) / lambda
	a.state, a.due = askBackOff, now+time.Duration(t*float64(k.cfg.BackOff))
}

// missing lists what an object's open blocks lack, or those that have stalled.
func (a *asking) missing(o *incoming) (list []need) {
	some := a.some && !o.offer.over
	for i := range o.blocks {
		if b := &o.blocks[i]; b.state == blockOpen && (!some || o.stalled(b)) {
			list = append(list, need{i, o.part.k(i) - b.held})
		}
	}
	return list
}

// covers reports whether something that is missing is offered, or will be soon.
func covers(f *offer, missing []need) bool {
	if f.full {
		return true
	}
	at := 0
	for _, n := range missing {
		if f.of(n.block, &at) > 0 {
			return true
		}
	}
	return false
}

// lacking lists what to ask for: of what is missing, and is not offered, so much that enough will arrive, most probably. While half of what is missing
// is under way, or the source is busy, there is time to ask for the rest.
func (a *asking) lacking(missing []need, o *incoming) (list []need) {
	at, offered, total := 0, 0, 0
	for _, n := range missing {
		offered += min(n.symbols, o.offer.of(n.block, &at))
		total += n.symbols
	}
	if 2*offered >= total || o.offer.full {
		return nil
	}
	at = 0
	for _, n := range missing {
		if o.offer.of(n.block, &at) >= n.symbols {
			continue
		}
		m := float64(n.symbols)
		want := int((m+2*math.Sqrt(m*(1-a.rate)))/a.rate) + 2
		list = append(list, need{n.block, min(want, o.part.k(n.block))})
		if len(list) == mostNeeds(o.part.symbolBytes) {
			break
		}
	}
	return list
}

// hold notes what is offered, and what is missing.
func (a *asking) hold(missing []need, o *incoming) {
	a.state = askHeld
	a.held, a.given = append(a.held[:0], missing...), append(a.given[:0], o.offer.list...)
}

// learn finds out how much of what was offered did arrive, by blocks for which it was not enough.
func (a *asking) learn(missing []need) {
	given, got := 0, 0
	before, after := offer{list: a.held}, offer{list: missing}
	var i, j int
	for _, n := range a.given {
		if left := after.of(n.block, &j); left > 0 {
			given += n.symbols
			got += before.of(n.block, &i) - left
		}
	}
	if got > 0 { // else it was nothing of ours
		a.of[0], a.of[1] = a.of[0]+given, a.of[1]+got
		a.rate = min(1, max(0.25, float64(a.of[1]+rateDoubt)/float64(a.of[0]+rateDoubt)))
		if a.of[0] > rateMemory {
			a.of[0], a.of[1] = a.of[0]/2, a.of[1]/2
		}
	}
}
