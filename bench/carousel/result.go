package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rmcast/rmcast/internal/measuring"
)

// Result is what a case came to.
type Result struct {
	Kind, Name string
	Figures    []Figure
	Notes      []string `json:",omitempty"` // what is no number
	Error      string   `json:",omitempty"`
	Missing    bool     `json:",omitempty"` // the program is not installed
	Took       time.Duration
}

// Figure is a number, which may have a bound.
type Figure struct {
	Name, Unit  string
	Value       float64
	Most, Least *float64 `json:",omitempty"`
}

func (r *Result) id() string { return r.Kind + "/" + r.Name }

func (r *Result) note(name string, v float64, unit string) {
	r.Figures = append(r.Figures, Figure{Name: name, Unit: unit, Value: v})
}

func (r *Result) atMost(name string, v float64, unit string, most float64) {
	r.Figures = append(r.Figures, Figure{Name: name, Unit: unit, Value: v, Most: &most})
}

func (r *Result) atLeast(name string, v float64, unit string, least float64) {
	r.Figures = append(r.Figures, Figure{Name: name, Unit: unit, Value: v, Least: &least})
}

// value returns a figure's value; ok is false if there is none.
func (r *Result) value(name string) (v float64, ok bool) {
	i := slices.IndexFunc(r.Figures, func(f Figure) bool { return f.Name == name })
	if i < 0 {
		return 0, false
	}
	return r.Figures[i].Value, true
}

func (f Figure) holds() bool {
	return (f.Most == nil || f.Value <= *f.Most) && (f.Least == nil || f.Value >= *f.Least)
}

func (f Figure) bounded() bool { return f.Most != nil || f.Least != nil }

func (f Figure) String() string {
	switch {
	case f.Most != nil:
		return measuring.AtMost(f.Name, f.Value, *f.Most, " "+f.Unit).String()
	case f.Least != nil:
		return measuring.AtLeast(f.Name, f.Value, *f.Least, " "+f.Unit).String()
	}
	return f.Name + " " + f.text()
}

// text is the value with its unit.
func (f Figure) text() string {
	s := measuring.Short(max(f.Value, -f.Value))
	if f.Value < 0 {
		s = "-" + s
	}
	return strings.TrimSpace(s + " " + f.Unit)
}

// cell is what stands in a table.
func (f Figure) cell() string {
	s := f.text()
	if f.Most != nil {
		s += " (≤ " + measuring.Short(*f.Most) + ")"
	}
	if f.Least != nil {
		s += " (≥ " + measuring.Short(*f.Least) + ")"
	}
	if !f.holds() {
		s += " fails"
	}
	return s
}

// String is a result in lines.
func (r *Result) String() string {
	var lines []string
	for _, f := range r.Figures {
		lines = append(lines, "   "+f.String())
	}
	for _, n := range r.Notes {
		lines = append(lines, "   "+n)
	}
	switch {
	case r.Missing:
		lines = append(lines, "   "+r.Error)
	case r.Error != "":
		lines = append(lines, "   FAILS "+r.Error)
	}
	return strings.Join(lines, "\n")
}

var errFails = errors.New("an acceptance line does not hold")

// judge counts what holds. A rival's failure is not ours.
func judge(w io.Writer, results []Result) error {
	asked, bad := 0, 0
	ask := func(holds bool, what string) {
		if asked++; !holds {
			bad++
			fmt.Fprintln(w, what)
		}
	}
	for i := range results {
		r := &results[i]
		if r.Error != "" && !r.rival() {
			ask(false, "FAILS "+r.id()+": "+r.Error)
		}
		for _, f := range r.Figures {
			if f.bounded() {
				ask(f.holds(), r.id()+": "+f.String())
			}
		}
	}
	for _, f := range append(contest(results), slowed(results)...) {
		ask(f.holds(), f.String())
	}
	fmt.Fprintf(w, "%d of %d hold\n", asked-bad, asked)
	if bad > 0 {
		return errFails
	}
	return nil
}

// contest compares our best with the best of the others at each loss rate: the time always, the bytes from 1 % up. Of those that were not all
// measured it says nothing.
func contest(results []Result) (all []Figure) {
	type best struct{ ours, theirs float64 }
	find := func(loss, figure string) (b best) {
		for i := range results {
			r := &results[i]
			_, at, _ := strings.Cut(r.Name, ", ")
			v, ok := r.value(figure)
			if r.Kind != kindBeside || at != loss || r.Error != "" || !ok {
				continue
			}
			into := &b.ours
			if r.rival() {
				into = &b.theirs
			}
			if *into == 0 || v < *into {
				*into = v
			}
		}
		return b
	}
	var done []string
	for i := range results {
		_, loss, ok := strings.Cut(results[i].Name, ", ")
		if results[i].Kind != kindBeside || !ok || slices.Contains(done, loss) {
			continue
		}
		done = append(done, loss)
		for _, figure := range []string{figureTime, figureWire} {
			if figure == figureWire && loss == percent(0) {
				continue
			}
			if b := find(loss, figure); b.ours > 0 && b.theirs > 0 {
				most := 100.0
				all = append(all, Figure{Name: fmt.Sprintf("%s at %s, ours of the best other's", figure, loss), Unit: "%", Value: 100 * b.ours / b.theirs, Most: &most})
			}
		}
	}
	return all
}

// slowed compares what receivers of layers get beside those behind other links with what they get alone.
func slowed(results []Result) (all []Figure) {
	const least = 95 // the window is some seconds, and a try of a layer too many falls into it or not
	of := func(name string) *Result {
		i := slices.IndexFunc(results, func(r Result) bool { return r.Kind == kindLayers && r.Name == name && r.Error == "" })
		if i < 0 {
			return &Result{}
		}
		return &results[i]
	}
	together, alone := of(layersTogether), of(layersAlone)
	for _, f := range together.Figures {
		if v, ok := alone.value(f.Name); ok && v > 0 {
			bound := float64(least)
			all = append(all, Figure{Name: "behind " + f.Name + " together, of what it is alone", Unit: "%", Value: 100 * f.Value / v, Least: &bound})
		}
	}
	return all
}

// rival reports whether the result is of another program.
func (r *Result) rival() bool { return r.Kind == kindBeside && !strings.HasPrefix(r.Name, "carousel") }

// kinds are those that the results have, in order, with the figures of each.
func kinds(results []Result) (names []string, figures map[string][]string) {
	figures = map[string][]string{}
	for i := range results {
		r := &results[i]
		if !slices.Contains(names, r.Kind) {
			names = append(names, r.Kind)
		}
		for _, f := range r.Figures {
			if !slices.Contains(figures[r.Kind], f.Name) {
				figures[r.Kind] = append(figures[r.Kind], f.Name)
			}
		}
	}
	return names, figures
}

// write prints a table for each kind of results: of text, or for the documentation.
func write(w io.Writer, results []Result, markdown bool) error {
	names, figures := kinds(results)
	for _, kind := range names {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		row := func(cells []string) { fmt.Fprintln(t, strings.Join(cells, "\t")) }
		if markdown {
			row = func(cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }
		}
		row(append([]string{kind}, figures[kind]...))
		if markdown {
			fmt.Fprintf(w, "|---|%s\n", strings.Repeat("---:|", len(figures[kind])))
		}
		for i := range results {
			if r := &results[i]; r.Kind == kind {
				row(append([]string{r.Name}, r.cells(figures[kind])...))
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	return nil
}

func (r *Result) cells(figures []string) (cells []string) {
	if r.Error != "" {
		return []string{r.Error}
	}
	for _, name := range figures {
		cell := ""
		for _, f := range r.Figures {
			if f.Name == name {
				cell = f.cell()
			}
		}
		cells = append(cells, cell)
	}
	return cells
}
