package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Row is a run as the table and the report show it.
type Row struct {
	Cell     Cell          `json:"cell"`
	Scheme   Scheme        `json:"scheme"`
	Round    int           `json:"round"`
	Complete bool          `json:"complete"`    // every receiver has every byte, and the right ones
	Goodput  float64       `json:"goodput_bps"` // of the slowest receiver
	OfLink   float64       `json:"of_link"`     // goodput as a share of the link; 0 where nothing is shaped
	Time     time.Duration `json:"time_ns"`     // from the first Write to the last receiver's end
	Least    int64         `json:"least_bytes"` // what the slowest receiver got
	Mean     float64       `json:"mean_bytes"`

	SentIP     uint64  `json:"sent_ip_bytes"`
	SentSource string  `json:"sent_source"`     // who counted: interface, stats, tcp_info
	Sent       float64 `json:"sent_per_useful"` // IP bytes per byte that reached a receiver on average
	Minimum    float64 `json:"minimum"`         // the least that any sender of this scheme needs

	SenderCPU   CPU     `json:"sender_cpu"`           // per GB of Mean
	ReceiverCPU CPU     `json:"receiver_cpu"`         // of one receiver on average, per GB
	MachineCPU  float64 `json:"machine_cpu_s_per_gb"` // everything, with interrupts, per GB of Mean
	Busy        float64 `json:"machine_busy"`         // share of all processors that was not idle

	NAKs        uint64     `json:"naks"`            // packets, of all receivers
	Suppressed  uint64     `json:"naks_suppressed"` // not sent because somebody else had asked
	NAKsPerLoss float64    `json:"naks_per_loss"`
	Parity      float64    `json:"parity"` // share of what the source sent for repair, asked for or not
	Lost        uint64     `json:"lost"`   // packets nobody could repair, summed over receivers
	Drops       uint64     `json:"drops"`  // by sockets, queues and backlogs: loss that was not asked for
	Problems    []string   `json:"problems,omitempty"`
	Delay       *Quantiles `json:"delay,omitempty"`
}

// CPU is processor time in seconds per GB.
type CPU struct {
	User   float64 `json:"user_s_per_gb"`
	System float64 `json:"system_s_per_gb"`
}

// Total is both.
func (c CPU) Total() float64 { return c.User + c.System }

// summarise turns a run into its row.
func summarise(run *Run) Row {
	row := Row{Cell: run.Cell, Scheme: run.Scheme, Round: run.Round, Complete: true, Minimum: run.Cell.Minimum(run.Scheme)}
	row.Goodput, row.Least = -1, -1
	var end int64
	for i := range run.Receivers {
		rep := &run.Receivers[i]
		if took := float64(rep.End-run.Sender.Start) / 1e9; took > 0 {
			if speed := float64(rep.Bytes) * 8 / took; row.Goodput < 0 || speed < row.Goodput {
				row.Goodput = speed
			}
		}
		end = max(end, rep.End)
		if row.Least < 0 || rep.Bytes < row.Least {
			row.Least = rep.Bytes
		}
		row.Mean += float64(rep.Bytes) / float64(len(run.Receivers))
		row.note(run, rep, i)
	}
	row.Goodput, row.Time = max(row.Goodput, 0), time.Duration(end-run.Sender.Start)
	if run.Cell.Shaped() {
		row.OfLink = row.Goodput / float64(run.Cell.Link)
	}
	if run.WasCut {
		row.Problems = append(row.Problems, fmt.Sprintf("cut; slowest had %s of %s", size(row.Least), size(run.bytes())))
	}
	if run.Sender.Error != "" {
		row.Complete = false
		row.Problems = append(row.Problems, "sender: "+run.Sender.Error)
	}
	row.addTraffic(run)
	row.addCPU(run)
	row.addRepair(run)
	return row
}

// failed is the row of a run that came to nothing.
func failed(c Cell, s Scheme, err error) Row {
	return Row{Cell: c, Scheme: s, Minimum: c.Minimum(s), Problems: []string{err.Error()}}
}

// bytes is what each receiver should get.
func (run *Run) bytes() int64 {
	if m := run.Cell.Messages; m != nil {
		return int64(m.Count) * int64(m.Bytes)
	}
	return run.Cell.Bytes
}

// note adds what is wrong with a receiver's report.
func (row *Row) note(run *Run, rep *Report, index int) {
	problem := ""
	switch {
	case rep.Error != "":
		problem = rep.Error
	case rep.Loss != "":
		problem = rep.Loss
	case rep.Bytes < run.bytes() && !run.WasCut:
		problem = fmt.Sprintf("%s are missing", size(run.bytes()-rep.Bytes))
	case rep.Complete && (rep.SHA256 != run.Want || rep.Bytes != run.bytes()):
		problem = fmt.Sprintf("WRONG BYTES: %d of them, SHA-256 %.16s…, not %.16s…", rep.Bytes, rep.SHA256, run.Want)
	}
	if problem != "" {
		row.Problems = append(row.Problems, fmt.Sprintf("receiver %d: %s", index+1, problem))
	}
	row.Complete = row.Complete && rep.Complete && problem == ""
}

// addTraffic finds out how many IP bytes left the sender. The interface knows exactly, except where runs cross it
// whole: it counts their headers once. Then the endpoint's own count is used.
func (row *Row) addTraffic(run *Run) {
	s := &run.Sender
	switch {
	case !run.Cell.Offload && s.Network.TxPackets > 0:
		row.SentIP, row.SentSource = s.Network.IPBytes(), "interface"
	case s.Rmcast != nil:
		row.SentIP, row.SentSource = s.Rmcast.IPBytes, "stats"
	case s.TCP != nil:
		const headers = tcpPacket - tcpPayload
		row.SentIP, row.SentSource = s.TCP.Bytes+s.TCP.Segments*headers, "tcp_info"
	}
	if row.Mean > 0 {
		row.Sent = float64(row.SentIP) / row.Mean
	}
}

func (row *Row) addCPU(run *Run) {
	row.Busy = run.Machine.BusyShare()
	gb := row.Mean / 1e9
	if gb == 0 {
		return
	}
	row.SenderCPU = CPU{run.Sender.User.Seconds() / gb, run.Sender.System.Seconds() / gb}
	n := float64(len(run.Receivers))
	for i := range run.Receivers {
		row.ReceiverCPU.User += run.Receivers[i].User.Seconds() / gb / n
		row.ReceiverCPU.System += run.Receivers[i].System.Seconds() / gb / n
	}
	row.MachineCPU = run.Machine.Busy.Seconds() / gb
}

// addRepair sums what repairing took and what was lost in spite of it.
func (row *Row) addRepair(run *Run) {
	row.Drops = run.Sender.Network.Drops() + run.Machine.Backlog + run.Losses.Queue
	if m := run.Sender.Rmcast; m != nil {
		row.Drops += m.Drops
	}
	var asked uint64
	for i := range run.Receivers {
		rep := &run.Receivers[i]
		kernel := rep.Network.Drops()
		if m := rep.Rmcast; m != nil {
			row.NAKs += m.NAKs
			asked += m.NAKed
			row.Suppressed += m.Suppressed
			row.Lost += m.Lost
			kernel = max(kernel, m.Drops+rep.Network.TxDropped+rep.Network.RxDropped) // both count a full socket
		}
		row.Drops += kernel
	}
	if m := run.Sender.Rmcast; m != nil && m.Repairs > 0 {
		row.NAKsPerLoss = float64(asked) / float64(m.Repairs)
	}
	if m := run.Sender.Rmcast; m != nil && m.Repairs+m.Ahead > 0 {
		row.Parity = float64(m.Parity+m.Ahead) / float64(m.Repairs+m.Ahead)
	}
	var delays []int64
	for i := range run.Receivers {
		delays = append(delays, run.Receivers[i].Delays...)
		run.Receivers[i].Delays = nil // thousands of numbers that no report wants
	}
	if delays != nil {
		q := quantiles(delays)
		row.Delay = &q
	}
}

// remark says what a reader should know beside the numbers, in a line.
func (row *Row) remark() string {
	const most = 2
	if len(row.Problems) <= most {
		return strings.Join(row.Problems, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(row.Problems[:most], "; "), len(row.Problems)-most)
}

// medians keeps for each cell and scheme the row whose goodput, or 99th percentile of delay, is the median of the rounds; the order is
// that of the first round.
func medians(rows []Row) []Row {
	var order []rowKey
	groups := map[rowKey][]Row{}
	for _, row := range rows {
		k := row.key()
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], row)
	}
	var out []Row
	for _, k := range order {
		g := groups[k]
		slices.SortStableFunc(g, func(a, b Row) int {
			if a.Delay != nil && b.Delay != nil {
				return cmp.Compare(a.Delay.P99, b.Delay.P99)
			}
			return cmp.Compare(a.Goodput, b.Goodput)
		})
		out = append(out, g[len(g)/2])
	}
	return out
}

// rowKey is what the rows of several rounds have in common.
type rowKey struct {
	cell   string
	scheme Scheme
}

func (row *Row) key() rowKey {
	c := row.Cell
	c.Schemes, c.Cut, c.Messages = nil, nil, nil
	return rowKey{fmt.Sprint(c, row.Cell.Messages), row.Scheme}
}

// Pair is how the goodput of a scheme compares with that of the cell's first scheme in the same round: quotients over all rounds.
type Pair struct {
	Cell   Cell    `json:"cell"`
	Scheme Scheme  `json:"scheme"`
	Of     Scheme  `json:"of"`
	Rounds int     `json:"rounds"`
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

// pairs compares the multicast schemes of each cell, round by round, so that what slows the machine down for a while slows both.
func pairs(rows []Row) []Pair {
	type roundOf struct {
		cell  string
		round int
	}
	first := map[roundOf]*Row{}
	quotients := map[rowKey][]float64{}
	var out []Pair
	var order []rowKey
	for i := range rows {
		row := &rows[i]
		k := row.key()
		r := roundOf{k.cell, row.Round}
		switch base := first[r]; {
		case !row.Scheme.multicast() || !row.Complete || row.Delay != nil || row.Goodput <= 0:
		case base == nil:
			first[r] = row
		case base.Scheme != row.Scheme:
			if quotients[k] == nil {
				order = append(order, k)
				out = append(out, Pair{Cell: row.Cell, Scheme: row.Scheme, Of: base.Scheme})
			}
			quotients[k] = append(quotients[k], row.Goodput/base.Goodput)
		}
	}
	for i, k := range order {
		q := quotients[k]
		slices.Sort(q)
		n := len(q)
		out[i].Rounds, out[i].Median, out[i].Least, out[i].Most = n, (q[(n-1)/2]+q[n/2])/2, q[0], q[n-1]
	}
	return out
}
