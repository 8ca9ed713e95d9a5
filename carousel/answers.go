package carousel

import (
	"slices"
	"time"
)

// answers are the symbols of an object that were asked for and are not sent yet. What several receivers ask for of a block is not added up: the most serves all.
// So that holds for a while after they were sent too: who asks then most probably asked before they came.
type answers struct {
	list   []need  // by block
	left   int     // symbols of all
	last   int     // the block that had the last one
	recent []given // of the last blocks that were answered
}

// given is how many symbols of a block were sent as answers of late: from at on, and in the half of answerHold before.
type given struct {
	block       int
	at          time.Duration
	now, before int
}

// answerHold is how long they count, or half of that. It is about what packets wait before they are sent (queue), and a request takes.
const answerHold = 50 * time.Millisecond

func (g *given) pass(now time.Duration) {
	switch d := now - g.at; {
	case d >= answerHold:
		g.at, g.now, g.before = now, 0, 0
	case d >= answerHold/2:
		g.at, g.now, g.before = g.at+answerHold/2, 0, g.now
	}
}

// maxRecent bounds the blocks that are remembered.
const maxRecent = 64

// maxAnswers bounds the blocks of an object that are being answered.
const maxAnswers = 1024

// ask enters a need, as far as most more symbols go, and returns how many were added.
func (a *answers) ask(n need, most int, now time.Duration) (added int) {
	if n.symbols -= a.lately(n.block, now); n.symbols <= 0 {
		return 0
	}
	i, found := a.find(n.block)
	if found {
		added = max(0, min(n.symbols-a.list[i].symbols, most))
		a.list[i].symbols += added
	} else if added = min(n.symbols, most); added > 0 && len(a.list) < maxAnswers {
		a.list = slices.Insert(a.list, i, need{n.block, added})
	} else {
		return 0
	}
	a.left += added
	return added
}

// lately is how many symbols of a block were sent not long ago.
func (a *answers) lately(block int, now time.Duration) int {
	for i := range a.recent {
		if g := &a.recent[i]; g.block == block {
			g.pass(now)
			return g.now + g.before
		}
	}
	return 0
}

// note remembers that a symbol of a block is sent, in place of the block of which none was sent for longest if there are too many.
func (a *answers) note(block int, now time.Duration) {
	oldest := 0
	for i := range a.recent {
		g := &a.recent[i]
		if g.block == block {
			g.pass(now)
			g.now++
			return
		}
		if g.at < a.recent[oldest].at {
			oldest = i
		}
	}
	g := given{block: block, at: now, now: 1}
	if len(a.recent) < maxRecent {
		a.recent = append(a.recent, g)
	} else {
		a.recent[oldest] = g
	}
}

// take returns the block to send a symbol of, each in its turn. There must be one.
func (a *answers) take(now time.Duration) (block int) {
	i, found := a.find(a.last)
	if found {
		i++
	}
	if i == len(a.list) {
		i = 0
	}
	a.last = a.list[i].block
	a.left--
	a.note(a.last, now)
	if a.list[i].symbols--; a.list[i].symbols == 0 {
		a.list = slices.Delete(a.list, i, i+1)
	}
	return a.last
}

// find returns where a block is in the list, or would be.
func (a *answers) find(block int) (int, bool) {
	return slices.BinarySearchFunc(a.list, block, func(n need, block int) int { return n.block - block })
}
