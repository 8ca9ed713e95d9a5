package history

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/sim"
)

// Shrink looks for the shortest history that violates the same invariant as h, for as long as within. It drops steps, receivers and
// impairments, takes defaults for settings, and halves sizes and times, as long as what is left still fails; since everything draws other
// random numbers then, it tries a few seeds each time. It returns the shortest found, h if there is none, and its violation.
func (r *Runner) Shrink(h *History, v *Violation, within time.Duration) (*History, *Violation) {
	s := &shrinker{r: r, best: h, fault: v, until: time.Now().Add(within)}
	for changed := true; changed && !s.late(); {
		changed = false
		for _, pass := range []func() bool{s.dropSteps, s.dropMembers, s.clearArgs, s.clearFields, s.halve, s.hasten, s.round} {
			changed = pass() || changed
		}
	}
	return s.best, s.fault
}

type shrinker struct {
	r     *Runner
	best  *History
	fault *Violation
	until time.Time
}

// seedsTried is with how many seeds, beside its own, a shorter history may fail.
const seedsTried = 6

func (s *shrinker) late() bool { return !time.Now().Before(s.until) }

// try takes steps, with those about nothing left out, for the best if they fail in the same way. The steps belong to the shrinker then.
func (s *shrinker) try(steps []Step) bool {
	return s.tryWith(s.best.V4, steps)
}

func (s *shrinker) tryWith(v4 bool, steps []Step) bool {
	h := &History{V4: v4, Steps: prune(steps)}
	if h.Validate() != nil {
		return false
	}
	var c Counts
	for i := range uint64(1 + seedsTried) {
		if s.late() {
			return false
		}
		if h.Seed = i; i == 0 {
			h.Seed = s.best.Seed
		}
		if v := s.r.Run(h, &c); v != nil && v.Rule == s.fault.Rule {
			s.best, s.fault = h, v
			return true
		}
	}
	return false
}

// prune leaves out the steps about what no step adds, and numbers what is left anew.
func prune(steps []Step) []Step {
	var ids [3]map[int]int
	for i := range ids {
		ids[i] = map[int]int{}
	}
	var out []Step
	for _, s := range steps {
		of := verbs[s.Do].of
		if s.Do.adds() {
			ids[of][s.Who] = len(ids[of]) + 1
		}
		id, ok := ids[of][s.Who]
		if !ok {
			continue
		}
		s.Who = id
		switch a := s.Args.(type) { // what hung on a branch that is gone hangs on the root
		case *Branch:
			s.Args = with(a, func(a *Branch) { a.On = ids[branches][a.On] })
		case *Source:
			s.Args = with(a, func(a *Source) { a.On = ids[branches][a.On] })
		case *Group:
			s.Args = with(a, func(a *Group) { a.On = ids[branches][a.On] })
		}
		out = append(out, s)
	}
	return out
}

// with returns a changed copy.
func with[T any](of *T, change func(*T)) *T {
	c := *of
	change(&c)
	return &c
}

// replace returns the best's steps with another in place of step i.
func (s *shrinker) replace(i int, step Step) []Step {
	out := slices.Clone(s.best.Steps)
	out[i] = step
	return out
}

// dropSteps leaves out runs of steps: halves, quarters, and so on.
func (s *shrinker) dropSteps() (changed bool) {
	for size := len(s.best.Steps) / 2; size > 0; size /= 2 {
		for i := len(s.best.Steps) - size; i >= 0; i -= size {
			i = min(i, len(s.best.Steps)-size)
			if i < 0 {
				break
			}
			if s.try(slices.Concat(s.best.Steps[:i], s.best.Steps[i+size:])) {
				changed = true
			}
		}
	}
	return changed
}

// dropMembers makes groups smaller; steps about receivers that are gone go, too.
func (s *shrinker) dropMembers() (changed bool) {
	for i := 0; i < len(s.best.Steps); i++ {
		g, ok := s.best.Steps[i].Args.(*Group)
		for ok && g.count() > 1 {
			who, count := s.best.Steps[i].Who, g.count()
			done := false
			for _, without := range []int{count, 1} {
				step := s.best.Steps[i]
				step.Args = with(g, func(g *Group) { g.Count = count - 1 })
				steps := slices.DeleteFunc(s.replace(i, step), func(x Step) bool {
					return verbs[x.Do].of == groups && !x.Do.adds() && x.Who == who && x.Member == without
				})
				for k := range steps {
					if x := &steps[k]; verbs[x.Do].of == groups && !x.Do.adds() && x.Who == who && x.Member > without {
						x.Member--
					}
				}
				if done = s.try(steps); done {
					break
				}
			}
			if !done {
				break
			}
			changed = true
			if i >= len(s.best.Steps) {
				break
			}
			g, ok = s.best.Steps[i].Args.(*Group)
		}
	}
	return changed
}

// clearArgs takes all defaults for what a step adds, but for what makes it large.
func (s *shrinker) clearArgs() (changed bool) {
	for i := 0; i < len(s.best.Steps); i++ {
		step := s.best.Steps[i]
		before := step.Args
		switch a := step.Args.(type) {
		case *Branch:
			step.Args = &Branch{}
		case *Source:
			step.Args = &Source{}
		case *Group:
			step.Args = &Group{Count: a.Count}
		case *Links:
			step.Args = &Links{}
		}
		if !reflect.DeepEqual(before, step.Args) && s.try(s.replace(i, step)) {
			changed = true
		}
	}
	return changed
}

// clearFields does so for one setting after the other, and for each field of an impairment.
func (s *shrinker) clearFields() (changed bool) {
	for i := 0; i < len(s.best.Steps); i++ {
		if _, ok := s.best.Steps[i].Args.(*Write); ok || s.best.Steps[i].Args == nil {
			continue
		}
		for f := range reflect.ValueOf(s.best.Steps[i].Args).Elem().NumField() {
			if i < len(s.best.Steps) && s.clearField(i, f) {
				changed = true
			}
		}
	}
	return changed
}

func (s *shrinker) clearField(i, f int) (changed bool) {
	attempt := func(change func(field reflect.Value)) bool {
		step := s.best.Steps[i]
		c := reflect.New(reflect.TypeOf(step.Args).Elem())
		c.Elem().Set(reflect.ValueOf(step.Args).Elem())
		change(c.Elem().Field(f))
		if reflect.DeepEqual(c.Interface(), step.Args) {
			return false
		}
		step.Args = c.Interface()
		return s.try(s.replace(i, step))
	}
	if attempt(reflect.Value.SetZero) {
		return true
	}
	field := reflect.ValueOf(s.best.Steps[i].Args).Elem().Field(f)
	if field.Type() != reflect.TypeFor[netem.Impairment]() {
		return false
	}
	for k := range field.NumField() {
		if attempt(func(field reflect.Value) { field.Field(k).SetZero() }) {
			changed = true
		}
	}
	return changed
}

// halve makes what is written less.
func (s *shrinker) halve() (changed bool) {
	for i := 0; i < len(s.best.Steps); i++ {
		for _, change := range []func(*Write){
			func(w *Write) { w.Times = 0 },
			func(w *Write) { w.Times = w.times() / 2 },
			func(w *Write) { w.Times = w.times() - 1 },
			func(w *Write) { w.Bytes = 1 },
			func(w *Write) { w.Bytes /= 2 },
			func(w *Write) { w.Bytes -= max(1, w.Bytes/10) },
		} {
			for again := true; again && !s.late(); {
				again = false
				if w, ok := s.best.Steps[i].Args.(*Write); ok {
					step := s.best.Steps[i]
					c := with(w, change)
					if step.Args = c; c.Bytes > 0 && *c != *w && c.times() <= w.times() && (c.Times != 1 || w.Times != 0) {
						again = s.try(s.replace(i, step))
					}
				}
				changed = changed || again
			}
		}
	}
	return changed
}

// hasten lets steps come sooner: all that follow one, or one alone, but not before the step before it.
func (s *shrinker) hasten() (changed bool) {
	for i := range s.best.Steps {
		before := time.Duration(0)
		if i > 0 {
			before = s.best.Steps[i-1].At
		}
		gap := s.best.Steps[i].At - before
		for _, less := range []time.Duration{gap, gap / 2} {
			if less == 0 {
				continue
			}
			steps := slices.Clone(s.best.Steps)
			for k := i; k < len(steps); k++ {
				steps[k].At -= less
			}
			if s.try(steps) {
				changed = true
				break
			}
		}
	}
	return changed
}

// round makes instants easier to read, and takes IPv6.
func (s *shrinker) round() (changed bool) {
	if s.best.V4 && s.tryWith(false, s.best.Steps) {
		changed = true
	}
	for _, unit := range []time.Duration{time.Second, 100 * time.Millisecond, time.Millisecond} {
		steps := slices.Clone(s.best.Steps)
		for i := range steps {
			steps[i].At = steps[i].At.Truncate(unit)
		}
		if !reflect.DeepEqual(steps, s.best.Steps) && s.try(steps) {
			return true
		}
	}
	return changed
}

// Last runs h again and returns the last lines of what happened until the violation: packets, what was read, what engines told, and the
// steps. v is the violation of that run, nil if there was none.
func (r *Runner) Last(h *History, lines int) (last []string, v *Violation) {
	hide := r.Watch
	defer func() { r.Watch = hide }()
	all := make([]string, 0, 2*lines)
	r.Watch = func(e *sim.Event) bool {
		if len(all) == cap(all) {
			all = append(all[:0], all[lines:]...)
		}
		all = append(all, e.String())
		return hide != nil && hide(e)
	}
	var c Counts
	v = r.Run(h, &c)
	return all[max(0, len(all)-lines):], v
}

// Report tells a violation so that people can see it: the history as text and what happened last.
func (r *Runner) Report(h *History, lines int) string {
	last, v := r.Last(h, lines)
	if v == nil {
		return "no violation\n"
	}
	out := fmt.Sprintf("%v\n\n%v\n", v, h)
	for _, line := range last {
		out += line + "\n"
	}
	return out
}
