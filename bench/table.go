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
	{head: [2]string{"", "scheme"}, width: 12, left: true, text: func(r *Row) string { return string(r.Scheme) }},
	{head: [2]string{"goodput", "Mbit/s"}, width: 7, text: func(r *Row) string { return megabits(r.Goodput) }},
	{head: [2]string{"of", "link"}, width: 6, text: func(r *Row) string { return orDash(r.OfLink > 0, "%.1f%%", r.OfLink*100) }},
	{head: [2]string{"time", "s"}, width: 6, text: func(r *Row) string { return fmt.Sprintf("%.2f", r.Time.Seconds()) }},
	{head: [2]string{"sent/", "useful"}, width: 7, text: func(r *Row) string { return orDash(r.Sent > 0, "%.3f", r.Sent) + r.counter() }},
	{head: [2]string{"", "least"}, width: 6, text: func(r *Row) string { return fmt.Sprintf("%.3f", r.Minimum) }},
	{head: [2]string{"over", "least"}, width: 6, text: func(r *Row) string { return orDash(r.Sent > 0, "%+.1f%%", (r.Sent/r.Minimum-1)*100) }},
	{head: [2]string{"parity", "of it"}, width: 6, text: func(r *Row) string { return orDash(r.Parity > 0, "%.0f%%", r.Parity*100) }},
	{head: [2]string{"CPU s/GB", "sender"}, width: 8, text: func(r *Row) string { return cpuText(r.SenderCPU.Total()) }},
	{head: [2]string{"CPU s/GB", "receiver"}, width: 8, text: func(r *Row) string { return cpuText(r.ReceiverCPU.Total()) }},
	{head: [2]string{"CPU s/GB", "machine"}, width: 8, text: func(r *Row) string { return cpuText(r.MachineCPU) }},
	{head: [2]string{"CPUs", "busy"}, width: 5, text: func(r *Row) string { return orDash(r.Busy > 0, "%.0f%%", r.Busy*100) }},
	{head: [2]string{"", "NAKs"}, width: 6, text: func(r *Row) string { return orDash(r.Scheme.multicast(), "%d", r.NAKs) }},
	{head: [2]string{"NAKs", "suppr."}, width: 6, text: func(r *Row) string { return orDash(r.Scheme.multicast(), "%d", r.Suppressed) }},
	{head: [2]string{"asked/", "loss"}, width: 6, text: func(r *Row) string { return orDash(r.NAKsPerLoss > 0, "%.2f", r.NAKsPerLoss) }},
	{head: [2]string{"", "lost"}, width: 5, text: func(r *Row) string { return orDash(r.Scheme.multicast(), "%d", r.Lost) }},
	{head: [2]string{"", "drops"}, width: 5, text: func(r *Row) string { return fmt.Sprint(r.Drops) }},
}

const legend = `
R          receivers; loss: each loses this share of packets on its own
scheme     rmcast: this library as it comes, and so demand: parity on demand, by number where waiting for parity saves little; replay:
           what was lost is sent again; proactive=h: h parity packets go with each group of 64 before anybody asks, and more on demand;
           bytes, delay: it decides for itself, for the least of these; tcp: a connection to each receiver
goodput    bytes of use at the slowest receiver over the time from the first Write to its end; of link: share of the link's rate
sent/      IP bytes the sender sent (all headers, repairs, control) for each byte of use; least: what theory demands of the scheme, times
           packet/payload: for replay the expected sendings until all R have a packet; with parity the packets that go out until the
           worst of R holds any 64 of a group, over 64 (proactive: at least 64+h; delay may spend more ahead of demand); lost repairs
           are in both; for TCP R/(1-loss)
           counted at the sender's interface; * by the library, ** by the kernel's TCP: interfaces do not see inside offloaded runs
parity     share of parity in what was sent for repair, on demand and ahead of it
CPU s/GB   processor seconds, user and system, for each GB of use: sender; one receiver on average; the whole machine with interrupts.
           The kernel books the work of delivery on whoever runs, mostly the sender: compare rows of equal R only
CPUs busy  share of all processors' time that was not idle: towards 100 % they, and not the link, are the bound
NAKs       repair requests sent by all receivers; suppr.: numbers not asked for as somebody else had
asked/loss numbers asked for by all receivers for each repair the sender sent: 1.00 is perfect suppression of NAKs for single packets;
           with parity a group is one number however many packets it needs, so less is right
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

// pace says how fast our sources send.
func (c *Cell) pace() string {
	switch c.Rate {
	case 0:
		return "rmcast finds its rate"
	case flow.Unlimited:
		return "rmcast as fast as it goes"
	}
	return fmt.Sprintf("rmcast fixed at %v", c.Rate)
}

// section is the heading of rows that share a setting.
func section(c *Cell) string {
	var s string
	switch {
	case c.Netem != "":
		return fmt.Sprintf("Kernel's netem at each receiver, both ways: %s, and the loss on the way there; sender's link shaped to %v; %s; %s",
			c.Netem, c.Link, c.pace(), size(c.Bytes))
	case c.Shaped():
		s = fmt.Sprintf("Sender's link shaped to %v; %s", c.Link, c.pace())
	default:
		s = "Nothing shaped: bound by the processor; " + c.pace()
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

// pairTable prints how schemes compare round by round.
func pairTable(w io.Writer, all []Pair) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(w, "\nGoodput over that of the first scheme in the same round: median, least and most\n")
	for _, p := range all {
		fmt.Fprintf(w, "%s: %s/%s %.3f (%.3f to %.3f) in %d rounds\n", &p.Cell, p.Scheme, p.Of, p.Median, p.Least, p.Most, p.Rounds)
	}
}

// delayTable prints how late messages came.
func delayTable(w io.Writer, rows []Row) {
	title := ""
	for i := range rows {
		if t := delayTitle(&rows[i].Cell); t != title {
			title = t
			fmt.Fprintf(w, "\n%s\n", title)
			delayLine(w, delayHeads)
		}
		delayLine(w, delayFields(&rows[i]))
	}
}

// delayTitle is the heading of rows that share a stream and a network.
func delayTitle(c *Cell) string {
	s := c.Messages
	t := fmt.Sprintf("Delay of %d messages of %d bytes at %v, from their making to their reading, over all receivers", s.Count, s.Bytes, s)
	if c.RTT > 0 {
		t += fmt.Sprintf("; round trip %v", c.RTT)
	}
	return t
}

var delayHeads = []string{"R", "loss", "scheme", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "sent/useful", "messages", "lost", ""}

func delayLine(w io.Writer, f []string) {
	line := fmt.Sprintf("%2s %5s %-12s %9s %9s %9s %9s %11s %8s %6s  %s", f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9], f[10])
	fmt.Fprintln(w, strings.TrimRight(line, " "))
}

// delayFields are the columns of a row of delays.
func delayFields(r *Row) []string {
	d := r.Delay
	if d == nil {
		d = &Quantiles{}
	}
	return []string{fmt.Sprint(r.Cell.Receivers), percent(r.Cell.Loss), string(r.Scheme), millis(d.P50), millis(d.P99), millis(d.P999), millis(d.Max),
		orDash(r.Sent > 0, "%.3f", r.Sent), fmt.Sprint(d.Count), fmt.Sprint(r.Cell.Messages.Count*r.Cell.Receivers - d.Count), r.remark()}
}
