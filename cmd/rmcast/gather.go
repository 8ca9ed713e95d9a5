package main

import (
	"context"
	"fmt"
	"time"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
	"github.com/rmcast/rmcast/cmd/rmcast/internal/roster"
)

// gathering waits until so many members of a role are there.
type gathering struct {
	*access
	roster *roster.Roster
	role   string        // of those who are waited for
	theirs string        // the command that they run
	want   int           // how many
	give   time.Duration // up after; 0: never
	look   func()        // what else there is to look at
}

// Hints come after these times.
const (
	hintSoon = 3 * tick
	hintLate = 10 * time.Second
)

// wait waits. If ctx ends first it returns its error.
func (g *gathering) wait(ctx context.Context) error {
	give, hint, help := until(g.give), time.After(hintSoon), time.After(hintLate)
	told := -1
	for {
		here := len(g.here())
		if g.look != nil {
			g.look()
		}
		if here >= g.want {
			return nil
		}
		select {
		case <-ctx.Done():
			return ended(ctx)
		case <-give:
			g.e.doubts(g.to, g.roster)
			return g.nobody(g.give)
		case <-hint:
			g.e.doubts(g.to, g.roster)
			g.e.tell.say("waiting", fmt.Sprintf("waiting for %s: run on %s: %s", human.Count(g.want, "receiver"), plural(g.want, "another machine", "the others"), g.theirs), fields{"want": g.want})
			told = here
		case <-help:
			g.e.doubts(g.to, g.roster)
			g.e.tell.say("waiting", fmt.Sprintf("still waiting, %s there. Is it the same name and network? rmcast ping %s, on both machines, says what is wrong", be(here), quote(g.to.given)), nil)
		case <-g.roster.Changed():
			if now := len(g.here()); told >= 0 && now != told {
				told = now
				g.e.tell.say("waiting", fmt.Sprintf("%d of %s there", now, human.Count(g.want, "receiver")), fields{"have": now, "want": g.want})
			}
		}
	}
}

// here are those who are waited for and there.
func (g *gathering) here() (list []roster.Member) {
	for _, m := range g.roster.Members() {
		if m.Role == g.role && !m.Gone {
			list = append(list, m)
		}
	}
	return list
}

// nobody is the error of having waited for too long.
func (g *gathering) nobody(after time.Duration) error {
	here := len(g.here())
	what := fmt.Sprintf("no receiver was there within %s", human.Duration(after))
	if here > 0 {
		what = fmt.Sprintf("only %d of %d receivers were there within %s", here, g.want, human.Duration(after))
	}
	return &failure{exitNobody, what, "Run " + g.theirs + " on the others, " + g.apart() + " -receivers 0 sends to whoever hears.", nil}
}

// plural is one of two words, by a number.
func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// be says how many receivers are there, up to the word that follows.
func be(n int) string {
	if n == 0 {
		return "nobody is"
	}
	return human.Count(n, "receiver") + plural(n, " is", " are")
}
