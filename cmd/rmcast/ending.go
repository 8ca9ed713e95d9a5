package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
	"github.com/rmcast/rmcast/cmd/rmcast/internal/roster"
)

// settle is how long a sender stays for receivers that failed or fell silent.
const settle = time.Minute

// tally is what receivers have become.
type tally struct {
	done, active, failed int
	least                float64  // of the active: how far the last is
	lost                 []string // of the failed: who, and why
}

// count sorts the receivers among members.
func count(members []roster.Member) (t tally) {
	t.least = 1
	for _, m := range members {
		if m.Role != roleRecv || m.State != roster.Done && m.Gone && cameBack(m, members) {
			continue
		}
		switch {
		case m.State == roster.Done:
			t.done++
		case m.State == roster.Fail, m.Gone:
			t.failed++
			t.lost = append(t.lost, fmt.Sprintf("%s (%s)", m.Host, fate(m)))
		default:
			t.active++
			t.least = min(t.least, m.Have)
		}
	}
	return t
}

// fate is what has become of a receiver that is not at it any more and lacks something.
func fate(m roster.Member) string {
	switch {
	case m.State == roster.Fail:
		return "gave up: " + m.Why
	case m.Left:
		return "was stopped at " + human.Percent(m.Have)
	}
	return "fell silent at " + human.Percent(m.Have)
}

// cameBack reports whether a receiver that is gone was started again, into the same directory.
func cameBack(gone roster.Member, members []roster.Member) bool {
	return slices.ContainsFunc(members, func(m roster.Member) bool {
		return m.Role == gone.Role && m.Host == gone.Host && m.Addr == gone.Addr && m.Place == gone.Place && m.Since.After(gone.Since)
	})
}

// ending decides when a sender that knows its receivers ends.
type ending struct {
	want int
	idle time.Time // since when nobody is active though somebody lacks something; zero: somebody is
}

// over reports whether to end at now, and whether all is well.
func (x *ending) over(now time.Time, t tally) (end, well bool) {
	switch {
	case t.active > 0:
		x.idle = time.Time{}
		return false, false
	case t.done >= x.want && t.failed == 0:
		return true, true
	case x.idle.IsZero():
		x.idle = now
	}
	return now.Sub(x.idle) >= settle, false
}
