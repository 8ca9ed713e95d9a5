package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"time"

	"github.com/rmcast/rmcast/flow"
)

//go:embed report.html
var reportHTML string

var reportTemplate = template.Must(template.New("report").Parse(reportHTML))

// Results is all that a run of the program found out: what -json prints and -html draws.
type Results struct {
	Date       time.Time     `json:"date"`
	Command    string        `json:"command"`
	Machine    string        `json:"machine"`
	Processors int           `json:"processors"`
	World      string        `json:"world"`
	Seed       uint64        `json:"seed"`
	File       string        `json:"file,omitempty"`
	Congestion string        `json:"tcp_congestion_control,omitempty"`
	RecvBuffer int           `json:"udp_receive_buffer,omitempty"`
	Took       time.Duration `json:"took_ns"`
	Rows       []Row         `json:"rows"` // the median round of each
	Rounds     []Row         `json:"rounds,omitempty"`
	Pairs      []Pair        `json:"pairs,omitempty"`
	Delays     []Row         `json:"delays,omitempty"`
	Runs       []*Run        `json:"runs"` // everything, as measured
}

// page is what the template draws.
type page struct {
	*Results
	Width, Height, Left, Right, Bottom int
	Charts                             []*chart
	Sections                           []pageSection
	Heads                              []pageField
	Legend                             string
	Schemes                            []Scheme // beside rmcast and tcp
	DelayHeads                         []string
	DelaySections                      []delaySection
}

type delaySection struct {
	Title string
	Rows  [][]string
}

// pageField is a cell of a table.
type pageField struct {
	Text string
	Left bool
}

type pageSection struct {
	Title string
	Rows  []pageRow
}

type pageRow struct {
	Scheme Scheme
	Fields []pageField
	Remark string
}

// writeHTML writes one file that needs no other.
func (r *Results) writeHTML(w io.Writer) error {
	p := page{Results: r, Width: chartWidth, Height: chartHeight, Left: plotLeft, Right: plotRight, Bottom: plotBottom,
		Charts: r.charts(), Legend: legend}
	for _, c := range columns {
		p.Heads = append(p.Heads, pageField{c.head[0] + " " + c.head[1], c.left})
	}
	for i := range r.Rows {
		row := &r.Rows[i]
		title := section(&row.Cell)
		if n := len(p.Sections); n == 0 || p.Sections[n-1].Title != title {
			p.Sections = append(p.Sections, pageSection{Title: title})
		}
		pr := pageRow{Scheme: row.Scheme, Remark: row.remark()}
		for _, c := range columns {
			pr.Fields = append(pr.Fields, pageField{c.text(row), c.left})
		}
		last := &p.Sections[len(p.Sections)-1]
		last.Rows = append(last.Rows, pr)
	}
	p.DelayHeads = delayHeads
	for i := range r.Delays {
		row := &r.Delays[i]
		title := delayTitle(&row.Cell)
		if n := len(p.DelaySections); n == 0 || p.DelaySections[n-1].Title != title {
			p.DelaySections = append(p.DelaySections, delaySection{Title: title})
		}
		last := &p.DelaySections[len(p.DelaySections)-1]
		last.Rows = append(last.Rows, delayFields(row))
	}
	for _, row := range slices.Concat(r.Rows, r.Delays) {
		if s := row.Scheme; s != Rmcast && s != FanOut && !slices.Contains(p.Schemes, s) {
			p.Schemes = append(p.Schemes, s)
		}
	}
	return reportTemplate.Execute(w, p)
}

// charts draws what the rows allow to.
func (r *Results) charts() []*chart {
	var out []*chart
	add := func(c *chart, rows []Row, label func(*Row) string, value, mark func(*Row) float64) {
		c.fill(rows, label, value, mark)
		if len(c.groups) > 0 {
			c.layOut()
			out = append(out, c)
		}
	}
	goodput := func(row *Row) float64 { return row.Goodput / 1e6 }
	byGroup := func(row *Row) string { return fmt.Sprintf("R = %d", row.Cell.Receivers) }
	byLoss := func(row *Row) string { return percent(row.Cell.Loss) + " loss" }
	byStream := func(row *Row) string { return fmt.Sprintf("%v, %v", row.Cell.Messages, percent(row.Cell.Loss)) }
	whole := pick(r.Rows, func(row *Row) bool { return row.Cell.Shaped() && row.Cell.Offload })
	single := pick(r.Rows, func(row *Row) bool { return row.Cell.Shaped() && !row.Cell.Offload })
	if len(whole) == 0 {
		whole = pick(single, func(row *Row) bool { return row.Cell.Loss == 0 })
	}
	largest := 0
	for i := range single {
		largest = max(largest, single[i].Cell.Receivers)
	}
	lossy := pick(single, func(row *Row) bool { return row.Cell.Loss == 0.1 })
	for _, rows := range [][]Row{whole, lossy} {
		if len(rows) == 0 {
			continue
		}
		add(&chart{Title: fmt.Sprintf("Goodput at the slowest receiver, %s loss", percent(rows[0].Cell.Loss)), Unit: "Mbit/s",
			line: float64(rows[0].Cell.Link) / 1e6, lineText: "link"}, rows, byGroup, goodput, nil)
	}
	rows := pick(single, func(row *Row) bool { return row.Cell.Receivers == largest })
	add(&chart{Title: fmt.Sprintf("Goodput at the slowest of %d receivers", largest), Unit: "Mbit/s"}, rows, byLoss, goodput, nil)
	sent := func(row *Row) float64 { return row.Sent }
	least := func(row *Row) float64 { return row.Minimum }
	add(&chart{Title: fmt.Sprintf("IP bytes sent for a byte of use, %d receivers", largest), Unit: "bytes",
		Note: "Black lines: the least that theory allows the scheme."}, rows, byLoss, sent, least)
	rows = pick(rows, func(row *Row) bool { return row.Scheme.multicast() })
	add(&chart{Title: fmt.Sprintf("The same for rmcast alone, %d receivers", largest), Unit: "bytes",
		Note: "Black lines: the least that theory allows the scheme."}, rows, byLoss, sent, least)
	add(&chart{Title: "CPU of the whole machine, no loss", Unit: "s/GB of use"}, whole, byGroup,
		func(row *Row) float64 { return row.MachineCPU }, nil)
	add(&chart{Title: "CPU of the sender, no loss", Unit: "s/GB of use"}, whole, byGroup,
		func(row *Row) float64 { return row.SenderCPU.Total() }, nil)
	add(&chart{Title: "CPU of a receiver, no loss", Unit: "s/GB of use"}, whole, byGroup,
		func(row *Row) float64 { return row.ReceiverCPU.Total() }, nil)
	rows = pick(r.Rows, func(row *Row) bool { return !row.Cell.Shaped() && row.Cell.Offload })
	add(&chart{Title: "Goodput, nothing shaped, no loss", Unit: "Mbit/s", Note: "At: what rmcast's rate was fixed at; else it finds its own."},
		rows, func(row *Row) string {
			switch row.Cell.Rate {
			case 0:
				return byGroup(row)
			case flow.Unlimited:
				return byGroup(row) + ", at any"
			}
			return fmt.Sprintf("%s, at %v", byGroup(row), row.Cell.Rate)
		}, goodput, nil)
	for _, q := range []struct {
		name  string
		value func(*Row) float64
	}{
		{"median", func(row *Row) float64 { return float64(row.Delay.P50) / 1e6 }},
		{"99th percentile", func(row *Row) float64 { return float64(row.Delay.P99) / 1e6 }},
	} {
		rows := pick(r.Delays, func(row *Row) bool { return row.Delay != nil })
		add(&chart{Title: "Delay of messages, " + q.name, Unit: "ms", Log: true}, rows, byStream, q.value, nil)
	}
	return out
}

func pick(rows []Row, want func(*Row) bool) []Row {
	return slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return !want(&r) })
}

// fill makes a group of bars of each run of rows with one label.
func (c *chart) fill(rows []Row, label func(*Row) string, value, mark func(*Row) float64) {
	for i := range rows {
		row := &rows[i]
		text := label(row)
		if n := len(c.groups); n == 0 || c.groups[n-1].label != text {
			c.groups = append(c.groups, barGroup{label: text})
		}
		b := bar{series: row.Scheme, value: value(row), cut: !row.Complete,
			tip: fmt.Sprintf("%v, %s: %s %s", &row.Cell, row.Scheme, short(value(row)), c.Unit)}
		if mark != nil {
			b.mark = mark(row)
			b.tip += fmt.Sprintf(" (least: %s)", short(b.mark))
		}
		last := &c.groups[len(c.groups)-1]
		last.bars = append(last.bars, b)
	}
}
