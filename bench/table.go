package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/rmcast/rmcast/flow"
)

// column is one column of the terminal's table. Widths are fixed so that a row can be printed when it is measured.
type column struct {
	head  [2]string
	width int
	left  bool
	text  func(*Row) string
}

var columns = []column{
	{head: [2]string{"", "R"}, width: 2, text: func(r *Row) string { return fmt.Sprint(r.Cell.Receivers) }},
	{head: [2]string{"", "loss"}, width: 5, text: func(r *Row) string { return percent(r.Cell.Loss) }},
	{head: [2]string{"", "scheme"}, width: 6, left: true, text: func(r *Row) string { return string(r.Scheme) }},
	{head: [2]string{"goodput", "Mbit/s"}, width: 7, text: func(r *Row) string { return megabits(r.Goodput) }},
	{head: [2]string{"of", "link"}, width: 6, text: func(r *Row) string { return orDash(r.OfLink > 0, "%.1f%%", r.OfLink*100) }},
	{head: [2]string{"time", "s"}, width: 6, text: func(r *Row) string { return fmt.Sprintf("%.2f", r.Time.Seconds()) }},
	{head: [2]string{"sent/", "useful"}, width: 7, text: func(r *Row) string { return orDash(r.Sent > 0, "%.3f", r.Sent) + r.counter() }},
	{head: [2]string{"", "least"}, width: 6, text: func(r *Row) string { return fmt.Sprintf("%.3f", r.Minimum) }},
	{head: [2]string{"over", "least"}, width: 6, text: func(r *Row) string { return orDash(r.Sent > 0, "%+.1f%%", (r.Sent/r.Minimum-1)*100) }},
	{head: [2]string{"CPU s/GB", "sender"}, width: 8, text: func(r *Row) string { return cpuText(r.SenderCPU.Total()) }},
	{head: [2]string{"CPU s/GB", "receiver"}, width: 8, text: func(r *Row) string { return cpuText(r.ReceiverCPU.Total()) }},
	{head: [2]string{"CPU s/GB", "machine"}, width: 8, text: func(r *Row) string { return cpuText(r.MachineCPU) }},
	{head: [2]string{"CPUs", "busy"}, width: 5, text: func(r *Row) string { return orDash(r.Busy > 0, "%.0f%%", r.Busy*100) }},
	{head: [2]string{"", "NAKs"}, width: 6, text: func(r *Row) string { return orDash(r.Scheme == Rmcast, "%d", r.NAKs) }},
	{head: [2]string{"NAKs", "suppr."}, width: 6, text: func(r *Row) string { return orDash(r.Scheme == Rmcast, "%d", r.Suppressed) }},
	{head: [2]string{"asked/", "loss"}, width: 6, text: func(r *Row) string { return orDash(r.NAKsPerLoss > 0, "%.2f", r.NAKsPerLoss) }},
	{head: [2]string{"", "lost"}, width: 5, text: func(r *Row) string { return orDash(r.Scheme == Rmcast, "%d", r.Lost) }},
	{head: [2]string{"", "drops"}, width: 5, text: func(r *Row) string { return fmt.Sprint(r.Drops) }},
}

const legend = `
R          receivers; loss: each loses this share of packets on its own
goodput    bytes of use at the slowest receiver over the time from the first Write to its end; of link: share of the link's rate
sent/      IP bytes the sender sent (all headers, repairs, control) for each byte of use; least: what theory demands of the scheme:
           for multicast the expected sendings until all R have a packet, for TCP R/(1-loss), times packet/payload
           counted at the sender's interface; * by the library, ** by the kernel's TCP: interfaces do not see inside offloaded runs
CPU s/GB   processor seconds, user and system, for each GB of use: sender; one receiver on average; the whole machine with interrupts.
           The kernel books the work of delivery on whoever runs, mostly the sender: compare rows of equal R only
CPUs busy  share of all processors' time that was not idle: towards 100 % they, and not the link, are the bound
NAKs       repair requests sent by all receivers; suppr.: numbers not asked for as somebody else had
asked/loss numbers asked for by all receivers for each repair the sender sent: 1.00 is perfect suppression
lost       packets nobody could repair; drops: by full sockets and queues, beside the loss that was asked for
`

// counter marks who counted the sent bytes.
func (r *Row) counter() string {
	switch r.SentSource {
	case "stats":
		return "*"
	case "tcp_info":
		return "**"
	}
	return ""
}

func orDash(have bool, format string, value any) string {
	if !have {
		return "-"
	}
	return fmt.Sprintf(format, value)
}

func cpuText(secondsPerGB float64) string { return orDash(secondsPerGB > 0, "%.2f", secondsPerGB) }

// table prints rows below a heading for each setting.
type table struct {
	w       io.Writer
	section string
}

// add prints a row, after the heading if its setting is a new one.
func (t *table) add(row *Row) {
	if s := section(&row.Cell); s != t.section {
		t.section = s
		fmt.Fprintf(t.w, "\n%s\n", s)
		t.heads()
	}
	fields := make([]string, len(columns))
	for i, c := range columns {
		fields[i] = pad(c.text(row), c.width, c.left)
	}
	line := strings.Join(fields, " ")
	if remark := row.remark(); remark != "" {
		line += "  " + remark
	}
	fmt.Fprintln(t.w, line)
}

func (t *table) heads() {
	for n := range 2 {
		fields := make([]string, len(columns))
		for i, c := range columns {
			fields[i] = pad(c.head[n], c.width, c.left)
		}
		fmt.Fprintln(t.w, strings.TrimRight(strings.Join(fields, " "), " "))
	}
}

// section is the heading of rows that share a setting.
func section(c *Cell) string {
	var s string
	switch {
	case c.Netem != "":
		return fmt.Sprintf("Kernel's netem at each receiver, both ways: %s, and the loss on the way there; sender's link shaped to %v; rmcast told to send %v; %s",
			c.Netem, c.Link, c.Rate, size(c.Bytes))
	case c.Shaped():
		s = fmt.Sprintf("Sender's link shaped to %v; rmcast told to send %v", c.Link, c.Rate)
	case c.Offload && c.Rate == flow.Unlimited:
		s = "Nothing shaped: bound by the processor; rmcast as fast as it goes"
	default:
		s = fmt.Sprintf("Nothing shaped: bound by the processor; rmcast told to send %v", c.Rate)
	}
	if c.Offload {
		s += "; packets cross in runs (segmentation offloads on)"
	} else {
		s += "; every packet crosses on its own (offloads off)"
	}
	return s + "; " + size(c.Bytes)
}

func pad(s string, width int, left bool) string {
	space := strings.Repeat(" ", max(width-utf8.RuneCountInString(s), 0))
	if left {
		return s + space
	}
	return space + s
}

// delayTable prints how late messages came.
func delayTable(w io.Writer, rows []Row, s *Stream) {
	fmt.Fprintf(w, "\nDelay of %d messages of %d bytes at %v, from their making to their reading, over all receivers\n",
		s.Count, s.Bytes, s.Rate)
	fmt.Fprintf(w, "%2s %5s %-6s %9s %9s %9s %8s %6s\n", "R", "loss", "scheme", "p50 ms", "p99 ms", "max ms", "messages", "lost")
	for i := range rows {
		f := delayFields(&rows[i], s)
		line := fmt.Sprintf("%2s %5s %-6s %9s %9s %9s %8s %6s  %s", f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8])
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}

// delayFields are the columns of a row of delays.
func delayFields(r *Row, s *Stream) []string {
	d := r.Delay
	if d == nil {
		d = &Quantiles{}
	}
	return []string{fmt.Sprint(r.Cell.Receivers), percent(r.Cell.Loss), string(r.Scheme), millis(d.P50), millis(d.P99), millis(d.Max),
		fmt.Sprint(d.Count), fmt.Sprint(s.Count*r.Cell.Receivers - d.Count), r.remark()}
}
