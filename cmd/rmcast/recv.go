package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/rmcast/rmcast/carousel"
	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
	"github.com/rmcast/rmcast/cmd/rmcast/internal/roster"
	"github.com/rmcast/rmcast/demand"
	"github.com/rmcast/rmcast/transport"
)

func recvCommand(e *env) *cli.Command {
	return &cli.Command{
		Name: "recv", Usage: "receives what is sent to a name", ArgsUsage: "NAME|GROUP [DIR]",
		Flags: append(append([]cli.Flag{
			&cli.DurationFlag{Name: "wait", Usage: "give up after `TIME` without a sender (default: wait)"},
			&cli.IntFlag{Name: "count", Usage: "end after `N` files or trees (default: what the sender says)"},
			&cli.BoolFlag{Name: "replace", Usage: "replace files of the same name that differ"},
			&cli.BoolFlag{Name: "silent", Usage: "send no packet at all: for one-way links"},
			&cli.IntFlag{Name: "layers", Value: 1, Usage: "of a loop -layers `N`: as many of them as this link bears"},
			&cli.StringSliceFlag{Name: "from", Usage: "take it from this sender only: its `ADDRESS`"},
		}, networkFlags()...), outputFlags()...),
		Action: func(ctx context.Context, c *cli.Command) error {
			args := c.Args().Slice()
			switch {
			case len(args) == 0:
				return tooFew(c, "a NAME or a GROUP")
			case len(args) > 2:
				return misuse(fmt.Sprintf("A name with spaces has to be in quotes: rmcast recv %s", quote(strings.Join(args, " "))), "rmcast recv takes a NAME and a DIR, and there are %d arguments", len(args))
			}
			r := receiver{e: e, dir: ".", wait: c.Duration("wait"), count: c.Int("count"), replace: c.Bool("replace"), silent: c.Bool("silent")}
			if len(args) == 2 {
				r.dir = args[1]
			}
			var err error
			if r.layers, err = layersOf(c); err != nil {
				return err
			}
			if r.count < 0 {
				return misuse("", "-count is negative")
			}
			return r.run(ctx, c, args[0])
		},
	}
}

// receiver receives objects into a directory.
//
// When it ends: it wants as many objects as -count says, or else as many as the senders that it hears say in the roster; where none says anything (a carousel
// of another program), one. A sender that stops halfway is waited for: what has come is kept, also if this process ends.
type receiver struct {
	e       *env
	dir     string
	wait    time.Duration
	count   int
	replace bool
	silent  bool
	layers  int
	level   atomic.Int32 // layers it is on

	to       *target
	listener *transport.Listener
	roster   *roster.Roster
	inbox    *carousel.Inbox

	mu      sync.Mutex
	open    int    // sessions that are heard
	stopped string // why the last one ended, if it was not in order
	evicted error
	refused error // why an object was not wanted
	ended   chan struct{}
}

// patience is how long a receiver waits for a sender to say how many objects there are, once it has one.
const patience = 3 * time.Second

func (r *receiver) run(ctx context.Context, c *cli.Command, name string) error {
	o, err := network(c)
	if err == nil {
		err = positive(c, "wait")
	}
	if err == nil {
		r.to, err = o.target(r.e, name)
	}
	if err != nil {
		return err
	}
	cfg := o.transport(r.e)
	if cfg.Sources, err = sources(c.StringSlice("from")); err != nil {
		return err
	}
	r.ended = make(chan struct{}, 1)
	cfg.Unordered, cfg.ReceiveOnly = true, r.silent
	if err := checkDir(r.dir); err != nil {
		return err
	}
	if r.inbox, err = carousel.NewInbox(r.dir, &carousel.InboxConfig{Count: -1, Replace: r.replace, Accept: r.accept, Logger: r.e.logger()}); err != nil {
		return explain("cannot receive into "+r.dir, err)
	}
	defer r.inbox.Close()
	group := r.to.group.String()
	if r.listener, err = transport.ListenContext(ctx, r.to.network, group, &cfg); err != nil {
		return explain("cannot listen to "+r.to.String(), err)
	}
	r.roster, err = roster.Join(ctx, roster.Config{Network: r.to.network, Group: r.to.group, Transport: cfg, Host: r.e.host, Role: "recv", Place: place(r.dir), Silent: r.silent, Pong: true})
	if err != nil {
		r.listener.Close()
		return explain("cannot listen to "+r.to.String(), err)
	}
	inner, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	if r.layers > 1 {
		running.Go(func() { r.hearLayers(inner, cfg) })
	} else {
		running.Go(func() { r.hear(inner, &running) })
	}
	if !r.silent {
		running.Go(func() {
			_ = demand.Want(inner, r.to.network, group, &demand.Config{Transport: &cfg}) // nothing depends on it but a loop -demand
		})
		running.Go(func() { _ = carousel.Ask(inner, r.to.network, group, &carousel.AskConfig{Transport: &cfg}, r.inbox) })
	}
	err = r.watch(ctx)
	cancel()
	r.listener.Close()
	running.Wait()
	if err != nil && interrupted(ctx) == nil {
		r.roster.Say(func(n *roster.Note) { n.State, n.Why = roster.Fail, reason(err) })
	}
	r.roster.Leave()
	return err
}

// reason is the short text of an error, for others.
func reason(err error) string {
	var f *failure
	if errors.As(err, &f) {
		return f.what
	}
	return plain(err)
}

// place is a name for a directory that tells nothing about it.
func place(dir string) string {
	if full, err := filepath.Abs(dir); err == nil {
		dir = full
	}
	h := fnv.New64a()
	h.Write([]byte(dir))
	return fmt.Sprintf("%016x", h.Sum64())
}

// checkDir makes sure that DIR is there and can be written.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return explain("cannot make the directory "+dir, pathError(dir, err))
		}
	case err != nil:
		return explain("cannot use the directory "+dir, pathError(dir, err))
	case !info.IsDir():
		return misuse("DIR is where files are put, under the names that the sender gives them.", "%s is a file, not a directory", dir)
	}
	f, err := os.CreateTemp(dir, ".rmcast-try-*")
	if err != nil {
		return explain("cannot write to the directory "+dir, pathError(dir, err))
	}
	f.Close()
	return os.Remove(f.Name())
}

// hear takes the sessions of all senders.
func (r *receiver) hear(ctx context.Context, running *sync.WaitGroup) {
	for {
		session, err := r.listener.AcceptReceiver()
		if err != nil {
			return
		}
		r.mu.Lock()
		r.open++
		r.mu.Unlock()
		running.Go(func() {
			err := carousel.Receive(ctx, session, r.inbox)
			session.Close()
			r.end(session, err)
		})
	}
}

// end notes that a session is over.
func (r *receiver) end(session *transport.Receiver, err error) {
	var reset *transport.ResetError
	var evicted *transport.EvictedError
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open--
	switch {
	case errors.As(err, &reset):
		r.stopped = "was stopped"
	case errors.Is(err, transport.ErrSourceLost):
		r.stopped = "has fallen silent"
	case errors.Is(err, carousel.ErrIncomplete):
		r.stopped = "has ended"
	case errors.As(err, &evicted):
		r.evicted = err
	}
	select {
	case r.ended <- struct{}{}:
	default:
	}
}

// accept says whether an object is wanted: it is, if there is room for it.
func (r *receiver) accept(root carousel.Root) bool {
	free, ok := diskFree(r.dir)
	if !ok || root.Bytes <= free {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = fail(nil, "Make room, or take another directory, and run the same command again.",
		"the disk is too full: %s has %s, and %s has room for %s", human.Clean(root.Name), human.Bytes(root.Bytes), r.dir, human.Bytes(free))
	return false
}

// watch tells how far it is until it ends.
func (r *receiver) watch(ctx context.Context) error {
	p := newProgress(r.e)
	defer p.close()
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	give := until(r.wait)
	w := watching{r: r, p: p, began: time.Now(), told: map[carousel.ID]int{}, rivals: map[string]bool{}, silent: until(3 * tick)}
	for {
		select {
		case <-ctx.Done():
			p.close()
			w.kept()
			return ended(ctx)
		case <-give:
			if !w.heard() {
				return r.nobody()
			}
			give = until(r.wait)
		case <-w.silent:
			w.silent = nil
			if !w.heard() {
				r.e.tell.say("waiting", fmt.Sprintf("waiting for a sender: run on another machine: rmcast send FILE %s", quote(r.to.given)), fields{"group": r.to.group.String()})
			}
		case <-r.ended:
		case <-r.roster.Changed():
		case <-ticks.C:
		}
		done, err := w.look(time.Now())
		if done || err != nil {
			p.close()
			if err == nil {
				r.roster.Say(func(n *roster.Note) { n.State, n.Have = roster.Done, 1 })
				w.summary()
			}
			return err
		}
	}
}

func (r *receiver) nobody() error {
	return &failure{exitNobody, fmt.Sprintf("no sender was heard within %s", human.Duration(r.wait)),
		"Start one: rmcast send FILE " + quote(r.to.given) + ", in the same network; rmcast ping " + quote(r.to.given) + " on both ends says what keeps them apart.", nil}
}

// watching is what watch remembers.
type watching struct {
	r      *receiver
	p      *progress
	m      meter
	began  time.Time
	first  time.Time // when the first object was known
	full   time.Time // when as many as are known were complete
	told   map[carousel.ID]int
	rivals map[string]bool
	silent <-chan time.Time
	had    int64 // bytes of former runs
}

func (w *watching) heard() bool {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	return w.r.open > 0 || w.r.layers > 1 && len(w.r.inbox.Objects()) > 0
}

// Steps of an object that are told once.
const (
	toldKnown = iota + 1
	toldDone
)

// look looks at everything and tells what is new; done if all is there.
func (w *watching) look(now time.Time) (done bool, err error) {
	r := w.r
	r.mu.Lock()
	stopped, evicted, refused := r.stopped, r.evicted, r.refused
	r.stopped = ""
	r.mu.Unlock()
	if evicted != nil {
		return false, explain("the sender does not serve this machine any more", evicted)
	}
	if refused != nil {
		return false, refused
	}
	g, complete, known := w.objects()
	for _, o := range r.inbox.Objects() {
		if o.Done && o.Err != nil {
			return false, w.objectError(o)
		}
	}
	if known > 0 && w.first.IsZero() {
		w.first = now
	}
	want := w.want(known)
	all := known > 0 && complete == known && complete >= want
	switch {
	case !all:
		w.full = time.Time{}
	case w.full.IsZero():
		w.full = now
	}
	if all && (r.count > 0 || w.sendersSaid() || now.Sub(w.full) >= patience) {
		return true, nil
	}
	if stopped != "" && !all && known > 0 {
		r.e.tell.warn("sender_gone", fmt.Sprintf("the sender %s at %s. Waiting for it to come back; what has come is kept, also if you stop this", stopped, human.Percent(g.share())), fields{"bytes": g.done})
	}
	st := r.listener.Stats()
	if n := st.Total.Packets + st.Total.Repairs; n > 0 {
		g.loss = min(float64(st.Total.Missing)/float64(n), 1)
	}
	g.repairs = st.Total.Repairs
	if known == 0 {
		return false, nil
	}
	g.rate = w.m.add(now, g.done)
	g.eta = eta(g.total-g.done, g.rate)
	g.note = w.r.layersNote()
	r.roster.Say(func(n *roster.Note) {
		n.State, n.What, n.Have, n.Loss = roster.Get, g.name, g.share(), g.loss
	})
	w.p.show(g)
	return false, nil
}

// objects sums the objects up, and tells of each that is new or complete.
func (w *watching) objects() (g gauge, complete, known int) {
	for _, o := range w.r.inbox.Objects() {
		name := human.Clean(o.Name)
		if !o.Known {
			continue
		}
		known++
		bytes := o.Bytes
		if o.Symbols > 0 {
			bytes = int64(float64(o.Bytes) * float64(o.Held) / float64(o.Symbols))
		}
		g.total += o.Bytes
		if o.Done {
			complete++
			bytes = o.Bytes
		}
		g.done += bytes
		if g.name == "" || !o.Done {
			g.name = name
		}
		path := filepath.Join(w.r.dir, o.Name)
		f := fields{"name": o.Name, "bytes": o.Bytes, "path": path}
		if w.told[o.ID()] < toldKnown {
			w.told[o.ID()] = toldKnown
			text := fmt.Sprintf("receiving %s, %s", name, human.Bytes(o.Bytes))
			if o.Resumed > 0 && o.Symbols > 0 {
				part := float64(o.Resumed) / float64(o.Symbols)
				text += fmt.Sprintf("; %s is here already", human.Percent(part))
				f["resumed"] = part
				w.had += int64(part * float64(o.Bytes))
			}
			w.r.e.tell.say("receiving", text, f)
		}
		if o.Done && o.Err == nil && w.told[o.ID()] < toldDone {
			w.told[o.ID()] = toldDone
			w.r.e.tell.say("received", fmt.Sprintf("%s is there, %s, verified: %s", name, human.Bytes(o.Bytes), human.Clean(path)), f)
		}
	}
	return g, complete, known
}

// want is how many objects are to come.
func (w *watching) want(known int) int {
	if w.r.count > 0 {
		return w.r.count
	}
	n := 0
	for _, m := range w.r.roster.Members() {
		if m.Role != "send" && m.Role != "loop" || m.Gone {
			continue
		}
		n += m.Objects
		if !w.rivals[m.ID] {
			w.rivals[m.ID] = true
			if len(w.rivals) == 2 {
				w.r.e.tell.warn("rival", fmt.Sprintf("two senders use the name %s: both are received. If that is not meant, stop one of them and take another name, or say -from %s", w.r.to, m.Addr.WithZone("")),
					fields{"host": m.Host})
			}
		}
	}
	return max(n, 1)
}

// sendersSaid reports whether a sender said how many objects it has.
func (w *watching) sendersSaid() bool {
	for _, m := range w.r.roster.Members() {
		if (m.Role == "send" || m.Role == "loop") && m.Objects > 0 {
			return true
		}
	}
	return false
}

// objectError is why an object could not be completed.
func (w *watching) objectError(o carousel.ObjectStatus) error {
	return explain("cannot complete "+human.Clean(o.Name)+" in "+w.r.dir, o.Err)
}

// kept tells what an interrupted receiver leaves.
func (w *watching) kept() {
	g, complete, known := w.objects()
	if known > complete && g.done > 0 {
		w.r.e.tell.say("kept", fmt.Sprintf("%s of %s is kept in %s: the same command goes on from there", human.Percent(g.share()), g.name, filepath.Join(w.r.dir, ".rmcast-*")), fields{"bytes": g.done, "total": g.total})
	}
}

// summary tells what was received.
func (w *watching) summary() {
	g, complete, _ := w.objects()
	took := max(time.Since(w.first), time.Millisecond)
	st := w.r.listener.Stats()
	loss := 0.0
	if n := st.Total.Packets + st.Total.Repairs; n > 0 {
		loss = min(float64(st.Total.Missing)/float64(n), 1)
	}
	text := fmt.Sprintf("done: %s in %s, loss %s", human.Bytes(g.total), human.Duration(took), human.Percent(loss))
	if drops := st.Socket.KernelDrops; drops > 0 {
		text += fmt.Sprintf(", of which %s dropped here (raise net.core.rmem_max)", human.Count(int(drops), "packet"))
	}
	w.r.e.tell.say("done", text, fields{"objects": complete, "bytes": g.total, "seconds": took.Seconds(), "loss": loss, "repairs": st.Total.Repairs, "kernel_drops": st.Socket.KernelDrops})
}
