package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rmcast/rmcast/internal/measuring"
)

// column is one figure of a result.
type column struct {
	head string
	text func(r Result) string
}

func number(f func(r Result) float64) func(Result) string {
	return func(r Result) string { return measuring.Short(f(r)) }
}

func per(f func(c Costs) int) func(Result) string {
	return number(func(r Result) float64 { return r.Costs.per(f(r.Costs)) })
}

func ms(f func(r Result) time.Duration) func(Result) string {
	return number(func(r Result) float64 { return measuring.Milliseconds(f(r)) })
}

// columns are those of every table. Times are in milliseconds, costs per loss event.
var columns = []column{
	{"receivers", func(r Result) string { return sizeText(r.Receivers) }},
	{"RTT", func(r Result) string { return r.RTT.String() }},
	{"loss", func(r Result) string { return string(r.Loss) }},
	{"law", func(r Result) string { return string(r.Law) }},
	{"traffic", func(r Result) string {
		if r.Stream {
			return "stream"
		}
		return "single"
	}},
	{"events", func(r Result) string { return strconv.Itoa(r.Costs.Events) }},
	{"losers", per(func(c Costs) int { return c.Losers })},
	{"first NAKs", number(func(r Result) float64 { return r.First.per(r.First.NAKs) })},
	{"NAKs", per(func(c Costs) int { return c.NAKs })},
	{"most", func(r Result) string { return strconv.Itoa(r.Costs.MostNAKs) }},
	{"NCFs", per(func(c Costs) int { return c.NCFs })},
	{"repairs", per(func(c Costs) int { return c.Repairs })},
	{"dup", per(func(c Costs) int { return c.Extra })},
	{"idle", per(func(c Costs) int { return c.Idle })},
	{"p50", ms(func(r Result) time.Duration { return r.Recovery.P50 })},
	{"p99", ms(func(r Result) time.Duration { return r.Recovery.P99 })},
	{"max", ms(func(r Result) time.Duration { return r.Recovery.Max })},
	{"asked p50", ms(func(r Result) time.Duration { return r.Asked.P50 })},
	{"asked p99", ms(func(r Result) time.Duration { return r.Asked.P99 })},
	{"T", ms(func(r Result) time.Duration { return r.T })},
	{"T+3RTT", ms(func(r Result) time.Duration { return r.T + 3*r.RTT.Most })},
	{"N told", number(func(r Result) float64 { return r.Group })},
	{"ACKs", func(r Result) string { return strconv.Itoa(r.MostACKs) }},
	{"lost", func(r Result) string { return strconv.FormatUint(r.Unfixed, 10) }},
	{"seconds", number(func(r Result) float64 { return r.Took.Seconds() })},
}

const legend = `Costs are per loss event, times in ms. first NAKs: over the first loss events from the cold start, which the rest of the row leaves out
(20 of them, fewer where a million lose together); most: NAKs of one event; dup: repairs beyond the first; idle: repairs that nobody needed;
p50, p99, max: from when the packet would have come to when the data came; asked: from when it was found missing; T: the backoff interval at the
end, N told: the group size that receivers draw by; ACKs: the most answers to one probe; lost: never repaired.
`

// writeTable prints results as text.
func writeTable(w io.Writer, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, c := range columns {
		fmt.Fprintf(t, "%s\t", c.head)
	}
	fmt.Fprintln(t)
	for _, r := range results {
		for _, c := range columns {
			fmt.Fprintf(t, "%s\t", c.text(r))
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, legend)
	return err
}

// writeCSV prints results for spreadsheets.
func writeCSV(w io.Writer, results []Result) error {
	c := csv.NewWriter(w)
	row := make([]string, 0, len(columns)+1)
	for _, x := range columns {
		row = append(row, x.head)
	}
	if err := c.Write(append(row, "seed")); err != nil {
		return err
	}
	for _, r := range results {
		row = row[:0]
		for _, x := range columns {
			row = append(row, x.text(r))
		}
		if err := c.Write(append(row, strconv.FormatUint(r.Seed, 10))); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// writeMarkdown prints the columns with the given heads as a table for the documentation.
func writeMarkdown(w io.Writer, results []Result, heads ...string) {
	var shown []column
	for _, h := range heads {
		for _, c := range columns {
			if c.head == h {
				shown = append(shown, c)
			}
		}
	}
	line := func(f func(c column) string) {
		cells := make([]string, len(shown))
		for i, c := range shown {
			cells[i] = f(c)
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
	line(func(c column) string { return c.head })
	line(func(column) string { return "---:" })
	for _, r := range results {
		line(func(c column) string { return c.text(r) })
	}
}
