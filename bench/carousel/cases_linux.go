package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
)

// bench is the state of all cases: a directory, and the object that was made last.
type bench struct {
	*options
	work    string
	object  string // its kind
	made    int64  // its size
	path    string
	sums    sums
	counter int
}

func (o *options) newBench() (*bench, error) {
	if err := netem.Available(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.dir, "rmcast-bench-carousel-")
	if err != nil {
		return nil, err
	}
	return &bench{options: o, work: dir}, nil
}

func (b *bench) close() error { return os.RemoveAll(b.work) }

// cases are all there are.
func (b *bench) cases() (all []Case) {
	add := func(kind, name string, quick bool, run func(context.Context, *Result) error) {
		all = append(all, Case{kind, name, quick, run})
	}
	for _, object := range []string{random, zeros, tree} {
		for _, loss := range b.loss {
			quick := object != zeros && loss == slices.Max(b.loss)
			add(kindSilent, object+", "+percent(loss), quick, func(ctx context.Context, r *Result) error { return b.silent(ctx, r, object, loss) })
		}
	}
	const lateLoss = 0.1
	add(kindLate, "at half a turn, "+percent(lateLoss), true, func(ctx context.Context, r *Result) error { return b.late(ctx, r, lateLoss) })
	if b.kills > 0 {
		add(kindKilled, fmt.Sprintf("%d times", b.kills), true, b.killed)
	}
	add(kindLayers, layersTogether, true, b.layersTogether)
	add(kindLayers, layersAlone, false, b.layersAlone)
	for _, loss := range b.besideLoss {
		for _, c := range contenders {
			quick := c.quick && loss == slices.Min(b.besideLoss)
			add(kindBeside, c.name+", "+percent(loss), quick, func(ctx context.Context, r *Result) error { return b.beside(ctx, r, c, loss) })
		}
	}
	return all
}

// need makes the object, if it is not there already.
func (b *bench) need(kind string, size int64) (err error) {
	if b.object == kind && b.made == size {
		return nil
	}
	b.object = ""
	if b.path != "" {
		if err := os.RemoveAll(b.path); err != nil {
			return err
		}
	}
	b.path = filepath.Join(b.work, kind)
	if err := makeObject(b.path, kind, size, b.seed); err != nil {
		return err
	}
	if b.sums, err = hashAll(b.path); err == nil {
		b.object, b.made = kind, size
	}
	return err
}

// turn is how long an object takes on the link, if nothing is lost, about.
func (b *bench) turn() time.Duration { return b.rate.Duration(b.made / 100 * 108) }

// sourceRate leaves the shaper's queue short: a source's Rate counts IP packets and the link's frames, which are 14 bytes longer.
func (b *bench) sourceRate() flow.Rate { return b.rate / 1000 * 990 }

// stage is one run: a network, its source and its receivers.
type stage struct {
	*bench
	lab       *netem.Lab
	dirs      []string // of receivers
	source    *process
	receivers []*process
	captures  []*capture
	moments   []moments // of each receiver
	sent      netem.LabCounters
	begun     int64
}

// moments are what the source's interface had sent when a receiver said something.
type moments struct{ joined, sated, done netem.LabCounters }

// newStage makes a network and starts the source, which waits.
func (b *bench) newStage(ctx context.Context, receivers int, loss float64, j job) (s *stage, err error) {
	s = &stage{bench: b, moments: make([]moments, receivers), receivers: make([]*process, receivers)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.end())
		}
	}()
	if err := s.network(netem.LabConfig{Receivers: receivers, Rate: int64(s.rate), Loss: loss, Wire: true}); err != nil {
		return s, err
	}
	j.Source, j.Path, j.Temp, j.Rate, j.Seed, j.Verbose = true, b.path, b.work, b.sourceRate(), b.seed, b.verbose
	if s.source, err = start(s.lab, netem.Sender, j, nil); err == nil {
		_, err = s.source.await(ctx, saysReady)
	}
	return s, err
}

// network makes the network alone.
func (s *stage) network(cfg netem.LabConfig) (err error) {
	if s.lab, err = netem.NewLab(cfg); err != nil {
		return err
	}
	for i := range s.lab.Receivers() {
		s.counter++
		dir := filepath.Join(s.work, fmt.Sprintf("received-%d", s.counter))
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		s.dirs = append(s.dirs, dir)
		c, err := newCapture(s.lab, netem.Node(i))
		if err != nil {
			return err
		}
		s.captures = append(s.captures, c)
	}
	return nil
}

// begin lets the source send.
func (s *stage) begin() (err error) {
	if s.sent, err = s.lab.Counters(netem.Sender); err == nil {
		s.begun = monotonic()
		err = s.source.begin()
	}
	return err
}

// join starts a receiver.
func (s *stage) join(i int, j job) (err error) {
	at := &s.moments[i]
	j.Path, j.Verbose = s.dirs[i], s.verbose
	s.receivers[i], err = start(s.lab, netem.Node(i), j, func(e Event) {
		into := map[string]*netem.LabCounters{saysReady: &at.joined, saysSated: &at.sated, saysDone: &at.done}[e.What]
		if into == nil {
			return
		}
		if c, err := s.lab.Counters(netem.Sender); err == nil {
			*into = c
		}
	})
	return err
}

// wire returns the bytes that all have sent since begin.
func (s *stage) wire() (n float64, err error) {
	for node := netem.Sender; node < netem.Node(s.lab.Receivers()); node++ {
		c, err := s.lab.Counters(node)
		if err != nil {
			return 0, err
		}
		n += float64(c.TxBytes)
	}
	return n - float64(s.sent.TxBytes), nil
}

// verify compares what all have received with the source's.
func (s *stage) verify() error {
	for _, dir := range s.dirs {
		if err := s.sums.verify(filepath.Join(dir, filepath.Base(s.path))); err != nil {
			return err
		}
	}
	return nil
}

// end stops all that is left, and removes what was received.
func (s *stage) end() error {
	var errs []error
	for _, p := range append(s.receivers, s.source) {
		if p != nil {
			errs = append(errs, p.end())
		}
	}
	for _, c := range s.captures {
		_, err := c.end()
		errs = append(errs, err)
	}
	if s.lab != nil {
		errs = append(errs, s.lab.Close())
	}
	for _, dir := range s.dirs {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// silence adds what receivers have sent.
func (s *stage) silence(r *Result) error {
	all, said := map[string]int{}, 0
	for _, c := range s.captures {
		sent, err := c.end()
		if err != nil {
			return err
		}
		for kind, n := range sent {
			all[kind] += n
		}
		said += loud(sent)
	}
	s.captures = nil
	r.atMost("sent by receivers", float64(said), "packets", 0)
	r.Notes = append(r.Notes, "their kernels sent: "+listed(all))
	return nil
}

// overhead is what n is beyond k, in percent.
func overhead(n, k float64) float64 { return 100 * (n/k - 1) }

// atFull adds a percentage whose bound is of objects of 1 GB: smaller ones wait a part of their turn for root and manifest.
func (b *bench) atFull(r *Result, name string, v, most float64) {
	if b.size < acceptance {
		r.note(name, v, "%")
		return
	}
	r.atMost(name, v, "%", most)
}

const (
	beyondMost = 1.5 // % of packets beyond k
	sentMost   = 1   // % of what is sent beyond k/(1-loss)
	rssMost    = 300 // MB of a receiver
)

// silent is receivers that join within the first turn.
func (b *bench) silent(ctx context.Context, r *Result, object string, loss float64) (err error) {
	if err := b.need(object, b.size); err != nil {
		return err
	}
	patience := 20*time.Second + time.Duration(float64(4*b.turn())/(1-loss))
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s, err := b.newStage(ctx, b.options.receivers, loss, job{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.end()) }()
	rng := rand.New(rand.NewPCG(b.seed, 0x107))
	joins := make([]time.Duration, b.options.receivers)
	for i := range joins {
		joins[i] = time.Duration(rng.Float64() * float64(b.turn()))
	}
	slices.Sort(joins)
	if err := s.begin(); err != nil {
		return err
	}
	for i, at := range joins {
		select {
		case <-time.After(at - time.Duration(monotonic()-s.begun)):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := s.join(i, job{}); err != nil {
			return err
		}
	}
	return s.conclude(ctx, r)
}

// conclude waits for all, and adds the figures.
func (s *stage) conclude(ctx context.Context, r *Result) error {
	var beyond, toSated, toDone, last, rss, dropped float64
	for _, p := range s.receivers {
		done, err := p.await(ctx, saysDone)
		if err != nil {
			return err
		}
		sated, err := p.await(ctx, saysSated)
		if err != nil {
			return err
		}
		ready, _ := p.last(saysReady)
		beyond = max(beyond, overhead(float64(sated.Got.Received), float64(sated.Got.Symbols)))
		toSated = max(toSated, seconds(sated.At-ready.At))
		toDone = max(toDone, seconds(done.At-ready.At))
		last = max(last, seconds(done.At-s.begun))
		rss = max(rss, float64(done.RSS)/1e6)
		dropped = max(dropped, float64(done.Dropped))
	}
	wire, err := s.wire()
	if err != nil {
		return err
	}
	if err := s.verify(); err != nil {
		return err
	}
	s.atFull(r, "packets beyond k", beyond, beyondMost)
	r.note("join to last packet", toSated, "s")
	r.note("join to complete", toDone, "s")
	r.note(figureTime, last, "s")
	r.note(figureWire, wire/1e6, "MB")
	r.note("dropped by a socket", dropped, "packets")
	r.atMost("resident", rss, "MB", rssMost)
	return s.silence(r)
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }

// late is a receiver that joins at half a turn.
func (b *bench) late(ctx context.Context, r *Result, loss float64) (err error) {
	if err := b.need(random, b.size); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second+5*b.turn())
	defer cancel()
	s, err := b.newStage(ctx, 1, loss, job{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.end()) }()
	if err := s.begin(); err != nil {
		return err
	}
	select {
	case <-time.After(b.turn() / 2):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := s.join(0, job{}); err != nil {
		return err
	}
	sated, err := s.receivers[0].await(ctx, saysSated)
	if err != nil {
		return err
	}
	done, err := s.receivers[0].await(ctx, saysDone)
	if err != nil {
		return err
	}
	c, err := s.lab.Counters(0)
	if err != nil {
		return err
	}
	if err := s.verify(); err != nil {
		return err
	}
	m := &s.moments[0]
	sent := float64(m.sated.TxPackets - m.joined.TxPackets)
	lost := float64(c.Lost) / max(1, float64(c.Offered))
	ready, _ := s.receivers[0].last(saysReady)
	s.atFull(r, "sent from the join beyond k/(1-loss)", overhead(sent, float64(sated.Got.Symbols)/(1-loss)), sentMost)
	r.note("beyond k/(1-loss as it was)", overhead(sent, float64(sated.Got.Symbols)/(1-lost)), "%")
	r.note("packets beyond k", overhead(float64(sated.Got.Received), float64(sated.Got.Symbols)), "%")
	r.note("join to last packet", seconds(sated.At-ready.At), "s")
	r.note("join to complete", seconds(done.At-ready.At), "s")
	return s.silence(r)
}

// killed is a receiver that ends by SIGKILL at random moments, and is started again at once.
func (b *bench) killed(ctx context.Context, r *Result) (err error) {
	if err := b.need(random, b.size/2); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second+6*b.turn()+time.Duration(b.kills)*time.Second)
	defer cancel()
	s, err := b.newStage(ctx, 1, 0.05, job{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.end()) }()
	if err := s.begin(); err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(b.seed, 0xdead))
	again, kills := int64(0), 0
	for ended := false; !ended; {
		before := packets{}
		if p := s.receivers[0]; p != nil {
			before = p.progress()
		}
		if err := s.join(0, job{Ticks: true}); err != nil {
			return err
		}
		p := s.receivers[0]
		life, stop := context.WithCancel(ctx)
		if kills < b.kills {
			life, stop = context.WithTimeout(ctx, time.Duration(rng.Float64()*float64(2*b.turn())/float64(b.kills+1)))
		}
		_, err := p.await(life, saysDone)
		over := life.Err() != nil
		stop()
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("%w, after %d kills", err, kills)
		case err == nil:
			ended = true
		case over:
			p.kill()
			kills++
		default:
			return err
		}
		// What it had and the next has not is received again. A process that was killed before it said anything took nothing away.
		g := p.progress()
		again += g.Again
		if ready, ok := p.last(saysReady); ok {
			again += max(0, before.Held-ready.Got.Resumed)
		} else if !ended {
			p.remember(before)
		}
	}
	if err := s.verify(); err != nil {
		return err
	}
	size := float64(b.made)
	r.note("killed", float64(kills), "times")
	r.atMost("received again", float64(again)*1408/1e6, "MB", 0.02*size/1e6+2*float64(kills))
	if done, ok := s.receivers[0].last(saysDone); ok {
		r.note(figureTime, seconds(done.At-s.begun), "s")
	}
	return nil
}

// progress is how far it said it was, last.
func (p *process) progress() packets {
	if e, ok := p.last(saysSated); ok {
		return e.Got
	}
	if e, ok := p.last(saysTick); ok {
		return e.Got
	}
	e, _ := p.last(saysReady)
	return e.Got
}

// remember makes what a former process said this one's.
func (p *process) remember(g packets) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g.Again = 0
	p.said[saysReady] = Event{What: saysReady, Got: g}
}
