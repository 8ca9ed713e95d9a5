package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
)

// netnsPath is the bottleneck between namespaces.
var netnsPath = Path{100 * flow.Mbps, 20 * ms}

const (
	tcpPort    = "7600"
	tcpPayload = 1428 // of a TCP segment of 1500 bytes over IPv6, with timestamps
	tcpPacket  = 1500
	patience   = 30 * time.Second // after the end of sending
)

// netnsCases are those between namespaces.
func (o *options) netnsCases() ([]Case, error) {
	if err := netem.Available(); err != nil {
		return nil, err
	}
	timed := fmt.Sprintf("%d runs of %v", o.runs, o.length)
	all := []Case{}
	for _, n := range []int{1, 4} {
		all = append(all, Case{
			Kind: "tcp", Name: strconv.Itoa(n) + " CUBIC", text: fmt.Sprintf("our source against %d TCP flows on %v, RTT %v, queue 1 BDP; %s, TCP alone between", n, netnsPath.Rate, netnsPath.RTT, timed),
			run: func(ctx context.Context, r *Result) error { return o.againstTCP(ctx, r, n) },
		})
	}
	return append(append(all,
		Case{Kind: "two", Name: "two sources", text: "two of our sources on the same; " + timed + ", one alone between", run: o.twoSources},
		Case{Kind: "killed", Name: "acker", text: fmt.Sprintf("the slowest of three receivers (20 Mbit/s) is killed; %d runs", o.runs), run: o.killed},
		Case{Kind: "loss", Name: "5 %", text: "one receiver behind 5 % random loss; " + timed + " of each", run: o.randomLoss},
	), o.bulkCases()...), nil
}

// contest is who shares the bottleneck in one run.
type contest struct {
	sources, flows   int
	length           time.Duration
	loss             float64 // at receivers
	lossIsCongestion bool
}

// outcome is what came of it, in Mbit/s of IP packets.
type outcome struct {
	ours, tcp []float64
	dropped   float64 // % of what came to the bottleneck's queue
	series    *Series
}

// run runs a contest once.
func (o *options) run(ctx context.Context, c contest) (out outcome, err error) {
	own := netem.Impairment{Loss: c.loss}
	var top netem.Topology
	right := top.Branch(0, netnsPath.down(), netnsPath.up())
	left, behind := netem.Port{}, netem.Port{Switch: right, Down: own}
	// Sender and receiver 0 are the first source and its receiver; then another pair, or that of TCP.
	top.Receivers = []netem.Port{behind}
	if c.sources > 1 || c.flows > 0 {
		top.Receivers = append(top.Receivers, left, behind)
	}
	relay, err := netem.NewRelay(netem.RelayConfig{Topology: top, Seed: o.seed})
	if err != nil {
		return out, err
	}
	m := &match{at: relay, o: o}
	defer func() { err = errors.Join(err, m.end(), relay.Close()) }()
	for i := range c.sources {
		job := Job{Group: fmt.Sprintf("[ff15::8000:%d]:%d", i+1, 7500+i), LossIsCongestion: c.lossIsCongestion, For: c.length}
		from, to := netem.Sender, netem.Node(0)
		if i > 0 {
			from, to = 1, 2
		}
		m.pair(ctx, from, to, sendRmcast, receiveRmcast, job)
	}
	if c.flows > 0 {
		job := Job{Address: net.JoinHostPort(netem.Node(2).Addr6().String(), tcpPort), Flows: c.flows, For: c.length}
		m.pair(ctx, 1, 2, sendTCP, receiveTCP, job)
	}
	if m.err != nil {
		return out, m.err
	}
	before := relay.Switch(right).Counters().Down
	if err := m.begin(); err != nil {
		return out, err
	}
	if err := m.wait(ctx, c.length+patience); err != nil {
		return out, err
	}
	after, totals := relay.Switch(right).Counters().Down, relay.Totals()
	if n := totals.TooLate + totals.InFlight + totals.Refused; n > 0 {
		return out, fmt.Errorf("the relay lost %d packets: this machine is too slow or too busy", n)
	}
	out.dropped = 100 * float64(after.Overflow-before.Overflow) / float64(max(after.Packets-before.Packets, 1))
	out.series = m.series(c.length)
	from := m.started()
	for i := range c.sources {
		out.ours = append(out.ours, m.to[i].between(0, from, from+int64(c.length))*packetBytes/payloadBytes)
	}
	for i := range c.flows {
		out.tcp = append(out.tcp, m.to[c.sources].between(i, from, from+int64(c.length))*tcpPacket/tcpPayload)
	}
	return out, nil
}

// match is pairs of processes at work.
type match struct {
	at       nodes
	o        *options
	from, to []*process
	all      []*process
	err      error
}

// start starts one; what fails is kept in m.err.
func (m *match) start(ctx context.Context, n netem.Node, job Job) *process {
	if m.err != nil {
		return nil
	}
	job.Seed, job.Interface, job.Verbose = m.o.seed+uint64(len(m.all)), netem.LabInterface, m.o.verbose
	p, err := startProcess(ctx, m.at, n, job)
	if m.err = err; err == nil {
		m.all = append(m.all, p)
	}
	return p
}

// pair starts who receives and who sends.
func (m *match) pair(ctx context.Context, from, to netem.Node, send, receive Role, job Job) {
	job.Role = receive
	r := m.start(ctx, to, job)
	job.Role = send
	s := m.start(ctx, from, job)
	m.from, m.to = append(m.from, s), append(m.to, r)
}

// begin lets all begin: those who receive first.
func (m *match) begin() error {
	for _, p := range slices.Concat(m.to, m.from) {
		if err := p.begin(); err != nil {
			return err
		}
	}
	return nil
}

// started is when the first began to send.
func (m *match) started() int64 {
	first := m.from[0].report.Start
	for _, p := range m.from {
		first = min(first, p.report.Start)
	}
	return first
}

// wait waits for all reports, and compares hashes.
func (m *match) wait(ctx context.Context, patience time.Duration) error {
	for i, p := range m.to {
		got, err := p.wait(ctx, patience)
		if err != nil {
			return err
		}
		sent, err := m.from[i].wait(ctx, patience)
		if err != nil {
			return err
		}
		slices.Sort(got.SHA256) // connections may be accepted in another order
		slices.Sort(sent.SHA256)
		if !slices.Equal(got.SHA256, sent.SHA256) {
			return fmt.Errorf("%s read %d bytes that are not the %d that were sent", p.name, got.Bytes, sent.Bytes)
		}
	}
	return nil
}

// end ends all processes.
func (m *match) end() (err error) {
	for _, p := range m.all {
		if e := p.end(); e != nil && m.err == nil {
			err = errors.Join(err, fmt.Errorf("%s: %s", p.name, p.why(e)))
		}
	}
	return err
}

const seriesStep = 200 * ms

// series tells what each got over time.
func (m *match) series(length time.Duration) *Series {
	s := &Series{Step: seriesStep}
	from := m.started()
	capacity := Track{Name: "capacity", Unit: "Mbit/s"}
	for at := time.Duration(0); at < length; at += seriesStep {
		capacity.Values = append(capacity.Values, megarate(netnsPath.Rate))
	}
	s.Tracks = append(s.Tracks, capacity)
	add := func(name string, p *process, connections int, factor float64) {
		t := Track{Name: name, Unit: "Mbit/s"}
		for at := time.Duration(0); at < length; at += seriesStep {
			sum := 0.0
			for i := range connections {
				sum += p.between(i, from+int64(at), from+int64(at+seriesStep))
			}
			t.Values = append(t.Values, sum*factor)
		}
		s.Tracks = append(s.Tracks, t)
	}
	for i, p := range m.to {
		if m.from[i].report.Stats != nil { // ours
			add("ours", p, 1, packetBytes/float64(payloadBytes))
		} else {
			add("TCP", p, len(p.report.Bytes), tcpPacket/float64(tcpPayload))
		}
	}
	return s
}

// median adds the middle of several runs' values.
func (r *Result) median(name string, v []float64, unit, must string, bound float64) {
	r.Figures = append(r.Figures, Figure{Name: name, Value: median(v), Unit: unit, Must: must, Bound: bound, Spread: short(slices.Min(v)) + " to " + short(slices.Max(v))})
}

func sum(v []float64) (s float64) {
	for _, x := range v {
		s += x
	}
	return s
}
