package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/rmcast/rmcast/carousel"
	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
	"github.com/rmcast/rmcast/cmd/rmcast/internal/roster"
	"github.com/rmcast/rmcast/demand"
	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/transport"
)

func sendCommand(e *env) *cli.Command {
	return &cli.Command{
		Name: "send", Usage: "sends files and directories to all", ArgsUsage: "FILE|DIR... NAME|GROUP",
		Flags: sessionFlags(
			rateFlag("never send faster than `RATE`, like 50M (default: as fast as the slowest gets it)"),
			&cli.IntFlag{Name: "receivers", Value: 1, Usage: "begin with `N` receivers; 0: do not wait"},
			&cli.DurationFlag{Name: "wait", Usage: "give up if they are not there after `TIME` (default: wait)"},
			&cli.IntFlag{Name: "turns", Value: 2, Usage: "with -receivers 0: send all of it `N` times"},
			&cli.DurationFlag{Name: "for", Usage: "end after `TIME`, whoever lacks something"},
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			paths, name, err := two(c, "a FILE or DIR, and a NAME")
			if err != nil {
				return err
			}
			s := sender{role: roleSend, layers: 1, want: c.Int("receivers"), wait: c.Duration("wait"), turns: c.Int("turns")}
			if s.turns < 1 {
				return misuse("rmcast loop sends until it is stopped.", "-turns is %d, want 1 or more", s.turns)
			}
			return s.start(ctx, e, c, paths, name)
		},
	}
}

func loopCommand(e *env) *cli.Command {
	return &cli.Command{
		Name: "loop", Usage: "sends over and over, for who comes when", ArgsUsage: "FILE|DIR... NAME|GROUP",
		Flags: sessionFlags(
			rateFlag("never send faster than `RATE` (default: as fast as the slowest gets it)"),
			&cli.BoolFlag{Name: "fixed", Usage: "send at -rate, whatever arrives: for provisioned and one-way links"},
			&cli.IntFlag{Name: "layers", Value: 1, Usage: "in `N` layers, -rate all together: each recv -layers N takes as many as its link bears"},
			&cli.BoolFlag{Name: "demand", Usage: "send only while somebody receives (who is -silent is not heard)"},
			&cli.DurationFlag{Name: "for", Usage: "end after `TIME` (default: Ctrl-C)"},
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			paths, name, err := two(c, "a FILE or DIR, and a NAME")
			if err != nil {
				return err
			}
			s := sender{role: roleLoop, loop: true, fixed: c.Bool("fixed"), demand: c.Bool("demand")}
			if s.layers, err = layersOf(c); err != nil {
				return err
			}
			if s.fixed && c.String("rate") == "" {
				return misuse("Say which: -fixed -rate 20M.", "-fixed needs a -rate")
			}
			return s.start(ctx, e, c, paths, name)
		},
	}
}

// sender sends objects, once or for ever.
//
// When it ends: a sender that knows its receivers (from the roster) ends when nobody who was heard still lacks something, and as many as it waited for have
// everything. For receivers that failed, left, or were silent for roster.Expiry it stays for settle, in case they come back; if they do not, its exit code
// tells. One that does not know them (-receivers 0) ends after its turns and the last request for symbols.
type sender struct {
	*access
	role   string
	want   int // receivers to wait for
	turns  int
	loop   bool
	fixed  bool
	layers int
	demand bool
	rate   flow.Rate
	wait   time.Duration // for receivers; 0: for ever
	limit  time.Duration // of all; 0: none

	source   *transport.Source
	all      []*transport.Source // of the layers, source first
	watcher  *demand.Watcher     // with demand
	requests *carousel.Requests
	roster   *roster.Roster
	objects  []*carousel.Object
	bytes    int64
	symbols  int64
	began    time.Time
	finished map[string]bool // receivers that were told of
	rivals   map[string]bool
	deaf     bool // it was told
}

// start reads what both commands have, and runs.
func (s *sender) start(ctx context.Context, e *env, c *cli.Command, paths []string, name string) (err error) {
	if s.rate, err = rateOf(c); err != nil {
		return err
	}
	if err := notNegative(c, "receivers", "wait", "for"); err != nil {
		return err
	}
	s.limit = c.Duration("for")
	if err := checkPaths(paths, name); err != nil {
		return err
	}
	return enter(e, c, name, func(a *access) error {
		s.access = a
		return s.run(ctx, paths)
	})
}

// run opens what is needed, reads the files, and sends.
func (s *sender) run(ctx context.Context, paths []string) error {
	s.finished, s.rivals = map[string]bool{}, map[string]bool{}
	if err := s.checkLayers(); err != nil {
		return err
	}
	cfg := s.cfg
	cfg.Rate, cfg.Fixed = s.layerRate(0), s.fixed
	if !s.demand {
		cfg.AmbientSPM = 250 * time.Millisecond
	}
	defer s.close()
	if err := s.open(ctx, cfg); err != nil {
		return err
	}
	if err := s.read(ctx, paths); err != nil {
		return err
	}
	ctx, cancel := within(ctx, s.limit)
	defer cancel()
	if err := s.waitFor(ctx); err != nil {
		return s.over(ctx, err)
	}
	return s.over(ctx, s.send(ctx))
}

// open opens the sources, the ears for requests and interest, and joins the roster. What is open after an error, close closes.
func (s *sender) open(ctx context.Context, cfg transport.Config) (err error) {
	for l := range s.layers {
		cfg.Rate = s.layerRate(l)
		source, err := s.dial(ctx, l, cfg)
		if err != nil {
			return err
		}
		s.all = append(s.all, source)
	}
	s.source = s.all[0]
	if s.demand {
		if s.watcher, err = demand.Watch(s.to.network, s.to.group.String(), &demand.Config{Transport: &s.cfg}); err != nil {
			return explain("cannot listen to "+s.to.String(), err)
		}
		s.inside.metrics.AddWatcher(s.command, s.watcher)
	}
	if s.requests, err = carousel.ListenRequests(s.to.network, s.to.group.String(), &s.cfg); err != nil {
		return explain("cannot listen to "+s.to.String(), err)
	}
	s.inside.metrics.AddRequests(s.command, s.requests)
	s.roster, err = s.join(ctx, roster.Config{Role: s.role, Pong: true, Quiet: s.demand})
	return err
}

// goodbye is the time in which receivers are told that a source ends before it should.
const goodbye = 200 * time.Millisecond

// close ends what may still be open.
func (s *sender) close() {
	if s.roster != nil {
		s.roster.Leave()
	}
	if s.requests != nil {
		s.requests.Close()
	}
	for _, o := range s.objects {
		o.Close()
	}
	if s.watcher != nil {
		s.watcher.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	for _, l := range s.all {
		_ = l.CloseContext(ctx)
	}
}

// read makes the objects: all of the files is read once.
func (s *sender) read(ctx context.Context, paths []string) error {
	began := time.Now()
	names := map[string]string{}
	for _, p := range paths {
		full, err := filepath.Abs(p) // "." has a name
		if err != nil {
			return explain("", err)
		}
		base := filepath.Base(full)
		if other, twice := names[base]; twice {
			return misuse("Receivers would get both under one name: send a directory that holds both, or one after the other.", "%s and %s are both called %s", other, p, base)
		}
		names[base] = p
		o, err := carousel.Open(ctx, full, nil)
		if err != nil {
			if ctx.Err() != nil {
				return ended(ctx)
			}
			return explain("cannot send "+p, err)
		}
		s.objects = append(s.objects, o)
		root := o.Root()
		s.bytes += root.Bytes
		s.symbols += o.Symbols()
	}
	s.roster.Say(func(n *roster.Note) { n.What, n.Objects, n.Bytes = s.what(), len(s.objects), s.bytes })
	text := fmt.Sprintf("%s, %s, to %s", s.what(), human.Bytes(s.bytes), s.to.full())
	if took := time.Since(began); took > 2*time.Second {
		text += ", read in " + human.Duration(took)
	}
	s.e.tell.say("ready", text, fields{"what": s.what(), "bytes": s.bytes, "objects": len(s.objects), "group": s.to.group.String(), "interface": s.source.Stats().Socket.Interface})
	return nil
}

// what names what is sent: "photos", "a.txt and 2 more".
func (s *sender) what() string {
	root := s.objects[0].Root()
	if n := len(s.objects) - 1; n > 0 {
		return fmt.Sprintf("%s and %d more", root.Name, n)
	}
	return root.Name
}

// waitFor waits for the receivers.
func (s *sender) waitFor(ctx context.Context) error {
	if s.loop || s.want == 0 {
		return nil
	}
	g := gathering{access: s.access, roster: s.roster, role: roleRecv, theirs: "rmcast recv " + quote(s.to.given), want: s.want, give: s.wait, look: s.rival}
	err := g.wait(ctx)
	if err != nil && ctx.Err() != nil && interrupted(ctx) == nil {
		return g.nobody(s.limit)
	}
	return err
}

// sends reports whether a member sends files.
func sends(m roster.Member) bool { return m.Role == roleSend || m.Role == roleLoop }

// rival tells of other senders.
func (s *sender) rival() {
	for _, m := range s.roster.Members() {
		if sends(m) && !m.Gone && m.Objects > 0 && !s.rivals[m.ID] {
			s.rivals[m.ID] = true
			s.e.tell.warn("rival", fmt.Sprintf("another sender uses the name %s: %s sends %s. Receivers get both; if that is not meant, stop one and take another name", s.to, m.Host, m.What),
				fields{"host": m.Host, "what": m.What})
		}
	}
}

var errReceivers = errors.New("receivers without everything")

// send sends until all have everything, or its turns are over.
func (s *sender) send(ctx context.Context) error {
	s.began = time.Now()
	s.roster.Say(func(n *roster.Note) { n.State = roster.Get })
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- s.turn(inner) }()
	p := newProgress(s.e)
	defer p.close()
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	var m meter
	x, idle := ending{want: s.want}, false
	for {
		select {
		case err := <-result:
			return err
		case <-ticks.C:
		case <-s.roster.Changed():
		}
		now := time.Now()
		s.rival()
		t := count(s.roster.Members())
		if t.active+t.done == 0 {
			s.e.doubts(s.to, s.roster)
		}
		s.tellFinished()
		s.tellDeaf()
		if !s.loop && s.want > 0 {
			end, well := x.over(now, t)
			if !x.idle.IsZero() && !idle {
				s.e.tell.warn("lacking", fmt.Sprintf("waiting %s for %s to come back, by rmcast recv %s", human.Duration(settle), strings.Join(t.lost, ", "), quote(s.to.given)), nil)
			}
			idle = !x.idle.IsZero()
			if end {
				cancel()
				<-result
				if !well {
					return &failure{exitFailed, fmt.Sprintf("%d of %d receivers did not get everything: %s", t.failed, t.failed+t.done, strings.Join(t.lost, ", ")),
						"Run rmcast recv there again, and this command: they go on where they were.", errReceivers}
				}
				return nil
			}
		}
		if g := s.gauge(&m, now, t); !idle {
			p.show(g)
		}
	}
}

// turn sends what the receivers need: all of it, and then what they ask for. Where that is not enough all of it goes round again.
func (s *sender) turn(ctx context.Context) error {
	cfg := carousel.SendConfig{Requests: s.requests}
	if s.watcher != nil {
		cfg.Demand = s.watcher
		go s.tellDemand(ctx)
	}
	switch {
	case s.loop:
	case s.want == 0:
		cfg.Turns = s.turns
	default:
		cfg.Turns, cfg.AnswerWait = 1, 20*time.Second
	}
	for {
		err := carousel.SendLayers(ctx, s.all, &cfg, s.objects...)
		if err != nil || s.want == 0 {
			return err
		}
		cfg.ParityFirst = !cfg.ParityFirst
	}
}

// sums are what the sources of all layers count together, of what is shown of it.
func (s *sender) sums() (sum transport.SourceStats) {
	for _, l := range s.all {
		st := l.Stats()
		sum.Bytes += st.Bytes
		sum.Unsent += st.Unsent
		sum.IPBytes += st.IPBytes
		sum.Repairs += st.Repairs
		sum.WorstLoss = max(sum.WorstLoss, st.WorstLoss)
	}
	return sum
}

// gauge is how far the first turn is, and then how far the last receiver is.
func (s *sender) gauge(m *meter, now time.Time, t tally) gauge {
	st := s.sums()
	g := gauge{name: s.what(), total: s.bytes}
	const packet, data = 1428, 1408 // bytes of a message, and of the symbol in it
	sent := max(0, int64(st.Bytes)-int64(st.Unsent)*packet) * data / packet
	total := max(s.symbols*data, 1)
	g.rate = m.add(now, int64(st.IPBytes))
	g.loss, g.repairs = st.WorstLoss, st.Repairs
	if s.loop {
		turns := float64(sent) / float64(total)
		g.done = int64((turns - float64(int64(turns))) * float64(s.bytes))
		g.note = fmt.Sprintf("turn %d, %s now, %d served", int(turns)+1, human.Count(t.active, "receiver"), t.done)
		return g
	}
	turns := int64(1)
	if s.want == 0 {
		turns = int64(s.turns)
	}
	g.done = min(int64(float64(sent)/float64(total*turns)*float64(s.bytes)), s.bytes)
	if sent < total*turns {
		g.eta = eta(total*turns-sent, g.rate)
	} else if t.active > 0 {
		g.done = int64(t.least * float64(s.bytes))
	}
	if n := t.done + t.active; n > 0 {
		g.note = fmt.Sprintf("%d of %d done", t.done, n)
	}
	return g
}

// tellDeaf tells, once, that what receivers ask for is not heard any more.
func (s *sender) tellDeaf() {
	if err := s.requests.Stats().Err; err != nil && !s.deaf {
		s.deaf = true
		s.e.tell.warn("deaf", fmt.Sprintf("receivers that ask for what they lack are not heard any more: %s. A loop serves them by its next turn; else start this again", plain(err)), nil)
	}
}

// tellFinished tells of each receiver that has everything, or failed, once.
func (s *sender) tellFinished() {
	for _, m := range s.roster.Members() {
		if m.Role != roleRecv || s.finished[m.ID] {
			continue
		}
		f := fields{"host": m.Host, "addr": m.Addr.String(), "loss": m.Loss}
		switch {
		case m.State == roster.Done:
			s.e.tell.say("receiver_done", fmt.Sprintf("%s has everything (%s, loss %s)", m.Host, m.Addr.WithZone(""), human.Percent(m.Loss)), f)
		case m.State == roster.Fail:
			f["why"] = m.Why
			s.e.tell.warn("receiver_failed", m.Host+" "+fate(m), f)
		case m.Gone && m.Left:
			s.e.tell.warn("receiver_left", m.Host+" "+fate(m), f)
		case m.Gone:
			s.e.tell.warn("receiver_silent", m.Host+" "+fate(m), f)
		default:
			continue
		}
		s.finished[m.ID] = true
	}
}

// over closes the session and says how it went.
func (s *sender) over(ctx context.Context, err error) error {
	t := count(s.roster.Members())
	limit := s.limit > 0 && errors.Is(err, context.DeadlineExceeded) && interrupted(ctx) == nil
	if err == nil {
		_ = s.source.Close()
	}
	if st := s.source.Stats(); err == nil && t.done == 0 && st.Socket.Refused.Total() > st.Packets/2 {
		if f := refused(s.to, st.Socket); f != nil {
			err = f
		}
	}
	took := max(time.Since(s.began), time.Millisecond)
	switch {
	case err == nil, limit && (s.loop || t.active+t.failed == 0 && t.done >= s.want):
		who := human.Count(t.done, "receiver") + plural(t.done, " has it, verified", " have it, verified")
		if (s.want == 0 || s.loop) && t.done == 0 {
			who = "nobody has said that it arrived"
		}
		st := s.sums()
		text := fmt.Sprintf("sent %s, %s in %s: %s", s.what(), human.Bytes(s.bytes), human.Duration(took), who)
		s.e.tell.say("done", text, fields{"what": s.what(), "bytes": s.bytes, "seconds": took.Seconds(), "receivers": t.done, "ip_bytes": st.IPBytes, "repairs": st.Repairs})
		return nil
	case limit:
		return fail(err, "Give it more time with -for, or a higher -rate; run it again for the rest: receivers go on where they were.",
			"the time is over (-for %s), and %d of %d receivers have everything", s.limit, t.done, t.done+t.active+t.failed)
	case isCancel(err) && ctx.Err() != nil:
		return ended(ctx)
	}
	return explain("sending to "+s.to.String(), err)
}
