package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Case is one thing that is measured: a network and what happens in it.
type Case struct {
	Kind, Name string
	text       string // what it is, for the check
	quick      bool   // takes a second or two
	run        func(ctx context.Context, r *Result) error
}

func (c *Case) id() string { return c.Kind + "/" + c.Name }

// Result is what a case came to.
type Result struct {
	Kind, Name string
	Figures    []Figure
	Series     *Series `json:",omitempty"` // what happened over time
	Error      string  `json:",omitempty"` // why it came to nothing
	Took       time.Duration
}

// String tells all figures.
func (r *Result) String() string {
	if r.Error != "" {
		return "FAILS " + r.Error
	}
	texts := make([]string, len(r.Figures))
	for i, f := range r.Figures {
		texts[i] = f.String()
	}
	return strings.Join(texts, "; ")
}

func (r *Result) id() string { return r.Kind + "/" + r.Name }

// Figure is one number, which may have to be at least or at most another.
type Figure struct {
	Name, Unit string
	Value      float64
	Must       string  `json:",omitempty"` // least or most; empty: nothing is asked of it
	Bound      float64 `json:",omitempty"`
	Spread     string  `json:",omitempty"` // of several runs: least to greatest
}

// What a bound may be.
const (
	least = "least"
	most  = "most"
)

func (f Figure) holds() bool {
	switch f.Must {
	case least:
		return f.Value >= f.Bound
	case most:
		return f.Value <= f.Bound
	}
	return true
}

// String tells the figure beside its bound.
func (f Figure) String() string {
	s := f.Name + " " + f.text()
	if f.Must != "" {
		s = fmt.Sprintf("%s (at %s %s)", s, f.Must, quantity(f.Bound, f.Unit))
		if !f.holds() {
			s = "FAILS " + s
		}
	}
	return s
}

// text is the value alone.
func (f Figure) text() string {
	if f.Spread != "" {
		return quantity(f.Value, f.Unit) + " [" + f.Spread + "]"
	}
	return quantity(f.Value, f.Unit)
}

func quantity(v float64, unit string) string {
	return strings.TrimSpace(short(v) + " " + unit)
}

// note adds a figure of which nothing is asked.
func (r *Result) note(name string, v float64, unit string) {
	r.Figures = append(r.Figures, Figure{Name: name, Value: v, Unit: unit})
}

// need adds a figure with a bound.
func (r *Result) need(name string, v float64, unit, must string, bound float64) {
	r.Figures = append(r.Figures, Figure{Name: name, Value: v, Unit: unit, Must: must, Bound: bound})
}

// figure returns the figure of that name; ok is false if there is none.
func (r *Result) figure(name string) (f Figure, ok bool) {
	i := slices.IndexFunc(r.Figures, func(f Figure) bool { return f.Name == name })
	if i < 0 {
		return f, false
	}
	return r.Figures[i], true
}

// Series is what was seen at equal distances in time.
type Series struct {
	Step   time.Duration // value i of a track is that of the time from i*Step to (i+1)*Step, or of its end
	Tracks []Track
}

// Track is one curve. Those of one unit share a panel.
type Track struct {
	Name, Unit string
	Values     []float64
}

// track returns the track of that name; nil if there is none.
func (s *Series) track(name string) *Track {
	for i := range s.Tracks {
		if s.Tracks[i].Name == name {
			return &s.Tracks[i]
		}
	}
	return nil
}

// mean returns the mean of a track from one instant to another.
func (s *Series) mean(name string, from, to time.Duration) float64 {
	t, sum, n := s.track(name), 0.0, 0
	for i := int(from / s.Step); i < int(to/s.Step) && i < len(t.Values); i++ {
		sum += t.Values[i]
		n++
	}
	return sum / float64(max(n, 1))
}

// reaches returns how long after from the track is at least bound for a while (its mean over that time) for the first time; the while counts. If it
// never is, infinity.
func (s *Series) reaches(name string, from, while time.Duration, bound float64) time.Duration {
	return s.first(name, from, while, func(v float64) bool { return v >= bound })
}

// first returns how long after from the mean of the track over a while is good for the first time.
func (s *Series) first(name string, from, while time.Duration, good func(v float64) bool) time.Duration {
	t, k := s.track(name), max(1, int(while/s.Step))
	for i := int(from / s.Step); i+k <= len(t.Values); i++ {
		sum := 0.0
		for _, v := range t.Values[i : i+k] {
			sum += v
		}
		if good(sum / float64(k)) {
			return max(0, time.Duration(i+k)*s.Step-from)
		}
	}
	return never
}

// settles returns how long after from the means of the track over a while are all good until to.
func (s *Series) settles(name string, from, to, while time.Duration, good func(v float64) bool) time.Duration {
	t, k, last := s.track(name), max(1, int(while/s.Step)), from
	for i := int(from / s.Step); i+k <= min(len(t.Values), int(to/s.Step)); i++ {
		sum := 0.0
		for _, v := range t.Values[i : i+k] {
			sum += v
		}
		if !good(sum / float64(k)) {
			last = time.Duration(i+1) * s.Step
			if i+k+1 > min(len(t.Values), int(to/s.Step)) {
				return never
			}
		}
	}
	return last - from
}

const never = time.Duration(math.MaxInt64)

// seconds prints better than never.
func seconds(d time.Duration) float64 {
	if d == never {
		return math.MaxFloat64
	}
	return d.Seconds()
}

// median returns the middle value, or the mean of the two in the middle.
func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v) == 0 {
		return 0
	}
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// jain is the fairness index of Jain: 1 where all are equal, 1/n where one has all.
func jain(v ...float64) float64 {
	sum, squares := 0.0, 0.0
	for _, x := range v {
		sum += x
		squares += x * x
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / (squares * float64(len(v)))
}
