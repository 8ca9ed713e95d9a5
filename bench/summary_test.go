package main

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rmcast/rmcast/flow"
)

// sampleRun is 8 receivers on a shaped link which all got 32 MiB after 2 s, but for the last one, which needed 2.5.
func sampleRun() *Run {
	run := &Run{
		Cell:   Cell{Link: 200 * flow.Mbps, Rate: 194 * flow.Mbps, Receivers: 8, Loss: 0.1, Bytes: 32 << 20},
		Scheme: Rmcast, Want: "abc",
		Machine: Machine{Busy: 3 * time.Second},
	}
	run.Sender = Report{Start: 1e9, End: 3e9, Bytes: 32 << 20, Complete: true, User: time.Second, System: 500 * time.Millisecond,
		Network: Counters{TxBytes: 60e6 + 40e3*14, TxPackets: 40e3},
		Rmcast:  &RmcastInfo{IPBytes: 59e6, Repairs: 1000}}
	for range 8 {
		run.Receivers = append(run.Receivers, Report{End: 3e9, Bytes: 32 << 20, Complete: true, SHA256: "abc",
			User: 100 * time.Millisecond, System: 100 * time.Millisecond,
			Rmcast: &RmcastInfo{NAKs: 100, NAKed: 150, Suppressed: 20, Drops: 1}, Network: Counters{UDPDrops: 1}})
	}
	run.Receivers[7].End = 35e8
	return run
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*math.Abs(b) }

func TestSummarise(t *testing.T) {
	row := summarise(sampleRun())
	gb := float64(32<<20) / 1e9
	for _, c := range []struct {
		what      string
		got, want float64
	}{
		{"goodput of the slowest", row.Goodput, gb * 8e9 / 2.5},
		{"of link", row.OfLink, gb * 8e9 / 2.5 / 200e6},
		{"time", row.Time.Seconds(), 2.5},
		{"sent IP bytes", float64(row.SentIP), 60e6},
		{"sent per useful", row.Sent, 60e6 / (32 << 20)},
		{"minimum", row.Minimum, multicastMinimum(Rmcast, 8, 0.1)},
		{"sender's CPU", row.SenderCPU.Total(), 1.5 / gb},
		{"a receiver's CPU", row.ReceiverCPU.Total(), 0.2 / gb},
		{"machine's CPU", row.MachineCPU, 3 / gb},
		{"NAKs", float64(row.NAKs), 800},
		{"asked per loss", row.NAKsPerLoss, 1.2},
		{"suppressed", float64(row.Suppressed), 160},
		{"drops, once each", float64(row.Drops), 8},
	} {
		if !near(c.got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
	if !row.Complete || row.remark() != "" || row.SentSource != "interface" {
		t.Errorf("complete %v, remark %q, counted by %s", row.Complete, row.remark(), row.SentSource)
	}
}

func TestSummariseTellsWrongBytes(t *testing.T) {
	run := sampleRun()
	run.Receivers[2].SHA256 = "abd"
	run.Receivers[4].Bytes--
	run.Receivers[1].Loss = "a gap"
	row := summarise(run)
	if row.Complete || len(row.Problems) != 3 || !strings.HasPrefix(row.Problems[0], "receiver 2: a gap") ||
		!strings.HasPrefix(row.Problems[1], "receiver 3: WRONG BYTES") || !strings.HasPrefix(row.Problems[2], "receiver 5: 1 B are missing") {
		t.Errorf("complete %v, problems %q", row.Complete, row.Problems)
	}
}

func TestSummariseOfACutRun(t *testing.T) {
	run := sampleRun()
	run.Scheme, run.WasCut = FanOut, true
	run.Sender.Rmcast, run.Cell.Offload = nil, true
	run.Sender.TCP = &TCPInfo{Bytes: 14280000, Segments: 10000}
	for i := range run.Receivers {
		run.Receivers[i].Rmcast, run.Receivers[i].Complete = nil, false
		run.Receivers[i].Bytes = int64(i+1) << 20
	}
	row := summarise(run)
	if row.Complete || row.Least != 1<<20 || row.Mean != 4.5*(1<<20) {
		t.Errorf("complete %v, least %d, mean %v", row.Complete, row.Least, row.Mean)
	}
	if row.SentIP != 15e6 || row.SentSource != "tcp_info" || !near(row.Sent, 15e6/(4.5*(1<<20))) {
		t.Errorf("sent %d by %s, %v a byte", row.SentIP, row.SentSource, row.Sent)
	}
	if want := "cut; slowest had 1 MiB of 32 MiB"; row.remark() != want {
		t.Errorf("remark %q, want %q", row.remark(), want)
	}
	for i := range run.Receivers {
		run.Receivers[i].Bytes = 0
	}
	if row := summarise(run); row.Goodput != 0 || row.Sent != 0 || math.IsNaN(row.SenderCPU.User) {
		t.Errorf("nothing arrived: %+v", row)
	}
}

func TestMedians(t *testing.T) {
	var rows []Row
	for _, g := range []float64{5, 1, 9} {
		rows = append(rows, Row{Scheme: Rmcast, Goodput: g}, Row{Scheme: FanOut, Goodput: 10 * g},
			Row{Scheme: Rmcast, Cell: Cell{Receivers: 2}, Goodput: 100 + g})
	}
	got := medians(rows)
	if len(got) != 3 || got[0].Goodput != 5 || got[1].Goodput != 50 || got[2].Goodput != 105 {
		t.Errorf("medians %v", got)
	}
}

func TestPairs(t *testing.T) {
	var rows []Row
	for round, g := range []float64{100, 50, 80} {
		row := Row{Scheme: Replay, Round: round, Goodput: g, Complete: true}
		rows = append(rows, row)
		row.Scheme, row.Goodput = Demand, g*(0.9+float64(round)/10)
		rows = append(rows, row)
		row.Scheme, row.Complete = LeastBytes, false
		rows = append(rows, row)
	}
	got := pairs(rows)
	if len(got) != 1 || got[0].Scheme != Demand || got[0].Of != Replay || got[0].Rounds != 3 ||
		!near(got[0].Median, 1) || !near(got[0].Least, 0.9) || !near(got[0].Most, 1.1) {
		t.Errorf("pairs %+v", got)
	}
}

func TestTableIsAligned(t *testing.T) {
	var b bytes.Buffer
	tab := &table{w: &b}
	rows := []Row{summarise(sampleRun()), {Scheme: FanOut, Cell: Cell{Receivers: 8}}}
	rows[1].Cell = rows[0].Cell
	for i := range rows {
		tab.add(&rows[i])
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 5 {
		t.Fatalf("%d lines:\n%s", len(lines), b.String())
	}
	want := -1
	for _, c := range columns {
		want += c.width + 1
	}
	for _, line := range lines[2:] {
		if n := utf8.RuneCountInString(line); n != want {
			t.Errorf("%d wide, not %d: %q", n, want, line)
		}
	}
	if !strings.Contains(lines[0], "200 Mbit/s") || !strings.Contains(lines[0], "32 MiB") {
		t.Errorf("heading %q", lines[0])
	}
}

func TestReportIsWholeHTML(t *testing.T) {
	run := sampleRun()
	row := summarise(run)
	tcp := row
	tcp.Scheme, tcp.Complete, tcp.Problems = FanOut, false, []string{"<cut>"}
	stream := &Stream{Count: 25, Bytes: 1400, Rate: flow.Mbps}
	delay := Row{Cell: Cell{Receivers: 4, Loss: 0.01, Messages: stream}, Scheme: "proactive=8", Complete: true, Delay: &Quantiles{100, 1e6, 5e6, 7e6, 9e6}}
	r := Results{Date: time.Unix(0, 0), Rows: []Row{row, tcp}, Delays: []Row{delay}}
	var b bytes.Buffer
	if err := r.writeHTML(&b); err != nil {
		t.Fatal(err)
	}
	out := b.String()
	for _, want := range []string{"<svg", `class="bar rmcast"`, `class="bar tcp cut"`, `class="bar proactive"`, `class="key proactive"`, "&lt;cut&gt;", "Delay of messages", "</html>", "link"} {
		if !strings.Contains(out, want) {
			t.Errorf("report lacks %q", want)
		}
	}
	for _, bad := range []string{"NaN", "+Inf", "ZgotmplZ", "http://", "https://", "<script"} {
		if strings.Contains(out, bad) {
			t.Errorf("report contains %q", bad)
		}
	}
	for _, c := range r.charts() {
		for _, s := range c.Bars {
			if s.Y < 0 || s.H < 0 || s.Y+s.H > chartHeight || s.X < 0 || s.X+s.W > chartWidth {
				t.Errorf("%s: bar outside of the picture: %+v", c.Title, s)
			}
		}
	}
}
