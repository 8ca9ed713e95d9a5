package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
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
		Flags: sessionFlags(
			&cli.DurationFlag{Name: "wait", Usage: "give up after `TIME` without a sender (default: wait)"},
			&cli.IntFlag{Name: "count", Usage: "end after `N` files or trees (default: what the sender says)"},
			&cli.BoolFlag{Name: "replace", Usage: "replace files of the same name that differ"},
			&cli.BoolFlag{Name: "silent", Usage: "send no packet at all: for one-way links"},
			&cli.IntFlag{Name: "layers", Value: 1, Usage: "of a loop -layers `N`: as many of them as this link bears"},
			&cli.StringSliceFlag{Name: "from", Usage: "take it from this sender only: its `ADDRESS`"},
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			args := c.Args().Slice()
			switch {
			case len(args) == 0:
				return tooFew(c, "a NAME or a GROUP")
			case len(args) > 2:
				return misuse(fmt.Sprintf("A name with spaces has to be in quotes: rmcast recv %s", quote(strings.Join(args, " "))), "rmcast recv takes a NAME and a DIR, and there are %d arguments", len(args))
			}
			r := receiver{dir: ".", wait: c.Duration("wait"), count: c.Int("count"), replace: c.Bool("replace"), silent: c.Bool("silent")}
			if len(args) == 2 {
				r.dir = args[1]
			}
			err := notNegative(c, "wait", "count")
			if err != nil {
				return err
			}
			if r.layers, err = layersOf(c); err != nil {
				return err
			}
			if r.from, err = sources(c.StringSlice("from")); err != nil {
				return err
			}
			if err := checkDir(r.dir); err != nil {
				return err
			}
			return enter(e, c, args[0], func(a *access) error {
				r.access = a
				return r.run(ctx)
			})
		},
	}
}

// receiver receives objects into a directory.
//
// When it ends: it wants as many objects as -count says, or else as many as the senders that it hears say in the roster; where none says anything (a carousel
// of another program), one. A sender that stops halfway is waited for: what has come is kept, also if this process ends.
type receiver struct {
	*access
	dir     string
	wait    time.Duration // for a sender; 0: for ever
	count   int
	replace bool
	silent  bool
	from    []netip.Addr // the senders that are heard; empty: all
	layers  int
	level   atomic.Int32 // layers it is on

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

// run receives until everything is there.
func (r *receiver) run(ctx context.Context) (err error) {
	for _, a := range r.from {
		if a.Is4() != r.to.group.Addr().Is4() {
			return misuse("Give its other address, or -4 or -6 on both ends.", "-from %s is not of the family of %s (%s)", a, r.to, r.to.group)
		}
	}
	r.ended = make(chan struct{}, 1)
	r.cfg.Sources = r.from
	if r.inbox, err = carousel.NewInbox(r.dir, &carousel.InboxConfig{Count: -1, Replace: r.replace, Accept: r.fits, Logger: r.e.logger()}); err != nil {
		return explain("cannot receive into "+r.dir, err)
	}
	defer r.inbox.Close()
	r.inside.metrics.AddInbox(r.command, r.inbox)
	cfg := r.cfg
	cfg.Unordered, cfg.ReceiveOnly = true, r.silent
	if r.listener, err = r.listen(ctx, 0, cfg); err != nil {
		return err
	}
	if r.roster, err = r.join(ctx, roster.Config{Role: roleRecv, Place: place(r.dir), Silent: r.silent, Pong: true}); err != nil {
		r.listener.Close()
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	if r.layers > 1 {
		running.Go(func() { r.hearLayers(inner, cfg) })
	} else {
		running.Go(func() { r.hear(inner, &running) })
	}
	if !r.silent {
		group := r.to.group.String()
		running.Go(func() {
			_ = demand.Want(inner, r.to.network, group, &demand.Config{Transport: &r.cfg}) // nothing depends on it but a loop -demand
		})
		running.Go(func() {
			_ = carousel.Ask(inner, r.to.network, group, &carousel.AskConfig{Transport: &r.cfg}, r.inbox) // without, it takes longer
		})
	}
	err = r.follow(ctx)
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
		session, end, err := r.accept(r.listener)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.open++
		r.mu.Unlock()
		running.Go(func() {
			err := carousel.Receive(ctx, session, r.inbox)
			end()
			r.sessionEnded(err)
		})
	}
}

// sessionEnded notes that a session is over, and why.
func (r *receiver) sessionEnded(err error) {
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

// fits says whether an object is wanted: it is, if there is room for it.
func (r *receiver) fits(root carousel.Root) bool {
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
