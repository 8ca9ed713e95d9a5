package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/rmcast/rmcast/carousel"
	"github.com/rmcast/rmcast/cmd/rmcast/internal/human"
	"github.com/rmcast/rmcast/cmd/rmcast/internal/roster"
	"github.com/rmcast/rmcast/session"
)

// follow tells how far it is until it ends.
func (r *receiver) follow(ctx context.Context) error {
	p := newProgress(r.e)
	defer p.close()
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	give := until(r.wait)
	w := reception{r: r, p: p, told: map[carousel.ID]int{}, rivals: map[string]bool{}, silent: until(3 * tick)}
	for {
		select {
		case <-ctx.Done():
			p.close()
			w.kept()
			return ended(ctx)
		case <-give:
			if !w.heard() {
				r.e.doubts(r.to, r.roster)
				return r.noSender("rmcast send FILE", r.wait)
			}
			give = until(r.wait)
		case <-w.silent:
			w.silent = nil
			if !w.heard() {
				r.e.doubts(r.to, r.roster)
				r.waiting("rmcast send FILE")
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

// reception is what follow remembers.
type reception struct {
	r      *receiver
	p      *progress
	m      meter
	first  time.Time // when the first object was known
	full   time.Time // when as many as are known were complete
	told   map[carousel.ID]int
	rivals map[string]bool
	silent <-chan time.Time
}

// heard reports whether there is a sender.
func (w *reception) heard() bool {
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
func (w *reception) look(now time.Time) (done bool, err error) {
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
			return false, explain("cannot complete "+human.Clean(o.Name)+" in "+r.dir, o.Err)
		}
	}
	if known > 0 && w.first.IsZero() {
		w.first = now
	}
	want := w.want()
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
	total := r.listener.Stats().Total
	g.loss, g.repairs = lossOf(total), total.Repairs
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
func (w *reception) objects() (g gauge, complete, known int) {
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
func (w *reception) want() int {
	if w.r.count > 0 {
		return w.r.count
	}
	n := 0
	for _, m := range w.r.senders() {
		if m.Gone {
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
func (w *reception) sendersSaid() bool {
	return slices.ContainsFunc(w.r.senders(), func(m roster.Member) bool { return m.Objects > 0 })
}

// senders are those in the roster whose files are taken.
func (r *receiver) senders() (list []roster.Member) {
	for _, m := range r.roster.Members() {
		if sends(m) && (len(r.from) == 0 || slices.Contains(r.from, m.Addr.WithZone(""))) {
			list = append(list, m)
		}
	}
	return list
}

// kept tells what an interrupted receiver leaves.
func (w *reception) kept() {
	g, complete, known := w.objects()
	if known > complete && g.done > 0 {
		w.r.e.tell.say("kept", fmt.Sprintf("%s of %s is kept in %s: the same command goes on from there", human.Percent(g.share()), g.name, filepath.Join(w.r.dir, ".rmcast-*")), fields{"bytes": g.done, "total": g.total})
	}
}

// summary tells what was received.
func (w *reception) summary() {
	g, complete, _ := w.objects()
	took := max(time.Since(w.first), time.Millisecond)
	st := w.r.listener.Stats()
	loss := lossOf(st.Total)
	text := fmt.Sprintf("done: %s in %s, loss %s", human.Bytes(g.total), human.Duration(took), human.Percent(loss))
	if drops := st.Socket.KernelDrops; drops > 0 {
		text += fmt.Sprintf(", of which at least %s dropped here (raise net.core.rmem_max)", human.Count(int(drops), "packet"))
	}
	w.r.e.tell.say("done", text, fields{"objects": complete, "bytes": g.total, "seconds": took.Seconds(), "loss": loss, "repairs": st.Total.Repairs, "kernel_drops": st.Socket.KernelDrops})
}

// lossOf is the part of the packets that got lost at first, 0 to 1.
func lossOf(total session.ReceiverCounts) float64 {
	n := total.Packets + total.Repairs
	if n == 0 {
		return 0
	}
	return min(float64(total.Missing)/float64(n), 1)
}
