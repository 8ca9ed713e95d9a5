package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// table is the results of one kind: a row each, a column for each figure that any of them has.
type table struct {
	kind string
	head []string
	rows []*Result
}

// tables sorts results by kind, and by what figures they have: those of scripts differ, and get tables of their own.
func tables(results []Result) (all []*table) {
	for i := range results {
		r := &results[i]
		var head []string
		for _, f := range r.Figures {
			head = append(head, f.Name)
		}
		k := slices.IndexFunc(all, func(t *table) bool { return t.kind == r.Kind && (slices.Equal(t.head, head) || len(head) == 0) })
		if k < 0 {
			k = len(all)
			all = append(all, &table{kind: r.Kind, head: head})
		}
		all[k].rows = append(all[k].rows, r)
	}
	return all
}

// titles tell what a row of each kind is.
var titles = map[string]string{
	"alone": "bottleneck, RTT", "noise": "RTT, loss, receivers", "tree": "policy, tree", "liar": "what it says", "script": "scenario",
	"tcp": "against", "killed": "who", "loss": "what", "bulk": "receivers, loss",
}

// cell is what stands in a table, with the bound where one is asked.
func cell(r *Result, name string) string {
	f, ok := r.figure(name)
	if !ok {
		return ""
	}
	s := f.text()
	if f.Must == "" {
		return s
	}
	sign := map[string]string{least: "≥", most: "≤"}[f.Must]
	s += " (" + sign + " " + short(f.Bound) + ")"
	if !f.holds() {
		s += " fails"
	}
	return s
}

// writeTable prints results as text.
func writeTable(w io.Writer, results []Result) error {
	for _, x := range tables(results) {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(t, "%s\t%s\ttook\t\n", x.kind, strings.Join(x.head, "\t"))
		for _, r := range x.rows {
			fmt.Fprintf(t, "%s\t", r.Name)
			if r.Error != "" {
				fmt.Fprintf(t, "%s\t\n", r.Error)
				continue
			}
			for _, h := range x.head {
				fmt.Fprintf(t, "%s\t", cell(r, h))
			}
			fmt.Fprintf(t, "%.1f s\t\n", r.Took.Seconds())
		}
		if err := t.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	return nil
}

// writeMarkdown prints the tables of the documentation.
func writeMarkdown(w io.Writer, results []Result) {
	for _, x := range tables(results) {
		title := titles[x.kind]
		if title == "" {
			title = x.kind
		}
		fmt.Fprintf(w, "| %s | %s |\n| --- |%s\n", title, strings.Join(x.head, " | "), strings.Repeat(" ---: |", len(x.head)))
		for _, r := range x.rows {
			fmt.Fprintf(w, "| %s |", r.Name)
			if r.Error != "" {
				fmt.Fprintf(w, " %s |\n", r.Error)
				continue
			}
			for _, h := range x.head {
				fmt.Fprintf(w, " %s |", cell(r, h))
			}
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w)
	}
}
