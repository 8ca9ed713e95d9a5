package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rmcast/rmcast/internal/measuring"
)

// column is one figure of a result.
type column struct {
	head string
	text func(r *Result) string
}

func number(f func(r *Result) float64) func(*Result) string {
	return func(r *Result) string { return measuring.Short(f(r)) }
}

func exact(f func(r *Result) float64) func(*Result) string {
	return func(r *Result) string { return strconv.FormatFloat(f(r), 'f', 3, 64) }
}

func perGroup(f func(c *Costs) int) func(*Result) string {
	return number(func(r *Result) float64 { return r.Costs.perGroup(f(&r.Costs)) })
}

func ms(f func(r *Result) time.Duration) func(*Result) string {
	return number(func(r *Result) float64 { return measuring.Milliseconds(f(r)) })
}

// columns are those of the table.
var columns = []column{
	{"receivers", func(r *Result) string { return sizeText(r.Receivers) }},
	{"loss", func(r *Result) string { return measuring.Short(100*r.Loss) + " %" }},
	{"RTT", func(r *Result) string { return r.RTT.String() }},
	{"data", func(r *Result) string {
		if r.Data == 0 {
			return "bulk"
		}
		return r.Data.String()
	}},
	{"scheme", func(r *Result) string { return string(r.Scheme) }},
	{"packets", exact(func(r *Result) float64 { return r.Costs.packets() })},
	{"min", exact(func(r *Result) float64 { return r.Minimum })},
	{"bytes", exact(func(r *Result) float64 { return r.Costs.bytes() })},
	{"min bytes", exact(func(r *Result) float64 { return r.leastBytes() })},
	{"replays", perGroup(func(c *Costs) int { return c.Replays })},
	{"parity", perGroup(func(c *Costs) int { return c.Parity })},
	{"ahead", perGroup(func(c *Costs) int { return c.Ahead })},
	{"NAKs", perGroup(func(c *Costs) int { return c.NAKs })},
	{"NCFs", perGroup(func(c *Costs) int { return c.NCFs })},
	{"SPMs", perGroup(func(c *Costs) int { return c.SPMs })},
	{"p50", ms(func(r *Result) time.Duration { return r.Costs.Recovery.P50 })},
	{"p99", ms(func(r *Result) time.Duration { return r.Costs.Recovery.P99 })},
	{"95 %", func(r *Result) string {
		q, high := r.Costs.Recovery, "?"
		if q.High < never {
			high = measuring.Short(measuring.Milliseconds(q.High))
		}
		return measuring.Short(measuring.Milliseconds(q.Low)) + "-" + high
	}},
	{"max", ms(func(r *Result) time.Duration { return r.Costs.Recovery.Max })},
	{"start bytes", exact(func(r *Result) float64 { return r.Start.bytes() })},
	{"start p99", ms(func(r *Result) time.Duration { return r.Start.Recovery.P99 })},
	{"groups", func(r *Result) string { return strconv.Itoa(r.Costs.Groups) }},
	{"losses", func(r *Result) string { return strconv.Itoa(r.Costs.Recovery.Count) }},
	{"open", func(r *Result) string { return strconv.Itoa(r.Open) }},
	{"seconds", number(func(r *Result) float64 { return r.Took.Seconds() })},
}

const legend = `packets: data and repairs per data packet, min: the least for the scheme; bytes: all that the source sent, with headers, per byte of payload,
min bytes: the least packets in bytes; replays, parity (asked for), ahead (not asked for), NAKs, NCFs, SPMs: packets a group; p50, p99, max: from
when the packet would have come to when it was there, ms; 95 %: where the p99 of endlessly many lies; start: the first
second of data, which the rest of the row leaves out; losses: recoveries in p50 to max; open: never repaired.
`

// writeTable prints results as text.
func writeTable(w io.Writer, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, c := range columns {
		fmt.Fprintf(t, "%s\t", c.head)
	}
	fmt.Fprintln(t)
	for i := range results {
		for _, c := range columns {
			fmt.Fprintf(t, "%s\t", c.text(&results[i]))
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, legend)
	return err
}

// pivots are the tables of the documentation: a row for each cell, a column for each scheme.
var pivots = []struct {
	title string
	text  func(r *Result) string
}{
	{"Packets per data packet (least that the scheme allows)", func(r *Result) string { return fmt.Sprintf("%.3f (%.3f)", r.Costs.packets(), r.Minimum) }},
	{"Bytes per useful byte, headers, SPMs and NCFs included (least)", func(r *Result) string { return fmt.Sprintf("%.3f (%.3f)", r.Costs.bytes(), r.leastBytes()) }},
	{"Loss to repair, ms: p50 / p99", func(r *Result) string { return measuring.Short(p50(r)) + " / " + measuring.Short(p99(r)) }},
	{"NAKs / NCFs per group of 64", func(r *Result) string {
		return measuring.Short(r.Costs.perGroup(r.Costs.NAKs)) + " / " + measuring.Short(r.Costs.perGroup(r.Costs.NCFs))
	}},
	{"The first second: bytes per useful byte, p99 in ms", func(r *Result) string {
		return fmt.Sprintf("%.3f, %s", r.Start.bytes(), measuring.Short(measuring.Milliseconds(r.Start.Recovery.P99)))
	}},
}

// writeMarkdown prints the tables of the documentation.
func writeMarkdown(w io.Writer, results []Result) {
	var shown []Scheme
	for i := range results {
		if s := results[i].Scheme; !slices.Contains(shown, s) {
			shown = append(shown, s)
		}
	}
	for _, t := range pivots {
		fmt.Fprintf(w, "### %s\n\n| receivers | loss | RTT | data |", t.title)
		for _, s := range shown {
			fmt.Fprintf(w, " %s |", s)
		}
		fmt.Fprintf(w, "\n|%s\n", strings.Repeat(" ---: |", 4+len(shown)))
		var last Cell
		for i := range results {
			r := &results[i]
			if r.Cell != last {
				if i > 0 {
					fmt.Fprintln(w)
				}
				last = r.Cell
				for _, c := range columns[:4] {
					fmt.Fprintf(w, "| %s ", c.text(r))
				}
				fmt.Fprint(w, "|")
			}
			fmt.Fprintf(w, " %s |", t.text(r))
		}
		fmt.Fprint(w, "\n\n")
	}
}
