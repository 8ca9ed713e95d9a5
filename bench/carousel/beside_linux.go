package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rmcast/rmcast/netem"
)

// contender is a program, or a way to use it, that takes an object to receivers which are there from the start.
type contender struct {
	name   string
	rival  *rival // nil: ours
	repair bool   // ours: receivers send NAKs
	ask    bool   // ours: receivers ask for what they lack; block by block
	turns  int    // ours
	quick  bool
}

// rival says how another program is started. Commands are templates, see fill.
type rival struct {
	receive, send []string
	file          func(object string) string // what a receiver makes, beneath its directory
}

// fill puts what is particular to a run into a command.
func fill(command []string, words map[string]string) (filled []string) {
	for _, c := range command {
		for word, value := range words {
			c = strings.ReplaceAll(c, word, value)
		}
		filled = append(filled, c)
	}
	return filled
}

func base(object string) string { return filepath.Base(object) }

// The commands. RATE is in kbit/s.
var (
	// A block of 1440 bytes and its headers fill a packet of 1500. The receiver gives the file its name when it is complete (-t).
	uftpReceive = []string{"uftpd", "-d", "-q", "-t", "-I", netem.LabInterface, "-D", "DIR", "-B", "4194304", "-U", "0x0a4d01NODE"}
	uftpSend    = []string{"uftp", "-R", "RATE", "-b", "1440", "-I", netem.LabInterface, "-B", "4194304", "-r", "0.02:0.01:0.5", "-s", "50", "FILE"}

	udpcastReceive = []string{"udp-receiver", "--nokbd", "--nosync", "--file", "DIR/udpcast", "--interface", netem.LabInterface, "--start-timeout", "60", "--receive-timeout", "30"}
	udpcastSend    = []string{
		"udp-sender", "--nokbd", "--file", "FILE", "--interface", netem.LabInterface, "--min-receivers", "RECEIVERS", "--max-bitrate", "RATEk",
		"--full-duplex", "--rexmit-hello-interval", "100", "--retries-until-drop", "1000", "--start-timeout", "60",
	}
	udpcastFile = func(string) string { return "udpcast" }
)

var contenders = []contender{
	{name: "carousel silent", quick: true},
	{name: "carousel with NAKs", repair: true},
	{name: "carousel once with NAKs", repair: true, turns: 1},
	{name: "carousel once with requests", ask: true, turns: 1, quick: true},
	{name: "UFTP", rival: &rival{uftpReceive, uftpSend, base}, quick: true},
	{name: "udpcast", rival: &rival{udpcastReceive, udpcastSend, udpcastFile}, quick: true},
	{name: "parity of udpcast", rival: &rival{udpcastReceive, append(udpcastSend[:len(udpcastSend):len(udpcastSend)], "--fec", "8x16/128"), udpcastFile}},
}

// beside is one contender at one loss rate.
func (b *bench) beside(ctx context.Context, r *Result, c contender, loss float64) error {
	if c.rival != nil {
		for _, command := range [][]string{c.rival.receive, c.rival.send} {
			if _, err := exec.LookPath(command[0]); err != nil {
				return fmt.Errorf("%s: %w", command[0], errMissing)
			}
		}
	}
	if err := b.need(random, b.size); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second+time.Duration(float64(3*b.turn())/(1-loss)))
	defer cancel()
	if c.rival != nil {
		return b.theirs(ctx, r, c.rival, loss)
	}
	return b.ours(ctx, r, c, loss)
}

// askedSymbols are those of a block where receivers ask: small ones are decoded sooner, and in less time.
const askedSymbols = 4096

// ours sends from when all receivers listen.
func (b *bench) ours(ctx context.Context, r *Result, c contender, loss float64) (err error) {
	j := job{Turns: c.turns, Ask: c.ask}
	if c.ask {
		j.BlockSymbols = askedSymbols
	}
	s, err := b.newStage(ctx, b.receivers, loss, j)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.end()) }()
	for i := range s.receivers {
		if err := s.join(i, job{Repair: c.repair, Ask: c.ask}); err != nil {
			return err
		}
		if _, err := s.receivers[i].await(ctx, saysReady); err != nil {
			return err
		}
	}
	if err := s.begin(); err != nil {
		return err
	}
	var last, sated int64
	var dropped, missed, beyond float64
	for _, p := range s.receivers {
		done, err := p.await(ctx, saysDone)
		if err != nil {
			return err
		}
		all, err := p.await(ctx, saysSated)
		if err != nil {
			return err
		}
		last, sated = max(last, done.At), max(sated, all.At)
		dropped = max(dropped, float64(done.Dropped))
		missed = max(missed, float64(done.Missed))
		beyond = max(beyond, overhead(float64(all.Got.Received), float64(all.Got.Symbols)))
	}
	wire, err := s.wire()
	if err != nil {
		return err
	}
	ready, _ := s.source.last(saysReady)
	r.note(figureTime, seconds(last-s.begun), "s")
	r.note(figureWire, wire/1e6, "MB")
	r.note("all packets there", seconds(sated-s.begun), "s")
	r.note("sent until then", float64(s.satedBytes())/1e6, "MB")
	r.note("packets beyond k", beyond, "%")
	r.note("dropped by a socket", dropped, "packets")
	r.note("missed by transport", missed, "packets")
	r.note("prepared in", ready.Took.Seconds(), "s")
	return s.verify()
}

// satedBytes is what the source had sent when the last receiver had all packets that it needed.
func (s *stage) satedBytes() (n uint64) {
	for i := range s.moments {
		n = max(n, s.moments[i].sated.TxBytes-s.sent.TxBytes)
	}
	return n
}

// theirs runs another program. A receiver is done when its file has its name and its whole size.
func (b *bench) theirs(ctx context.Context, r *Result, v *rival, loss float64) (err error) {
	s := &stage{bench: b}
	defer func() { err = errors.Join(err, s.end()) }()
	if err := s.network(netem.LabConfig{Receivers: b.receivers, Rate: int64(b.rate), Loss: loss, Wire: true}); err != nil {
		return err
	}
	var all []*program
	defer func() {
		for _, p := range all {
			p.end()
		}
	}()
	words := map[string]string{"FILE": b.path, "RATE": strconv.Itoa(int(b.sourceRate() / 1000)), "RECEIVERS": strconv.Itoa(b.receivers)}
	for i, dir := range s.dirs {
		words["DIR"], words["NODE"] = dir, fmt.Sprintf("%02x", i)
		p, err := s.program(netem.Node(i), fill(v.receive, words))
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	select {
	case <-time.After(300 * time.Millisecond): // they do not say when they listen
	case <-ctx.Done():
	}
	if s.sent, err = s.lab.Counters(netem.Sender); err != nil {
		return err
	}
	s.begun = monotonic()
	sender, err := s.program(netem.Sender, fill(v.send, words))
	if err != nil {
		return err
	}
	all = append(all, sender)
	done := make([]int64, len(s.dirs))
	for left := len(done); left > 0; {
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return fmt.Errorf("%d of %d receivers are not done after %.0f s: %s", left, len(done), seconds(monotonic()-s.begun), sender.tail())
		}
		for i, dir := range s.dirs {
			if st, err := os.Stat(filepath.Join(dir, v.file(b.path))); done[i] == 0 && err == nil && st.Size() == b.made {
				done[i] = monotonic()
				left--
			}
		}
		if sender.over() && left > 0 && monotonic()-sender.ended > int64(5*time.Second) {
			return fmt.Errorf("the sender has ended, %d of %d receivers have not: %s", left, len(done), sender.tail())
		}
	}
	last := int64(0)
	for _, at := range done {
		last = max(last, at)
	}
	wire, err := s.wire()
	if err != nil {
		return err
	}
	r.note(figureTime, seconds(last-s.begun), "s")
	r.note(figureWire, wire/1e6, "MB")
	for _, dir := range s.dirs {
		if err := os.Rename(filepath.Join(dir, v.file(b.path)), filepath.Join(dir, base(b.path))); err != nil && v.file(b.path) != base(b.path) {
			return err
		}
	}
	return s.verify()
}

// program is another program at work.
type program struct {
	cmd    *exec.Cmd
	output bytes.Buffer
	gone   chan struct{}
	ended  int64
}

// program starts one in a node's namespace.
func (s *stage) program(n netem.Node, command []string) (*program, error) {
	p := &program{cmd: exec.Command(command[0], command[1:]...), gone: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = &p.output, &p.output, s.work
	if err := s.lab.Start(n, p.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", command[0], err)
	}
	go func() {
		_ = p.cmd.Wait()
		p.ended = monotonic()
		close(p.gone)
	}()
	return p, nil
}

func (p *program) over() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

func (p *program) end() {
	_ = p.cmd.Process.Kill()
	<-p.gone
}

// tail is the end of what it said; it is for a program that has ended, or is ended for it.
func (p *program) tail() string {
	p.end()
	const most = 300
	text := strings.TrimSpace(p.output.String())
	return text[max(0, len(text)-most):]
}
